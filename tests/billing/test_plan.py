"""What is planned to be paid, and why the rest is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Context, Decimal, FloatOperation, Inexact, Rounded, localcontext
from typing import Any

import pytest

from soapmail import MailService
from soapmail.billing import Plan, due_state, make_plan
from soapmail.billing.due import find_ended_services

from .journals import charge


def ids(plan: Plan) -> tuple[list[int | None], list[tuple[int | None, str]]]:
    return (
        [one.invoices_id for one in plan.invoices],
        [(one.invoices_id, reason.value) for one, reason in plan.left_out],
    )


def test_a_plan_holds_what_is_open_in_the_order_of_the_due_dates() -> None:
    listed = [
        charge(1, due="2026-03-12"), charge(2, due="2026-03-10"), charge(3, invoices_paid=1),
        charge(4, invoices_deleted=1), replace(charge(5), invoices_type=10),
        replace(charge(6), invoices_due_date="0000-00-00 00:00:00"), charge(7, due="2026-03-10"),
    ]  # fmt: skip
    plan = make_plan(listed)
    assert ids(plan) == ([2, 7, 1, 6], [])
    assert plan.totals == {"USD": Decimal(4)}
    assert ids(make_plan(listed, due_until=date(2026, 3, 10)))[0] == [2, 7]
    assert ids(make_plan(listed, service=9)) == ([], [])
    assert make_plan([]).totals == {}


@pytest.mark.parametrize("due", ["0000-00-00 00:00:00", "-0001-11-30 00:00:00", "soon", None])
def test_a_plan_by_due_dates_says_what_has_none(due: str | None) -> None:
    listed = [charge(1, due="2026-03-12"), replace(charge(2), invoices_due_date=due), charge(3, due="2026-03-10")]  # fmt: skip
    assert ids(make_plan(listed)) == ([3, 1, 2], [])
    by_day = make_plan(listed, due_until=date(2026, 3, 11))
    assert ids(by_day) == ([3], [(2, "no due date that can be read")])


def test_a_plan_is_in_one_currency() -> None:
    listed = [charge(1), charge(2, invoices_currency="EUR"), charge(3, invoices_currency=None)]
    with pytest.raises(
        ValueError, match="^open invoices are in no currency and EUR and USD: choose"
    ):
        make_plan(listed)
    assert ids(make_plan(listed, currency="EUR"))[0] == [2]
    assert ids(make_plan(listed, currency="CHF"))[0] == []
    assert ids(make_plan(listed, currency=""))[0] == [3]


def test_limits_leave_out_and_never_exceed() -> None:
    listed = [charge(n, amount) for n, amount in enumerate([0.1, 0.2, 5.0, 0.1], 1)]
    assert ids(make_plan(listed, max_each=Decimal("0.2"))) == (
        [1, 2, 4],
        [(3, "over the limit for one invoice")],
    )
    # What is due later is not paid before what did not fit.
    entries = ids(make_plan(listed, max_total=Decimal("0.3")))
    assert entries == ([1, 2], [(3, "over the limit in total"), (4, "over the limit in total")])
    assert make_plan(listed, max_total=Decimal("0.3")).totals == {"USD": Decimal("0.3")}
    # Nor though it would fit for itself; and what is left out anyway keeps its own reason.
    entries = ids(make_plan([*listed, listed[2]], max_total=Decimal("0.45")))
    assert entries == (
        [1, 2, 4], [(3, "listed twice"), (3, "listed twice")],
    )  # fmt: skip
    entries = ids(make_plan(listed, max_total=Decimal("0.45")))
    assert entries == ([1, 2], [(3, "over the limit in total"), (4, "over the limit in total")])
    with pytest.raises(ValueError, match="^invoice 1 alone costs 0.1, more than 0.05 in all"):
        make_plan(listed, max_total=Decimal("0.05"))
    entries = ids(
        make_plan(
            [charge(1, None), charge(2, 0.0), replace(charge(3), invoices_id=None), charge(4, -1.0)]
        )
    )
    assert entries == (
        [],
        [(None, "no id"), (1, "no amount"), (2, "an amount of zero"), (4, "a negative amount")],
    )


def test_a_currency_is_one_in_any_case() -> None:
    listed = [charge(1), charge(2, invoices_currency="usd"), charge(3, invoices_currency="EUR")]
    for currency in ("usd", "USD", " Usd "):
        assert ids(make_plan(listed, currency=currency)) == ([1, 2], [])


def test_invoices_of_ended_services_are_left_out_of_a_plan() -> None:
    listed = [
        charge(1), charge(2, invoices_service=6), charge(3, invoices_service=None),
        charge(4, invoices_service=6, invoices_currency="EUR"),
    ]  # fmt: skip
    reason = "of a service that has ended"
    plan = make_plan(listed, ended={6, None})
    assert ids(plan) == ([1, 3], [(2, reason), (4, reason)])


@pytest.mark.parametrize(
    "context",
    [Context(prec=1), Context(prec=3, traps=[Inexact, Rounded]), Context(traps=[FloatOperation])],
)
def test_no_context_of_the_callers_changes_a_total(context: Context) -> None:
    """0.1 and 10**22 are exact decimals of 24 digits together."""
    listed = [charge(1, 1e22), charge(2, 0.1), charge(3, 10.25)]
    with localcontext(context):
        plan = make_plan(listed, max_total=Decimal("10000000000000000000010.35"))
        totals = plan.totals
        assert len(plan.invoices) == 3
        assert len(make_plan(listed, max_total=Decimal("10000000000000000000010.34")).invoices) == 2
    assert totals == {"USD": Decimal("10000000000000000000010.35")}


@pytest.mark.parametrize(
    ("fields", "within", "state"),
    [
        ({"due": "2026-03-09"}, 0, "overdue"), ({"due": "2026-03-10"}, 0, "due_soon"),
        ({"due": "2026-03-11"}, 0, "later"), ({"due": "2026-03-11"}, 1, "due_soon"),
        ({"due": "0000-00-00"}, 9, "undated"), ({"due": "soon"}, 9, "undated"),
        ({"invoices_paid": 1}, 0, "closed"), ({"invoices_deleted": 1}, 0, "closed"),
        ({"invoices_service": 6}, 0, "of_ended_service"),
        ({"invoices_service": 6, "invoices_paid": 1}, 0, "closed"),
        ({"invoices_service": None}, 0, "due_soon"),
    ],
)  # fmt: skip
def test_what_an_invoice_means_on_a_day(fields: dict[str, Any], within: int, state: str) -> None:
    assert due_state(charge(1, **fields), date(2026, 3, 10), within, {6, None}) == state


def test_services_that_have_ended() -> None:
    services = [
        MailService(mail_id=n, mail_status=status)
        for n, status in enumerate(["active", " Expired", "canceled", "cancelled", None, "pending"])
    ]
    services.append(MailService(mail_status="expired"))
    assert find_ended_services(services) == {1, 2, 3}
