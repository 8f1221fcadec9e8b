"""Carry requests to models and answers back."""
