"""Compare prompt evals with a stored baseline, inside pytest."""
