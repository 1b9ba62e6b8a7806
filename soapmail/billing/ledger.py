"""An account's invoices, the oldest first, and which of them point to which."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from .due import find_moment
from .money import fold_currency, format_cost

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from ..models import Invoice


class Row(NamedTuple):
    """An invoice, and what could be read of it; a payment is never due."""

    invoice: Invoice
    moment: datetime | None
    due: datetime | None
    amount: Decimal | None
    currency: str

    @property
    def id(self) -> int | None:
        """Its id."""
        return self.invoice.invoices_id

    @property
    def is_payment(self) -> bool:
        """Whether it is a kind of payment, refunds included (types from 10)."""
        return (self.invoice.invoices_type or 0) >= 10

    def __str__(self) -> str:
        name = "a row without an id" if self.id is None else f"invoice {self.id}"
        day = "" if self.moment is None else f" of {self.moment.date()}"
        return name + day + ("" if self.amount is None else f" over {format_cost(self.invoice)}")


class Ledger:
    """The rows of an account, without those that are deleted where the name has no ``all_``.

    The same invoice twice is one row. Of several that differ and have one id, which ``conflicts``
    holds, the first one by its ``repr`` is a row.
    """

    def __init__(self, invoices: Iterable[Invoice]) -> None:
        by_id: dict[int, Invoice] = {}
        without_id: list[Invoice] = []
        differing: dict[int, list[Invoice]] = {}
        for invoice in dict.fromkeys(invoices):
            if invoice.invoices_id is None:
                without_id.append(invoice)
            elif by_id.setdefault(invoice.invoices_id, invoice) is not invoice:
                first = by_id[invoice.invoices_id]
                differing.setdefault(invoice.invoices_id, [first]).append(invoice)
        for same in differing.values():
            same.sort(key=repr)
        by_id |= {id: same[0] for id, same in differing.items()}
        self.conflicts = [list(map(_read_row, same)) for same in differing.values()]
        rows = sorted(map(_read_row, [*by_id.values(), *without_id]), key=order_by_date)
        self.rows = [row for row in rows if not row.invoice.invoices_deleted]
        self.charges = [row for row in self.rows if row.invoice.is_charge]
        self.all_charges = {row.id: row for row in rows if row.invoice.is_charge}
        self.all_payments = {row.id: row for row in rows if row.is_payment}
        # What points to a charge, in groups of one charge each; by its id, what points to a payment
        # of it; and what points to neither.
        self.payments: list[Row] = []
        self.refunds: dict[int, list[Row]] = {}
        self.strays: list[Row] = []
        for row in self.rows:
            if row.is_payment:
                self._assign(row)
        self.payments.sort(key=get_target)

    def _assign(self, row: Row) -> None:
        target = row.invoice.invoices_extra
        payment = None if target is None else self.all_payments.get(target)
        if target is not None and target in self.all_charges:
            self.payments.append(row)
        elif payment is None or payment.invoice.invoices_extra in self.all_payments:
            self.strays.append(row)
        elif not payment.invoice.invoices_deleted:
            self.refunds.setdefault(get_target(payment), []).append(row)


def get_target(row: Row) -> int:
    """Return what a row points to."""
    return row.invoice.invoices_extra or 0


def _read_row(invoice: Invoice) -> Row:
    amount = invoice.amount
    if amount is not None and not amount.is_finite():
        amount = None
    due = find_moment(invoice, "due_date") if invoice.is_charge else None
    currency = fold_currency(invoice.invoices_currency)
    return Row(invoice, find_moment(invoice, "date"), due, amount, currency)


def order_by_date(row: Row) -> tuple[datetime, int, str]:
    """Return what a row is sorted by: its date, its id, or all that it holds."""
    return row.moment or datetime.max, row.id or 0, "" if row.id else repr(row.invoice)
