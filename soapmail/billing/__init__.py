"""What is due, what is wrong, and paying it once: pure functions, and one journal on the disk."""

from .audit import KINDS, Finding, audit
from .due import due_state, find_ended_services
from .history import Entry, History, JournalError
from .journal import Journal, read_history
from .pay import (
    JournalWriteFailed,
    OutcomeUndetermined,
    PlanOutdated,
    iter_settled,
    pay_invoice,
    pay_open,
)
from .plan import Plan, Reason, make_plan

__all__ = [
    "KINDS",
    "Entry",
    "Finding",
    "History",
    "Journal",
    "JournalError",
    "JournalWriteFailed",
    "OutcomeUndetermined",
    "Plan",
    "PlanOutdated",
    "Reason",
    "audit",
    "due_state",
    "find_ended_services",
    "iter_settled",
    "make_plan",
    "pay_invoice",
    "pay_open",
    "read_history",
]
