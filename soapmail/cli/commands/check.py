"""What is due, told to monitoring."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...billing.due import days_left
from ...errors import SoapMailError
from ..exit_codes import words_of
from ..terminal import money
from ..today import today_of
from .check_formats import _STATES, Bill, Standing, as_json, metrics, standing, text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from datetime import date

    from ...client import Client
    from ..accounts import Reach


_ENDED = ("expired", "canceled", "cancelled")


def check(args: argparse.Namespace, reach: Reach) -> int:
    """Look at each account, and tell what is due."""
    today = today_of(args.today)

    def fetch(client: Client) -> Standing:
        return _looked_at(client, args, today)

    found = _added(list(reach.each(fetch)))
    found = found._replace(failed=[(name, words_of(error)) for name, error in reach.failures])
    reach.code()  # which says them on stderr; the exit codes of a check are its own
    form = {"text": text, "json": as_json, "prometheus": metrics}[args.format]
    _put(form(found), args.output)
    return found.code


def _added(standings: Sequence[tuple[str | None, Standing]]) -> Standing:
    """Put together what the accounts have, under their names."""
    bills: dict[str, Any] = {
        state: [
            bill._replace(account=account)
            for account, one in standings
            for bill in getattr(one, state)
        ]
        for state in _STATES
    }
    return Standing(**bills)._replace(
        prepaid=[(account, words) for account, one in standings for _, words in one.prepaid],
        checked=[account for account, _ in standings],
    )


def _looked_at(client: Client, args: argparse.Namespace, today: date) -> Standing:
    opened = [one for one in client.get_client_invoices() if one.is_open]
    services = client.get_services() if opened and not args.all_services else []
    ended = {one.mail_id for one in services if (one.mail_status or "").strip().lower() in _ENDED}
    bills = [Bill(None, one, days_left(one, today)) for one in opened]
    found = standing(bills, ended, args.due_within)
    if not (found.overdue or found.due_soon or found.undated):
        return found
    return found._replace(prepaid=[(None, _prepaid(client))])


def _prepaid(client: Client) -> str:
    """Give what is left; that it is not known is no reason to say nothing of what is due."""
    try:
        amount = client.get_prepay_remaining().amount
    except SoapMailError as error:
        return f"unknown ({words_of(error)})"
    return "unknown" if amount is None else money(amount)


def _put(written: str, path: str | None) -> None:
    """Print it, or put it in a file that is never there in part; a device is written to."""
    if path is None:
        if sys.__stdout__ is None:
            raise OSError("stdout is closed")
        print(written, end="")
        return
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8") as device:
            device.write(written)
        return
    beside = f"{path}.{os.getpid()}.tmp"  # of a name that no collector reads
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
