"""Telling handlers what happens to a call."""
