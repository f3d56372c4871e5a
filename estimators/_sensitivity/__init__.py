"""What can be said of an event study by any estimator: robustness, power of its test.

`events` runs the estimator that the study names and takes its coefficients by event
time with their full covariance; the others only see those.
"""
