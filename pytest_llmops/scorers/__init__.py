"""Turn answers into scores."""
