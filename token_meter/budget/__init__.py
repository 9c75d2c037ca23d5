"""Decides whether a call may be sent under its limits, and reserves what it may use until it has ended."""
