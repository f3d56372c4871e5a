"""Staggered adoption: what the estimators of cohorts and event times share.

`grid` turns a request into units x periods, `cells` lays out group-time comparisons,
`report` turns effects with influence functions into a `Result`.
"""
