"""The event bus and its engines; the only door to txzmq and zmq."""
