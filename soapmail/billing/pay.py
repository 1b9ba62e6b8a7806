"""Paying by a plan, each payment between two lines of a journal that survives a crash.

The provider has no idempotency key, so the journal is what keeps a payment from being made twice:
what is about to be paid is on the disk before the request leaves, and what became of it after. A
payment whose end is not known is not made again before somebody says what became of it. What was
paid elsewhere in the same second is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import arguments
from ..errors import OperationFailed, OutcomeUnknown, SoapFault
from .journal import Entry, Journal, JournalError, entry_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..call import Call
    from ..client import Client
    from ..models import Invoice, Status
    from .plan import Plan


class Unsettled(Exception):
    """It is not known whether invoices were paid, so nothing is; ``invoices`` are their ids."""

    def __init__(self, message: str, invoices: Sequence[int | None]) -> None:
        super().__init__(message)
        self.invoices = list(invoices)


class Unrecorded(Exception):
    """The journal does not hold what became of a payment; ``result`` is what is known of it."""

    def __init__(self, message: str, result: str) -> None:
        super().__init__(message)
        self.result = result


class PlanChanged(Exception):
    """What was planned is not open any more, or costs something else; nothing was sent."""


def pay_open(client: Client, plan: Plan, journal: Journal) -> Iterator[Entry]:
    """Pay what is planned, one after the other, and give each line that is written meanwhile.

    The server's list is read before each payment. It stops at the first payment whose outcome is
    unknown (a result of ``unknown``). Unsettled and PlanChanged: this invoice and all behind it
    were not paid. JournalError: the same, and nothing was sent of it. Unrecorded: the disk was
    full behind a payment. Other errors are those of the client, and nothing more was paid.
    """
    with journal:
        listed = client.get_client_invoices()
        yield from settle(listed, journal)
        for one in plan.invoices:
            _check(one, listed, journal)
        for number, one in enumerate(plan.invoices):
            if number:
                _check(one, client.get_client_invoices(), journal)
            entry = _paid(client, one, journal)
            yield entry
            if entry.result == "unknown":
                return


def pay_invoice(client: Client, invoice: Invoice, journal: Journal) -> Iterator[Entry]:
    """Pay one invoice, of which its id may be all that is known.

    The server's list is read only where the journal knows the invoice or has an open question.
    What turns out to be paid by a run before is settled, and not paid again. Errors as
    ``pay_open``.
    """
    id = arguments.whole("invoices_id", invoice.invoices_id)  # type: ignore[arg-type]
    with journal:
        if journal.of(id) or journal.unsettled():
            listed = client.get_client_invoices()
            for entry in settle(listed, journal):
                yield entry
                if entry.invoice == id:
                    return
            _check_open(id, listed, journal)
        yield _paid(client, invoice, journal)


def settle(listed: Sequence[Invoice], journal: Journal) -> Iterator[Entry]:
    """Look up what became of payments whose end is not known; Unsettled: the list does not say."""
    current = {one.invoices_id: one for one in listed}
    open_: list[int | None] = []
    for intent in journal.unsettled():
        found = current.get(intent.invoice)
        if intent.invoice is not None and found is not None and found.is_paid:
            text = "the server lists it as paid"
            yield journal.settle(intent.invoice, "paid", text=text)
        else:
            open_.append(intent.invoice)
    if open_:
        names = ", ".join("unknown" if id is None else str(id) for id in open_)
        raise Unsettled(
            f"{journal.path}: it is not known whether invoice {names} was paid, so nothing is paid"
            " now. Look at the account, then say what became of it: soapmail journal settle INVOICE"
            " paid (or unpaid)",
            open_,
        )


def _check(planned: Invoice, listed: Sequence[Invoice], journal: Journal) -> None:
    """Refuse to pay what is not what was planned any more."""
    id = arguments.whole("invoices_id", planned.invoices_id)  # type: ignore[arg-type]
    now = _check_open(id, listed, journal)
    if (now.amount, now.invoices_currency) != (planned.amount, planned.invoices_currency):
        raise PlanChanged(f"invoice {id} costs something else now; nothing was sent")


def _check_open(id: int, listed: Sequence[Invoice], journal: Journal) -> Invoice:
    """Give what the server lists of an invoice, if it is open there and in the journal."""
    found = [one for one in listed if one.invoices_id == id]
    if not found:
        raise PlanChanged(f"invoice {id} is not listed any more; nothing was sent")
    if len(found) > 1:
        raise PlanChanged(f"invoice {id} is listed twice; nothing was sent")
    if not found[0].is_open:
        state = "paid already" if found[0].is_paid else "not open any more"
        raise PlanChanged(f"invoice {id} is {state}; nothing was sent")
    if journal.is_paid(id):
        raise Unsettled(
            f"{journal.path}: invoice {id} was paid, and the server still lists it as open, so"
            " nothing is paid now. Look at the account; if it was not paid, say so: soapmail"
            f" journal settle {id} unpaid",
            [id],
        )
    return found[0]


def _paid(client: Client, invoice: Invoice, journal: Journal) -> Entry:
    """Pay one invoice between two lines of the journal."""
    id = arguments.whole("invoices_id", invoice.invoices_id)  # type: ignore[arg-type]
    about = (id, invoice.invoices_amount, invoice.invoices_currency)
    intent = entry_of("intent", about)
    calls: list[Call[Status]] = []
    status: Status | None = None
    failure: BaseException | None = None
    try:
        journal.append(intent)
        status = client._pay(id, invoice.invoices_module or "mail", calls)
    except BaseException as error:
        if not any(one is intent for one in journal.entries()):
            raise
        failure = error
    result, text = _judged(status, failure, calls)
    entry = entry_of("outcome", about, result, text)
    try:
        journal.append(entry)
    except JournalError as error:
        raise Unrecorded(
            f"invoice {id}: {_SAID[result]}, and that could not be recorded: {error}", result
        ) from None
    if failure is not None and not isinstance(failure, _ANSWERS):
        raise failure
    return entry


_ANSWERS = (OutcomeUnknown, OperationFailed, SoapFault)


def _judged(
    status: Status | None, failure: BaseException | None, calls: Sequence[Call[Status]]
) -> tuple[str, str]:
    """Give the result of a payment, and what is said of it; its call knows what was sent."""
    if status is not None:
        return "paid", str(calls[-1].hidden(status.status_text))
    unknown = isinstance(failure, OutcomeUnknown) or any(call.is_open for call in calls)
    said = str(failure) if isinstance(failure, Exception) else ""
    return "unknown" if unknown else "refused", said or type(failure).__name__


_SAID = {
    "paid": "it was paid",
    "refused": "it was not paid",
    "unknown": "it may or may not have been paid",
}
