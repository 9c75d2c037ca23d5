"""Patches functions of other packages, and removes the patches."""
