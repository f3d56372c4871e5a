"""pulp by itself: every program is written out and solved by HiGHS."""

import pulp


def programs(data, _about):
    """Write and solve the sampled programs of one family."""

    def solve(family):
        cost, matrix = data[f"cost_{family}"], data[f"matrix_{family}"]
        sense, rhs = data[f"sense_{family}"], data[f"rhs_{family}"]
        found = []
        for c, A in zip(cost, matrix, strict=True):
            problem = pulp.LpProblem(sense=pulp.LpMinimize)
            v = [pulp.LpVariable(f"v{j}", lowBound=0) for j in range(len(c))]
            problem += pulp.LpAffineExpression(zip(v, c, strict=True))
            for row, which, bound in zip(A, sense, rhs, strict=True):
                left = pulp.LpAffineExpression(
                    (x, a) for x, a in zip(v, row, strict=True) if a
                )
                problem += pulp.LpConstraint(left, int(which), rhs=float(bound))
            done = problem.solve(pulp.HiGHS(msg=False))
            optimal = done == pulp.LpStatusOptimal
            found.append(float(pulp.value(problem.objective)) if optimal else None)
        return {"objective": found}

    return solve
