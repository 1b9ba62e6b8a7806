"""The commands that list or show records."""

from __future__ import annotations

from datetime import date
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ...billing.due import (
    Sum,
    count_days_left,
    find_due_day,
    is_due_soon,
    is_overdue,
    is_unreadable,
    read_moment,
    sum_by_currency,
)
from ...models import Invoice, MailService, Prepay
from ..dates import UnreadableDates, format_day
from ..exit_codes import OK, NotFound
from ..output import Column, RecordFormat, RecordWriter, list_documented_columns
from ..parser import resolve_today
from ..terminal import format_cost, format_money, pluralize, print_error, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ...client import Client
    from ..accounts import AccountSelection


class _InvoiceRow(NamedTuple):
    invoice: Invoice
    mail_status: str | None = None


def list_invoices(args: argparse.Namespace, selection: AccountSelection) -> int:
    """List the invoices."""
    today = _choose_today(args)
    writer = RecordWriter(args, _make_invoice_format(today), is_named=selection.is_named)
    with_status = _wants_status(args)
    listed: list[Invoice] = []
    unreadable = UnreadableDates("date", "due_date", "order_date")
    chosen = _InvoiceFilter(args, today)

    def fetch(client: Client) -> list[_InvoiceRow]:
        get = client.get_client_unpaid_invoices if args.unpaid else client.get_client_invoices
        invoices = get()
        services = client.get_services() if with_status else []
        status_of = {service.mail_id: service.mail_status for service in services}
        return [
            _InvoiceRow(invoice, status_of.get(invoice.invoices_service)) for invoice in invoices
        ]

    for account, rows in selection.iter_results(fetch):
        rows = [row for row in rows if chosen.includes(row.invoice)]
        invoices = [row.invoice for row in rows]
        unreadable.check(account, invoices)
        listed += invoices
        writer.add(account, rows)
    writer.finish()
    chosen.report_left_out()
    unreadable.warn()
    if args.format == "table" and not args.no_header:
        print(format_totals(listed))
    return selection.report_failures()


def show_invoice(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Show one invoice."""
    with_status = _wants_status(args)

    def fetch(client: Client) -> list[_InvoiceRow]:
        invoice = client.get_invoice(args.id)
        if invoice is None:
            return []
        service = invoice.invoices_service
        record = client.get_service(service) if with_status and service else None
        return [_InvoiceRow(invoice, None if record is None else record.mail_status)]

    record_format = _make_invoice_format(_choose_today(args))
    return print_records(args, selection, record_format, fetch, single=f"invoice {args.id}")


def print_records(
    args: argparse.Namespace,
    selection: AccountSelection,
    record_format: RecordFormat,
    fetch: Callable[[Client], Sequence[Any]],
    *,
    single: str | None = None,
) -> int:
    """Print what is fetched of each account; NotFound: no account has the ``single`` record."""
    is_named, is_single = selection.is_named, single is not None
    writer = RecordWriter(args, record_format, is_named=is_named, is_single=is_single)
    unreadable = UnreadableDates("date", "due_date", "order_date")
    for account, records in selection.iter_results(fetch):
        writer.add(account, records)
        unreadable.check(account, (getattr(record, "invoice", record) for record in records))
    if is_single and not writer.count and not selection.failures:
        raise NotFound(f"there is no {single}")
    writer.finish()
    unreadable.warn()
    return selection.report_failures()


class _InvoiceFilter:
    """Chooses invoices by the options, and counts those that it can say nothing of.

    What is open and has a date that cannot be read is always chosen, as it may be due.
    """

    def __init__(self, args: argparse.Namespace, today: date) -> None:
        self._args, self._today = args, today
        self._undated = self._without_due_date = 0

    def includes(self, invoice: Invoice) -> bool:
        """Return whether an invoice is listed."""
        args = self._args
        if args.service not in (None, invoice.invoices_service):
            return False
        if args.open and not invoice.is_open:
            return False
        return self._is_due(invoice) and self._is_between(invoice)

    def _is_due(self, invoice: Invoice) -> bool:
        args = self._args
        if not args.overdue and args.due_within is None:
            return True
        if invoice.is_open and find_due_day(invoice) is None:
            may_be_due = is_unreadable(invoice, "due_date")
            self._without_due_date += not may_be_due
            return may_be_due
        within = -1 if args.due_within is None else args.due_within
        return (args.overdue and is_overdue(invoice, self._today)) or is_due_soon(
            invoice, self._today, within
        )

    def _is_between(self, invoice: Invoice) -> bool:
        first, last = self._args.since, self._args.until
        if first is None and last is None:
            return True
        moment = read_moment(invoice, "date")
        if moment is not None:
            return (first or date.min) <= moment.date() <= (last or date.max)
        may_be_between = invoice.is_open and is_unreadable(invoice, "date")
        self._undated += not may_be_between
        return may_be_between

    def report_left_out(self) -> None:
        """Print on stderr how many have no date to go by."""
        if self._without_due_date:
            print_error(f"{self._without_due_date} open without a due date left out")
        if self._undated:
            print_error(f"{self._undated} without a date left out")


def list_services(args: argparse.Namespace, selection: AccountSelection) -> int:
    """List the mail services."""
    return print_records(args, selection, _SERVICES, lambda client: client.get_services())


def show_service(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Show one mail service."""

    def fetch(client: Client) -> list[MailService]:
        service = client.get_service(args.id)
        return [] if service is None else [service]

    return print_records(args, selection, _SERVICES, fetch, single=f"mail service {args.id}")


def list_prepays(args: argparse.Namespace, selection: AccountSelection) -> int:
    """List the prepaid balances."""
    return print_records(args, selection, _PREPAYS, lambda client: client.get_prepay_list())


def list_modules(args: argparse.Namespace, selection: AccountSelection) -> int:
    """List the modules."""
    modules = selection.client().get_modules()
    if args.format == "table" and args.columns is args.sort is None:
        print("\n".join(map(printable, modules)))
        return OK
    column = Column("module", str)
    writer = RecordWriter(args, RecordFormat([column], [column]), is_named=False)
    writer.add(None, modules)
    writer.finish()
    return OK


def format_totals(invoices: Sequence[Invoice]) -> str:
    """Return for each currency how many there are, how many open, and how much that is."""
    open_sums = sum_by_currency(invoice for invoice in invoices if invoice.is_open)
    lines = []
    for currency, total in sum_by_currency(invoices).items():
        opened = open_sums.get(currency, Sum())
        line = f"{pluralize(total.invoices, 'invoice')}, {opened.invoices} open"
        line += f", {format_money(opened.amount)} open"
        line += f" and {opened.unknown} of unknown amount" if opened.unknown else ""
        lines.append(f"{printable(currency) or 'no currency'}: {line}")
    return "; ".join(lines) or "0 invoices"


# --- columns ---------------------------------------------------------------------------------


def _choose_today(args: argparse.Namespace) -> date:
    """Return the day to compare with; a wrong clock is an error only where it would matter."""
    columns = {"overdue", "days_left"}.intersection(_list_column_names(args))
    is_due = getattr(args, "overdue", False) or getattr(args, "due_within", None) is not None
    return resolve_today(args.today, is_needed=bool(is_due or columns))


def _list_column_names(args: argparse.Namespace) -> list[str]:
    names = [name.strip() for name in (args.columns or "").split(",")]
    computed = ["mail_status", "overdue", "days_left"] if names == ["all"] else names
    return [*computed, (args.sort or "").removeprefix("-")]


def _wants_status(args: argparse.Namespace) -> bool:
    return "mail_status" in _list_column_names(args)


def _make_invoice_format(today: date) -> RecordFormat:
    fields = list_documented_columns(Invoice, "invoice.")
    computed = [
        Column("amount", attrgetter("invoice.amount"), is_number=True),
        Column("is_open", attrgetter("invoice.is_open")),
        Column("overdue", lambda row: is_overdue(row.invoice, today)),
        Column("days_left", lambda row: count_days_left(row.invoice, today), is_number=True),
        Column("mail_status", attrgetter("mail_status")),
    ]
    table = [
        Column("id", attrgetter("invoice.invoices_id"), is_number=True),
        Column("date", lambda row: format_day(row.invoice, "date")),
        Column("due date", lambda row: format_day(row.invoice, "due_date")),
        Column("amount", lambda row: format_cost(row.invoice), is_number=True),
        Column("paid", attrgetter("invoice.is_paid")),
        Column("service", attrgetter("invoice.invoices_service"), is_number=True),
        Column("description", attrgetter("invoice.invoices_description")),
    ]
    return RecordFormat(
        [*fields, *computed],
        table,
        lambda row: is_overdue(row.invoice, today),
        "overdue",
        documented=len(fields),
    )


_SERVICES = RecordFormat(
    list_documented_columns(MailService),
    [
        Column("id", attrgetter("mail_id"), is_number=True),
        Column("status", attrgetter("mail_status")),
        Column("ordered", lambda service: format_day(service, "order_date")),
        Column("invoice", attrgetter("mail_invoice"), is_number=True),
        Column("ip", attrgetter("mail_ip")),
        Column("username", attrgetter("mail_username")),
    ],
)
_PREPAYS = RecordFormat(
    list_documented_columns(Prepay),
    [
        Column("id", attrgetter("prepay_id"), is_number=True),
        Column("created", attrgetter("prepay_created")),
        Column("amount", attrgetter("prepay_amount"), is_number=True),
        Column("remaining", attrgetter("prepay_remaining"), is_number=True),
        Column("automatic", lambda prepay: bool(prepay.prepay_automatic_use)),
        Column("module", attrgetter("prepay_module")),
    ],
)
