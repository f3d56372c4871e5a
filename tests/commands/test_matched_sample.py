"""A matched sample through the real command: tables, figures, plan and refusals."""

from __future__ import annotations

import re

MODEL = {"sample": {"m": {"match": {"neighbours": 3, "covariates": ["x1", "x2"]}}}}
DRAWN = ("executor=inline", "tracking=none")


def test_balance_and_overlap_are_in_the_report(lab):
    lab.data(lab.frame())
    lab.study(model=MODEL)
    done = lab.run(settings=DRAWN)
    assert done.exit == 0, done.err
    run = lab.folder / "runs/fault/latest"
    (table,) = run.glob("tables/*_m_balance.md")
    text = table.read_text(encoding="utf-8")
    assert "Before matching" in text
    assert "After matching" in text
    # As many treated before as after, with three neighbours and nobody off support.
    assert re.search(r"Score index \(B, R\)", text)
    held = {p.name for p in run.glob("figures/*.png")}
    assert {n for n in held if "balance" in n}
    assert {n for n in held if "overlap" in n}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "covariate balance before and after matching" in page
    assert "3 nearest neighbours on the logit score of x1, x2" in page
    assert re.search(r"weights of m", page)
    # Nothing a figure asks for is left undrawn.
    assert "does not draw" not in page


def test_the_refusal_of_an_estimator_without_weights(lab):
    lab.data(lab.frame())
    lab.study(
        model=MODEL
        | {"estimator": "interactive_fe", "fixed_effects": None, "controls": []}
    )
    done = lab.run()
    assert done.exit in {4, 9}
    assert "X23" in done.codes


def test_the_same_match_from_another_file_order(lab):
    lab.data(lab.frame())
    lab.study(model=MODEL)
    first = lab.run().row()
    lab.data(lab.frame().sample(frac=1, random_state=1))
    again = lab.run().row()
    # another order of the same sums
    assert abs(first.estimate - again.estimate) < 1e-10
    assert abs(first.std_error - again.std_error) < 1e-10
