"""The broker: who is on the bus, and where each message goes."""
