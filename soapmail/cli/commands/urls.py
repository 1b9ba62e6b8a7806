"""The commands that print one URL or one amount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exit_codes import OK
from ..terminal import printable

if TYPE_CHECKING:
    import argparse

    from ..accounts import AccountSelection


def print_pay_url(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the URL that pays an invoice by PayPal."""
    print(printable(selection.client().get_paypal_url(args.invoice)))
    return OK


def print_login_url(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the URL that logs in to a mail service."""
    print(printable(selection.client().auto_zonemta_login(args.id).status_text))
    return OK


def print_prepay_remaining(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print how much prepaid balance remains."""
    print(printable(selection.client().get_prepay_remaining(args.module).status_text))
    return OK
