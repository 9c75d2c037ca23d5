"""A run of many processes: its settings, its limits, its sums, and the losses of its ledger."""
