"""The bundled example: a chat."""
