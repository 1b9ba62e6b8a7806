"""What to pay, in which order, and what to leave out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from .due import find_due_day, sum_by_currency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..models import Invoice


@dataclass(frozen=True)
class Plan:
    """What to pay, in this order; ``left_out`` says of others why not."""

    invoices: Sequence[Invoice]
    left_out: Sequence[tuple[Invoice, str]] = ()

    @property
    def totals(self) -> dict[str, Decimal]:
        """What it costs in each currency."""
        sums = sum_by_currency(self.invoices)
        return {currency: total.amount for currency, total in sums.items()}


def make_plan(
    invoices: Sequence[Invoice],
    *,
    currency: str | None = None,
    service: int | None = None,
    due_until: date | None = None,
    max_total: Decimal | None = None,
    max_each: Decimal | None = None,
) -> Plan:
    """Return a plan to pay what is open, in the order of the due dates, what is overdue first.

    ValueError: there is more than one currency and none was chosen, or the first invoice alone
    costs more than ``max_total``. What has no amount is left out, with ``due_until`` what has no
    due date that can be read, and all that follows an invoice which would exceed ``max_total``.
    """
    wanted = _select_open(invoices, currency, service, due_until)
    times = Counter(invoice.invoices_id for invoice in invoices)
    planned: list[Invoice] = []
    left_out: list[tuple[Invoice, str]] = []
    total = Decimal(0)
    is_full = False
    for invoice in sorted(wanted, key=_make_sort_key):
        reason = _find_exclusion_reason(invoice, times[invoice.invoices_id], due_until, max_each)
        amount = invoice.amount or Decimal(0)
        if reason is None and max_total is not None and (is_full or total + amount > max_total):
            if not planned:
                cost = f"invoice {invoice.invoices_id} alone costs {amount}"
                raise ValueError(f"{cost}, more than {max_total} in all; nothing is planned")
            is_full, reason = True, f"over {max_total} in all"
        if reason is None:
            planned.append(invoice)
            total += amount
        else:
            left_out.append((invoice, reason))
    return Plan(planned, left_out)


def _select_open(
    invoices: Sequence[Invoice],
    currency: str | None,
    service: int | None,
    due_until: date | None,
) -> list[Invoice]:
    wanted = [
        invoice
        for invoice in invoices
        if invoice.is_open
        and currency in (None, invoice.invoices_currency or "")
        and service in (None, invoice.invoices_service)
        and not _is_later(invoice, due_until)
    ]
    currencies = list(sum_by_currency(wanted))
    if len(currencies) > 1:
        names = " and ".join(name or "no currency" for name in currencies)
        raise ValueError(f"open invoices are in {names}: choose one currency")
    return wanted


def _make_sort_key(invoice: Invoice) -> tuple[date, int]:
    return find_due_day(invoice) or date.max, invoice.invoices_id or 0


def _is_later(invoice: Invoice, until: date | None) -> bool:
    due = find_due_day(invoice)
    return until is not None and due is not None and due > until


def _find_exclusion_reason(
    invoice: Invoice, times: int, due_until: date | None, max_each: Decimal | None
) -> str | None:
    if due_until is not None and find_due_day(invoice) is None:
        return "no due date that can be read"
    if times > 1:
        return "listed twice"
    if invoice.invoices_id is None:
        return "no id"
    if invoice.amount is None or invoice.amount <= 0:
        return "no amount"
    return f"over {max_each}" if max_each is not None and invoice.amount > max_each else None
