"""What is wrong in the bills: for each kind, rows that are found, and the nearest that are not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soapmail import Invoice, MailService
from soapmail.billing import Finding, audit
from soapmail.billing.audit import KINDS, find_unpayable

if TYPE_CHECKING:
    import random

TODAY = date(2026, 11, 27)
# The kinds of the page, by their level.
WRONG = {"charged-twice", "paid-twice", "open-though-paid", "listed-twice"}


def charge(id: int | None = 1, day: str = "2026-11-01", **fields: Any) -> Invoice:
    """Make an open charge of service 7 over 10.00 USD that is due in two weeks."""
    made = datetime.fromisoformat(day)
    whole: dict[str, Any] = {
        "invoices_id": id, "invoices_type": 1, "invoices_amount": 10.0, "invoices_currency": "USD",
        "invoices_date": str(made), "invoices_due_date": str(made + timedelta(14)),
        "invoices_extra": 500, "invoices_service": 7, "invoices_paid": 0, "invoices_deleted": 0,
    }  # fmt: skip
    return Invoice(**{**whole, **{f"invoices_{name}": value for name, value in fields.items()}})


def paid(id: int = 1, day: str = "2026-11-01", **fields: Any) -> Invoice:
    return charge(id, day, **{"paid": 1, **fields})


def payment(id: int, target: int | None, amount: float | None = 10.0, **fields: Any) -> Invoice:
    whole = {"type": 10, "extra": target, "amount": amount, "paid": 1, "due_date": None}
    return charge(id, "2026-11-02", **{**whole, **fields})


def service(id: int | None = 7, status: str = "active") -> MailService:
    return MailService(mail_id=id, mail_status=status)


def look(
    *invoices: Invoice, services: list[MailService] | None = None
) -> list[tuple[str, tuple[int, ...]]]:
    """Return the kinds that are found, and of what."""
    found = audit(invoices, services, today=TODAY)
    for finding in found:
        assert finding.level == ("wrong" if finding.kind in WRONG else "look")
        assert finding.text[0].isupper()
        assert finding.text.endswith(".")
        assert ". " not in finding.text
        assert all(str(id) in finding.text for id in finding.invoices)
    backwards = audit(invoices[::-1], services and services[::-1], today=TODAY)
    assert backwards == found
    assert audit([*invoices, *invoices], services, today=TODAY) == found
    return [(finding.kind, finding.invoices) for finding in found]


FOUND: list[tuple[str, list[Invoice], list[tuple[str, tuple[int, ...]]]]] = [
    # --- charged twice: one repeat invoice and service, less than 20 days apart
    ("19 days", [charge(1), charge(2, "2026-11-20")], [("charged-twice", (1, 2))]),
    (
        "a second less than 20 days",
        [charge(1), charge(2, "2026-11-20 23:59:59")],
        [("charged-twice", (1, 2))],
    ),
    ("20 days", [charge(1), charge(2, "2026-11-21")], []),
    ("the same moment", [charge(2), charge(1)], [("charged-twice", (1, 2))]),
    ("paid and open", [paid(1), charge(2, "2026-11-03")], [("charged-twice", (1, 2))]),
    ("a deleted twin", [charge(1), charge(2, deleted=1)], []),
    ("of another repeat invoice", [charge(1), charge(2, extra=501)], []),
    ("of no repeat invoice", [charge(1, extra=0), charge(2, extra=0)], []),
    ("of another service", [charge(1), charge(2, service=8)], []),
    (
        "three times",
        [charge(1), charge(2, "2026-11-02"), charge(3, "2026-11-03")],
        [("charged-twice", (1, 2)), ("charged-twice", (2, 3))],
    ),
    ("on a day that is not known", [charge(1), charge(2, date="x")], [("unreadable-date", (2,))]),
    # --- paid twice
    ("paid once", [paid(), payment(2, 1)], []),
    ("paid twice", [paid(), payment(2, 1), payment(3, 1)], [("paid-twice", (1, 2, 3))]),
    ("paid by two halves", [paid(), payment(2, 1, 5.0), payment(3, 1, 5.0)], []),
    ("paid by a cent too much", [paid(), payment(2, 1, 10.01)], [("paid-twice", (1, 2))]),
    ("a deleted payment", [paid(), payment(2, 1), payment(3, 1, deleted=1)], []),
    ("in another currency", [paid(), payment(2, 1), payment(3, 1, currency="EUR")], []),
    ("a currency in small letters", [paid(), payment(2, 1), payment(3, 1, currency="usd")], [("paid-twice", (1, 2, 3))]),
    ("a negative payment", [paid(), payment(2, 1), payment(3, 1), payment(4, 1, -10.0)], []),
    ("a refund of a payment", [paid(), payment(2, 1), payment(3, 1), payment(4, 3)], []),
    ("a negative refund of a payment", [paid(), payment(2, 1), payment(3, 1), payment(4, 3, -10.0)], []),
    (
        "a refund of a part",
        [paid(), payment(2, 1), payment(3, 1), payment(4, 3, 9.99)],
        [("paid-twice", (1, 2, 3, 4))],
    ),
    (
        "a deleted refund",
        [paid(), payment(2, 1), payment(3, 1), payment(4, 3, deleted=1)],
        [("paid-twice", (1, 2, 3))],
    ),
    (
        "a refund of a deleted payment",
        [paid(), payment(2, 1), payment(3, 1), payment(4, 1, deleted=1), payment(5, 4)],
        [("paid-twice", (1, 2, 3))],
    ),
    (
        "a refund in another currency",
        [paid(), payment(2, 1), payment(3, 1), payment(4, 3, currency="EUR")],
        [("paid-twice", (1, 2, 3))],
    ),
    ("of a charge of no amount", [paid(amount=None), payment(2, 1)], [("no-amount", (1,))]),
    ("tenths", [paid(amount=0.3), payment(2, 1, 0.1), payment(3, 1, 0.2)], []),
    (
        "a row of no type that points to a payment",
        [paid(), payment(2, 1), payment(3, 1), payment(4, 3, type=None)],
        [("incomplete", (4,))],
    ),
    (
        "a row of no type that points to a charge",
        [paid(), payment(2, 1), payment(3, 1, type=None)],
        [("incomplete", (3,))],
    ),
    # --- open though paid
    ("open though paid", [charge(), payment(2, 1)], [("open-though-paid", (1, 2))]),
    ("paid in part", [charge(), payment(2, 1, 9.99)], []),
    ("paid and refunded", [charge(), payment(2, 1), payment(3, 2)], []),
    ("paid in another currency", [charge(), payment(2, 1, currency="EUR")], []),
    ("by a deleted payment", [charge(), payment(2, 1, deleted=1)], []),
    (
        "open though paid twice",
        [charge(), payment(2, 1), payment(3, 1)],
        [("open-though-paid", (1, 2, 3)), ("paid-twice", (1, 2, 3))],
    ),
    ("open and of nothing", [charge(amount=0.0), payment(2, 9, extra=1, amount=0.0)], []),
    # --- paid without a payment
    ("paid without a payment", [paid(1), paid(2, extra=501), payment(3, 2)], [("paid-without-payment", (1,))]),
    ("in a list without payments", [paid(1)], []),
    ("of nothing", [paid(1, amount=0.0), paid(2, extra=501), payment(3, 2)], []),
    ("deleted", [paid(1, deleted=1), paid(2, extra=501), payment(3, 2)], []),
    ("open", [charge(1), paid(2, extra=501), payment(3, 2)], []),
    ("by a payment in part", [paid(1), payment(2, 1, 1.0)], []),
    ("by one without an id of another", [paid(1), replace(payment(2, 99), invoices_id=None)],
        [("paid-without-payment", (1,)), ("payment-without-charge", ()), ("incomplete", ())]),
    ("by one that was deleted", [paid(1), payment(2, 1, deleted=1)], [("paid-without-payment", (1,))]),
    # --- a payment without a charge
    ("of a charge that is not listed", [payment(2, 1)], [("payment-without-charge", (2,))]),
    ("of nothing that it names", [payment(2, None)], [("payment-without-charge", (2,))]),
    ("of a deleted charge", [paid(deleted=1), payment(2, 1)], []),
    ("deleted", [payment(2, 1, deleted=1)], []),
    ("of each other", [payment(2, 3), payment(3, 2)], [("payment-without-charge", (2,)), ("payment-without-charge", (3,))]),
    ("of itself", [payment(2, 2)], [("payment-without-charge", (2,))]),
    (
        "a refund of a refund",
        [charge(), payment(2, 1), payment(3, 2), payment(4, 3)],
        [("payment-without-charge", (4,))],
    ),
    ("a refund of one", [payment(2, 1), payment(3, 2)], [("payment-without-charge", (2,))]),
    # --- listed twice
    ("the same row twice", [charge(), charge()], []),
    ("two rows that differ", [charge(), charge(description="x")], [("listed-twice", (1,))]),
    ("open and paid", [charge(), paid()], [("listed-twice", (1,))]),
    ("three rows", [charge(), paid(), charge(description="x")], [("listed-twice", (1,))]),
    # The open one is looked at further, in whatever order they come: it is the first by its repr.
    (
        "open and paid beside a payment",
        [paid(), charge(), paid(2, extra=501), payment(3, 2)],
        [("listed-twice", (1,))],
    ),
    # What is not deleted counts, whatever stands in the other rows of the same id.
    (
        "a payment with a deleted twin",
        [charge(), payment(2, 1, description="b"), payment(2, 1, description="a", deleted=1)],
        [("open-though-paid", (1, 2)), ("listed-twice", (2,))],
    ),
    (
        "a charge with a deleted twin",
        [charge(1, description="b"), charge(1, description="a", deleted=1), charge(2)],
        [("listed-twice", (1,)), ("charged-twice", (1, 2))],
    ),
    # --- changes against the charge before, of the same repeat invoice
    ("another amount", [charge(1), charge(2, "2026-12-01", amount=12.0)], [("amount-changed", (1, 2))]),
    ("the same amount", [charge(1), charge(2, "2026-12-01", amount=10)], []),
    ("of another repeat invoice", [charge(1), charge(2, "2026-12-01", amount=12.0, extra=501)], []),
    ("of a deleted charge", [charge(1), charge(2, "2026-12-01", amount=12.0, deleted=1)], []),
    (
        "behind one without an amount",
        [charge(1), charge(2, "2026-12-01", amount=None), charge(3, "2027-01-01", amount=12.0)],
        [("amount-changed", (1, 3)), ("no-amount", (2,))],
    ),
    ("of a service that was moved", [charge(1), charge(2, "2026-12-01", amount=12.0, service=8)], [("amount-changed", (1, 2))]),
    ("another currency", [charge(1), charge(2, "2026-12-01", currency="EUR", amount=9.0)], [("currency-changed", (1, 2))]),
    ("the same in small letters", [charge(1), charge(2, "2026-12-01", currency="usd ")], []),
    (
        "another one behind one without a currency",
        [charge(1), charge(2, "2026-12-01", currency=None), charge(3, "2027-01-01", currency="EUR")],
        [("currency-changed", (1, 3)), ("incomplete", (2,))],
    ),
    # --- dates
    ("a date that is none", [paid(date="2026-13-01 00:00:00")], [("unreadable-date", (1,))]),
    ("a due date that is none", [paid(due_date="soon")], [("unreadable-date", (1,))]),
    ("both", [paid(due_date="soon", date="now")], [("unreadable-date", (1,))]),
    ("an open charge without a due date", [charge(due_date=None)], [("unreadable-date", (1,))]),
    ("zeros", [charge(due_date="0000-00-00 00:00:00")], [("unreadable-date", (1,))]),
    ("a paid one without a due date", [paid(due_date=None)], []),
    ("a charge without a date", [paid(date=None)], [("unreadable-date", (1,))]),
    ("a payment without a date", [paid(), payment(2, 1, date=None)], [("unreadable-date", (2,))]),
    ("a payment without a due date", [paid(), payment(2, 1, due_date=None)], []),
    ("a payment with a date that is none", [paid(), payment(2, 1, date="x")], [("unreadable-date", (2,))]),
    ("a date alone", [charge(date="2026-11-01", due_date="2026-11-01")], []),
    ("deleted", [charge(date="x", deleted=1)], []),
    ("due before", [charge(due_date="2026-10-31 23:59:59")], [("due-before-date", (1,))]),
    ("due the same day", [charge(day="2026-11-01 10:00:00", due_date="2026-11-01 00:00:00")], []),
    # --- amounts
    ("no amount", [charge(amount=None)], [("no-amount", (1,))]),
    ("an amount of zero", [charge(amount=0.0)], []),
    ("no number", [charge(amount=float("nan"))], [("no-amount", (1,))]),
    ("a negative amount", [charge(amount=-0.01)], [("negative-amount", (1,))]),
    ("deleted", [charge(1, amount=-1.0, deleted=1), charge(2, amount=None, deleted=1)], []),
    # --- what is missing
    ("no id", [charge(None)], [("incomplete", ())]),
    ("no type", [charge(type=None)], [("incomplete", (1,))]),
    ("a type that nobody documents", [charge(type=9)], [("incomplete", (1,))]),
    ("no currency", [charge(currency=None)], [("incomplete", (1,))]),
    ("a payment of no amount", [charge(), payment(2, 1, None)], [("incomplete", (2,))]),
    ("nothing", [Invoice()], [("unreadable-date", ()), ("incomplete", ())]),
    ("nothing but that it is deleted", [Invoice(invoices_deleted=1)], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("invoices", "found"), [pytest.param(*rest, id=name) for name, *rest in FOUND]
)
def test_findings(invoices: list[Invoice], found: list[tuple[str, tuple[int, ...]]]) -> None:
    assert look(*invoices) == found


OF_SERVICES: list[tuple[str, list[Invoice], list[MailService], list[tuple[str, tuple[int, ...]]]]] = [
    ("an active one", [charge()], [service()], []),
    ("expired", [charge()], [service(status="expired")], [("open-of-ended-service", (1,))]),
    ("canceled", [charge()], [service(status="Canceled ")], [("open-of-ended-service", (1,))]),
    ("pending", [charge()], [service(status="pending")], []),
    ("paid", [paid()], [service(status="expired")], []),
    ("not listed", [charge()], [service(8)], [("unknown-service", (1,))]),
    ("none given", [charge()], [], [("unknown-service", (1,))]),
    ("of no service", [charge(service=None), charge(2, extra=501, service=0)], [service()], []),
    ("deleted", [charge(deleted=1)], [service(8)], []),
    # 2026-11-27 is 45 days after 2026-10-13.
    ("45 days ago", [paid(1, "2026-10-13 23:59:59")], [service()], [("not-billed", (1,))]),
    ("44 days ago", [paid(1, "2026-10-14")], [service()], []),
    ("the last one counts", [paid(1, "2025-10-01"), paid(2, "2026-11-01")], [service()], []),
    ("a deleted one does not", [paid(1, "2026-09-01"), charge(2, "2026-11-01", deleted=1)], [service()], [("not-billed", (1,))]),
    ("never charged", [], [service()], []),
    ("ended", [paid(1, "2026-01-01")], [service(status="expired")], []),
    ("without an id", [charge(service=None)], [service(None)], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("invoices", "services", "found"), [pytest.param(*rest, id=name) for name, *rest in OF_SERVICES]
)
def test_findings_by_the_services(
    invoices: list[Invoice], services: list[MailService], found: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert look(*invoices, services=services) == found
    if not {"not-billed", "unknown-service", "open-of-ended-service"}.isdisjoint(dict(found)):
        assert look(*invoices) == []  # where the services are not known


def test_every_kind_is_tried() -> None:
    lists = [*(case[-1] for case in FOUND), *(case[-1] for case in OF_SERVICES)]
    tried = {kind for found in lists for kind, _ in found}
    assert tried == set(KINDS)


def test_what_a_finding_holds() -> None:
    rows = [charge(1, amount=12.5), payment(2, 1, 12.5), payment(3, 1, 20.0)]
    first, second = audit(rows, today=TODAY)
    assert second == Finding(
        kind="paid-twice",
        level="wrong",
        invoices=(1, 2, 3),
        service=7,
        amount=Decimal("20.0"),  # 32.50 were paid for 12.50
        currency="USD",
        text="Invoice 1 of 2026-11-01 over 12.50 USD was paid with 32.50 USD, which is more than it costs (payments: 2, 3).",
    )
    assert (first.kind, first.amount) == ("open-though-paid", Decimal("12.5"))
    (twice,) = audit([charge(1), charge(2, amount=11.0, day="2026-11-05")], today=TODAY)[:1]
    assert (twice.kind, twice.amount, twice.currency) == ("charged-twice", Decimal(11), "USD")
    assert twice.text == (
        "Service 7 was charged twice, 4 days apart: invoice 1 of 2026-11-01 over 10.00 USD"
        " and invoice 2 of 2026-11-05 over 11.00 USD."
    )
    with pytest.raises(AttributeError):
        first.kind = "x"  # type: ignore[misc]


def test_a_sentence_names_what_there_is() -> None:
    rows = [
        charge(1, service=0),
        charge(2, service=0),
        payment(3, None),
        Invoice(invoices_amount=1.5),
    ]
    twice, stray, undated, nameless = audit(rows, today=TODAY)
    assert twice.text.startswith(
        "A renewal of no service was charged twice, 0 days apart: invoice 1"
    )
    (next_day,) = audit([charge(1), charge(2, "2026-11-02")], today=TODAY)
    assert ", 1 day apart: " in next_day.text
    nameless_payment = replace(payment(2, 1, 20.0), invoices_id=None)
    texts = [
        one.text
        for one in audit([paid(), nameless_payment, payment(3, 1), payment(4, 3)], today=TODAY)
    ]
    assert texts[0] == (
        "Invoice 1 of 2026-11-01 over 10.00 USD was paid with 20.00 USD, which is more than it costs"
        " (payments and refunds: without an id, 3, 4)."
    )
    euros = payment(4, 3, currency="EUR")
    (text,) = [
        one.text for one in audit([paid(), payment(2, 1, 20.0), payment(3, 1), euros], today=TODAY)
    ]
    assert text.endswith("(payments: 2, 3).")  # what is not counted is not named
    assert stray.text == "Invoice 3 of 2026-11-02 over 10.00 USD is a payment of no charge."
    assert undated.text == "A row without an id over 1.50 has no invoices_date."
    assert nameless.text == (
        "A row without an id over 1.50 has no usable invoices_id and no invoices_type and no"
        " invoices_currency."
    )


def test_the_order_is_wrong_before_look_then_the_date() -> None:
    rows = [
        charge(9, "2026-01-01", extra=1, amount=None),
        charge(8, "2026-02-01", extra=2), charge(7, "2026-02-02", extra=2),
        charge(6, "2026-01-15", extra=3), payment(5, 6),
        charge(4, "2025-12-01", extra=4, amount=-1.0),
        charge(3, date=None, extra=5),
    ]  # fmt: skip
    found = [(finding.kind, finding.invoices[0]) for finding in audit(rows, today=TODAY)]
    assert found == [
        ("open-though-paid", 6), ("charged-twice", 8),
        ("negative-amount", 4), ("no-amount", 9), ("unreadable-date", 3),
    ]  # fmt: skip


def test_no_context_of_decimal_changes_what_is_found() -> None:
    rows = [paid(amount=1234567.89), payment(2, 1, 1234567.89)]
    with localcontext() as context:
        context.prec = 3
        assert audit(rows, today=TODAY) == []


def test_many_payments_of_one_charge_are_named_in_part() -> None:
    rows = [paid(), *(payment(id, 1, 1.0) for id in range(2, 1002))]
    (finding,) = audit(rows, today=TODAY)
    assert len(finding.invoices) == 1001
    assert finding.text.endswith("(payments: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 990 more).")


def test_today_may_be_a_moment() -> None:
    found = audit([paid(1, "2026-10-13")], [service()], today=datetime(2026, 11, 27, 12))
    assert [finding.kind for finding in found] == ["not-billed"]


def test_what_must_not_be_paid() -> None:
    rows = [
        charge(1), charge(2, "2026-11-02"), charge(2, "2026-11-02", description="x"),
        charge(3, extra=501), payment(4, 3), payment(5, 3),
        charge(6, extra=502), charge(6, extra=503),
        paid(7, extra=504), payment(8, 7), payment(9, 7),
        charge(10, extra=505, amount=None),
    ]  # fmt: skip
    found = {id: [one.kind for one in findings] for id, findings in find_unpayable(rows).items()}
    assert found == {
        1: ["charged-twice"], 2: ["charged-twice", "listed-twice"], 6: ["listed-twice"],
        3: ["open-though-paid"], 4: ["open-though-paid"], 5: ["open-though-paid"],
    }  # fmt: skip


# --- properties ----------------------------------------------------------------------------------------------

IDS = st.none() | st.integers(0, 6)
TEXTS = st.sampled_from([None, "", "x", "2026-11-01", "2026-11-19 10:00:00", "0000-00-00 00:00:00"])
ROWS = st.builds(
    Invoice,
    invoices_id=IDS, invoices_type=st.sampled_from([None, 0, 1, 1, 1, 9, 10, 11]),
    invoices_amount=st.sampled_from([None, 0.0, 10.0, 10.01, -10.0, 1e300, 5e-324, float("nan"), float("inf")]),
    invoices_currency=st.sampled_from([None, "", "USD", "usd", "EUR"]),
    invoices_date=TEXTS, invoices_due_date=TEXTS, invoices_extra=IDS, invoices_service=IDS,
    invoices_paid=st.sampled_from([None, 0, 1]), invoices_deleted=st.sampled_from([None, 0, 0, 1]),
)  # fmt: skip
SERVICES = st.lists(st.builds(MailService, mail_id=IDS, mail_status=st.sampled_from([None, "active", "expired"])), max_size=4)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(ROWS, max_size=9), st.none() | SERVICES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(
    rows: list[Invoice], services: list[MailService] | None, chance: random.Random
) -> None:
    found = audit(rows, services, today=TODAY)
    shuffled = chance.sample(rows, len(rows))
    assert audit(shuffled, services, today=TODAY) == found
    assert {finding.kind for finding in found} <= set(KINDS)
    assert set(find_unpayable(rows)) == {
        id for finding in found if finding.kind in WRONG - {"paid-twice"} for id in finding.invoices
    }


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, max_size=9), st.none() | SERVICES)
def test_an_ordinary_month_adds_no_finding(
    rows: list[Invoice], services: list[MailService] | None
) -> None:
    """A charge of its own, paid once; in a list that holds payments already."""
    rows = [*rows, payment(90, None)]
    month = [paid(100, extra=900, service=70), payment(101, 100, service=70)]
    services = None if services is None else [*services, service(70)]
    assert audit([*rows, *month], services, today=TODAY) == audit(rows, services, today=TODAY)


def test_what_a_day_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole days, as the command counts them; without a day it is the machine's."""
    one = charge(due_date="2026-11-27 23:59:59")
    assert [one.days_left(TODAY + timedelta(n)) for n in (-1, 0, 1)] == [1, 0, -1]
    assert [one.is_overdue(TODAY + timedelta(n)) for n in (-1, 0, 1)] == [False, False, True]
    assert one.days_left(datetime(2026, 11, 28)) == -1
    soon = replace(one, invoices_due_date=str(date.today() + timedelta(400)))
    assert soon.days_left() in (399, 400)  # midnight may come between
    assert not soon.is_overdue()
    assert replace(one, invoices_due_date="2020-01-01").is_overdue()
    for closed in (paid(), charge(deleted=1), payment(2, 1), charge(due_date=None)):
        assert closed.days_left(TODAY) is None
        assert closed.is_overdue(TODAY) is False
