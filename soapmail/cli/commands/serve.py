"""The commands that serve the sandbox, and that help a shell."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from ..exit_codes import OK, UsageError

if TYPE_CHECKING:
    import argparse


def sandbox(args: argparse.Namespace) -> int:
    """Serve the sandbox, or a dump, and print the lines by which a shell uses it."""
    from ...sandbox import PASSWORD, USERNAME, Sandbox
    from ...sandbox.replay import Replay

    try:
        served: Sandbox | Replay = (
            Sandbox(port=args.port, example=args.sandbox or "documented")
            if args.replay is None
            else Replay(args.replay, args.port)
        )
    except OSError as error:
        if error.filename is not None:
            raise
        raise UsageError(f"port {args.port}: {error.strerror}") from None
    print(f"export SOAPMAIL_ENDPOINT={quote(served.endpoint)}")
    print(f"export SOAPMAIL_USERNAME={quote(USERNAME)}")
    print(f"export SOAPMAIL_PASSWORD={quote(PASSWORD)}", flush=True)
    served.serve()
    return OK


def completion(args: argparse.Namespace) -> int:
    """Print the script that completes commands in a shell."""
    from ..parser import completion_script as script

    print(script(args.shell))
    return OK
