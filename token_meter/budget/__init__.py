"""Limits: whether a call may be sent, and what it reserves of the limit until it has ended."""
