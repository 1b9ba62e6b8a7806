"""What to pay, in which order, and what to leave out: one judge decides of each invoice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from .audit import find_unpayable
from .due import due_state, find_due_day
from .history import History
from .money import add_exactly, fold_currency, sum_by_currency

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..models import Invoice
    from .audit import Finding


class Reason(str, Enum):
    """Why an open invoice is not paid."""

    NO_ID = "no id"
    LISTED_TWICE = "listed twice"
    CHARGED_TWICE = "charged twice"
    OPEN_THOUGH_PAID = "open though paid"
    UNSETTLED = "it is not known whether it was paid before"
    PAID_BEFORE = "paid before, and still listed as open"
    OF_ENDED_SERVICE = "of a service that has ended"
    UNDATED = "no due date that can be read"
    NO_AMOUNT = "no amount"
    ZERO = "an amount of zero"
    NEGATIVE = "a negative amount"
    OVER_EACH = "over the limit for one invoice"
    OVER_TOTAL = "over the limit in total"


class SeveralCurrencies(ValueError):
    """What is to be paid is in more than one of ``currencies``, and none was chosen."""

    def __init__(self, currencies: Sequence[str]) -> None:
        names = " and ".join(name or "no currency" for name in currencies)
        super().__init__(f"open invoices are in {names}: choose one currency")
        self.currencies = list(currencies)


@dataclass(frozen=True)
class Plan:
    """What to pay, in this order; ``left_out`` says of others why not.

    ``findings``: what was wrong with them when it was made, by the ids that must not be paid.
    """

    invoices: Sequence[Invoice]
    left_out: Sequence[tuple[Invoice, Reason]] = ()
    findings: Mapping[int | None, Sequence[Finding]] = field(default_factory=dict)

    @property
    def totals(self) -> dict[str, Decimal]:
        """What it costs in each currency."""
        sums = sum_by_currency(self.invoices)
        return {currency: total.amount for currency, total in sums.items()}

    def explain(self, invoice: Invoice, reason: Reason) -> str:
        """Return in words why an invoice is left out: the findings, or the reason itself."""
        findings = self.findings.get(invoice.invoices_id, ())
        if reason in map(_find_reason_of_finding, findings):
            return describe_findings(findings)
        return reason.value


def make_plan(
    invoices: Sequence[Invoice],
    *,
    currency: str | None = None,
    service: int | None = None,
    due_until: date | None = None,
    max_total: Decimal | None = None,
    max_each: Decimal | None = None,
    ended: Collection[int | None] = (),
    history: History | None = None,
) -> Plan:
    """Return a plan to pay what is open, in the order of the due dates, what is overdue first.

    ``history`` is what a journal holds: what it knows as paid, or does not know, is left out.
    So is what ``audit`` finds charged twice, listed twice, or open though it was paid. ``ended``
    are the services whose invoices are not paid. ``currency`` is one in any case. With
    ``due_until`` what has no due date that can be read is left out. So is what has no amount above
    zero, and all that follows an invoice which would exceed ``max_total``. SeveralCurrencies: one
    has to be chosen. ValueError: the first invoice alone costs more than ``max_total``.
    """
    history = history or History()
    findings = find_unpayable(invoices)
    day = due_until or date.max
    times = Counter(invoice.invoices_id for invoice in invoices)
    planned: list[Invoice] = []
    left_out: list[tuple[Invoice, Reason]] = []
    for invoice in sorted(_select_open(invoices, currency, service, day), key=_make_sort_key):
        reason = find_reason(invoice, times[invoice.invoices_id], history)
        if reason is None and invoice.invoices_id in findings:
            reason = _find_reason_of_finding(findings[invoice.invoices_id][0])
        reason = reason or _find_reason_of_plan(invoice, due_until, ended, max_each)
        if reason is None:
            planned.append(invoice)
        else:
            left_out.append((invoice, reason))
    _require_one_currency(planned)
    affordable = planned if max_total is None else _limit_total(planned, max_total)
    left_out += [(invoice, Reason.OVER_TOTAL) for invoice in planned[len(affordable) :]]
    return Plan(affordable, left_out, findings)


def find_reason(invoice: Invoice, times: int, history: History) -> Reason | None:
    """Return why an open invoice must not be paid, whatever the plan; ``None``: it may be.

    ``times``: how often the server lists it.
    """
    if invoice.invoices_id is None:
        return Reason.NO_ID
    if times > 1:
        return Reason.LISTED_TWICE
    if history.may_be_unsettled(invoice.invoices_id):
        return Reason.UNSETTLED
    if history.is_paid(invoice.invoices_id):
        return Reason.PAID_BEFORE
    if invoice.amount is None:
        return Reason.NO_AMOUNT
    if invoice.amount <= 0:
        return Reason.NEGATIVE if invoice.amount < 0 else Reason.ZERO
    return None


def describe_findings(findings: Iterable[Finding]) -> str:
    """Return why something must not be paid, in whole sentences."""
    return " ".join(f"{_find_reason_of_finding(one).value}: {one.text}" for one in findings)


def _find_reason_of_finding(finding: Finding) -> Reason:
    return Reason(finding.kind.replace("-", " "))


def _find_reason_of_plan(
    invoice: Invoice,
    due_until: date | None,
    ended: Collection[int | None],
    max_each: Decimal | None,
) -> Reason | None:
    state = due_state(invoice, due_until or date.max, ended=ended)
    if state == "of_ended_service":
        return Reason.OF_ENDED_SERVICE
    if state == "undated" and due_until is not None:
        return Reason.UNDATED
    is_over = max_each is not None and invoice.amount is not None and invoice.amount > max_each
    return Reason.OVER_EACH if is_over else None


def _select_open(
    invoices: Sequence[Invoice], currency: str | None, service: int | None, day: date
) -> list[Invoice]:
    return [
        invoice
        for invoice in invoices
        if due_state(invoice, day) not in ("closed", "later")
        and (
            currency is None or fold_currency(invoice.invoices_currency) == fold_currency(currency)
        )
        and service in (None, invoice.invoices_service)
    ]


def _require_one_currency(invoices: Sequence[Invoice]) -> None:
    currencies = sorted({fold_currency(invoice.invoices_currency) for invoice in invoices})
    if len(currencies) > 1:
        raise SeveralCurrencies(currencies)


def _limit_total(invoices: Sequence[Invoice], max_total: Decimal) -> list[Invoice]:
    """Return the first invoices, which cost no more than that in all."""
    affordable: list[Invoice] = []
    total = Decimal(0)
    for invoice in invoices:
        total = add_exactly(total, invoice.amount or Decimal(0))
        if total > max_total:
            break
        affordable.append(invoice)
    if invoices and not affordable:
        cost = f"invoice {invoices[0].invoices_id} alone costs {invoices[0].amount}"
        raise ValueError(f"{cost}, more than {max_total} in all; nothing is planned")
    return affordable


def _make_sort_key(invoice: Invoice) -> tuple[date, int]:
    return find_due_day(invoice) or date.max, invoice.invoices_id or 0
