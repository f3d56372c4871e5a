"""The command line: verbs, their options, and the exit code of every outcome."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from framework.commands import printing
from framework.commands.interruption import TerminatedError, stoppable
from framework.errors import INTERRUPTED, TERMINATED, EstimandError

_EXITS = """\
exit codes
  0 ok   2 study   3 data   4 design or identification   5 numerical   6 storage or
  tracking   7 worker died or timed out   8 refused for safety   9 finished, some
  estimations have no numbers   10 an expectation failed, or an audit found something
  (--strict)   130, 143 interrupted: run again, nothing finished is computed twice
"""
_AGAIN = "run again, nothing finished is computed twice"


def main(args: Sequence[str], *, whole_process: bool = False) -> int:
    """Do what was typed; the exit code. No error of ours ends in a traceback.

    Args:
        args: what was typed.
        whole_process: the process was started for this, so its start is part of the
            time that it takes.
    """
    # MLflow reports home and chats by default; both off before anything imports it.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    options = parser().parse_intermixed_args(args)
    options.whole_process = whole_process
    try:
        with stoppable():
            module, _, function = options.does.partition(":")
            command = getattr(importlib.import_module(module), function)
            code: int = command(options)
    except EstimandError as error:
        return printing.fault(error, json_wanted=getattr(options, "json", False))
    except KeyboardInterrupt:
        printing.log(f"interrupted: {_AGAIN}")
        return INTERRUPTED
    except TerminatedError:
        printing.log(f"terminated: {_AGAIN}")
        return TERMINATED
    except BrokenPipeError:  # the reader of a pipe has gone: `estimand list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


#: Adds a verb: name, `module:function` below `framework.commands`, its help.
Verb = Callable[[str, str, str], argparse.ArgumentParser]


class _Parser(argparse.ArgumentParser):
    """Subcommands need options before and after overrides; argparse has both apart."""

    def parse_intermixed_args(  # type: ignore[override]  # one signature is enough here
        self, args: Sequence[str]
    ) -> argparse.Namespace:
        options, rest = self.parse_known_args(list(args))
        unknown = [r for r in rest if r.startswith("-")]
        if unknown:
            self.error(f"unknown option: {' '.join(unknown)}")
        if rest:
            if not hasattr(options, "overrides"):
                self.error(f"what is {' '.join(rest)}?")
            options.overrides = [*options.overrides, *rest]
        return options


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    top = _Parser(
        prog="estimand",
        description="Policy evaluation from one YAML study: estimate it, vary it, "
        "record every number.",
        epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=_version())
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, does: str, help_: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=help_, description=help_)
        made.set_defaults(does=f"framework.commands.{does}")
        return made

    _study_verbs(verb)
    _audit_verb(verb)
    _run_verbs(verb)
    _other_verbs(verb)
    return top


def _study_verbs(verb: Verb) -> None:
    """What takes a study."""
    new = verb("new", "scaffold:new", "write a first study from a data file")
    new.add_argument("name", help="name of the study, its file is specs/NAME.yaml")
    new.add_argument("--data", type=Path, help="a data file to look at")
    new.add_argument("--force", action="store_true", help="replace an existing file")

    for name, does, help_ in (
        ("validate", "studying:validate", "check studies; nothing is estimated"),
        ("plan", "studying:plan", "every estimation, its formula and its rows"),
        ("run", "studying:run", "estimate, judge, report and record a study"),
        ("sweep", "sweeping:sweep", "one model over a grid: path=a,b as overrides"),
    ):
        made = verb(name, does, help_)
        if name == "validate":
            made.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
            made.add_argument("--data", action="store_true", help="read the data, too")
        else:
            made.add_argument("study", type=Path, metavar="STUDY")
            made.add_argument(
                "overrides",
                nargs="*",
                metavar="PATH=VALUE",
                help="changes in the words of the study (model.inference.cluster=state) "
                "and settings (executor=serial, tracking=none)",
            )
        made.add_argument("--json", action="store_true", help="one JSON document")
        if name != "validate":
            made.add_argument(
                "--only",
                action="append",
                default=[],
                metavar="ADDRESS",
                help="a heading, line or value; may be given more than once",
            )
        if name in ("run", "sweep"):
            made.add_argument(
                "--output", type=Path, help="write the run's folder here, too"
            )
            made.add_argument(
                "--strict",
                action="store_true",
                help="exit 10 when an expectation fails",
            )
            made.add_argument(
                "--quiet", action="store_true", help="no progress on stderr"
            )
            _again_options(made)


def _again_options(made: argparse.ArgumentParser) -> None:
    """What a run does about an earlier one, and about its own failures."""
    earlier = made.add_mutually_exclusive_group()
    earlier.add_argument(
        "--resume",
        action="store_true",
        help="go on where the last run of this command ended (what a run does anyway: "
        "finished estimations are never computed twice)",
    )
    earlier.add_argument(
        "--retry-failed",
        action="store_true",
        help="only what failed in the last run of this command, "
        "also what its design could not answer (refused again unseen otherwise)",
    )
    made.add_argument(
        "--fail-fast", action="store_true", help="stop at the first failure"
    )


def _audit_verb(verb: Verb) -> None:
    """What asks whether printed numbers can be true."""
    made = verb(
        "audit", "auditing:audit", "can the numbers that a paper prints be true?"
    )
    made.add_argument("study", type=Path, metavar="STUDY")
    made.add_argument("overrides", nargs="*", metavar="PATH=VALUE")
    made.add_argument("--json", action="store_true", help="one JSON document")
    made.add_argument(
        "--output", type=Path, metavar="FILE", help="write a page: .md or .html"
    )
    made.add_argument(
        "--no-data", action="store_true", help="only what printed numbers tell"
    )
    made.add_argument("--all", action="store_true", help="confirmations in full, too")
    made.add_argument("--strict", action="store_true", help="exit 10 after an alarm")
    made.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _run_verbs(verb: Verb) -> None:
    """What takes finished runs."""
    report = verb("report", "reporting:report", "tables and figures of a run again")
    report.add_argument("run", help="a run's folder, or a study's name (its latest)")
    report.add_argument("--formats", help="of html,tex,docx,md,csv", default="")
    report.add_argument("overrides", nargs="*", metavar="SETTING=VALUE")

    compare = verb("compare", "comparing:compare", "runs side by side")
    compare.add_argument(
        "runs",
        nargs="+",
        help="folders, or STUDY/RUN; STUDY/RUN:ADDRESS explains one estimation",
    )
    compare.add_argument(
        "--why",
        action="store_true",
        help="split what differs over sample, outcome, controls, estimator, ...",
    )
    compare.add_argument("--json", action="store_true", help="one JSON document")
    compare.set_defaults(overrides=[])

    trace = verb("trace", "tracing:trace", "where a printed number comes from")
    trace.add_argument("cell", help="RUN:ADDRESS, or RUN and the number as printed")
    trace.add_argument("number", nargs="?", help="as printed: 0.0818, -1.39***")
    trace.add_argument("--json", action="store_true", help="one JSON document")

    diff = verb("diff", "differing:diff", "what differs between two studies")
    diff.add_argument("studies", nargs=2, metavar="STUDY", help="files, or runs")
    diff.add_argument("--json", action="store_true", help="one JSON document")

    ui = verb("ui", "reporting:ui", "open MLflow on this machine")
    ui.add_argument("--port", type=int, default=5000)
    ui.add_argument("--study", help="open at this study, not at the newest run's")
    ui.add_argument("overrides", nargs="*", metavar="SETTING=VALUE")

    rebuild = verb("rebuild", "reporting:rebuild", "make MLflow again from runs/")
    rebuild.add_argument("overrides", nargs="*", metavar="SETTING=VALUE")


def _other_verbs(verb: Verb) -> None:
    """What tells about this installation, and what makes data."""
    listing = verb("list", "listing:list_", "what there is")
    listing.add_argument(
        "what",
        nargs="?",
        default="plugins",
        help="plugins (default), estimators, steps, weights, learners, generators, "
        "expectations, families, inference, restrictions, glossary, studies or runs",
    )
    listing.add_argument("--json", action="store_true", help="one JSON document")

    show = verb("show", "listing:show", "a plugin's options, or a run's contents")
    show.add_argument("name")
    show.add_argument("--json", action="store_true", help="one JSON document")

    schema = verb("schema", "schema:schema", "JSON Schema of a study, for editors")
    schema.add_argument("--output", type=Path, help="write it here")
    schema.add_argument(
        "--check", type=Path, help="exit 2 if this file is not the current schema"
    )

    doctor = verb("doctor", "doctor:doctor", "is everything here that a run needs?")
    doctor.add_argument("--json", action="store_true", help="one JSON document")
    doctor.add_argument("overrides", nargs="*", metavar="SETTING=VALUE")

    made = verb(
        "generate", "generating:generate", "simulated data with known truth, by seed"
    )
    made.add_argument("name", help="a generator (estimand list generators)")
    made.add_argument("--seed", type=int, required=True, help="of all random numbers")
    made.add_argument("--preset", help="short for preset=NAME")
    made.add_argument("--output", type=Path, help="a .csv or .csv.gz file")
    made.add_argument("--force", action="store_true", help="replace an existing file")
    made.add_argument(
        "overrides", nargs="*", metavar="OPTION=VALUE", help="the generator's options"
    )


def _version() -> str:
    from importlib import metadata

    try:
        return f"estimand {metadata.version('estimand')}"
    except metadata.PackageNotFoundError:
        return "estimand (from a checkout)"
