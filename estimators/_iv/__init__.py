"""Instrumental variables with the linear engine.

`stages` fits the second stage, its first stages, the reduced form and OLS beside;
`strength` judges the instruments; `report` turns all of it into a `Result`.
"""
