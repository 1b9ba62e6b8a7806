"""Paying by a plan, each payment between two records of a journal that survives a crash.

The provider has no idempotency key, so the journal is what keeps a payment from being made twice:
what is about to be paid is on the disk before the request leaves, and what became of it after. A
payment whose end is not known is not made again before the server's list or a person says what
became of it. What was paid elsewhere in the same second is not seen.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from ..arguments import positive_int
from ..errors import OperationFailed, OutcomeUnknown, SoapFault, SoapMailError
from .history import Entry, History, JournalError, make_intent
from .plan import Reason, find_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..call import Call
    from ..client import Client
    from ..models import Invoice, Status
    from .journal import Journal
    from .plan import Plan

_log = logging.getLogger("soapmail")
_CLEAR_ERRORS = (OutcomeUnknown, OperationFailed, SoapFault)
_PAID_ALREADY = re.compile(r"(?is)\balready\b.*\bpaid\b|\bpaid\b.*\balready\b|\b(is|been) paid\b")
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
    """The journal does not hold what became of a payment; ``result`` is what is known of it."""

    def __init__(self, message: str, result: str) -> None:
        super().__init__(message)
        self.result = result


class PlanOutdated(Exception):
    """What was planned is not open any more, or costs something else; nothing was sent."""


def pay_open(client: Client, plan: Plan, journal: Journal) -> Iterator[Entry]:
    """Pay what is planned, one after the other, and yield what became of each.

    The server's list is read before each payment. What the journal holds as paid, or as an open
    question that the list does not answer, is left out. It stops at the first payment whose outcome
    is unknown (a result of ``unknown``). OutcomeUndetermined: at the end, for what is still an open
    question; at once, where that may be any invoice. PlanOutdated: this invoice and all behind it
    were not paid. JournalError: the same, and nothing was sent of it; also where the journal is
    another customer's. JournalWriteFailed: the disk was full after a payment. Other errors are
    those of the client, and nothing more was paid.
    """
    with journal:
        listed = client.get_client_invoices()
        yield from take_answers(listed, journal)
        yield from pay_planned(client, plan, journal, listed)


def pay_planned(
    client: Client, plan: Plan, journal: Journal, listed: Sequence[Invoice]
) -> Iterator[Entry]:
    """Pay as ``pay_open`` does, by a journal that is entered, and that knows of this list."""
    for invoice in plan.invoices:
        _require_as_planned(invoice, listed)
    for number, invoice in enumerate(plan.invoices):
        if number:
            listed = client.get_client_invoices()
        now = _require_as_planned(invoice, listed)
        reason = find_reason(now, 1, journal)
        if reason is not None:
            _log.warning("invoice %s left out: %s", now.invoices_id, reason.value)
            continue
        entry = _pay_one(client, now, journal)
        yield entry
        if entry.result == "unknown":
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
        if journal.entries_for(id) or journal.unsettled() or journal.customers:
            listed = client.get_client_invoices()
            settled: list[int | None] = []
            for entry in take_answers(listed, journal):
                yield entry
                settled.append(entry.invoice)
            if id in settled:
                _finish(journal)
                return
            invoice = require_payable(id, listed, journal)
        entry = _pay_one(client, invoice, journal)
        yield entry
        if entry.result != "unknown":
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
    rows = [invoice for invoice in listed if invoice.invoices_id == id]
    return len(rows) == 1 and rows[0].is_paid


def require_answers(history: History, listed: Sequence[Invoice] = ()) -> None:
    """Raise OutcomeUndetermined where payments are open questions that a list does not answer."""
    asked = dict.fromkeys(entry.invoice for entry in history.unsettled())
    ids = [id for id in asked if id is None or not is_answered(id, listed)]
    if None in ids:
        problem = "a line was cut off that may have been about any invoice, so nothing is paid"
    elif ids:
        names = ", ".join(map(str, ids))
        rest = "it is" if len(ids) == 1 else "they are"
        problem = f"it is not known whether invoice {names} was paid, so {rest} not paid now"
    else:
        return
    raise OutcomeUndetermined(
        f"{history.path}: {problem}. Look at the account, then say what became of it", ids
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
    rows = [invoice for invoice in listed if invoice.invoices_id == id]
    if not rows:
        raise PlanOutdated(f"there is no invoice {id}")
    if len(rows) > 1:
        raise PlanOutdated(f"invoice {id} is listed twice; nothing was sent")
    if not rows[0].is_open:
        state = "paid already" if rows[0].is_paid else "not open"
        raise PlanOutdated(f"invoice {id} is {state}; nothing was sent")
    return rows[0]


def _require_as_planned(planned: Invoice, listed: Sequence[Invoice]) -> Invoice:
    id = positive_int("invoices_id", planned.invoices_id)  # type: ignore[arg-type]
    now = find_open(id, listed)
    if (now.amount, now.invoices_currency) != (planned.amount, planned.invoices_currency):
        raise PlanOutdated(f"invoice {id} costs something else now; nothing was sent")
    return now


# --- one payment -----------------------------------------------------------------------------


def _pay_one(client: Client, invoice: Invoice, journal: Journal) -> Entry:
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
            f"invoice {id}: {_MEANINGS[result]}, and that could not be recorded: {error}", result
        ) from None
    if result == "unknown" and isinstance(failure, (OperationFailed, SoapFault)):
        return _ask_list(client, outcome, journal)
    is_told = isinstance(failure, _CLEAR_ERRORS) or (
        result == "unknown" and isinstance(failure, Exception)
    )
    if failure is not None and not is_told:
        raise failure
    return outcome


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
    words = {OperationFailed: "status_text", SoapFault: "text"}.get(type(failure), "")
    return bool(_PAID_ALREADY.search(getattr(failure, words, None) or "")) if words else False


def _ask_list(client: Client, outcome: Entry, journal: Journal) -> Entry:
    """Return what the server's list says of an invoice that it called paid already."""
    try:
        for entry in take_answers(client.get_client_invoices(), journal):
            if entry.invoice == outcome.invoice:
                return entry
    except (SoapMailError, JournalError, OutcomeUndetermined):
        pass  # the question stays open
    return outcome
