"""What is due: whole days between a due date and today, and sums that keep currencies apart."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from ..models import Invoice


class Sum(NamedTuple):
    """What invoices cost in one currency, how many have no amount, and how many there are."""

    amount: Decimal = Decimal(0)
    unknown: int = 0
    invoices: int = 0

    def add(self, invoice: Invoice) -> Sum:
        """Return the sum with one more invoice."""
        is_unknown = invoice.amount is None
        return Sum(
            self.amount + (invoice.amount or 0), self.unknown + is_unknown, self.invoices + 1
        )


def read_moment(invoice: Invoice, reading: str) -> datetime | None:
    """Return ``date`` or ``due_date``; ``None`` also where the text is no date."""
    try:
        return getattr(invoice, reading)  # type: ignore[no-any-return]
    except ResponseError:
        return None


def is_unreadable(invoice: Invoice, reading: str) -> bool:
    """Return whether the text of ``date`` or ``due_date`` is no date, so that it may be any."""
    try:
        getattr(invoice, reading)
    except ResponseError:
        return True
    return False


def find_due_day(invoice: Invoice) -> date | None:
    """Return the day on which an invoice is due; ``None``: it has none that can be read."""
    moment = read_moment(invoice, "due_date")
    return None if moment is None else moment.date()


def count_days_left(invoice: Invoice, today: date) -> int | None:
    """Return the days until an open invoice is due, below zero where that is past.

    ``None``: it is not open, or has no due date that can be read.
    """
    due = find_due_day(invoice) if invoice.is_open else None
    return None if due is None else (due - today).days


def is_overdue(invoice: Invoice, today: date) -> bool:
    """Return whether an invoice is open and its day has passed."""
    days = count_days_left(invoice, today)
    return days is not None and days < 0


def is_due_soon(invoice: Invoice, today: date, within: int) -> bool:
    """Return whether an invoice is open and due today or within so many days."""
    days = count_days_left(invoice, today)
    return days is not None and 0 <= days <= within


def sum_by_currency(invoices: Iterable[Invoice]) -> dict[str, Sum]:
    """Return what invoices cost, by their currencies in the order of the alphabet."""
    sums: dict[str, Sum] = {}
    for invoice in invoices:
        currency = invoice.invoices_currency or ""
        sums[currency] = sums.get(currency, Sum()).add(invoice)
    return dict(sorted(sums.items()))
