"""Measure what the README claims."""
