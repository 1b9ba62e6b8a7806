"""What to pay, in which order, and what to leave out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from ..models import Invoice


@dataclass(frozen=True)
class Plan:
    """What to pay, in this order; ``left_out`` says of others why not."""

    invoices: Sequence[Invoice]
    left_out: Sequence[tuple[Invoice, str]] = ()

    @property
    def totals(self) -> dict[str, Decimal]:
        """What it costs in each currency."""
        sums: dict[str, Decimal] = {}
        for one in self.invoices:
            currency = one.invoices_currency or ""
            sums[currency] = sums.get(currency, Decimal(0)) + (one.amount or 0)
        return sums


def plan_of(
    invoices: Sequence[Invoice],
    *,
    currency: str | None = None,
    service: int | None = None,
    due_until: date | None = None,
    max_total: Decimal | None = None,
    max_each: Decimal | None = None,
) -> Plan:
    """Plan to pay what is open, in the order of the due dates, what is overdue first.

    ValueError: there is more than one currency and none was chosen, or the first invoice alone
    costs more than ``max_total``. What has no amount is left out, and so is all that follows an
    invoice which would exceed ``max_total``.
    """
    wanted = [
        one
        for one in invoices
        if one.is_open
        and currency in (None, one.invoices_currency or "")
        and service in (None, one.invoices_service)
        and _is_due(one, due_until)
    ]
    currencies = sorted({one.invoices_currency or "" for one in wanted})
    if len(currencies) > 1:
        shown = " and ".join(one or "no currency" for one in currencies)
        raise ValueError(f"open invoices are in {shown}: choose one currency")
    times = Counter(one.invoices_id for one in invoices)
    planned: list[Invoice] = []
    left_out: list[tuple[Invoice, str]] = []
    total = Decimal(0)
    full = False
    for one in sorted(wanted, key=lambda one: (one.due_date or datetime.max, one.invoices_id or 0)):
        reason = "listed twice" if times[one.invoices_id] > 1 else _left_out(one, max_each)
        if reason is None and max_total is not None and (full or total + _cost(one) > max_total):
            if not planned:
                raise ValueError(
                    f"invoice {one.invoices_id} alone costs {_cost(one)}, more than {max_total} in"
                    " all; nothing is planned"
                )
            full, reason = True, f"over {max_total} in all"
        if reason is None:
            planned.append(one)
            total += _cost(one)
        else:
            left_out.append((one, reason))
    return Plan(planned, left_out)


def _is_due(invoice: Invoice, until: date | None) -> bool:
    due = invoice.due_date
    return until is None or (due is not None and due.date() <= until)


def _left_out(invoice: Invoice, max_each: Decimal | None) -> str | None:
    if invoice.invoices_id is None:
        return "no id"
    if invoice.amount is None or invoice.amount <= 0:
        return "no amount"
    return f"over {max_each}" if max_each is not None and invoice.amount > max_each else None


def _cost(invoice: Invoice) -> Decimal:
    return invoice.amount or Decimal(0)
