"""What is due: whole days between a due date and today."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from ..models import Invoice


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
