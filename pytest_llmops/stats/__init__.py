"""Compare paired numbers: numbers in, numbers out."""
