"""Calls handlers with the events of a call."""
