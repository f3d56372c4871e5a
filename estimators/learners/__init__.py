"""Learners: options -> an unfitted scikit-learn estimator, seeded, one thread."""
