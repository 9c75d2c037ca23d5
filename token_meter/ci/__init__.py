"""Runs of many processes: settings, limits, sums, and the losses of the ledger."""
