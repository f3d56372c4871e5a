"""Spatial panels: from a request to arrays, models, tests and effects."""
