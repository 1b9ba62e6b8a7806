"""Today, by the clock of this machine or as the caller says."""

from __future__ import annotations

from datetime import date, datetime

from .exit_codes import UsageError

# No account of this provider's mail services is older.
_WRONG = date(2015, 1, 1)


def today_of(given: date | None, *, needed: bool = True) -> date:
    """Give the date that was given, or that of this machine; UsageError: its clock is wrong."""
    if given is not None:
        return given
    today = datetime.now().date()
    if today < _WRONG and needed:
        raise UsageError(f"the clock of this machine says {today}: set it, or give --today DATE")
    return today
