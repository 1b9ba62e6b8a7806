"""Paying by a plan, each payment between two records of a journal that survives a crash.

The provider has no idempotency key, so the journal is what keeps a payment from being made twice:
what is about to be paid is on the disk before the request leaves, and what became of it after. A
payment whose end is not known is not made again before the server's list or a person says what
became of it. What was paid elsewhere in the same second is not seen.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from ..arguments import positive_int
from ..errors import OperationFailed, SoapFault, SoapMailError
from .audit import find_unpayable
from .history import Entry, History, JournalError, make_intent
from .money import fold_currency
from .plan import Plan, Reason, describe_findings, find_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..call import Call
    from ..client import Client
    from ..models import Invoice, Status
    from .journal import Journal

_log = logging.getLogger("soapmail")
_ANSWERS = (OperationFailed, SoapFault)
_PAID_ALREADY = re.compile(
    r"(?i)\balready\b.*\bpaid\b|\bpaid\b.*\balready\b|\b(is|was|been) paid\b"
)
_DOUBT = re.compile(r"(?i)\b(not|cannot|never|until|unless|once|if|must|should)\b|n't\b")
_MEANINGS = {
    "paid": "it was paid",
    "refused": "it was not paid",
    "unknown": "it may or may not have been paid",
}


class OutcomeUndetermined(Exception):
    """It is not known whether invoices were paid; ``invoices`` are their ids.

    ``None`` among them: a line was cut off that names no invoice, so that nothing is paid.
    """

    def __init__(self, message: str, invoices: Sequence[int | None]) -> None:
        super().__init__(message)
        self.invoices = list(invoices)


class JournalWriteFailed(Exception):
    """The journal may not hold what became of a payment; ``result`` is what is known of it."""

    def __init__(self, message: str, invoice: int, result: str) -> None:
        super().__init__(message)
        self.invoice = invoice
        self.result = result


class PlanOutdated(Exception):
    """What was planned is not open any more, or has changed, or is wrong now; nothing was sent."""


def pay_open(client: Client, plan: Plan, journal: Journal) -> Iterator[Entry]:
    """Pay what is planned, one after the other, and yield what became of each.

    The server's list is read before each payment. What the journal holds as paid, or as an open
    question that the list does not answer, is left out. It stops at the first payment whose outcome
    is unknown (a result of ``unknown``). OutcomeUndetermined: at the end, for what is still an open
    question; at once, where that may be any invoice. PlanOutdated: this invoice and all behind it
    were not paid, as it has changed, or as ``audit`` finds wrong what was not when it was planned.
    JournalError: the same, and nothing was sent of it; also where the journal is another
    customer's. JournalWriteFailed: the disk was full after a payment. Other errors are those of the
    client, and nothing more was paid.
    """
    with journal:
        yield from take_answers(client.get_client_invoices(), journal)
        yield from pay_planned(client, plan, journal)


def pay_planned(client: Client, plan: Plan, journal: Journal) -> Iterator[Entry]:
    """Pay as ``pay_open`` does, by a journal that is entered and has taken the list's answers."""
    for number, invoice in enumerate(plan.invoices):
        # Anew, as time may have passed since the plan was made: somebody was asked, or told.
        listed = client.get_client_invoices()
        now = _require_as_planned(invoice, listed)
        if number == 0:
            for planned in plan.invoices[1:]:
                _require_as_planned(planned, listed)
        reason = find_reason(now, 1, journal)
        if reason is not None:
            _log.warning("invoice %s left out: %s", now.invoices_id, reason.value)
            continue
        _require_nothing_new(now, listed, plan)
        yield from (entries := _pay_one(client, now, journal))
        if entries[-1].result == "unknown":
            return
    _finish(journal)


def pay_invoice(client: Client, invoice: Invoice, journal: Journal) -> Iterator[Entry]:
    """Pay one invoice, of which its id may be all that is known, and yield what became of it.

    The server's list is read where the journal knows the invoice or a customer, or has an open
    question. What turns out to be paid by a run before is settled, and not paid again. Errors as
    ``pay_open``.
    """
    id = positive_int("invoices_id", invoice.invoices_id)  # type: ignore[arg-type]
    with journal:
        if not has_to_look(id, journal):
            yield from pay_unseen(client, invoice, journal)
            return
        listed = client.get_client_invoices()
        settled = list(take_answers(listed, journal))
        yield from settled
        if any(entry.invoice == id for entry in settled):
            _finish(journal)
            return
        payable = require_payable(id, listed, journal)
        plan = Plan([payable], findings=find_unpayable(listed))
        yield from pay_planned(client, plan, journal)


def has_to_look(id: int, history: History) -> bool:
    """Return whether an invoice can only be paid with a look at the server's list."""
    return bool(history.entries_for(id) or history.unsettled() or history.customers)


def pay_unseen(client: Client, invoice: Invoice, journal: Journal) -> Iterator[Entry]:
    """Pay an invoice that a journal knows nothing of, and of which its id may be all there is."""
    yield from (entries := _pay_one(client, invoice, journal))
    if entries[-1].result != "unknown":
        _finish(journal)


def _finish(journal: Journal) -> None:
    """Raise what is still to be said at the end of a run."""
    journal.refresh()
    require_answers(journal)


def iter_settled(listed: Sequence[Invoice], journal: Journal) -> Iterator[Entry]:
    """Look up what became of payments whose end is not known, and yield each record written.

    OutcomeUndetermined: the list does not say it of all.
    """
    yield from take_answers(listed, journal)
    require_answers(journal)


def take_answers(listed: Sequence[Invoice], journal: Journal) -> Iterator[Entry]:
    """Settle what the server lists as paid, and yield each record written.

    JournalError: the list is another customer's. OutcomeUndetermined: a line was cut off that may
    have been about any invoice.
    """
    check_customer(listed, journal)
    for id in dict.fromkeys(entry.invoice for entry in journal.unsettled()):
        if id is not None and is_answered(id, listed):
            yield journal.settle(id, "paid", text="the server lists it as paid")
    if any(entry.invoice is None for entry in journal.unsettled()):
        require_answers(journal)


def check_customer(listed: Sequence[Invoice], history: History) -> None:
    """Raise JournalError where the server's list is another customer's than the journal."""
    customers = set(filter(None, map(find_customer, listed)))
    if customers and history.customers and customers.isdisjoint(history.customers):
        theirs, ours = (", ".join(map(str, sorted(ids))) for ids in (history.customers, customers))
        raise JournalError(
            f"{history.path}: this journal belongs to customer {theirs}, but the account is"
            f" customer {ours}; nothing is paid"
        )


def find_customer(invoice: Invoice) -> int | None:
    """Return the customer whom an invoice is for; ``None``: the server does not say."""
    id = invoice.invoices_custid
    return id if id is not None and id > 0 else None


def is_answered(id: int, listed: Sequence[Invoice]) -> bool:
    """Return whether a list says that an invoice is paid; one that says it twice does not."""
    rows = _find_rows(id, listed)
    return len(rows) == 1 and rows[0].is_paid


def _find_rows(id: int, listed: Sequence[Invoice]) -> list[Invoice]:
    return [invoice for invoice in listed if invoice.invoices_id == id]


def require_answers(history: History, listed: Sequence[Invoice] = ()) -> None:
    """Raise OutcomeUndetermined where payments are open questions that a list does not answer."""
    asked = dict.fromkeys(entry.invoice for entry in history.unsettled())
    ids = [id for id in asked if id is None or not is_answered(id, listed)]
    if not ids:
        return
    problems = []
    names = [str(id) for id in ids if id is not None]
    if names:
        problems.append(f"it is not known whether invoice {', '.join(names)} was paid")
    if None in ids:
        problems.append("a line was cut off that may have been about any invoice")
    rest = "it is not paid now" if len(ids) == 1 else "they are not paid now"
    rest = "nothing is paid" if None in ids else rest
    raise OutcomeUndetermined(
        f"{history.path}: {' and '.join(problems)}, so {rest}. Look at the account, then say what"
        " became of it",
        ids,
    )


def require_payable(id: int, listed: Sequence[Invoice], history: History) -> Invoice:
    """Return what the server lists of an invoice that may be paid.

    PlanOutdated: it may not. OutcomeUndetermined: it is not known whether it was paid.
    """
    invoice = find_open(id, listed)
    reason = find_reason(invoice, 1, history)
    if reason is Reason.UNSETTLED:
        require_answers(history)
    if reason is not None:
        raise PlanOutdated(f"invoice {id}: {reason.value}; nothing was sent")
    return invoice


def find_open(id: int, listed: Sequence[Invoice]) -> Invoice:
    """Return what the server lists of an invoice; PlanOutdated: it is not open there, once."""
    rows = _find_rows(id, listed)
    if not rows:
        raise PlanOutdated(f"there is no invoice {id}")
    if len(rows) > 1:
        raise PlanOutdated(f"invoice {id} is listed twice; nothing was sent")
    if not rows[0].is_open:
        state = "paid already" if rows[0].is_paid else "not open"
        raise PlanOutdated(f"invoice {id} is {state}; nothing was sent")
    return rows[0]


def _require_nothing_new(invoice: Invoice, listed: Sequence[Invoice], plan: Plan) -> None:
    """Raise PlanOutdated where something is wrong that was not when the plan was made."""
    planned = plan.findings.get(invoice.invoices_id, ())
    findings = [
        finding
        for finding in find_unpayable(listed).get(invoice.invoices_id, ())
        if finding not in planned
    ]
    if findings:
        problem = f"invoice {invoice.invoices_id} is not as planned; nothing was sent"
        raise PlanOutdated(f"{problem}. {describe_findings(findings)}")


def _require_as_planned(planned: Invoice, listed: Sequence[Invoice]) -> Invoice:
    id = positive_int("invoices_id", planned.invoices_id)  # type: ignore[arg-type]
    now = find_open(id, listed)
    costs = [(one.amount, fold_currency(one.invoices_currency)) for one in (now, planned)]
    if costs[0] != costs[1]:
        raise PlanOutdated(f"invoice {id} costs something else now; nothing was sent")
    return now


# --- one payment -----------------------------------------------------------------------------


def _pay_one(client: Client, invoice: Invoice, journal: Journal) -> list[Entry]:
    """Pay an invoice, and return the records of what became of it, and of what the list said."""
    id = positive_int("invoices_id", invoice.invoices_id)  # type: ignore[arg-type]
    intent = journal.number(
        make_intent(id, invoice.invoices_amount, invoice.invoices_currency, find_customer(invoice))
    )
    call: Call[Status] | None = None
    status: Status | None = None
    failure: BaseException | None = None
    try:
        journal.append(intent)
        call = client._prepare_payment(id, invoice.invoices_module or "mail")
        status = client._run(call)
    except BaseException as error:
        if not journal.holds(intent):
            raise
        failure = error
    result, text = _classify(status, failure, call)
    outcome = journal.number(intent.follow_up("outcome", result, text))
    try:
        _record(outcome, journal)
    except JournalError as error:
        if call is None and isinstance(failure, JournalError):
            raise failure from None
        raise JournalWriteFailed(
            f"invoice {id}: {_MEANINGS[result]}, and that could not be recorded: {error}",
            id,
            result,
        ) from None
    if result == "unknown" and isinstance(failure, _ANSWERS):
        settled = _ask_list(client, journal)
        is_settled = any(entry.invoice == id for entry in settled)
        return settled if is_settled else [*settled, outcome]
    is_told = isinstance(failure, _ANSWERS) or (
        result == "unknown" and isinstance(failure, Exception)
    )
    if failure is not None and not is_told:
        raise failure
    return [outcome]


def _record(outcome: Entry, journal: Journal) -> None:
    """Write an outcome, also where a signal's handler raises meanwhile."""
    try:
        journal.append(outcome)
    except JournalError:
        raise
    except BaseException:
        if not journal.holds(outcome):
            journal.append(outcome)
        raise


def _classify(
    status: Status | None, failure: BaseException | None, call: Call[Status] | None
) -> tuple[str, str]:
    """Return the result of a payment, and what is said of it; its call knows what was sent."""
    if status is not None and call is not None:
        return "paid", call.redact(str(status.status_text))
    text = (str(failure) if isinstance(failure, Exception) else "") or type(failure).__name__
    if call is not None and (call.may_have_happened or _is_paid_already(failure)):
        return "unknown", text
    return "refused", text


def _is_paid_already(failure: BaseException | None) -> bool:
    """Return whether the server refused in words that say that the invoice is paid."""
    text = ""
    if isinstance(failure, OperationFailed):
        text = failure.status_text or ""
    elif isinstance(failure, SoapFault):
        text = failure.text
    clauses = re.split(r"[.,:;()!]", text)
    return any(_PAID_ALREADY.search(one) and not _DOUBT.search(one) for one in clauses)


def _ask_list(client: Client, journal: Journal) -> list[Entry]:
    """Return what the server's list settles after it called an invoice paid already."""
    settled: list[Entry] = []
    with suppress(SoapMailError, JournalError, OutcomeUndetermined):  # the question stays open
        settled += take_answers(client.get_client_invoices(), journal)
    return settled
