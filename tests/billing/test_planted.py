"""A thousand accounts with known faults planted in them: each is found, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from soapmail.billing import audit
from soapmail.billing.audit import KINDS
from soapmail.sandbox import Sandbox
from soapmail.sandbox.data import make_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from soapmail import Invoice

ACCOUNTS = 1000
TODAY = date(2026, 11, 27)
Ids = tuple["int | None", ...]


class Account:
    """An account in which half a year of three services is billed and paid without a fault."""

    def __init__(self, box: Sandbox, chance: random.Random) -> None:
        self.box = box
        self.chance = chance
        box.invoices.clear()
        box.services.clear()
        # Each has a payment, and stands at most once for a fault.
        self.fine: list[tuple[Invoice, Invoice]] = []
        for _ in range(3):
            service = self.order("active")
            amount = chance.choice((1.0, 9.95, 0.1, 250.0))
            charge: Invoice | None = None
            for month in range(5, -1, -1):
                fields: dict[str, Any] = {"invoices_amount": amount}
                if charge is not None:
                    fields["invoices_extra"] = charge.invoices_extra
                charge = self.bill(TODAY - timedelta(30 * month + 1), service, **fields)
                self.fine.append((charge, box.add_payment(charge)))
        chance.shuffle(self.fine)

    def order(self, status: str) -> int:
        id = len(self.box.services) + 1
        self.box.services.append(replace(make_service(0), mail_id=id, mail_status=status))
        return id

    def bill(self, day: date, service: int, **fields: Any) -> Invoice:
        dates = {
            "invoices_date": f"{day} 10:00:00",
            "invoices_due_date": f"{day + timedelta(14)} 10:00:00",
        }
        whole = {**dates, "invoices_service": service, "invoices_paid": 1, **fields}
        return self.box.add_invoice(**whole)

    def settle(self, day: date, service: int = 1, **fields: Any) -> Invoice:
        """Bill something of its own, which is paid."""
        charge = self.bill(day, service, **fields)
        self.box.add_payment(charge)
        return charge

    def change(self, invoice: Invoice, **fields: Any) -> None:
        self.box.invoices[self.box.invoices.index(invoice)] = replace(invoice, **fields)


def day_of(invoice: Invoice) -> date:
    assert invoice.date is not None
    return invoice.date.date()


def charge_again(account: Account, charge: Invoice, days: int, **fields: Any) -> Invoice:
    """Bill the same some days later; it is paid."""
    same = {"invoices_extra": charge.invoices_extra, "invoices_amount": charge.invoices_amount}
    assert charge.invoices_service is not None
    day = day_of(charge) + timedelta(days)
    again = account.bill(day, charge.invoices_service, **{**same, **fields})
    account.box.add_payment(again)
    return again


# --- faults: each returns the ids that are to be found ------------------------------------------------


def charged_twice(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    # Not 11 days and more: what follows is 30 days later.
    return charge.invoices_id, charge_again(
        account, charge, account.chance.randrange(10)
    ).invoices_id


def paid_twice(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    amount = account.chance.choice((0.01, charge.invoices_amount))
    again = account.box.add_payment(charge, invoices_amount=amount)
    return charge.invoices_id, payment.invoices_id, again.invoices_id


def open_though_paid(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    account.change(charge, invoices_paid=0)
    return charge.invoices_id, payment.invoices_id


def listed_twice(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    account.box.invoices.append(replace(charge, invoices_description="another"))
    return (charge.invoices_id,)


def paid_without_payment(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    account.box.invoices.remove(payment)
    return (charge.invoices_id,)


def payment_without_charge(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    return (account.box.add_payment(charge, invoices_extra=77).invoices_id,)


def amount_changed(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    first = account.settle(TODAY - timedelta(60), invoices_amount=1.0)
    return first.invoices_id, charge_again(account, first, 30, invoices_amount=1.01).invoices_id


def currency_changed(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    first = account.settle(TODAY - timedelta(60))
    return first.invoices_id, charge_again(account, first, 30, invoices_currency="EUR").invoices_id


def open_of_ended_service(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    service = account.order(account.chance.choice(("expired", "canceled")))
    return (account.bill(TODAY, service, invoices_paid=0).invoices_id,)


def unknown_service(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    return (account.settle(TODAY, service=900).invoices_id,)


def unreadable_date(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    account.change(charge, invoices_due_date="2026-02-30 10:00:00")
    return (charge.invoices_id,)


def due_before_date(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    account.change(charge, invoices_due_date=f"{day_of(charge) - timedelta(1)} 23:00:00")
    return (charge.invoices_id,)


def no_amount(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    return (account.bill(TODAY, 1, invoices_amount=None).invoices_id,)


def negative_amount(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    return (account.bill(TODAY, 1, invoices_amount=-0.01).invoices_id,)


def not_billed(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    day = TODAY - timedelta(account.chance.randrange(45, 900))
    return (account.settle(day, service=account.order("active")).invoices_id,)


def incomplete(account: Account, charge: Invoice, payment: Invoice) -> Ids:
    return (account.bill(TODAY, 1, invoices_type=2).invoices_id,)


FAULTS: dict[str, Callable[[Account, Invoice, Invoice], Ids]] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        charged_twice, paid_twice, open_though_paid, listed_twice, paid_without_payment,
        payment_without_charge, amount_changed, currency_changed, open_of_ended_service,
        unknown_service, unreadable_date, due_before_date, no_amount, negative_amount, not_billed,
        incomplete,
    )
}  # fmt: skip


# --- what looks like one ------------------------------------------------------------------------------


def renewed_soon(account: Account, charge: Invoice, payment: Invoice) -> None:
    charge_again(account, account.settle(TODAY - timedelta(60)), 20)


def deleted_twin(account: Account, charge: Invoice, payment: Invoice) -> None:
    account.change(charge_again(account, charge, 1), invoices_deleted=1)


def refunded(account: Account, charge: Invoice, payment: Invoice) -> None:
    account.box.add_payment(account.box.add_payment(charge))


def paid_back(account: Account, charge: Invoice, payment: Invoice) -> None:
    account.box.add_payment(charge)
    amount = charge.invoices_amount
    assert amount is not None
    account.box.add_payment(charge, invoices_amount=-amount)


def paid_in_another_currency(account: Account, charge: Invoice, payment: Invoice) -> None:
    account.box.add_payment(charge, invoices_currency="EUR")


def listed_the_same(account: Account, charge: Invoice, payment: Invoice) -> None:
    account.box.invoices += [charge, payment]


def open_and_paid_in_part(account: Account, charge: Invoice, payment: Invoice) -> None:
    open_charge = account.bill(TODAY, 1, invoices_paid=0)
    account.box.add_payment(open_charge, invoices_amount=0.99)


def billed_44_days_ago(account: Account, charge: Invoice, payment: Invoice) -> None:
    account.settle(TODAY - timedelta(44), service=account.order("active"))


def never_billed(account: Account, charge: Invoice, payment: Invoice) -> None:
    account.order("active")


ALIKE = (
    renewed_soon, deleted_twin, refunded, paid_back, paid_in_another_currency, listed_the_same,
    open_and_paid_in_part, billed_44_days_ago, never_billed,
)  # fmt: skip


@pytest.mark.slow
def test_every_planted_fault_is_found_and_nothing_else() -> None:
    """Precision and recall are 1.0: what is found is what was planted, to the id."""
    assert set(FAULTS) == set(KINDS)
    chance = random.Random(26)
    planted_in_all = 0
    with Sandbox(0) as box:
        for number in range(ACCOUNTS):
            account = Account(box, chance)
            planted: list[tuple[str, Ids]] = []
            for plant in chance.choices(ALIKE, k=chance.randrange(4)):
                plant(account, *account.fine.pop())
            for kind in chance.choices(KINDS, k=chance.randrange(6)):
                planted.append((kind, FAULTS[kind](account, *account.fine.pop())))
            chance.shuffle(box.invoices)
            found = audit(box.invoices, box.services, today=TODAY)
            assert sorted((one.kind, one.invoices) for one in found) == sorted(planted), number
            planted_in_all += len(planted)
    assert planted_in_all > 2 * ACCOUNTS
