"""Processes that make the load: each takes lines of JSON and answers with lines."""
