"""A confidence set without an end, through the real command."""

from __future__ import annotations

import html
import math

from tests.reference.test_wild_instruments import panel


def test_an_unbounded_bootstrap_set_is_printed_drawn_and_judged(lab):
    lab.data(panel(strength=0.02).assign(time=lambda f: f.year + 2000))
    weak = {
        "outcome": "y",
        "treatment": {"column": "d", "kind": "dose"},
        "instruments": ["z"],
        "controls": ["x"],
        "fixed_effects": [],
        "inference": {"wild_bootstrap": "state"},
        "estimator": "iv_2sls",
    }
    lab.study(
        data={"panel": {"unit": "firm", "time": "time"}},
        model=weak,
        checks={
            "main": {
                "weak": {"expect": {"equivalent": {"bound": 100.0}}},
                "bare": {"controls": []},
            }
        },
    )
    done = lab.run(settings=("executor=inline", "tracking=none"))
    assert "Traceback" not in done.err
    assert "N02" not in done.codes, done.err
    found = done.coefficients
    row = found[(found.term == "d") & (found.equation == "main")].iloc[0]
    assert math.isinf(row.conf_low)
    assert row.conf_low < 0 < row.conf_high
    assert math.isfinite(row.std_error)
    run = lab.folder / "runs/fault/latest"
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    assert "The bootstrap's 95 % set of 'd' is" in page
    assert list(run.glob("figures/main.png"))
    # No bound holds it.
    said = " ".join(done.out.split())
    assert "interval from -inf to inf reaches beyond ±100" in said
    assert "bound of inf" not in said
