"""scipy's HiGHS by itself: one linear program after the other, as it comes."""

import numpy as np
from scipy.optimize import linprog


def programs(data, _about):
    """Solve the sampled programs of one family; building their matrices is not timed."""

    def solve(family):
        cost, matrix = data[f"cost_{family}"], data[f"matrix_{family}"]
        sense, rhs = data[f"sense_{family}"], data[f"rhs_{family}"]
        equal, sign = sense == 0, np.where(sense > 0, -1.0, 1.0)
        found = []
        for c, A in zip(cost, matrix, strict=True):
            low = (A * sign[:, None])[~equal]
            done = linprog(
                c,
                low if len(low) else None,
                (rhs * sign)[~equal] if len(low) else None,
                A[equal],
                rhs[equal],
                method="highs",
            )
            found.append(float(done.fun) if done.status == 0 else None)
        return {"objective": found}

    return solve
