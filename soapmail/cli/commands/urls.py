"""The commands that print one URL or one amount."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ...billing.money import format_money
from ..exit_codes import OK, NotFound
from ..terminal import write_line

if TYPE_CHECKING:
    import argparse

    from ..accounts import AccountSelection

T = TypeVar("T")


def print_pay_url(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the URL that pays an invoice by PayPal."""
    write_line(selection.client().get_paypal_url(args.invoice))
    return OK


def print_login_url(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the URL that logs in to a mail service."""
    write_line(_require(selection.client().auto_zonemta_login(args.id).url, "a URL"))
    return OK


def print_fill_url(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the URL that fills a prepaid balance by PayPal."""
    client = selection.client()
    write_line(client.get_prepay_paypal_fill_url(args.id, args.amount, args.module))
    return OK


def print_prepay_remaining(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print how much prepaid balance remains."""
    status = selection.client().get_prepay_remaining(args.module)
    write_line(format_money(_require(status.amount, "an amount")))
    return OK


def _require(value: T | None, what: str) -> T:
    if value is None:
        raise NotFound(f"the server sent an empty text where {what} should be")
    return value
