"""A run of many processes: its settings, its limits, its sums, what its ledger could not take."""
