"""Dates of records for a person: the day, or the text that stood there where it is no date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ResponseError
from .terminal import pluralize, print_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..models import Invoice, MailService


def format_day(record: Invoice | MailService, reading: str, word: str = "") -> str | None:
    """Return the day of a reading such as ``due_date``, behind a word; ``None``: there is none.

    A text that is no date is shown as it is, behind a question mark.
    """
    try:
        moment = getattr(record, reading)
    except ResponseError as error:
        return f"{word} ? {error.value}".strip()
    return None if moment is None else f"{word} {moment.date()}".strip()


class UnreadableDates:
    """Collects the texts that should be dates, for one line on stderr."""

    def __init__(self, *readings: str) -> None:
        self._readings = readings
        self._problems: list[str] = []

    def check(self, account: str | None, records: Iterable[object]) -> None:
        """Look at these readings of an account's records."""
        for record in records:
            for reading in self._readings:
                try:
                    getattr(record, reading, None)
                except ResponseError as error:
                    self._problems.append(f"{account}: {error}" if account else str(error))

    def warn(self) -> None:
        """Print which is the first one, and how many there are."""
        if self._problems:
            first, *others = self._problems
            more = f" (and {pluralize(len(others), 'other date')})" if others else ""
            print_error(f"{first}{more}; its day is not known")
