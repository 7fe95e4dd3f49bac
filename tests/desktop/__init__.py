"""The workers inside another program."""
