"""Sums of calls."""
