"""A check as the line of a monitoring plugin, as JSON, or as metrics for Prometheus."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from ..output import json_text
from ..terminal import money, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...models import Invoice


_OK, _WARNING, _CRITICAL, _UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_FEW = 3
_STATES = ("overdue", "due_soon", "undated", "apart", "later")


class Bill(NamedTuple):
    """One open invoice of one account, and the days until it is due."""

    account: str | None
    invoice: Invoice
    days: int | None

    @property
    def cost(self) -> str:
        """Its amount and currency."""
        return _amount_words(self.invoice.invoices_currency, self.invoice.amount)


class Standing(NamedTuple):
    """What is open, by what it means: each list in the order of the due dates."""

    overdue: Sequence[Bill] = ()
    due_soon: Sequence[Bill] = ()
    # Open without a due date, so it may be due.
    undated: Sequence[Bill] = ()
    # Of services that have ended.
    apart: Sequence[Bill] = ()
    later: Sequence[Bill] = ()
    # What is left of each account's prepaid balance, in words, where something is due.
    prepaid: Sequence[tuple[str | None, str]] = ()
    checked: Sequence[str | None] = ()
    failed: Sequence[tuple[str, str]] = ()

    @property
    def code(self) -> int:
        """The exit code of a monitoring plugin."""
        if self.failed:
            return _UNKNOWN
        if self.overdue:
            return _CRITICAL
        return _WARNING if self.due_soon or self.undated else _OK


def standing(bills: Iterable[Bill], ended: set[int | None], within: int) -> Standing:
    """Sort open invoices by what they mean; ``ended``: the services that have ended."""
    found: dict[str, Any] = {state: [] for state in _STATES}
    for bill in sorted(bills, key=lambda bill: (bill.days is not None, bill.days or 0)):
        found[_state(bill, ended, within)].append(bill)
    return Standing(**found)


def _state(bill: Bill, ended: set[int | None], within: int) -> str:
    if bill.invoice.invoices_service in ended:
        return "apart"
    if bill.days is None:
        return "undated"
    if bill.days < 0:
        return "overdue"
    return "due_soon" if bill.days <= within else "later"


def text(found: Standing) -> str:
    """Write the line of a monitoring plugin, its performance data, and a line an invoice."""
    line = f"MAIL INVOICES {_WORDS[found.code]}: {'; '.join(_said(found))}"
    lines = [f"{_safe(line)} | {' '.join(_performance(found))}"]
    for state in ("overdue", "due_soon", "undated"):
        lines += [_detail(state, bill) for bill in getattr(found, state)]
    lines += [f"{_of(account)}prepaid: {_safe(words)} left" for account, words in found.prepaid]
    lines += [f"failed: {name}: {_safe(words)}" for name, words in found.failed]
    return "\n".join(lines) + "\n"


def _said(found: Standing) -> list[str]:
    said = []
    if found.failed:
        names = _few([name for name, _ in found.failed])
        said.append(f"no response from {len(found.failed)} of {_total(found)} accounts ({names})")
    for state, word, bills in (
        ("overdue", "since", found.overdue),
        ("due soon", "on", found.due_soon),
        ("open without a due date", "", found.undated),
    ):
        if bills:
            told = _few([_invoice_words(bill, word) for bill in bills])
            said.append(f"{len(bills)} {state}, {_sum_words(bills)} ({told})")
    if not said:
        said.append(f"nothing is due{_next(found.later)}")
    if found.apart:
        said.append(f"{len(found.apart)} open of ended services, {_sum_words(found.apart)}")
    return said


def _total(found: Standing) -> int:
    return len(found.checked) + len(found.failed)


def _next(later: Sequence[Bill]) -> str:
    return f", next is {_invoice_words(later[0], 'on')}" if later else ""


def _invoice_words(bill: Bill, word: str) -> str:
    due = bill.invoice.due_date
    when = f" {word} {due.date()}" if due else ""
    return f"{_of(bill.account)}{bill.invoice.invoices_id}{when}"


def _of(account: str | None) -> str:
    return "" if account is None else f"{shown(account)}: "


def _few(texts: Sequence[str]) -> str:
    return ", ".join([*texts[:_FEW], *(["..."] if len(texts) > _FEW else [])])


def _detail(state: str, bill: Bill) -> str:
    one = bill.invoice
    due = f"due {one.due_date.date()}" if one.due_date else "no due date"
    of = f"service {one.invoices_service}" if one.invoices_service else "no service"
    parts = (str(one.invoices_id), bill.cost, due, of, one.invoices_description or "")
    return f"{_of(bill.account)}{state.replace('_', ' ')}: {_safe(', '.join(filter(None, parts)))}"


def _safe(words: str) -> str:
    """Write a text without what would begin performance data, or another line."""
    return shown(words).replace("|", "/")


def _amount_words(currency: str | None, amount: Decimal | None) -> str:
    return f"{'unknown amount' if amount is None else money(amount)} {currency or ''}".strip()


def _by_currency(bills: Iterable[Bill]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for bill in bills:
        currency = bill.invoice.invoices_currency or ""
        sums[currency] = sums.get(currency, Decimal(0)) + (bill.invoice.amount or 0)
    return dict(sorted(sums.items()))


def _sum_words(bills: Sequence[Bill]) -> str:
    sums = " and ".join(
        _amount_words(currency, sum_) for currency, sum_ in _by_currency(bills).items()
    )
    unknown = sum(bill.invoice.amount is None for bill in bills)
    return sums + (f" and {unknown} of unknown amount" if unknown else "")


def _performance(found: Standing) -> list[str]:
    """Give the data behind the bar: label=value;warn;crit;min."""
    data = [
        f"overdue={len(found.overdue)};;0;0",
        f"due_soon={len(found.due_soon)};0;;0",
        f"open={sum(len(getattr(found, state)) for state in _STATES)};;;0",
        f"ended_services={len(found.apart)};;;0",
    ]
    for state in ("overdue", "due_soon"):
        for currency, amount in _by_currency(getattr(found, state)).items():
            label = "".join(one for one in currency if one.isalnum()) or "none"
            data.append(f"{state}_{label}={money(amount)};;;0")
    return data


def as_json(found: Standing) -> str:
    """Write it as one JSON object."""
    parts: dict[str, Any] = {"status": _WORDS[found.code], "code": found.code}
    for state in _STATES:
        parts[state] = [_bill(bill) for bill in getattr(found, state)]
    parts["amounts"] = {
        state: {key: str(sum_) for key, sum_ in _by_currency(getattr(found, state)).items()}
        for state in _STATES
    }
    parts["prepaid"] = [{"account": name, "remaining": words} for name, words in found.prepaid]
    parts["failed"] = [{"account": name, "error": words} for name, words in found.failed]
    return json_text(parts) + "\n"


def _bill(bill: Bill) -> dict[str, Any]:
    one = bill.invoice
    return {
        "account": bill.account,
        "invoices_id": one.invoices_id,
        "invoices_due_date": one.invoices_due_date,
        "days_left": bill.days,
        "invoices_amount": one.invoices_amount,
        "invoices_currency": one.invoices_currency,
        "invoices_service": one.invoices_service,
        "invoices_description": one.invoices_description,
    }


_METRICS = (
    ("soapmail_check_success", "Whether the account could be checked."),
    ("soapmail_check_time_seconds", "When it was checked, in seconds since 1970."),
    ("soapmail_open_invoices", "Open invoices, by what they mean."),
    ("soapmail_open_amount", "Amounts of open invoices, by what they mean and by currency."),
    ("soapmail_prepaid_remaining", "What is left of the prepaid balance, where something is due."),
)


def metrics(found: Standing) -> str:
    """Write it in the text format of Prometheus."""
    lines = []
    for (name, about), samples in zip(_METRICS, _samples(found), strict=True):
        lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


Samples = list[tuple[dict[str, str | None], object]]


def _samples(found: Standing) -> list[Samples]:
    success: Samples = [({"account": name}, 1) for name in found.checked]
    success += [({"account": name}, 0) for name, _ in found.failed]
    counts: Samples = []
    sums: Samples = []
    by_account: dict[tuple[str | None, str], list[Bill]] = {}
    for state in _STATES:
        for bill in getattr(found, state):
            by_account.setdefault((bill.account, state), []).append(bill)
    for name in found.checked:
        for state in _STATES:
            bills = by_account.get((name, state), [])
            labels = {"account": name, "state": state}
            counts.append((labels, len(bills)))
            sums += [
                ({**labels, "currency": currency}, f"{amount:f}")
                for currency, amount in _by_currency(bills).items()
            ]
    left: Samples = [
        ({"account": name}, words) for name, words in found.prepaid if words[:1].isdigit()
    ]
    return [success, [({}, int(time.time()))], counts, sums, left]


def _labels(labels: dict[str, str | None]) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in labels.items() if value is not None]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
