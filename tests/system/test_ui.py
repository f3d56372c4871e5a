"""MLflow's page and the report in a real browser: both show the study's numbers."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from framework.record import read_table
from tests.real_command import (
    PROJECT,
    Folder,
    alive_after,
    descendants,
    ended,
    free_port,
    patience,
)
from tests.system.debian import program

pytestmark = pytest.mark.system

STUDY = """\
study: laws
data:
  source: data.csv
  panel: {unit: unit, time: time}
model:
  outcome: y
  treatment: d
  fixed_effects: [unit, time]
  inference: {cluster: unit}
  estimator: twfe
checks:
  main:
    plain:    {expect: negative}
    controls: {each: {add.controls: [x1, x2]}, expect: same_sign}
"""
ADDRESSES = ["main.plain", "main.controls.x1", "main.controls.x2"]
#: A page that fetches its rows: the browser's own clock runs until they are there.
PATIENCE_MS = 30000
BROWSER = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
#: The beginning of the report's own rule of what a browser may load.
POLICY = "default-src &#39;none&#39;;"
#: Where the screenshots are kept; git ignores it.
SCREENSHOTS = Path(os.environ.get("ESTIMAND_SCREENSHOTS", PROJECT / ".screenshots"))
_MEASURE = """
const drawn = [...document.querySelectorAll('img, svg')];
const empty = drawn.filter(d => d.tagName === 'IMG'
  ? !(d.complete && d.naturalWidth) : !d.getBoundingClientRect().width);
document.body.dataset.pictures = drawn.length;
document.body.dataset.broken = empty.length;
"""


@dataclass(frozen=True, slots=True)
class Pages:
    """MLflow's pages of a run, served."""

    folder: Folder
    run: Path
    url: str
    server: int
    port: int

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """`estimand ui --study laws` after one run; ended by ctrl-c."""
    folder = Folder.make(tmp_path_factory.mktemp("ui"), STUDY)
    done = folder.run()
    assert done.exit == 0, done.err
    port = free_port()
    verb = ("ui", "--port", str(port), "--study", "laws")
    with ended(folder.start(verb=verb)) as process:
        said = process.stdout.readline()
        found = re.fullmatch(r"MLflow is at (\S+) \(ctrl-c ends it\)\n", said)
        assert found, said + process.stderr.read()
        yield Pages(folder, done.folder, found[1], process.pid, port)
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=patience(60)) == 0
        assert alive_after(children) == 0


def browse(pages: Pages, tmp_path: Path, *wish: str, url: str = "") -> str:
    """What the browser prints of a page, MLflow's or another; a new profile each time."""
    chromium = program("chromium", "chromium")
    command = [
        str(chromium),
        *BROWSER.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--virtual-time-budget={PATIENCE_MS}",
        "--window-size=1900,900",
        *wish,
        url or pages.url,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(180),
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def seen(document: str) -> str:
    """The text of a page, a line per element."""
    text = re.sub(r"<(style|script).*?</\1>", "", document, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "\n", text))


def kept(picture: Path, name: str) -> None:
    """A screenshot that shows something, left for whoever wants to look."""
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    # An empty page of this size has some 10 kB.
    assert len(content) > 40_000
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / name).write_bytes(content)


def test_only_this_machine_can_reach_the_pages(pages: Pages):
    served = [psutil.Process(pages.server), *descendants(pages.server)]
    listening = {
        connection.laddr.ip
        for process in served
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_another_host_cannot_be_asked_for(pages: Pages):
    with pages.folder.start(verb=("ui", "--host", "0.0.0.0")) as process:
        out, err = process.communicate(timeout=patience(60))
    assert (process.returncode, out) == (2, "")
    assert "--host" in err
    # A page of another site that names itself our host is refused as well.
    request = urllib.request.Request(pages.base, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403


def test_the_page_lists_the_runs_with_their_numbers(pages: Pages, tmp_path: Path):
    words = seen(browse(pages, tmp_path, "--dump-dom"))
    for column in ("estimate", "std_error", "p_value", "n_obs", "verdict", "outcome"):
        assert re.search(rf"^\s*{column}\s*$", words, re.MULTILINE)
    for address in ADDRESSES:
        assert address in words
    table = read_table(pages.run / "coefficients.csv")
    treated = table[table.term == "d"]
    assert len(treated) == len(ADDRESSES)
    for name in ("estimate", "std_error"):
        for number in treated[name]:
            # The page has all digits and cuts what does not fit into the column.
            assert repr(number)[:12] in words
    assert "320" in words
    assert {"fails", "holds"} <= set(re.findall(r"fails|holds", words))


def test_the_page_can_be_looked_at(pages: Pages, tmp_path: Path):
    picture = tmp_path / "page.png"
    browse(pages, tmp_path, f"--screenshot={picture}")
    kept(picture, "mlflow.png")


def test_the_report_shows_the_numbers_verdicts_and_figures(
    pages: Pages, tmp_path: Path
):
    report = pages.run / "report.html"
    document = browse(pages, tmp_path, "--dump-dom", url=report.as_uri())
    words = [word.strip() for word in seen(document).split("\n") if word.strip()]
    table = read_table(pages.run / "coefficients.csv")
    # Estimates, their stars and errors, column by column, as the table prints them.
    treated = table[table.term == "d"]
    assert len(treated) == len(ADDRESSES)
    row = words[words.index("d") + 1 :]
    printed = [float(word) for word in row if re.fullmatch(r"\d\.\d{3}", word)][:6]
    for number, exact in zip(
        printed, [*treated.estimate, *treated.std_error], strict=True
    ):
        assert abs(number - exact) <= 0.0005  # half of the last printed digit
    assert row[1:6:2] == ["***"] * 3
    assert row[row.index("Observations") + 1 :][:3] == ["320"] * 3
    # `expect: negative` fails, the two `same_sign` hold.
    assert words[words.index("expectations hold") - 1] == "2"
    assert words[words.index("fail") - 1] == "1"
    assert (words.count("fails"), words.count("holds")) == (1, 2)
    assert words.count("same sign as main.plain") == 2
    assert "Main: estimates with 95% intervals" in words
    # Commands that can be copied: the run's own name, not the draft's.
    again = f"estimand report laws/{pages.run.name} "
    assert any(again in word for word in words)
    picture = tmp_path / "report.png"
    browse(pages, tmp_path, f"--screenshot={picture}", url=report.as_uri())
    kept(picture, "report.png")


def test_the_report_is_one_file_whose_pictures_are_drawn(pages: Pages, tmp_path: Path):
    written = (pages.run / "report.html").read_text(encoding="utf-8")
    assert "<script" not in written
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", written)
    assert POLICY in written
    # Only the browser knows what it drew. A copy, elsewhere, lets it write that down;
    # what may be loaded stays as it was.
    copy = tmp_path / "elsewhere" / "looked.html"
    copy.parent.mkdir()
    copy.write_text(
        written.replace(
            POLICY, f"{POLICY} script-src &#39;unsafe-inline&#39;;"
        ).replace("</body>", f"<script>{_MEASURE}</script></body>"),
        encoding="utf-8",
    )
    document = browse(pages, tmp_path, "--dump-dom", url=copy.as_uri())
    found = re.search(
        r"<body[^>]* data-pictures=\"(\d+)\" data-broken=\"(\d+)\"", document
    )
    assert found, "the page was not measured"
    assert int(found[1]) >= 1
    assert int(found[2]) == 0


def test_the_report_is_an_artifact_of_the_parent(pages: Pages):
    def asks(path: str, **body: object) -> dict:
        request = urllib.request.Request(
            f"{pages.base}/api/2.0/mlflow/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    experiment = re.search(r"experiments/(\d+)/", pages.url)[1]
    where = "tags.kind = 'study'"
    found = asks("runs/search", experiment_ids=[experiment], filter=where)["runs"]
    assert [run["info"]["run_name"] for run in found] == [pages.run.name]
    key = found[0]["info"]["run_id"]
    address = f"{pages.base}/get-artifact?path=report.html&run_uuid={key}"
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == (pages.run / "report.html").read_bytes()
        # Downloaded, never shown as a page of this address.
        assert "attachment" in answer.headers["Content-Disposition"]
