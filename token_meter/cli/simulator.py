"""`token-meter simulator`: serves the OpenAI protocol on this machine."""

from __future__ import annotations

import click

from token_meter.exceptions import TokenMeterError


@click.command("simulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on: of this machine only.")
@click.option("--port", default=8123, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free port.")
def command(host: str, port: int) -> None:
    """Serve the OpenAI protocol on this machine: the same answer to the same question, and a bill at /__bill.

    Point any client at it: OpenAI(base_url="http://127.0.0.1:8123/v1", api_key="sim-anything").
    """
    try:
        from token_meter.simulator import serve
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    try:
        serve(host=host, port=port)
    except OSError as error:
        msg = f"cannot serve on {host}:{port}: {error.strerror or error}; --port 0 takes a free port"
        raise click.ClickException(msg) from None
    except TokenMeterError as error:
        raise click.ClickException(str(error)) from None
