"""Counts and sums of charges by month, service, currency or status."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ...billing.due import Sum, read_moment
from ..dates import UnreadableDates
from ..output import Column, RecordFormat
from ..terminal import format_money
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


def classify_invoice(invoice: Invoice) -> str:
    """Return what an invoice is: a payment, or a charge that is deleted, paid or open."""
    if not invoice.is_charge:
        return "payment"
    if invoice.invoices_deleted:
        return "deleted"
    return "paid" if invoice.is_paid else "open"


def _format_month(invoice: Invoice) -> str | None:
    date = read_moment(invoice, "date")
    return None if date is None else f"{date:%Y-%m}"


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
    for invoice in invoices:
        if by == "status" or classify_invoice(invoice) in _COUNTED:
            key = _KEYS[by](invoice), invoice.invoices_currency
            groups[key] = groups.get(key, Group(*key)).add(invoice)
    return sorted(groups.values(), key=_sort_key)


def _sort_key(group: Group) -> tuple[bool, str | int, str]:
    key = "" if group.key is None else group.key
    return group.key is None, key, group.currency or ""


def print_summary(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the groups."""
    unreadable = UnreadableDates("date")

    def fetch(client: Client) -> list[Group]:
        invoices = client.get_client_invoices()
        if args.by == "month":
            unreadable.check(None, (one for one in invoices if classify_invoice(one) in _COUNTED))
        return group_invoices(invoices, args.by)

    code = print_records(args, selection, _make_format(args.by), fetch)
    unreadable.warn()
    return code


def _make_format(by: str) -> RecordFormat:
    key = [] if by == "currency" else [Column(by, attrgetter("key"), is_number=by == "service")]
    currency = Column("currency", attrgetter("currency"))
    counts = [("count", "all.invoices"), ("amount", "all.amount"), ("open", "open.invoices")]
    counts += [("open_amount", "open.amount"), ("unknown", "all.unknown")]
    numbers = [Column(name, attrgetter(path), is_number=True) for name, path in counts]
    table = [
        numbers[0],
        Column("amount", _format_amount, is_number=True),
        numbers[2],
        Column("open amount", lambda group: format_money(group.open.amount), is_number=True),
    ]
    return RecordFormat([*key, currency, *numbers], [*key, currency, *table])


def _format_amount(group: Group) -> str:
    unknown = f" and {group.all.unknown} unknown" if group.all.unknown else ""
    return format_money(group.all.amount) + unknown
