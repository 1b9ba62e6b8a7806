"""Amounts of money: exact sums that keep currencies apart, and how a person reads them."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..models import Invoice

# What floats add up to exactly, whatever the context of the caller rounds or traps (IEEE 754: of
# any two, the last digits are no more than 10**632 apart).
_EXACT = Context(prec=1_000, Emin=-999_999, Emax=999_999, traps=[])


def add_exactly(first: Decimal, second: Decimal) -> Decimal:
    """Return a sum that no context of the caller's changes."""
    return _EXACT.add(first, second)


class Sum(NamedTuple):
    """What invoices cost in one currency, how many have no amount, and how many there are."""

    amount: Decimal = Decimal(0)
    unknown: int = 0
    invoices: int = 0

    def add(self, invoice: Invoice) -> Sum:
        """Return the sum with one more invoice."""
        is_unknown = invoice.amount is None
        return Sum(
            add_exactly(self.amount, invoice.amount or Decimal(0)),
            self.unknown + is_unknown,
            self.invoices + 1,
        )

    def merge(self, other: Sum) -> Sum:
        """Return the sum of both."""
        return Sum(
            add_exactly(self.amount, other.amount),
            self.unknown + other.unknown,
            self.invoices + other.invoices,
        )


def fold_currency(currency: str | None) -> str:
    """Return a currency in one form; empty: there is none."""
    return (currency or "").strip().upper()


def sum_by_currency(invoices: Iterable[Invoice]) -> dict[str, Sum]:
    """Return what invoices cost, by their currencies in the order of the alphabet."""
    sums: dict[str, Sum] = {}
    for invoice in invoices:
        currency = fold_currency(invoice.invoices_currency)
        sums[currency] = sums.get(currency, Sum()).add(invoice)
    return dict(sorted(sums.items()))


def format_money(amount: Decimal | None) -> str:
    """Return an amount with two places, or with more where it has more: nothing is rounded."""
    if amount is None:
        return "-"
    text = f"{amount:f}"
    if "." in text or not amount.is_finite():
        return text + "0" if text[-2] == "." else text
    return text + ".00"


def format_cost(invoice: Invoice) -> str:
    """Return what an invoice costs, with its currency."""
    return f"{format_money(invoice.amount)} {invoice.invoices_currency or ''}".strip()


def format_sums(sums: Mapping[str, Sum]) -> str:
    """Return sums with their currencies, and how many amounts are not known."""
    words = " and ".join(
        f"{format_money(total.amount)} {currency}".strip() for currency, total in sums.items()
    )
    unknown = sum(total.unknown for total in sums.values())
    return words + (f" and {unknown} of unknown amount" if unknown else "")
