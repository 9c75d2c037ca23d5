"""How much token_meter costs: every figure is measured against the bare SDK, in one process, in alternating batches."""
