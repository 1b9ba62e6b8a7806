"""Counts and sums of charges by month, service, currency or status."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ...billing.due import read_moment
from ...billing.money import Sum, fold_currency, format_money
from ..dates import UnreadableDates
from ..output import Column, RecordFormat
from ..tables import Kind
from ..terminal import pluralize, printable, write_line
from .records import print_records

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from ...client import Client
    from ...models import Invoice
    from ..accounts import AccountSelection


class Group(NamedTuple):
    """What has the same key and currency: all charges of it, and those that are open."""

    key: str | int | None
    currency: str | None
    all: Sum = Sum()
    open: Sum = Sum()

    def add(self, invoice: Invoice) -> Group:
        """Return the group with one more invoice."""
        opened = self.open.add(invoice) if invoice.is_open else self.open
        return self._replace(all=self.all.add(invoice), open=opened)

    def merge(self, other: Group) -> Group:
        """Return the group with the invoices of another one."""
        return self._replace(all=self.all.merge(other.all), open=self.open.merge(other.open))


def classify_invoice(invoice: Invoice) -> str:
    """Return what an invoice is: a payment, or a charge that is deleted, paid or open."""
    if not invoice.is_charge:
        return "payment"
    if invoice.invoices_deleted:
        return "deleted"
    return "paid" if invoice.is_paid else "open"


def _format_month(invoice: Invoice) -> str | None:
    day = read_moment(invoice, "date").day
    return None if day is None else f"{day:%Y-%m}"


_KEYS: dict[str, Callable[[Invoice], str | int | None]] = {
    "month": _format_month,
    "service": attrgetter("invoices_service"),
    "currency": attrgetter("invoices_currency"),
    "status": classify_invoice,
}


_COUNTED = ("open", "paid")  # by anything but the status


def group_invoices(invoices: Iterable[Invoice], by: str) -> list[Group]:
    """Return invoices by a key and their currency, in the order of both."""
    groups: dict[tuple[str | int | None, str | None], Group] = {}
    for invoice in _list_counted(invoices, by):
        key = _KEYS[by](invoice), invoice.invoices_currency
        groups[key] = groups.get(key, Group(*key)).add(invoice)
    return sorted(groups.values(), key=_sort_key)


def _list_counted(invoices: Iterable[Invoice], by: str) -> list[Invoice]:
    return [
        invoice for invoice in invoices if by == "status" or classify_invoice(invoice) in _COUNTED
    ]


def _sort_key(group: Group) -> tuple[bool, str | int, str]:
    key = "" if group.key is None else group.key
    return group.key is None, key, group.currency or ""


def print_summary(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the groups of each account, and below a table what all of them add up to."""
    unreadable = UnreadableDates("date")
    totals: dict[str, Group] = {}

    def fetch(client: Client) -> _Summary:
        invoices = client.get_client_invoices()
        return _Summary(group_invoices(invoices, args.by), _list_counted(invoices, args.by))

    def note(account: str | None, summary: _Summary) -> list[Group]:
        if args.by == "month":
            unreadable.check(account, summary.invoices)
        for group in summary.groups:
            currency = fold_currency(group.currency)
            totals[currency] = totals.get(currency, Group(None, currency)).merge(group)
        return summary.groups

    def finish() -> None:
        unreadable.warn()
        if args.format == "table" and not args.no_header:
            write_line(_format_totals(totals))

    record_format = _make_format(args.by)
    return print_records(args, selection, record_format, fetch, choose=note, finish=finish)


class _Summary(NamedTuple):
    groups: list[Group]
    invoices: list[Invoice]


def _format_totals(totals: dict[str, Group]) -> str:
    lines = [
        f"{printable(currency) or 'no currency'}: {pluralize(total.all.invoices, 'invoice')},"
        f" {_format_sum(total.all)}; {total.open.invoices} open, {_format_sum(total.open)}"
        for currency, total in sorted(totals.items())
    ]
    return "\n".join(lines) or "0 invoices"


def _make_format(by: str) -> RecordFormat:
    key = [Column(by, attrgetter("key"), Kind.ID if by == "service" else Kind.NAME)]
    currency = Column("currency", attrgetter("currency"))
    numbers = [
        Column("count", attrgetter("all.invoices"), Kind.ID),
        Column("amount", attrgetter("all.amount"), Kind.MONEY),
        Column("open", attrgetter("open.invoices"), Kind.ID),
        Column("open_amount", attrgetter("open.amount"), Kind.MONEY),
        Column("unknown", attrgetter("all.unknown"), Kind.ID),
        Column("open_unknown", attrgetter("open.unknown"), Kind.ID),
    ]
    table = [
        numbers[0],
        Column("amount", lambda group: _format_sum(group.all), Kind.MONEY),
        numbers[2],
        Column("open amount", lambda group: _format_sum(group.open), Kind.MONEY),
    ]
    keys = [currency] if by == "currency" else [*key, currency]
    return RecordFormat([*keys, *numbers], [*keys, *table])


def _format_sum(total: Sum) -> str:
    unknown = f" and {total.unknown} unknown" if total.unknown else ""
    return format_money(total.amount) + unknown
