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
    holds, the first one is a row: one that is not deleted, and then by its ``repr``.
    """

    def __init__(self, invoices: Iterable[Invoice]) -> None:
        # Rows stay in the order in which they came: a sorted list of many is slow to walk.
        self.conflicts: list[list[Row]] = []
        self.rows: list[Row] = []
        self.charges: list[Row] = []
        self.all_charges: dict[int | None, Row] = {}
        self.all_payments: dict[int | None, Row] = {}
        self.has_payments = False
        for row in map(_read_row, self._find_distinct(invoices)):
            self.has_payments = self.has_payments or row.is_payment
            if row.id is not None and row.is_payment:
                self.all_payments[row.id] = row
            elif row.id is not None and row.invoice.is_charge:
                self.all_charges[row.id] = row
            if not row.invoice.invoices_deleted:
                self.rows.append(row)
                if row.invoice.is_charge:
                    self.charges.append(row)
        # By the id of a charge: what points to it, and what points to a payment of it.
        self.payments: dict[int | None, list[Row]] = {}
        self.refunds: dict[int | None, list[Row]] = {}
        # What points to neither.
        self.strays: list[Row] = []
        for row in self.rows:
            points_to_payment = row.invoice.invoices_extra in self.all_payments
            # What points to a payment is a refund of it, also where its type is not known.
            if row.is_payment or (points_to_payment and not row.invoice.is_charge):
                self._assign(row)

    def _find_distinct(self, invoices: Iterable[Invoice]) -> list[Invoice]:
        by_id: dict[int, Invoice] = {}
        differing: dict[int, dict[Invoice, None]] = {}
        without_id: dict[Invoice, None] = {}
        for invoice in invoices:
            id = invoice.invoices_id
            if id is None:
                without_id[invoice] = None
                continue
            first = by_id.setdefault(id, invoice)
            if first is not invoice and first != invoice:
                differing.setdefault(id, {first: None})[invoice] = None
        for id, same in differing.items():
            versions = sorted(same, key=lambda one: (bool(one.invoices_deleted), repr(one)))
            by_id[id] = versions[0]
            self.conflicts.append(list(map(_read_row, versions)))
        return [*by_id.values(), *without_id]

    def _assign(self, row: Row) -> None:
        target = row.invoice.invoices_extra
        payment = self.all_payments.get(target)
        if target in self.all_charges:
            self.payments.setdefault(target, []).append(row)
        elif payment is None or payment.invoice.invoices_extra in self.all_payments:
            self.strays.append(row)
        elif not payment.invoice.invoices_deleted:
            self.refunds.setdefault(payment.invoice.invoices_extra, []).append(row)


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
