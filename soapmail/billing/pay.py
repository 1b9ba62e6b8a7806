"""Paying by a plan, each payment between two lines of a journal that survives a crash.

The provider has no idempotency key, so the journal is what keeps a payment from being made twice:
what is about to be paid is on the disk before the request leaves, and what became of it after. A
payment whose end is not known is not made again before somebody says what became of it. What was
paid elsewhere in the same second is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..arguments import positive_int
from ..errors import OperationFailed, OutcomeUnknown, SoapFault
from .journal import Entry, Journal, JournalError, make_intent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..call import Call
    from ..client import Client
    from ..models import Invoice, Status
    from .plan import Plan

_CLEAR_ERRORS = (OutcomeUnknown, OperationFailed, SoapFault)
_MEANINGS = {
    "paid": "it was paid",
    "refused": "it was not paid",
    "unknown": "it may or may not have been paid",
}


class OutcomeUndetermined(Exception):
    """It is not known whether invoices were paid, so nothing is; ``invoices`` are their ids.

    ``choices``: the results that a person may settle them with.
    """

    def __init__(
        self, message: str, invoices: Sequence[int | None], choices: Sequence[str]
    ) -> None:
        super().__init__(message)
        self.invoices = list(invoices)
        self.choices = list(choices)


class JournalWriteFailed(Exception):
    """The journal does not hold what became of a payment; ``result`` is what is known of it."""

    def __init__(self, message: str, result: str) -> None:
        super().__init__(message)
        self.result = result


class PlanOutdated(Exception):
    """What was planned is not open any more, or costs something else; nothing was sent."""


def pay_open(client: Client, plan: Plan, journal: Journal) -> Iterator[Entry]:
    """Pay what is planned, one after the other, and yield what became of each.

    The server's list is read before each payment. It stops at the first payment whose outcome is
    unknown (a result of ``unknown``). OutcomeUndetermined and PlanOutdated: this invoice and all
    behind it were not paid. JournalError: the same, and nothing was sent of it.
    JournalWriteFailed: the disk was full after a payment. Other errors are those of the client,
    and nothing more was paid.
    """
    with journal:
        listed = client.get_client_invoices()
        yield from iter_settled(listed, journal)
        for invoice in plan.invoices:
            _require_as_planned(invoice, listed, journal)
        for number, invoice in enumerate(plan.invoices):
            if number:
                _require_as_planned(invoice, client.get_client_invoices(), journal)
            entry = _pay_one(client, invoice, journal)
            yield entry
            if entry.result == "unknown":
                return


def pay_invoice(client: Client, invoice: Invoice, journal: Journal) -> Iterator[Entry]:
    """Pay one invoice, of which its id may be all that is known, and yield what became of it.

    The server's list is read only where the journal knows the invoice or has an open question.
    What turns out to be paid by a run before is settled, and not paid again. Errors as
    ``pay_open``.
    """
    id = positive_int("invoices_id", invoice.invoices_id)  # type: ignore[arg-type]
    with journal:
        if journal.entries_for(id) or journal.unsettled():
            listed = client.get_client_invoices()
            for entry in iter_settled(listed, journal):
                yield entry
                if entry.invoice == id:
                    return
            _require_open(id, listed, journal)
        yield _pay_one(client, invoice, journal)


def iter_settled(listed: Sequence[Invoice], journal: Journal) -> Iterator[Entry]:
    """Look up what became of payments whose end is not known, and yield each line written.

    OutcomeUndetermined: the list does not say it of all.
    """
    invoices = {invoice.invoices_id: invoice for invoice in listed}
    undetermined: list[int | None] = []
    for intent in journal.unsettled():
        invoice = invoices.get(intent.invoice)
        if intent.invoice is not None and invoice is not None and invoice.is_paid:
            text = "the server lists it as paid"
            yield journal.settle(intent.invoice, "paid", text=text)
        else:
            undetermined.append(intent.invoice)
    if undetermined:
        names = ", ".join("unknown" if id is None else str(id) for id in undetermined)
        raise OutcomeUndetermined(
            f"{journal.path}: it is not known whether invoice {names} was paid, so nothing is paid"
            " now. Look at the account, then say what became of it",
            undetermined,
            ["paid", "unpaid"],
        )


def _require_as_planned(planned: Invoice, listed: Sequence[Invoice], journal: Journal) -> None:
    id = positive_int("invoices_id", planned.invoices_id)  # type: ignore[arg-type]
    now = _require_open(id, listed, journal)
    if (now.amount, now.invoices_currency) != (planned.amount, planned.invoices_currency):
        raise PlanOutdated(f"invoice {id} costs something else now; nothing was sent")


def _require_open(id: int, listed: Sequence[Invoice], journal: Journal) -> Invoice:
    invoice = find_open(id, listed)
    if journal.is_paid(id):
        raise OutcomeUndetermined(
            f"{journal.path}: invoice {id} was paid, and the server still lists it as open, so"
            " nothing is paid now. Look at the account; if it was not paid, say so",
            [id],
            ["unpaid"],
        )
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


def _pay_one(client: Client, invoice: Invoice, journal: Journal) -> Entry:
    intent = make_intent(invoice.invoices_id, invoice.invoices_amount, invoice.invoices_currency)
    id = positive_int("invoices_id", intent.invoice)  # type: ignore[arg-type]
    call: Call[Status] | None = None
    status: Status | None = None
    failure: BaseException | None = None
    try:
        journal.append(intent)
        call = client._prepare_payment(id, invoice.invoices_module or "mail")
        status = client._run(call)
    except BaseException as error:
        if not any(entry is intent for entry in journal.entries()):
            raise
        failure = error
    result, text = _classify(status, failure, call)
    outcome = intent.follow_up("outcome", result, text)
    try:
        journal.append(outcome)
    except JournalError as error:
        raise JournalWriteFailed(
            f"invoice {id}: {_MEANINGS[result]}, and that could not be recorded: {error}", result
        ) from None
    if failure is not None and not isinstance(failure, _CLEAR_ERRORS):
        raise failure
    return outcome


def _classify(
    status: Status | None, failure: BaseException | None, call: Call[Status] | None
) -> tuple[str, str]:
    """Return the result of a payment, and what is said of it; its call knows what was sent."""
    if status is not None and call is not None:
        return "paid", call.redact(str(status.status_text))
    is_unknown = call is not None and call.may_have_happened
    text = str(failure) if isinstance(failure, Exception) else ""
    return "unknown" if is_unknown else "refused", text or type(failure).__name__
