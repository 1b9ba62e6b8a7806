"""The commands that list or show records."""

from __future__ import annotations

from datetime import date, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ...billing.due import Sum, count_days_left, is_due_soon, is_overdue, sum_by_currency
from ...models import Invoice, MailService, Prepay
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
    undated = 0

    def fetch(client: Client) -> list[_InvoiceRow]:
        get = client.get_client_unpaid_invoices if args.unpaid else client.get_client_invoices
        invoices = [row for row in get() if args.service in (None, row.invoices_service)]
        services = client.get_services() if with_status else []
        status_of = {service.mail_id: service.mail_status for service in services}
        return [
            _InvoiceRow(invoice, status_of.get(invoice.invoices_service))
            for invoice in _filter_due(invoices, args, today)
        ]

    for account, rows in selection.iter_results(fetch):
        dated = [row for row in rows if _is_between(row.invoice.date, args.since, args.until)]
        if args.since or args.until:
            undated += sum(row.invoice.date is None for row in rows)
        listed += [row.invoice for row in dated]
        writer.add(account, dated)
    writer.finish()
    if undated:
        print_error(f"{undated} without a date left out")
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
    for account, records in selection.iter_results(fetch):
        writer.add(account, records)
    if is_single and not writer.count and not selection.failures:
        raise NotFound(f"there is no {single}")
    writer.finish()
    return selection.report_failures()


def _filter_due(
    invoices: Sequence[Invoice], args: argparse.Namespace, today: date
) -> list[Invoice]:
    wanted = [invoice for invoice in invoices if invoice.is_open or not args.open]
    if not args.overdue and args.due_within is None:
        return wanted
    within = -1 if args.due_within is None else args.due_within
    return [
        invoice
        for invoice in wanted
        if (args.overdue and is_overdue(invoice, today)) or is_due_soon(invoice, today, within)
    ]


def _is_between(moment: datetime | None, first: date | None, last: date | None) -> bool:
    if first is None and last is None:
        return True
    return moment is not None and (first or date.min) <= moment.date() <= (last or date.max)


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


def _format_date(moment: datetime | None) -> str | None:
    return None if moment is None else str(moment.date())


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
        Column("date", lambda row: _format_date(row.invoice.date)),
        Column("due date", lambda row: _format_date(row.invoice.due_date)),
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
        Column("ordered", lambda service: _format_date(service.order_date)),
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
