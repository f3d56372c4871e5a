"""How an effect differs between groups and through what it runs, by least squares.

`bins` lets the effect differ with a moderator; `paths` splits a coefficient into what
other regressors carry. Both stack influence functions of several fits on the same rows.
"""
