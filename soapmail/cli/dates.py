"""Dates of records for a person, and today."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from ..billing.due import read_moment
from .exit_codes import UsageError
from .terminal import pluralize, print_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..models import Invoice, MailService

# No account of this provider's mail services is older.
_FIRST_DAY = date(2015, 1, 1)


def resolve_today(today: date | None, *, is_needed: bool = True) -> date:
    """Return the date that was given, or that of this machine; UsageError: its clock is wrong."""
    if today is not None:
        return today
    machine_day = datetime.now().date()
    if machine_day < _FIRST_DAY and is_needed:
        raise UsageError(
            f"the clock of this machine says {machine_day}: set it, or give --today DATE"
        )
    return machine_day


def format_day(record: Invoice | MailService, reading: str, word: str = "") -> str | None:
    """Return the day of a reading such as ``due_date``, behind a word; ``None``: there is none.

    A text that is no date is shown as it is, behind a question mark.
    """
    read = read_moment(record, reading)
    if read.problem is not None:
        return f"{word} ? {read.problem.value}".strip()
    return None if read.day is None else f"{word} {read.day}".strip()


class UnreadableDates:
    """Collects the texts that should be dates, for one line on stderr."""

    def __init__(self, *readings: str) -> None:
        self._readings = readings
        self._problems: list[str] = []

    def check(self, account: str | None, records: Iterable[Invoice | MailService]) -> None:
        """Look at these readings of an account's records."""
        for record in records:
            for reading in self._readings:
                problem = read_moment(record, reading).problem
                if problem is not None:
                    self._problems.append(f"{account}: {problem}" if account else str(problem))

    def warn(self) -> None:
        """Print which is the first one, and how many there are."""
        if self._problems:
            first, *others = self._problems
            more = f" (and {pluralize(len(others), 'other date')})" if others else ""
            print_error(f"{first}{more}; its day is not known")
