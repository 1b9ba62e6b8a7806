"""What is due: whole days between a due date and today."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date, datetime

    from ..models import Invoice, MailService

_ENDED = ("expired", "canceled", "cancelled")


class Moment(NamedTuple):
    """When something was; ``None``: a record does not say, or in a text that is no date."""

    moment: datetime | None
    problem: ResponseError | None = None

    @property
    def day(self) -> date | None:
        """Its day."""
        return None if self.moment is None else self.moment.date()


def read_moment(record: Invoice | MailService, reading: str) -> Moment:
    """Return the moment of ``date``, ``due_date`` or ``order_date``, if a record has such a one."""
    try:
        return Moment(getattr(record, reading, None))
    except ResponseError as error:
        return Moment(None, error)


def find_moment(record: Invoice | MailService, reading: str) -> datetime | None:
    """Return the moment alone; ``None`` also where it cannot be read."""
    try:
        moment: datetime | None = getattr(record, reading)
    except ResponseError:
        return None
    return moment


def find_due_day(invoice: Invoice) -> date | None:
    """Return the day on which an invoice is due; ``None``: it has none that can be read."""
    return read_moment(invoice, "due_date").day


def count_days_left(invoice: Invoice, today: date) -> int | None:
    """Return the days until an open invoice is due, below zero where that is past.

    ``None``: it is not open, or has no due date that can be read.
    """
    try:
        return invoice.days_left(today)
    except ResponseError:
        return None


def find_ended_services(services: Iterable[MailService]) -> set[int]:
    """Return the ids of the services that are expired or canceled."""
    return {
        service.mail_id
        for service in services
        if service.mail_id is not None and _fold_status(service) in _ENDED
    }


def is_active(service: MailService) -> bool:
    """Return whether a service is in use."""
    return _fold_status(service) == "active"


def _fold_status(service: MailService) -> str:
    return (service.mail_status or "").strip().lower()


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
