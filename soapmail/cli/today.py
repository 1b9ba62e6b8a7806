"""Today, by the clock of this machine or as the caller says."""

from __future__ import annotations

from datetime import date, datetime

from .exit_codes import UsageError

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
