"""Limits: whether a call may leave, and what it holds of the limit until it has ended."""
