"""How much token_meter costs: every figure is measured beside the bare SDK, in one process, in alternating batches."""
