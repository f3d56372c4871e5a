"""Restrictions of the sample that compute: one file, one restriction."""
