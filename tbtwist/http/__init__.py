"""The HTTP front: Twisted Web and WSGI over the core."""
