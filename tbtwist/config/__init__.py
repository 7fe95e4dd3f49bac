"""Settings as frozen values; YAML and environment in, or an error with file:line and key."""
