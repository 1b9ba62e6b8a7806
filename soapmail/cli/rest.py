"""The commands that print a line or two, and those that serve or help."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from .codes import OK, UsageError
from .terminal import shown

if TYPE_CHECKING:
    import argparse

    from .accounts import Reach


def pay_url(args: argparse.Namespace, reach: Reach) -> int:
    """Print the URL that pays an invoice by PayPal."""
    print(shown(reach.client().get_paypal_url(args.invoice)))
    return OK


def login_url(args: argparse.Namespace, reach: Reach) -> int:
    """Print the URL that logs in to a mail service."""
    print(shown(reach.client().auto_zonemta_login(args.id).status_text))
    return OK


def prepay_remaining(args: argparse.Namespace, reach: Reach) -> int:
    """Print how much prepaid balance is left."""
    print(shown(reach.client().get_prepay_remaining(args.module).status_text))
    return OK


def sandbox(args: argparse.Namespace) -> int:
    """Serve the sandbox, or a dump, and print the lines by which a shell uses it."""
    from ..sandbox import PASSWORD, USERNAME, Sandbox
    from .dump import Replay

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
    from .parser import completion_script as script

    print(script(args.shell))
    return OK
