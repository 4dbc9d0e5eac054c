"""The command `profilemill receive`."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from etl.settings import Secret


def receive(
    inbox: Annotated[Path, typer.Option("--inbox", metavar="DIR", help="The folder for what arrives; made where it is missing.")],
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8090,
    max_body: Annotated[int, typer.Option("--max-body", min=1, metavar="BYTES", help="The largest event.")] = 1024 * 1024,
    rotate_bytes: Annotated[int, typer.Option("--rotate-bytes", min=1, help="Finish a file at this size.")] = 16 * 1024 * 1024,
    rotate_seconds: Annotated[float, typer.Option("--rotate-seconds", min=0.1, help="Finish a file so long after its first line.")] = 60,
    tolerance: Annotated[
        int, typer.Option("--timestamp-tolerance", min=0, metavar="SECONDS", help="Refuse older Customer.io timestamps; 0 accepts any.")
    ] = 300,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="Accept events that nothing proves to be the vendor's.")] = False,
) -> None:
    """Receive webhooks of Customer.io (/customerio) and Nami ML (/nami) into an inbox, until Ctrl-C or SIGTERM.

    CUSTOMERIO_SIGNING_KEY in the environment is the webhook's signing key; NAMI_WEBHOOK_SECRET, where it is set, must
    stand in the path (/nami/<secret>) or in the header `Authorization: Bearer <secret>`.
    """
    from etl.receiver.app import Limits
    from etl.receiver.server import CUSTOMERIO_KEY, NAMI_SECRET, ReceiverOptions, serve
    from etl.receiver.writer import Rotation

    options = ReceiverOptions(
        inbox=inbox,
        host=host,
        port=port,
        customerio_key=_secret(CUSTOMERIO_KEY),
        nami_secret=_secret(NAMI_SECRET),
        unsigned=allow_unsigned,
        tolerance=timedelta(seconds=tolerance) if tolerance else None,
        limits=Limits(body=max_body),
        rotation=Rotation(rotate_bytes, timedelta(seconds=rotate_seconds)),
    )
    customerio = "signed" if options.customerio_key else "unsigned" if allow_unsigned else f"closed: {CUSTOMERIO_KEY} is not set"
    nami = "with the shared secret" if options.nami_secret else "unsigned"
    serve(
        options,
        lambda url: typer.echo(f"receiving at {url} into {inbox}: /customerio ({customerio}), /nami ({nami}); Ctrl-C ends it"),
    )


def _secret(name: str) -> Secret | None:
    text = os.environ.get(name, "").strip()
    return Secret(text) if text else None
