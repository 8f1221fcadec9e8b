"""Hold, read, render and register prompts."""
