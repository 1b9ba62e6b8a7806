"""What is due, and paying it once: pure functions of records, and one journal on the disk."""

from .journal import Entry, Journal, JournalError
from .pay import (
    JournalWriteFailed,
    OutcomeUndetermined,
    PlanOutdated,
    iter_settled,
    pay_invoice,
    pay_open,
)
from .plan import Plan, make_plan

__all__ = [
    "Entry",
    "Journal",
    "JournalError",
    "JournalWriteFailed",
    "OutcomeUndetermined",
    "Plan",
    "PlanOutdated",
    "iter_settled",
    "make_plan",
    "pay_invoice",
    "pay_open",
]
