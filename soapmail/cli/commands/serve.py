"""The commands that serve the sandbox or a recording, and that help a shell."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from ..exit_codes import OK, UsageError

if TYPE_CHECKING:
    import argparse


def serve_sandbox(args: argparse.Namespace) -> int:
    """Serve the sandbox, or a dump, and print the lines by which a shell uses it."""
    from ...sandbox import PASSWORD, USERNAME, Replay, Sandbox

    try:
        service: Sandbox | Replay = (
            Sandbox(port=args.port, example=args.sandbox or "documented")
            if args.replay is None
            else Replay(args.replay, args.port)
        )
    except OSError as error:
        if error.filename is not None:
            raise
        raise UsageError(f"port {args.port}: {error.strerror}") from None
    print(f"export SOAPMAIL_ENDPOINT={quote(service.endpoint)}")
    print(f"export SOAPMAIL_USERNAME={quote(USERNAME)}")
    print(f"export SOAPMAIL_PASSWORD={quote(PASSWORD)}", flush=True)
    service.serve()
    return OK


def print_completion(args: argparse.Namespace) -> int:
    """Print the script that completes commands in a shell."""
    from ..parser import make_completion

    print(make_completion(args.shell))
    return OK
