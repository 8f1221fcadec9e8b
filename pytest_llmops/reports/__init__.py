"""Turn a comparison into text."""
