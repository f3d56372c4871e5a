"""Double machine learning: sample, folds, nuisances, scores, report."""
