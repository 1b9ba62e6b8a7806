"""Counts and sums of charges by month, service, currency or status."""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ..output import Column, RecordFormat, RecordWriter
from ..terminal import format_money

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from ...models import Invoice
    from ..accounts import AccountSelection


class Group(NamedTuple):
    """What has the same key and currency; amounts that the server left out count as unknown."""

    key: str | int | None
    currency: str | None
    charges: int = 0
    amount: Decimal = Decimal(0)
    open: int = 0
    open_amount: Decimal = Decimal(0)
    unknown: int = 0

    def add(self, invoice: Invoice) -> Group:
        """Return the group with one more invoice."""
        amount = invoice.amount or Decimal(0)
        return self._replace(
            charges=self.charges + 1,
            amount=self.amount + amount,
            open=self.open + invoice.is_open,
            open_amount=self.open_amount + (amount if invoice.is_open else 0),
            unknown=self.unknown + (invoice.amount is None),
        )


def classify_invoice(invoice: Invoice) -> str:
    """Return what an invoice is: a payment, or a charge that is deleted, paid or open."""
    if not invoice.is_charge:
        return "payment"
    if invoice.invoices_deleted:
        return "deleted"
    return "paid" if invoice.is_paid else "open"


def _format_month(invoice: Invoice) -> str | None:
    date = invoice.date
    return None if date is None else f"{date:%Y-%m}"


_KEYS: dict[str, Callable[[Invoice], str | int | None]] = {
    "month": _format_month,
    "service": attrgetter("invoices_service"),
    "currency": attrgetter("invoices_currency"),
    "status": classify_invoice,
}


def group_invoices(invoices: Iterable[Invoice], by: str) -> list[Group]:
    """Return invoices by a key and their currency, in the order of both."""
    groups: dict[tuple[str | int | None, str | None], Group] = {}
    for invoice in invoices:
        if by == "status" or classify_invoice(invoice) in ("open", "paid"):
            key = _KEYS[by](invoice), invoice.invoices_currency
            groups[key] = groups.get(key, Group(*key)).add(invoice)
    return sorted(groups.values(), key=_sort_key)


def _sort_key(group: Group) -> tuple[bool, str | int, str]:
    key = "" if group.key is None else group.key
    return group.key is None, key, group.currency or ""


def print_summary(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Print the groups."""
    writer = RecordWriter(args, _make_format(args.by), is_named=selection.is_named)
    for account, invoices in selection.iter_results(lambda client: client.get_client_invoices()):
        writer.add(account, group_invoices(invoices, args.by))
    writer.finish()
    return selection.report_failures()


def _make_format(by: str) -> RecordFormat:
    key = [] if by == "currency" else [Column(by, attrgetter("key"), is_number=by == "service")]
    columns = [
        *key,
        Column("currency", attrgetter("currency")),
        Column("count", attrgetter("charges"), is_number=True),
        Column("amount", attrgetter("amount"), is_number=True),
        Column("open", attrgetter("open"), is_number=True),
        Column("open_amount", attrgetter("open_amount"), is_number=True),
        Column("unknown", attrgetter("unknown"), is_number=True),
    ]
    table = [
        *columns[: len(key) + 2],
        Column("amount", _format_amount, is_number=True),
        columns[-3],
        Column("open amount", lambda group: format_money(group.open_amount), is_number=True),
    ]
    return RecordFormat(columns, table)


def _format_amount(group: Group) -> str:
    unknown = f" and {group.unknown} unknown" if group.unknown else ""
    return format_money(group.amount) + unknown
