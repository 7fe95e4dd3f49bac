"""Sessions, and who may call what; pure."""
