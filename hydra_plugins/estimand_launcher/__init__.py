"""Estimand's sweeper and launcher: the only place where Hydra accepts plugins.

Hydra imports these modules at the start of every Hydra program of the environment, so
they import Hydra's interfaces and nothing else.
"""
