"""The linear engine: one least-squares fit with fixed effects, as used by plugins.

`design` gathers and guards columns, `engine` holds all that touches pyfixest, `report`
turns a fit into a `Result`, `timing` builds leads, lags and event times.
"""
