"""diff-diff by itself: one task per estimator."""

import diff_diff
import pandas as pd


def _task(make, value, **options):
    def task(data, _about):
        frame = pd.DataFrame(data)

        def fit():
            found = make().fit(
                frame,
                outcome="y",
                unit="unit",
                time="time",
                first_treat="first",
                **options,
            )
            return {"estimate": float(getattr(found, value))}

        return fit

    return task


goodman_bacon = _task(
    lambda: diff_diff.BaconDecomposition(weights="exact"), "twfe_estimate"
)
callaway_santanna = _task(
    lambda: diff_diff.CallawaySantAnna(base_period="universal"), "overall_att"
)
sun_abraham = _task(diff_diff.SunAbraham, "overall_att")
imputation = _task(diff_diff.ImputationDiD, "overall_att", aggregate="event_study")
