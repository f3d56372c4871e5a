"""`estimand ui` in a real browser: the page that opens shows the study's numbers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from framework.record import read_table
from tests.real_command import Folder, alive_after, descendants, ended
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    verb = ("ui", "--port", str(port), "--study", "laws")
    with ended(folder.start(verb=verb)) as process:
        said = process.stdout.readline()
        found = re.fullmatch(r"MLflow is at (\S+) \(ctrl-c ends it\)\n", said)
        assert found, said + process.stderr.read()
        yield Pages(folder, done.folder, found[1], process.pid, port)
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert alive_after(children) == 0


def browse(pages: Pages, tmp_path: Path, *wish: str) -> str:
    """What the browser prints; a new profile each time."""
    chromium = program("chromium", "chromium")
    command = [
        str(chromium),
        *BROWSER.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--virtual-time-budget={PATIENCE_MS}",
        "--window-size=1900,900",
        *wish,
        pages.url,
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


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
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "--host" in err
    # A page of another site that names itself our host is refused as well.
    request = urllib.request.Request(pages.base, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403


def test_the_page_lists_the_runs_with_their_numbers(pages: Pages, tmp_path: Path):
    document = browse(pages, tmp_path, "--dump-dom")
    text = re.sub(r"<(style|script).*?</\1>", "", document, flags=re.DOTALL)
    words = re.sub(r"<[^>]+>", "\n", text)
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
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    # An empty page of this size has some 10 kB.
    assert len(content) > 40_000
    keep = os.environ.get("ESTIMAND_SCREENSHOTS")
    if keep:
        (Path(keep) / "mlflow.png").write_bytes(content)


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
