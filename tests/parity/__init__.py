"""Our worker and the real one, side by side."""
