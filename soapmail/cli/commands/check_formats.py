"""A check as the line of a monitoring plugin, as JSON, or as metrics for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ...billing.money import format_cost, format_money, format_sums, sum_by_currency
from ..dates import format_day
from ..output import format_json
from ..terminal import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from ...billing import Finding
    from ...billing.money import Sum
    from ...models import Invoice

_OK, _WARNING, _CRITICAL, UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_NAMED_AT_MOST = 3  # in the first line
DUE_STATES = ("overdue", "due_soon", "undated", "wrong", "apart", "later")


class OpenInvoice(NamedTuple):
    """One open invoice of one account, the days until it is due, and what is wrong with it."""

    account: str | None
    invoice: Invoice
    days: int | None
    findings: Sequence[Finding] = ()


class Prepaid(NamedTuple):
    """What is left of an account's prepaid balance; ``None``: unknown, for the ``problem``."""

    account: str | None
    remaining: Decimal | None
    problem: str | None = None


class DueReport(NamedTuple):
    """What is open, by what it means: each list in the order of the due dates."""

    overdue: Sequence[OpenInvoice] = ()
    due_soon: Sequence[OpenInvoice] = ()
    # Open without a due date, so it may be due.
    undated: Sequence[OpenInvoice] = ()
    # What must not be paid before somebody has looked at it, whenever it is due.
    wrong: Sequence[OpenInvoice] = ()
    # Of services that have ended.
    apart: Sequence[OpenInvoice] = ()
    later: Sequence[OpenInvoice] = ()
    # Where something is due.
    prepaid: Sequence[Prepaid] = ()
    checked: Sequence[str | None] = ()
    failed: Sequence[tuple[str | None, str]] = ()

    @property
    def code(self) -> int:
        """The exit code of a monitoring plugin: the worst state, in the order of its guidelines.

        What is known to be overdue is CRITICAL, also where another account failed.
        """
        if self.overdue:
            return _CRITICAL
        if self.failed:
            return UNKNOWN
        return _WARNING if self.due_soon or self.undated or self.wrong else _OK

    def sums(self, state: str) -> dict[str, Sum]:
        """Return what the invoices of a state cost, by currency."""
        return _sum_invoices(getattr(self, state))


def _sum_invoices(invoices: Sequence[OpenInvoice]) -> dict[str, Sum]:
    return sum_by_currency(opened.invoice for opened in invoices)


# --- in words --------------------------------------------------------------------------------


def format_as_text(report: DueReport) -> str:
    """Return the line of a monitoring plugin, its performance data, and a line an invoice."""
    line = f"MAIL INVOICES {_WORDS[report.code]}: {'; '.join(_make_summary_parts(report))}"
    data = f" | {' '.join(_make_performance_data(report))}" if report.checked else ""
    lines = [f"{_replace_bar(line)}{data}"]
    for state in ("overdue", "due_soon", "undated"):
        lines += [_format_detail(state, opened) for opened in getattr(report, state)]
    lines += dict.fromkeys(  # one may name several invoices
        f"{_format_prefix(opened.account)}wrong: {_replace_bar(f'{finding.kind}: {finding.text}')}"
        for opened in report.wrong
        for finding in opened.findings
    )
    lines += [_format_prepaid(prepaid) for prepaid in report.prepaid]
    lines += [f"failed: {name}: {_replace_bar(words)}" for name, words in report.failed if name]
    return "\n".join(lines) + "\n"


def _make_summary_parts(report: DueReport) -> list[str]:
    names = [name for name, _ in report.failed if name]
    parts = [words for name, words in report.failed if not name]
    if names:
        total = len(report.checked) + len(names)
        parts.append(f"could not check {len(names)} of {total} accounts ({_join_first_few(names)})")
    for state, word, invoices in (
        ("overdue", "since", report.overdue),
        ("due soon", "on", report.due_soon),
        ("open without a due date", "", report.undated),
        ("wrong", "", report.wrong),
    ):
        if invoices:
            named = _join_first_few([_format_name(opened, word) for opened in invoices])
            sums = format_sums(_sum_invoices(invoices))
            parts.append(f"{len(invoices)} {state}, {sums} ({named})")
    if not parts:
        later = "".join(f", next is {_format_name(opened, 'on')}" for opened in report.later[:1])
        parts.append(f"nothing is due{later}")
    if report.apart:
        sums = format_sums(report.sums("apart"))
        parts.append(f"{len(report.apart)} open of ended services, {sums}")
    return parts


def _format_prepaid(prepaid: Prepaid) -> str:
    words = "unknown" if prepaid.remaining is None else format_money(prepaid.remaining)
    words += f" ({prepaid.problem})" if prepaid.problem else ""
    return f"{_format_prefix(prepaid.account)}prepaid: {_replace_bar(words)} left"


def _format_name(opened: OpenInvoice, word: str) -> str:
    due = format_day(opened.invoice, "due_date", word) if word else None
    when = f" {due}" if due else ""
    return f"{_format_prefix(opened.account)}{opened.invoice.invoices_id}{when}"


def _format_prefix(account: str | None) -> str:
    return "" if account is None else f"{printable(account)}: "


def _join_first_few(texts: Sequence[str]) -> str:
    more = ["..."] if len(texts) > _NAMED_AT_MOST else []
    return ", ".join([*texts[:_NAMED_AT_MOST], *more])


def _format_detail(state: str, opened: OpenInvoice) -> str:
    invoice = opened.invoice
    cost = format_cost(invoice)
    if invoice.amount is None:
        cost = f"unknown amount {invoice.invoices_currency or ''}".strip()
    due = format_day(invoice, "due_date", "due") or "no due date"
    service = f"service {invoice.invoices_service}" if invoice.invoices_service else "no service"
    texts = (str(invoice.invoices_id), cost, due, service, invoice.invoices_description)
    detail = _replace_bar(", ".join(filter(None, texts)))
    return f"{_format_prefix(opened.account)}{state.replace('_', ' ')}: {detail}"


def _replace_bar(words: str) -> str:
    """Return a text without what would begin performance data, or another line."""
    return printable(words).replace("|", "/")


def _make_performance_data(report: DueReport) -> list[str]:
    """Return the data behind the bar: label=value;warn;crit;min."""
    data = [
        f"overdue={len(report.overdue)};;0;0",
        f"due_soon={len(report.due_soon)};0;;0",
        f"undated={len(report.undated)};0;;0",
        f"wrong={len(report.wrong)};0;;0",
        f"open={sum(len(getattr(report, state)) for state in DUE_STATES)};;;0",
        f"ended_services={len(report.apart)};;;0",
    ]
    labels: dict[str, str] = {}
    for state in ("overdue", "due_soon"):
        for currency, total in report.sums(state).items():
            label = "".join(letter for letter in currency if letter.isalnum()) or "none"
            while labels.setdefault(label, currency) != currency:
                label += "_"
            data.append(f"{state}_{label}={format_money(total.amount)};;;0")
            if total.unknown:
                data.append(f"{state}_{label}_unknown={total.unknown};;;0")
    return data


# --- for programs ----------------------------------------------------------------------------


def format_as_json(report: DueReport) -> str:
    """Return it as one JSON object."""
    parts: dict[str, Any] = {"status": _WORDS[report.code], "code": report.code}
    for state in DUE_STATES:
        parts[state] = [_make_invoice_fields(opened) for opened in getattr(report, state)]
    sums = {state: report.sums(state) for state in DUE_STATES}
    # How many amounts are not known, beside what the others add up to.
    for name, key in (("amounts", "amount"), ("unknown_amounts", "unknown")):
        parts[name] = {
            state: {currency: getattr(total, key) for currency, total in totals.items()}
            for state, totals in sums.items()
        }
    parts["prepaid"] = [prepaid._asdict() for prepaid in report.prepaid]
    parts["failed"] = [{"account": name, "error": words} for name, words in report.failed]
    return format_json(parts) + "\n"


def _make_invoice_fields(opened: OpenInvoice) -> dict[str, Any]:
    invoice = opened.invoice
    findings = [{"kind": finding.kind, "text": finding.text} for finding in opened.findings]
    return {
        "account": opened.account,
        "invoices_id": invoice.invoices_id,
        "invoices_due_date": invoice.invoices_due_date,
        "days_left": opened.days,
        "invoices_amount": invoice.invoices_amount,
        "invoices_currency": invoice.invoices_currency,
        "invoices_service": invoice.invoices_service,
        "invoices_description": invoice.invoices_description,
        **({"findings": findings} if findings else {}),
    }


_METRICS = (
    ("soapmail_check_success", "Whether the account could be checked."),
    ("soapmail_check_time_seconds", "When it was checked, in seconds since 1970."),
    ("soapmail_open_invoices", "Open invoices, by what they mean."),
    ("soapmail_open_amount", "Known amounts of open invoices, by what they mean, by currency."),
    ("soapmail_open_unknown_amounts", "Open invoices without an amount, in no sum."),
    ("soapmail_prepaid_remaining", "What is left of the prepaid balance, where something is due."),
)


def format_as_metrics(report: DueReport) -> str:
    """Return it in the text format of Prometheus (0.0.4)."""
    lines = []
    for (name, about), samples in zip(_METRICS, _make_samples(report), strict=True):
        lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_format_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


Samples = list[tuple[dict[str, str | None], object]]


def _make_samples(report: DueReport) -> list[Samples]:
    success: Samples = [({"account": name}, 1) for name in report.checked]
    success += [({"account": name}, 0) for name, _ in report.failed]
    counts: Samples = []
    amounts: Samples = []
    unknown: Samples = []
    by_account: dict[tuple[str | None, str], list[OpenInvoice]] = {}
    for state in DUE_STATES:
        for opened in getattr(report, state):
            by_account.setdefault((opened.account, state), []).append(opened)
    for name in report.checked:
        for state in DUE_STATES:
            invoices = by_account.get((name, state), [])
            labels = {"account": name, "state": state}
            counts.append((labels, len(invoices)))
            for currency, total in _sum_invoices(invoices).items():
                amounts.append(({**labels, "currency": currency}, f"{total.amount:f}"))
                unknown.append(({**labels, "currency": currency}, total.unknown))
    prepaid: Samples = [
        ({"account": one.account}, f"{one.remaining:f}")
        for one in report.prepaid
        if one.remaining is not None
    ]
    return [success, [({}, int(time.time()))], counts, amounts, unknown, prepaid]


def _format_labels(labels: dict[str, str | None]) -> str:
    pairs = [f'{name}="{_escape(value)}"' for name, value in labels.items() if value is not None]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
