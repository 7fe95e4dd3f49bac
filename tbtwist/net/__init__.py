"""Sockets: bound, inherited, served; and what a process tells its supervisor."""
