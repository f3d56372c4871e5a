"""Spatial weights: panel -> which units are neighbours, and how near."""
