"""The commands that print one URL or one amount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exit_codes import OK
from ..terminal import shown

if TYPE_CHECKING:
    import argparse

    from ..accounts import Reach


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
