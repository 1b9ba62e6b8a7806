"""The varied example: what the documented data lacks, and one of each thing that may be wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .data import DOCUMENTED_INVOICES, make_service

if TYPE_CHECKING:
    from datetime import date

    from ..models import Invoice
    from .sandbox import Sandbox

_SERVICE, _OTHER_SERVICE, _UNBILLED_SERVICE, _UNLISTED_SERVICE = range(60000, 60004)


def add_varied(sandbox: Sandbox, today: date) -> None:
    """Add to the documented invoices and services."""
    for id in (_SERVICE, _OTHER_SERVICE, _UNBILLED_SERVICE):
        service = replace(make_service(0), mail_id=id, mail_status="active")
        sandbox.services.append(replace(service, mail_username=f"mb{id}"))

    def bill(due_in: int, **fields: Any) -> Invoice:
        """Add a charge that is due in so many days, and was made two weeks before that."""
        due = today + timedelta(due_in)
        dates = {
            "invoices_date": f"{due - timedelta(14)} 10:00:00",
            "invoices_due_date": f"{due} 10:00:00",
        }
        return sandbox.add_invoice(**{**dates, "invoices_service": _SERVICE, **fields})

    def settle(due_in: int, **fields: Any) -> Invoice:
        """Add a charge that was paid, and its payment."""
        charge = bill(due_in, invoices_paid=1, **fields)
        sandbox.add_payment(charge)
        return charge

    paid = settle(-60)
    bill(-60, invoices_deleted=1)
    # amount-changed
    bill(3, invoices_amount=12.0, invoices_extra=paid.invoices_extra)
    # currency-changed, and open-of-ended-service as all documented ones are
    _, repeat, _, ended = DOCUMENTED_INVOICES[0]
    bill(
        -60,
        invoices_amount=9.5,
        invoices_currency="EUR",
        invoices_extra=repeat,
        invoices_service=ended,
    )
    # charged-twice
    first = settle(4, invoices_service=_OTHER_SERVICE)
    bill(6, invoices_extra=first.invoices_extra, invoices_service=_OTHER_SERVICE)
    # paid-twice
    sandbox.add_payment(settle(-50))
    # open-though-paid
    sandbox.add_payment(bill(9))
    # listed-twice
    twice = settle(-48)
    sandbox.invoices.append(replace(twice, invoices_description="MailBaby Mail"))
    # paid-without-payment
    bill(-46, invoices_paid=1)
    # payment-without-charge
    sandbox.add_payment(paid, invoices_extra=7000000)
    # unknown-service
    settle(-44, invoices_service=_UNLISTED_SERVICE)
    # unreadable-date
    settle(-42, invoices_due_date="n/a")
    # due-before-date
    settle(-40, invoices_due_date=f"{today - timedelta(70)} 10:00:00")
    # no-amount and negative-amount
    bill(-38, invoices_paid=1, invoices_amount=None)
    bill(-36, invoices_paid=1, invoices_amount=-2.0)
    # not-billed
    settle(-90, invoices_service=_UNBILLED_SERVICE)
    # incomplete
    bill(-34, invoices_type=2)
