"""Finds the meters, handlers and limits that are open in the context where a call starts."""
