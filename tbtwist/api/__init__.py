"""The HTTP core: a request in, a response out, and no socket in sight."""
