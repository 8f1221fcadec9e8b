"""Record runs, store them, compare them."""
