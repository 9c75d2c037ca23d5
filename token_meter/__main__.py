"""`python -m token_meter` is `token-meter`. It knows nothing else."""

from token_meter.cli import main

main(prog_name="token-meter")
