"""Reach models of one kind each."""
