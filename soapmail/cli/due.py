"""What is due: whole days between a due date and today, of records and without any output."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from .codes import UsageError

if TYPE_CHECKING:
    from ..models import Invoice

# No account of this provider's mail services is older.
_WRONG = date(2015, 1, 1)


def today_of(given: date | None, *, needed: bool = True) -> date:
    """Give the date that was given, or that of this machine; UsageError: its clock is wrong."""
    if given is not None:
        return given
    today = datetime.now().date()
    if today < _WRONG and needed:
        raise UsageError(f"the clock of this machine says {today}: set it, or give --today DATE")
    return today


def days_left(invoice: Invoice, today: date) -> int | None:
    """Give the days until an open invoice is due, below zero where that is past.

    ``None``: it is not open, or has no due date.
    """
    due = invoice.due_date if invoice.is_open else None
    return None if due is None else (due.date() - today).days


def is_overdue(invoice: Invoice, today: date) -> bool:
    """Tell whether an invoice is open and its day has passed."""
    left = days_left(invoice, today)
    return left is not None and left < 0


def is_due_soon(invoice: Invoice, today: date, within: int) -> bool:
    """Tell whether an invoice is open and due today or within so many days."""
    left = days_left(invoice, today)
    return left is not None and 0 <= left <= within
