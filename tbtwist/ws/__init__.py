"""WebSockets: the only package that knows Autobahn (in `protocol`)."""
