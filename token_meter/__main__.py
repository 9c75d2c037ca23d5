"""Makes `python -m token_meter` the same as `token-meter`."""

from token_meter.cli import main

main(prog_name="token-meter")
