"""What is due, told to monitoring."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...billing.audit import find_unpayable
from ...billing.due import count_days_left, due_state, find_ended_services
from ...errors import SoapMailError
from ..dates import UnreadableDates, resolve_today
from ..exit_codes import error_message
from ..parser import find_given
from ..report import report_error
from ..terminal import print_or_raise
from .check_formats import (
    DUE_STATES,
    UNKNOWN,
    DueReport,
    OpenInvoice,
    Prepaid,
    format_as_json,
    format_as_metrics,
    format_as_text,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from ...billing import Finding
    from ...client import Client
    from ...models import Invoice
    from ..accounts import AccountSelection

_FORMATS = {"text": format_as_text, "json": format_as_json, "prometheus": format_as_metrics}


def check_invoices(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Look at each account, and tell what is due."""
    today = resolve_today(args.today)

    def fetch(client: Client) -> DueReport:
        return _check_account(client, args, today)

    report = _merge(list(selection.iter_results(fetch, (Exception,))))
    report = report._replace(
        failed=[(name, error_message(error)) for name, error, _ in selection.failures]
    )
    if args.format != "text":  # which shows what stands there, and a plugin prints nothing else
        unreadable = UnreadableDates("due_date")
        for opened in [*report.undated, *report.wrong, *report.apart]:
            unreadable.check(opened.account, [opened.invoice])
        unreadable.warn()
    text = _FORMATS[args.format](report)
    args.is_told = args.output is None  # and so not a second time, whatever comes meanwhile
    _write_output(text, args.output)
    if _tells_on_stderr(args.format, args.output):
        selection.report_failures()
    return report.code


def report_unknown(args: argparse.Namespace, error: BaseException) -> int:
    """Tell of what ended a check, in the form and to the place that were asked for: UNKNOWN."""
    form = find_given(args, "--format") or "text"
    path = find_given(args, "--output")
    with suppress(BaseException):  # what is left to do is to end with the right exit code
        text = _FORMATS[form](DueReport(failed=[(None, error_message(error))]))
        try:
            if not args.is_told:
                _write_output(text, path)
        except OSError:
            path = None
            _write_output(text, path)
        if _tells_on_stderr(form, path):
            report_error(error, args.failed_operation, as_json=form == "json")
    return UNKNOWN


def _tells_on_stderr(form: str, path: str | None) -> bool:
    """Return whether stderr says what failed, too: stdout does not, or programs read it there."""
    return path is not None or form == "json"


def _merge(reports: Sequence[tuple[str | None, DueReport]]) -> DueReport:
    invoices: dict[str, Any] = {
        state: sorted(
            (
                opened._replace(account=account)
                for account, report in reports
                for opened in getattr(report, state)
            ),
            key=_order_by_day,
        )
        for state in DUE_STATES
    }
    return DueReport(
        **invoices,
        prepaid=[
            prepaid._replace(account=account)
            for account, report in reports
            for prepaid in report.prepaid
        ],
        checked=[account for account, _ in reports],
    )


def _order_by_day(opened: OpenInvoice) -> tuple[bool, int]:
    """Sort by the due date; what has none comes first."""
    return opened.days is not None, opened.days or 0


def _check_account(client: Client, args: argparse.Namespace, today: date) -> DueReport:
    listed = client.get_client_invoices()
    opened = [invoice for invoice in listed if invoice.is_open]
    services = client.get_services() if opened and not args.all_services else []
    ended = find_ended_services(services)
    report = make_report(opened, today, args.due_within, ended, find_unpayable(listed))
    if not (report.overdue or report.due_soon or report.undated):
        return report
    return report._replace(prepaid=[_read_prepaid(client)])


def make_report(
    invoices: Iterable[Invoice],
    today: date,
    within: int,
    ended: set[int],
    wrong: Mapping[int | None, Sequence[Finding]],
) -> DueReport:
    """Return open invoices by what they mean; one that is listed in several rows is one.

    ``ended``: the services that have ended; ``wrong``: by its id what must not be paid.
    """
    lists: dict[str, Any] = {state: [] for state in DUE_STATES}
    distinct: dict[int | Invoice, Invoice] = {}
    for invoice in invoices:
        id = invoice.invoices_id
        distinct.setdefault(invoice if id is None else id, invoice)
    for invoice in distinct.values():
        state = due_state(invoice, today, within, ended)
        findings = wrong.get(invoice.invoices_id, ())
        opened = OpenInvoice(None, invoice, count_days_left(invoice, today), findings)
        state = "apart" if state == "of_ended_service" else state
        lists["wrong" if findings else state].append(opened)
    return DueReport(**lists)


def _read_prepaid(client: Client) -> Prepaid:
    """Return the prepaid balance. An error here must not hide that invoices are due."""
    try:
        return Prepaid(None, client.get_prepay_remaining().amount)
    except SoapMailError as error:
        return Prepaid(None, None, error_message(error))


def _write_output(text: str, path: str | None) -> None:
    """Print a text, or put it in a file that is never there in part; a device is written to."""
    if path is None:
        print_or_raise(text)
        return
    is_device = os.path.exists(path) and not os.path.isfile(path)
    if is_device or path.startswith(("/dev/", "/proc/")):  # /dev/stdout may be a file
        with open(path, "a", encoding="utf-8") as device:
            device.write(text)
        return
    path = os.path.realpath(path)
    beside = f"{path}.{os.getpid()}.tmp"  # the node exporter reads *.prom alone
    try:
        with open(beside, "w", encoding="utf-8") as file:
            _keep_access(file.fileno(), path)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _keep_access(descriptor: int, path: str) -> None:
    """Give a new file the owner, as far as that is allowed, and the mode of the one before."""
    try:
        before = os.stat(path)
    except FileNotFoundError:
        return
    with suppress(OSError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
