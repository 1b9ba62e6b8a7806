"""What is wrong in the bills: checks of an account's records, each with a name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from .due import find_ended_services, is_active, read_moment
from .ledger import Ledger, Row, order_by_date
from .money import add_exactly, format_money

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date

    from ..models import Invoice, MailService

_UNPAYABLE = ("charged-twice", "open-though-paid", "listed-twice")
_WRONG = (*_UNPAYABLE, "paid-twice")
KINDS = (
    *_WRONG, "paid-without-payment", "payment-without-charge", "amount-changed",
    "currency-changed", "open-of-ended-service", "unknown-service", "unreadable-date",
    "due-before-date", "no-amount", "negative-amount", "not-billed", "incomplete",
)  # fmt: skip
# Renewals are a month apart: what comes sooner is the same month again.
_MIN_RENEWAL = timedelta(days=20)
_UNBILLED_DAYS = 45
_NAMED_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in an account's bills, or should be looked at.

    - ``kind``: one of ``KINDS``; ``level``: ``wrong`` (money or truth is at stake) or ``look``
    - ``invoices``: the ids of what it is about, the oldest first; ``service``: a ``mail_id``
    - ``amount``: in ``currency``, what the charge costs, the newest one of several; of
      ``paid-twice`` what was paid too much; ``None``: unknown
    - ``text``: one sentence that a person can send to the provider's support
    """

    kind: str
    level: str
    invoices: tuple[int, ...]
    service: int | None
    amount: Decimal | None
    currency: str | None
    text: str


def audit(
    invoices: Iterable[Invoice], services: Iterable[MailService] | None = None, *, today: date
) -> list[Finding]:
    """Return what is wrong in an account's bills, then what to look at, each by its date.

    ``services``: ``None``: they are not known, and no check asks for them. The order of records
    changes nothing, and one that is given twice counts once. Nothing is raised for what stands in
    a record: what cannot be checked is a finding, too.
    """
    ledger = Ledger(invoices)
    dated = list(_compare_rows(ledger))
    dated += [finding for row in ledger.rows for finding in _check_row(row)]
    if services is not None:
        dated += _check_services(ledger, list(services), today)
    return [finding for _, finding in sorted(dated, key=_sort_key)]


def find_unpayable(invoices: Iterable[Invoice]) -> dict[int | None, list[Finding]]:
    """Return by its id what must not be paid as the list stands, and the findings that say why."""
    findings: dict[int | None, list[Finding]] = {}
    for _, finding in sorted(_compare_rows(Ledger(invoices)), key=_sort_key):
        for id in finding.invoices if finding.kind in _UNPAYABLE else ():
            findings.setdefault(id, []).append(finding)
    return findings


_Dated = tuple[datetime, Finding]
_RANKS = {kind: rank for rank, kind in enumerate(KINDS)}


def _make_finding(kind: str, rows: list[Row], text: str, amount: Decimal | None = None) -> _Dated:
    """Return a finding about rows, the oldest first, of which the last charge gives the cost."""
    main = ([row for row in rows if row.invoice.is_charge] or rows)[-1]
    finding = Finding(
        kind,
        "wrong" if kind in _WRONG else "look",
        tuple([row.id for row in rows if row.id is not None]),
        main.invoice.invoices_service,
        main.amount if amount is None else amount,
        main.invoice.invoices_currency,
        f"{text[0].upper()}{text[1:]}.",
    )
    return rows[0].moment or datetime.max, finding


def _sort_key(dated: _Dated) -> tuple[object, ...]:
    moment, one = dated
    rest = f"{one.service} {one.amount} {one.currency}"
    return one.level != "wrong", moment, one.invoices, _RANKS[one.kind], one.text, rest


def _compare_rows(ledger: Ledger) -> Iterator[_Dated]:
    """Look at rows beside each other."""
    yield from _check_listing(ledger)
    yield from _check_renewals(ledger)
    yield from _check_payments(ledger)


def _check_listing(ledger: Ledger) -> Iterator[_Dated]:
    for rows in ledger.conflicts:
        names = [field.name for field in fields(rows[0].invoice)]
        names = [name for name in names if len({getattr(row.invoice, name) for row in rows}) > 1]
        text = f"invoice {rows[0].id} is listed in {len(rows)} versions that differ in"
        yield _make_finding("listed-twice", rows[:1], f"{text} {' and '.join(names)}")


def _check_renewals(ledger: Ledger) -> Iterator[_Dated]:
    first: dict[int, Row] = {}
    groups: dict[int, list[Row]] = {}  # of more than one
    for row in ledger.charges:
        extra = row.invoice.invoices_extra
        if extra and row.moment is not None and first.setdefault(extra, row) is not row:
            groups.setdefault(extra, [first[extra]]).append(row)
    for group in groups.values():
        group.sort(key=order_by_date)
        yield from _compare_renewals(group)


def _compare_renewals(charges: Sequence[Row]) -> Iterator[_Dated]:
    """Compare each charge of a repeat invoice with the one before it."""
    last: dict[int | None, Row] = {}
    with_currency = with_amount = charges[0]
    for row in charges:
        service = row.invoice.invoices_service
        twin = last.get(service)
        if twin and twin.moment and row.moment and row.moment - twin.moment < _MIN_RENEWAL:
            days = (row.moment - twin.moment).days
            name = f"service {service}" if service else "a renewal of no service"
            apart = "1 day" if days == 1 else f"{days} days"
            text = f"{name} was charged twice, {apart} apart: {twin} and {row}"
            yield _make_finding("charged-twice", [twin, row], text)
        last[service] = row
        if row.currency:
            if with_currency.currency not in ("", row.currency):
                text = f"{row} is in another currency than {with_currency} of its repeat invoice"
                yield _make_finding("currency-changed", [with_currency, row], text)
            with_currency = row
        if row.amount is not None:
            is_other = with_amount.amount not in (None, row.amount)
            if is_other and with_amount.currency == row.currency:
                text = f"{row} costs something else than {with_amount} of its repeat invoice"
                yield _make_finding("amount-changed", [with_amount, row], text)
            with_amount = row


def _check_payments(ledger: Ledger) -> Iterator[_Dated]:
    for id, payments in ledger.payments.items():
        yield from _compare(ledger.all_charges[id], payments, ledger.refunds.get(id, []))
    for charge in ledger.charges if ledger.has_payments else ():
        is_paid = charge.invoice.is_paid and charge.amount is not None and charge.amount > 0
        if is_paid and charge.id is not None and charge.id not in ledger.payments:
            text = f"{charge} is marked paid, and no payment of it is listed"
            yield _make_finding("paid-without-payment", [charge], text)
    for row in ledger.strays:
        target = row.invoice.invoices_extra
        what = f"invoice {target}, which is not listed as a charge" if target else "no charge"
        yield _make_finding("payment-without-charge", [row], f"{row} is a payment of {what}")


def _compare(charge: Row, payments: list[Row], refunds: list[Row]) -> Iterator[_Dated]:
    """Compare what a charge costs with what was paid in its currency."""
    paid, rows, word = Decimal(0), [charge], "payments"
    for row in [*payments, *refunds]:
        if row.amount is not None and row.currency == charge.currency:
            is_refund = row.invoice.invoices_extra != charge.id
            word = "payments and refunds" if is_refund else word
            amount = row.amount.copy_abs().copy_negate() if is_refund else row.amount
            paid = add_exactly(paid, amount)
            rows.append(row)
    if charge.amount is None or paid <= 0 or (paid == charge.amount and not charge.invoice.is_open):
        return
    rows.sort(key=order_by_date)
    names = [str(row.id or "without an id") for row in rows if row is not charge]
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    by = f"({word}: {', '.join(names[:_NAMED_AT_MOST])}{more})"
    total = f"{format_money(paid)} {charge.currency}".strip()
    over = add_exactly(paid, charge.amount.copy_negate())
    if over > 0:
        text = f"{charge} was paid with {total}, which is more than it costs {by}"
        yield _make_finding("paid-twice", rows, text, over)
    if over >= 0 and charge.invoice.is_open:
        text = f"{charge} is open, though {total} was paid for it {by}"
        yield _make_finding("open-though-paid", rows, text)


def _check_row(row: Row) -> Iterator[_Dated]:
    is_charge = row.invoice.is_charge
    if row.moment is None or (is_charge and row.due is None):
        yield from _check_dates(row)
    if row.due and row.moment and row.due.date() < row.moment.date():
        text = f"{row} was due on {row.due.date()}, before it was made"
        yield _make_finding("due-before-date", [row], text)
    missing = ["invoices_id"] if row.id is None else []
    missing += [] if is_charge or row.is_payment else ["invoices_type"]
    missing += [] if row.currency else ["invoices_currency"]
    missing += ["invoices_amount"] if row.is_payment and row.amount is None else []
    if missing:
        yield _make_finding("incomplete", [row], f"{row} has no usable {' and no '.join(missing)}")
    if is_charge and row.amount is None:
        yield _make_finding("no-amount", [row], f"{row} has no amount")
    if is_charge and row.amount is not None and row.amount < 0:
        yield _make_finding("negative-amount", [row], f"{row} has a negative amount")


def _check_dates(row: Row) -> Iterator[_Dated]:
    texts = []
    for reading in ("date", "due_date") if row.invoice.is_charge else ("date",):
        read = read_moment(row.invoice, reading)
        if read.problem is not None:
            texts.append(f"an invoices_{reading} that is no date, {read.problem.value!r}")
        elif read.moment is None and (reading == "date" or row.invoice.is_open):
            texts.append(f"no invoices_{reading}")
    if texts:
        yield _make_finding("unreadable-date", [row], f"{row} has {' and '.join(texts)}")


def _check_services(
    ledger: Ledger, services: Sequence[MailService], today: date
) -> Iterator[_Dated]:
    listed, ended = {service.mail_id for service in services}, find_ended_services(services)
    last: dict[int | None, Row] = {}
    for row in ledger.charges:
        service = row.invoice.invoices_service
        before = last.get(service)
        if row.moment and (before is None or order_by_date(before) < order_by_date(row)):
            last[service] = row
        if service and service not in listed:
            text = f"{row} is of service {service}, which is not listed"
            yield _make_finding("unknown-service", [row], text)
        if row.invoice.is_open and service in ended:
            text = f"{row} is open, though its service {service} has ended"
            yield _make_finding("open-of-ended-service", [row], text)
    for id in {service.mail_id for service in services if is_active(service)}:
        charge = last.get(id) if id is not None else None
        days = today.toordinal() - charge.moment.toordinal() if charge and charge.moment else 0
        if charge and days >= _UNBILLED_DAYS:
            text = f"service {id} is active, and was last charged {days} days ago: {charge}"
            yield _make_finding("not-billed", [charge], text)
