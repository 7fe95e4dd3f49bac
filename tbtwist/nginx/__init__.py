"""The generated nginx site."""
