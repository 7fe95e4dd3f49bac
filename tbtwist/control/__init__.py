"""The manager's control socket: messages, server, client."""
