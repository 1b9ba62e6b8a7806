"""What is due, told to monitoring."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...billing.due import count_days_left, due_state, find_ended_services
from ...errors import SoapMailError
from ..dates import UnreadableDates
from ..exit_codes import error_message
from ..parser import resolve_today
from ..terminal import format_money, print_or_raise
from .check_formats import (
    DUE_STATES,
    DueReport,
    OpenInvoice,
    format_as_json,
    format_as_metrics,
    format_as_text,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from datetime import date

    from ...client import Client
    from ...models import Invoice
    from ..accounts import AccountSelection

_FORMATS = {"text": format_as_text, "json": format_as_json, "prometheus": format_as_metrics}


def check_invoices(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Look at each account, and tell what is due."""
    today = resolve_today(args.today)

    def fetch(client: Client) -> DueReport:
        return _check_account(client, args, today)

    report = _merge(list(selection.iter_results(fetch)))
    report = report._replace(
        failed=[(name, error_message(error)) for name, error in selection.failures]
    )
    selection.report_failures()  # on stderr; the exit codes of a check are its own
    if args.format != "text":  # which shows what stands there, and a plugin prints nothing else
        unreadable = UnreadableDates("due_date")
        for opened in [*report.undated, *report.apart]:
            unreadable.check(opened.account, [opened.invoice])
        unreadable.warn()
    _write_output(_FORMATS[args.format](report), args.output)
    return report.code


def _merge(reports: Sequence[tuple[str | None, DueReport]]) -> DueReport:
    invoices: dict[str, Any] = {
        state: [
            opened._replace(account=account)
            for account, report in reports
            for opened in getattr(report, state)
        ]
        for state in DUE_STATES
    }
    return DueReport(
        **invoices,
        prepaid=[(account, words) for account, report in reports for _, words in report.prepaid],
        checked=[account for account, _ in reports],
    )


def _check_account(client: Client, args: argparse.Namespace, today: date) -> DueReport:
    opened = [invoice for invoice in client.get_client_invoices() if invoice.is_open]
    services = client.get_services() if opened and not args.all_services else []
    report = make_report(opened, today, args.due_within, find_ended_services(services))
    if not (report.overdue or report.due_soon or report.undated):
        return report
    return report._replace(prepaid=[(None, _read_prepaid(client))])


def make_report(
    invoices: Iterable[Invoice], today: date, within: int, ended: set[int]
) -> DueReport:
    """Return open invoices by what they mean; ``ended``: the services that have ended."""
    lists: dict[str, Any] = {state: [] for state in DUE_STATES}
    opened = [OpenInvoice(None, invoice, count_days_left(invoice, today)) for invoice in invoices]
    for one in sorted(opened, key=lambda one: (one.days is not None, one.days or 0)):
        state = due_state(one.invoice, today, within, ended)
        lists["apart" if state == "of_ended_service" else state].append(one)
    return DueReport(**lists)


def _read_prepaid(client: Client) -> str:
    """Return the prepaid balance. An error here must not hide that invoices are due."""
    try:
        amount = client.get_prepay_remaining().amount
    except SoapMailError as error:
        return f"unknown ({error_message(error)})"
    return "unknown" if amount is None else format_money(amount)


def _write_output(text: str, path: str | None) -> None:
    """Print a text, or put it in a file that is never there in part; a device is written to."""
    if path is None:
        print_or_raise(text)
        return
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8") as device:
            device.write(text)
        return
    beside = f"{path}.{os.getpid()}.tmp"  # the node exporter reads *.prom alone
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
