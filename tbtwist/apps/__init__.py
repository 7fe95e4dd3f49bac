"""Application code: found, loaded and run."""
