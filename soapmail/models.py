"""The records of the mail services: one dataclass for each struct of the contract."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ResponseError, truncate
from .patterns import BLANK, DATE, FLOAT, FLOAT_DIGITS, NO_DATE, URL, is_count, is_written_of

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal
    from typing import Any

__all__ = ["Invoice", "MailService", "Order", "Prepay", "Status"]


def _parse_moment(kind: str, id: int | None, field: str, text: str | None) -> dt.datetime | None:
    import datetime
    import re

    if not text:
        return None
    try:
        if re.fullmatch(DATE, text):
            return datetime.datetime.fromisoformat(text)
    except ValueError:  # no such day or time
        pass
    if not text.strip(BLANK) or re.fullmatch(NO_DATE, text):
        return None
    problem = "not a date of the form YYYY-MM-DD HH:MM:SS"
    raise ResponseError(problem, place=_name_field(kind, id, field), value=truncate(text))


def _parse_json(place: str, text: str) -> Any:
    """Return what JSON means: RFC 8259 knows no NaN, and leaves open what a repeated name means."""
    import json
    import math

    def to_float(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise ValueError(digits)
        return value

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError(pairs)
        return dict(pairs)

    try:
        return json.loads(
            text, parse_float=to_float, parse_constant=to_float, object_pairs_hook=to_dict
        )
    except (ValueError, RecursionError):
        pass
    problem = "not JSON, or JSON with NaN, an infinity or a repeated name"
    raise ResponseError(problem, place=place, value=truncate(text))


def _name_field(kind: str, id: int | None, field: str) -> str:
    return field if id is None else f"{kind} {id}, {field}"


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice or payment (``sql_row_invoices``).

    ``None`` in a field: the server sent nil, an empty number, or left the field out.

    - ``invoices_id``, ``invoices_description``: the invoice's id, and what it is for
    - ``invoices_amount``, ``invoices_currency``: what it costs
    - ``invoices_custid``: the customer's id
    - ``invoices_type``: 1 is a charge, 10 and above are kinds of payment
    - ``invoices_date``, ``invoices_due_date``: when it was made and is due, without a time zone
    - ``invoices_group``: a billing group, not in use
    - ``invoices_extra``: of a charge the repeat invoice, of a payment the charge that it pays
    - ``invoices_paid``, ``invoices_deleted``: flags, 0 or 1
    - ``invoices_module``: ``mail``, or another of ``Client.get_modules()``
    - ``invoices_service``: the ``mail_id`` of the service

    >>> Invoice(invoices_type=1, invoices_amount=12.5, invoices_paid=0).is_open
    True
    """

    invoices_id: int | None = None
    invoices_description: str | None = None
    invoices_amount: float | None = None
    invoices_custid: int | None = None
    invoices_type: int | None = None
    invoices_date: str | None = None
    invoices_group: int | None = None
    invoices_extra: int | None = None
    invoices_paid: int | None = None
    invoices_module: str | None = None
    invoices_due_date: str | None = None
    invoices_service: int | None = None
    invoices_deleted: int | None = None
    invoices_currency: str | None = None

    @property
    def amount(self) -> Decimal | None:
        """The exact value that the server wrote, in ``invoices_currency``: 12.5 for 12.50.

        Of 16 or 17 digits, as PHP writes a float, it is the shortest that mean the same.
        """
        import decimal

        amount = self.invoices_amount
        return None if amount is None else decimal.Decimal(repr(amount))

    @property
    def date(self) -> dt.datetime | None:
        """When the invoice was made; ``None`` also for ``0000-00-00 00:00:00``.

        ResponseError: the text is not a date; it names the invoice.
        """
        return _parse_moment("invoice", self.invoices_id, "invoices_date", self.invoices_date)

    @property
    def due_date(self) -> dt.datetime | None:
        """When the invoice is due; ``None`` also for ``0000-00-00 00:00:00``.

        ResponseError: the text is not a date; it names the invoice.
        """
        return _parse_moment(
            "invoice", self.invoices_id, "invoices_due_date", self.invoices_due_date
        )

    @property
    def is_paid(self) -> bool:
        """Whether it was paid; an empty or missing flag counts as no."""
        return bool(self.invoices_paid)

    @property
    def is_charge(self) -> bool:
        """Whether it is a charge (type 1) and not a payment (types from 10)."""
        return self.invoices_type == 1

    @property
    def is_open(self) -> bool:
        """Whether it is a charge that is neither paid nor deleted."""
        return self.is_charge and not self.is_paid and not self.invoices_deleted

    def days_left(self, today: dt.date | None = None) -> int | None:
        """Whole days from a day to that of the due date; below zero where that has passed.

        ``today``: the machine's date, if none is given. ``None``: it is not open, or has no due
        date. ResponseError: the due date of an open invoice is not a date; it names the invoice.

        >>> from datetime import date
        >>> charge = Invoice(invoices_type=1, invoices_due_date="2026-03-10 01:38:45")
        >>> charge.days_left(date(2026, 3, 12)), charge.is_overdue(date(2026, 3, 10))
        (-2, False)
        """
        import datetime

        due = self.due_date if self.is_open else None
        if due is None:
            return None
        return due.toordinal() - (today or datetime.date.today()).toordinal()

    def is_overdue(self, today: dt.date | None = None) -> bool:
        """Whether it is open, and its due date is before a day: on the day itself it is not.

        ``today`` and errors as in ``days_left``.
        """
        days = self.days_left(today)
        return days is not None and days < 0


@dataclass(frozen=True, slots=True)
class MailService:
    """One mail service (``sql_row_mail``).

    ``None`` in a field: the server sent nil, an empty number, or left the field out.

    - ``mail_id``, ``mail_username``: the service's id, and its user name
    - ``mail_status``: such as ``active``, ``expired`` or ``canceled``
    - ``mail_type``, ``mail_quota``, ``mail_ip``: what was ordered, and where it runs
    - ``mail_order_date``: when it was ordered, without a time zone
    - ``mail_invoice``: its repeat invoice; ``mail_currency``: what it is paid in
    - ``mail_custid``, ``mail_coupon``: the ids of the customer and of a discount code
    - ``mail_extra``: JSON; ``mail_server_status``, ``mail_comment``: texts
    """

    mail_id: int | None = None
    mail_username: str | None = None
    mail_type: int | None = None
    mail_currency: str | None = None
    mail_order_date: str | None = None
    mail_custid: int | None = None
    mail_quota: int | None = None
    mail_ip: str | None = None
    mail_status: str | None = None
    mail_invoice: int | None = None
    mail_coupon: int | None = None
    mail_extra: str | None = None
    mail_server_status: str | None = None
    mail_comment: str | None = None

    @property
    def order_date(self) -> dt.datetime | None:
        """When the service was ordered; ``None`` also for ``0000-00-00 00:00:00``.

        ResponseError: the text is not a date; it names the service.
        """
        return _parse_moment("mail service", self.mail_id, "mail_order_date", self.mail_order_date)

    @property
    def extra(self) -> Any:
        """What the JSON in ``mail_extra`` holds; ``None`` also for an empty text.

        ResponseError: the text is not JSON, or holds NaN, an infinity or a repeated name; it names
        the service.
        """
        if self.mail_extra is None or not self.mail_extra.strip(BLANK):
            return None
        place = _name_field("mail service", self.mail_id, "mail_extra")
        return _parse_json(place, self.mail_extra)


@dataclass(frozen=True, slots=True)
class Prepay:
    """One prepaid balance (``prepays_list``).

    ``None`` in a field: the server sent nil, an empty number, or left the field out.

    - ``prepay_id``, ``prepay_type``, ``prepay_status``: its id, kind and state
    - ``prepay_created``, ``prepay_date``: when it was made, and a later date; without a time zone
    - ``prepay_amount``, ``prepay_remaining``: what was paid in and what is left, in the account's
      currency
    - ``prepay_module``, ``prepay_service``: what it is for
    - ``prepay_automatic_use``: 1 where invoices are paid from it by themselves, else 0
    """

    prepay_id: int | None = None
    prepay_type: int | None = None
    prepay_status: str | None = None
    prepay_date: str | None = None
    prepay_created: str | None = None
    prepay_amount: float | None = None
    prepay_remaining: float | None = None
    prepay_service: int | None = None
    prepay_automatic_use: int | None = None
    prepay_module: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What an operation says of itself (``result_status``, ``make_payment_return``).

    - ``status``: "ok", or else an OperationFailed was raised
    - ``status_text``: what the server says beside it
    """

    status: str | None = None
    status_text: str | None = None

    @property
    def url(self) -> str | None:
        """The URL that ``auto_zonemta_login`` puts into ``status_text``; ``None``: an empty text.

        ResponseError: the text is not a URL.
        """
        import re

        text = (self.status_text or "").strip(BLANK)
        if not text or re.fullmatch(URL, text):
            return text or None
        raise ResponseError("not a URL", place="status_text", value=truncate(text))

    @property
    def amount(self) -> Decimal | None:
        """The amount that ``get_prepay_remaining`` puts into ``status_text``.

        It is in the account's currency; ``None``: an empty text. ResponseError: the text is not a
        number.

        >>> Status("ok", "12.50").amount
        Decimal('12.50')
        """
        import re
        from decimal import Decimal

        text = (self.status_text or "").strip(BLANK)
        if not text:
            return None
        if re.fullmatch(FLOAT, text):
            number = Decimal(text)
            # PHP with a precision of 17 writes the float 34.95 as 34.950000000000003.
            is_long = len(number.as_tuple().digits) > FLOAT_DIGITS
            is_float = is_long and is_written_of(number, float(text))
            return Decimal(repr(float(text))) if is_float else number
        raise ResponseError("not a number", place="status_text", value=truncate(text))


@dataclass(frozen=True, slots=True)
class Order:
    """A placed order (``buy_vps_result_status``).

    - ``status``, ``status_text``: as in ``Status``
    - ``invoices``: the ids of its invoices, with commas between them
    - ``cost``: what it costs, in the account's currency
    """

    status: str | None = None
    status_text: str | None = None
    invoices: str | None = None
    cost: float | None = None

    @property
    def invoice_ids(self) -> list[int]:
        """The ids in ``invoices``, in the server's order; empty where it names none.

        ResponseError: the text is not a list of numbers.

        >>> Order(invoices="23785939,23785940").invoice_ids
        [23785939, 23785940]
        """
        text = (self.invoices or "").strip(BLANK)
        numbers = [number.strip(BLANK) for number in text.split(",")] if text else []
        if all(map(is_count, numbers)):
            return list(map(int, numbers))
        raise ResponseError("not a list of numbers", place="invoices", value=truncate(text))
