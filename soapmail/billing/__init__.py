"""What is due, and paying it once: pure functions of records, and one journal on the disk."""

from .journal import Entry, Journal, JournalError
from .pay import PlanChanged, Unrecorded, Unsettled, pay_invoice, pay_open, settle
from .plan import Plan, plan_of

__all__ = [
    "Entry",
    "Journal",
    "JournalError",
    "Plan",
    "PlanChanged",
    "Unrecorded",
    "Unsettled",
    "pay_invoice",
    "pay_open",
    "plan_of",
    "settle",
]
