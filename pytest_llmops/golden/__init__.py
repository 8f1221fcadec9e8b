"""Read golden sets."""
