"""The commands that list or show records."""

from __future__ import annotations

from datetime import date
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...billing.due import count_days_left, is_due, is_overdue, read_moment
from ...billing.money import Sum, format_cost, format_money, sum_by_currency
from ...models import Invoice, MailService, Prepay
from ..dates import UnreadableDates, format_day, resolve_today
from ..exit_codes import NotFound, UsageError
from ..output import Column, RecordFormat, RecordWriter, list_documented_columns
from ..tables import Kind
from ..terminal import pluralize, print_error, printable, write_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ...client import Client
    from ..accounts import AccountSelection


T = TypeVar("T")


class _InvoiceRow(NamedTuple):
    invoice: Invoice
    mail_status: str | None = None


def list_invoices(args: argparse.Namespace, selection: AccountSelection) -> int:
    """List the invoices."""
    today = _choose_today(args)
    _check_filters(args)
    with_status = _wants_status(args)
    listed: list[Invoice] = []
    chosen = _InvoiceFilter(args, today)

    def fetch(client: Client) -> list[_InvoiceRow]:
        get = client.get_client_unpaid_invoices if args.unpaid else client.get_client_invoices
        invoices = get()
        services = client.get_services() if with_status else []
        status_of = {service.mail_id: service.mail_status for service in services}
        return [
            _InvoiceRow(invoice, status_of.get(invoice.invoices_service)) for invoice in invoices
        ]

    def choose(account: str | None, rows: list[_InvoiceRow]) -> list[_InvoiceRow]:
        rows = [row for row in rows if chosen.includes(row.invoice)]
        listed.extend(row.invoice for row in rows)
        return rows

    def finish() -> None:
        chosen.report_left_out()
        if args.format == "table" and not args.no_header:
            write_line(format_totals(listed))

    record_format = _make_invoice_format(today)
    return print_records(args, selection, record_format, fetch, choose=choose, finish=finish)


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
    fetch: Callable[[Client], T],
    *,
    choose: Callable[[str | None, T], Sequence[Any]] = lambda account, records: records,  # type: ignore[assignment,return-value]
    finish: Callable[[], object] = lambda: None,
    single: str | None = None,
) -> int:
    """Print what is fetched and chosen of each account; nothing, where all of them failed.

    NotFound: no account has the ``single`` record.
    """
    is_named, is_single = selection.is_named, single is not None
    writer = RecordWriter(args, record_format, is_named=is_named, is_single=is_single)
    unreadable = UnreadableDates("date", "due_date", "order_date")
    for account, fetched in selection.iter_results(fetch):
        records = choose(account, fetched)
        writer.add(account, records)
        unreadable.check(account, (getattr(record, "invoice", record) for record in records))
    if is_single and not writer.count and not selection.failures:
        raise NotFound(f"there is no {single}")
    if not selection.has_failed:
        writer.finish()
        unreadable.warn()
        finish()
    return selection.report_failures()


def _check_filters(args: argparse.Namespace) -> None:
    """Raise UsageError for what leaves nothing to list, or is not used."""
    if args.since and args.until and args.since > args.until:
        raise UsageError(f"--since {args.since} is after --until {args.until}")
    if args.today and args.format != "table" and not _needs_today(args):
        columns = "the columns overdue and days_left"
        raise UsageError(f"--today is used only with --overdue, --due-within, or {columns}")


class _InvoiceFilter:
    """Chooses invoices by the options; what is open and has no date to go by is chosen."""

    def __init__(self, args: argparse.Namespace, today: date) -> None:
        self._args, self._today = args, today
        self._undated = 0

    def includes(self, invoice: Invoice) -> bool:
        """Return whether an invoice is listed."""
        args = self._args
        if args.service not in (None, invoice.invoices_service):
            return False
        if args.open and not invoice.is_open:
            return False
        is_asked = args.overdue or args.due_within is not None
        if is_asked and not is_due(invoice, self._today, args.due_within):
            return False
        return self._is_between(invoice)

    def _is_between(self, invoice: Invoice) -> bool:
        first, last = self._args.since, self._args.until
        if first is None and last is None:
            return True
        day = read_moment(invoice, "date").day
        if day is not None:
            return (first or date.min) <= day <= (last or date.max)
        self._undated += not invoice.is_open
        return invoice.is_open

    def report_left_out(self) -> None:
        """Print on stderr how many have no date to go by."""
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
    column = Column("module", str)
    return print_records(
        args, selection, RecordFormat([column], [column]), lambda client: client.get_modules()
    )


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
    return resolve_today(getattr(args, "today", None), is_needed=_needs_today(args))


def _needs_today(args: argparse.Namespace) -> bool:
    is_due = getattr(args, "overdue", False) or getattr(args, "due_within", None) is not None
    return bool(is_due or {"overdue", "days_left"}.intersection(_list_column_names(args)))


def _list_column_names(args: argparse.Namespace) -> list[str]:
    names = [name.strip() for name in (args.columns or "").split(",")]
    computed = ["mail_status", "overdue", "days_left"] if names == ["all"] else names
    return [*computed, (args.sort or "").removeprefix("-")]


def _wants_status(args: argparse.Namespace) -> bool:
    return "mail_status" in _list_column_names(args)


def _make_invoice_format(today: date) -> RecordFormat:
    fields = list_documented_columns(Invoice, "invoice.")
    computed = [
        Column("amount", attrgetter("invoice.amount"), Kind.MONEY),
        Column("is_open", attrgetter("invoice.is_open"), Kind.FLAG),
        Column("overdue", lambda row: is_overdue(row.invoice, today), Kind.FLAG),
        Column("days_left", lambda row: count_days_left(row.invoice, today), Kind.ID),
        Column("mail_status", attrgetter("mail_status")),
    ]
    table = [
        Column("id", attrgetter("invoice.invoices_id"), Kind.ID),
        Column("date", lambda row: format_day(row.invoice, "date"), Kind.DAY),
        Column("due date", lambda row: format_day(row.invoice, "due_date"), Kind.DAY),
        Column("amount", lambda row: format_cost(row.invoice), Kind.MONEY),
        Column("paid", attrgetter("invoice.is_paid"), Kind.FLAG),
        Column("service", attrgetter("invoice.invoices_service"), Kind.ID),
        Column("description", attrgetter("invoice.invoices_description"), Kind.TEXT),
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
        Column("id", attrgetter("mail_id"), Kind.ID),
        Column("status", attrgetter("mail_status")),
        Column("ordered", lambda service: format_day(service, "order_date"), Kind.DAY),
        Column("invoice", attrgetter("mail_invoice"), Kind.ID),
        Column("ip", attrgetter("mail_ip")),
        Column("username", attrgetter("mail_username")),
    ],
)
_PREPAYS = RecordFormat(
    list_documented_columns(Prepay),
    [
        Column("id", attrgetter("prepay_id"), Kind.ID),
        Column("created", attrgetter("prepay_created"), Kind.DAY),
        Column("amount", attrgetter("prepay_amount"), Kind.MONEY),
        Column("remaining", attrgetter("prepay_remaining"), Kind.MONEY),
        Column("automatic", lambda prepay: bool(prepay.prepay_automatic_use), Kind.FLAG),
        Column("module", attrgetter("prepay_module")),
    ],
)
