"""Counts and sums of charges by month, service, currency or status."""

from __future__ import annotations

import sys
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ..output import Column, Listing, Output
from ..terminal import money

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from ...models import Invoice
    from ..accounts import Reach

_BAR = 20


class Group(NamedTuple):
    """What has the same key and currency; amounts that the server left out count as unknown."""

    key: str | int | None
    currency: str | None
    charges: int = 0
    amount: Decimal = Decimal(0)
    open: int = 0
    open_amount: Decimal = Decimal(0)
    unknown: int = 0

    def with_one(self, invoice: Invoice) -> Group:
        """Count one more."""
        amount = invoice.amount or Decimal(0)
        return self._replace(
            charges=self.charges + 1,
            amount=self.amount + amount,
            open=self.open + invoice.is_open,
            open_amount=self.open_amount + (amount if invoice.is_open else 0),
            unknown=self.unknown + (invoice.amount is None),
        )


def status_of(invoice: Invoice) -> str:
    """Say what an invoice is: a payment, or a charge that is deleted, paid or open."""
    if not invoice.is_charge:
        return "payment"
    if invoice.invoices_deleted:
        return "deleted"
    return "paid" if invoice.is_paid else "open"


def _month(invoice: Invoice) -> str | None:
    date = invoice.date
    return None if date is None else f"{date:%Y-%m}"


_KEYS: dict[str, Callable[[Invoice], str | int | None]] = {
    "month": _month,
    "service": attrgetter("invoices_service"),
    "currency": attrgetter("invoices_currency"),
    "status": status_of,
}


def groups(invoices: Iterable[Invoice], by: str) -> list[Group]:
    """Group invoices by a key and their currency, in the order of both."""
    found: dict[tuple[str | int | None, str | None], Group] = {}
    for one in invoices:
        if by == "status" or status_of(one) in ("open", "paid"):
            key = _KEYS[by](one), one.invoices_currency
            found[key] = found.get(key, Group(*key)).with_one(one)
    return sorted(found.values(), key=_sort_key)


def _sort_key(group: Group) -> tuple[bool, str | int, str]:
    key = "" if group.key is None else group.key
    return group.key is None, key, group.currency or ""


def summary(args: argparse.Namespace, reach: Reach) -> int:
    """Print the groups, on a terminal each with a bar."""
    bars = _Bars()
    output = Output(args, _listing(args.by, bars), named=reach.named)
    for account, invoices in reach.each(lambda client: client.get_client_invoices()):
        found = groups(invoices, args.by)
        bars.most = max([bars.most, *(one.charges for one in found)])
        output.add(account, found)
    output.end()
    return reach.code()


class _Bars:
    """Draws how many charges a group has beside the largest one, which is known at the end."""

    most = 0

    def of(self, group: Group) -> str:
        return "#" * -(-_BAR * group.charges // self.most)


def _listing(by: str, bars: _Bars) -> Listing:
    own = [] if by == "currency" else [Column(by, attrgetter("key"), number=by == "service")]
    columns = [
        *own,
        Column("currency", attrgetter("currency")),
        Column("count", attrgetter("charges"), number=True),
        Column("amount", attrgetter("amount"), number=True),
        Column("open", attrgetter("open"), number=True),
        Column("open_amount", attrgetter("open_amount"), number=True),
        Column("unknown", attrgetter("unknown"), number=True),
    ]
    table = [
        *columns[: len(own) + 2],
        Column("amount", lambda one: _sum(one.amount, one.unknown), number=True),
        columns[-3],
        Column("open amount", lambda one: money(one.open_amount), number=True),
    ]
    if sys.stdout.isatty():
        table.append(Column("", bars.of))
    return Listing(columns, len(columns), table)


def _sum(amount: Decimal, unknown: int) -> str:
    return money(amount) + (f" and {unknown} unknown" if unknown else "")
