"""What is due: whole days between a due date and today."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date, datetime

    from ..models import Invoice, MailService

_ENDED = ("expired", "canceled", "cancelled")


class Day(NamedTuple):
    """The day of a record; ``None``: it has none, or a text that is no date, the ``problem``."""

    day: date | None
    problem: ResponseError | None = None


def read_day(record: Invoice | MailService, reading: str) -> Day:
    """Return the day of ``date``, ``due_date`` or ``order_date``, if a record has such a one."""
    try:
        moment: datetime | None = getattr(record, reading, None)
    except ResponseError as error:
        return Day(None, error)
    return Day(None if moment is None else moment.date())


def find_due_day(invoice: Invoice) -> date | None:
    """Return the day on which an invoice is due; ``None``: it has none that can be read."""
    return read_day(invoice, "due_date").day


def count_days_left(invoice: Invoice, today: date) -> int | None:
    """Return the days until an open invoice is due, below zero where that is past.

    ``None``: it is not open, or has no due date that can be read.
    """
    due = find_due_day(invoice) if invoice.is_open else None
    return None if due is None else (due - today).days


def find_ended_services(services: Iterable[MailService]) -> set[int]:
    """Return the ids of the services that are expired or canceled."""
    return {
        service.mail_id
        for service in services
        if service.mail_id is not None and (service.mail_status or "").strip().lower() in _ENDED
    }


def due_state(
    invoice: Invoice, today: date, within: int = 0, ended: Collection[int | None] = ()
) -> str:
    """Return what an invoice means to whoever has to pay it on a day.

    - ``closed``: it is not open
    - ``of_ended_service``: its ``invoices_service`` is one of ``ended``
    - ``undated``: its due date is missing or cannot be read, so it may be due
    - ``overdue``: its day has passed; ``due_soon``: that is today or ``within`` so many days
    - ``later``: that is later
    """
    if not invoice.is_open:
        return "closed"
    if invoice.invoices_service is not None and invoice.invoices_service in ended:
        return "of_ended_service"
    days = count_days_left(invoice, today)
    if days is None:
        return "undated"
    if days < 0:
        return "overdue"
    return "due_soon" if days <= within else "later"


def is_overdue(invoice: Invoice, today: date) -> bool:
    """Return whether an invoice is open and its day has passed."""
    return due_state(invoice, today) == "overdue"


def is_due(invoice: Invoice, today: date, within: int | None) -> bool:
    """Return whether an invoice is open and overdue, or due within so many days from today on.

    One that is open without a due date that can be read may be due. ``None``: overdue alone.
    """
    state = due_state(invoice, today, within or 0)
    return state in ("overdue", "undated") or (state == "due_soon" and within is not None)
