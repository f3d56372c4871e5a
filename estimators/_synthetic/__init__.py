"""Synthetic controls: weighted controls that follow the treated before treatment."""
