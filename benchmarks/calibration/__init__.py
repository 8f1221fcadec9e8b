"""Calibrate the rule: how often it errs, how much it sees, and how other rules do beside it."""
