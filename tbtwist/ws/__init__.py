"""The WebSocket front; the only door to autobahn."""
