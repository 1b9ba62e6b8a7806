"""Paying what is open by a plan, with a journal that survives a crash.

The provider has no idempotency key, so the journal is what keeps a payment from being made twice:
what is about to be paid is on the disk before the request leaves, and what became of it after. A
payment whose end is not known is not made again before somebody says what became of it. What was
paid elsewhere in the same second is not seen.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .errors import OperationFailed, OutcomeUnknown, SoapFault, SoapMailError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from .client import Client
    from .models import Invoice

EVENTS = {
    "intent": (None,),
    "outcome": ("paid", "refused", "unknown"),
    "settled": ("paid", "unpaid"),
}
_POLL = 0.05
_NAMED = r'\{"invoice": ([0-9]+),'


class JournalError(Exception):
    """The journal cannot be locked, read or written; nothing was sent."""


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


@dataclass(frozen=True)
class Entry:
    """One line of a journal.

    - ``event``: ``intent`` (about to be paid), ``outcome`` (with a ``result`` of ``paid``,
      ``refused`` or ``unknown``), ``settled`` (``paid`` or ``unpaid``, as was found out later)
    - ``amount``, ``currency``: what it costs; ``None``: not known
    - ``time``: UTC, in the form of ISO 8601
    - ``text``: what the server or the error said
    """

    invoice: int | None
    event: str
    amount: float | None
    currency: str | None
    time: str
    result: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Plan:
    """What to pay, in this order; ``left_out`` says of others why not."""

    invoices: Sequence[Invoice]
    left_out: Sequence[tuple[Invoice, str]] = ()

    @property
    def totals(self) -> dict[str, Decimal]:
        """What it costs in each currency."""
        sums: dict[str, Decimal] = {}
        for one in self.invoices:
            currency = one.invoices_currency or ""
            sums[currency] = sums.get(currency, Decimal(0)) + (one.amount or 0)
        return sums


def plan_of(
    invoices: Sequence[Invoice],
    *,
    currency: str | None = None,
    service: int | None = None,
    due_until: date | None = None,
    max_total: Decimal | None = None,
    max_each: Decimal | None = None,
) -> Plan:
    """Plan to pay what is open, in the order of the due dates, what is overdue first.

    ValueError: there is more than one currency and none was chosen, or the first invoice alone
    costs more than ``max_total``. What has no amount is left out, and so is all that follows an
    invoice which would exceed ``max_total``.
    """
    wanted = [
        one
        for one in invoices
        if one.is_open
        and currency in (None, one.invoices_currency or "")
        and service in (None, one.invoices_service)
        and _is_due(one, due_until)
    ]
    currencies = sorted({one.invoices_currency or "" for one in wanted})
    if len(currencies) > 1:
        shown = " and ".join(one or "no currency" for one in currencies)
        raise ValueError(f"open invoices are in {shown}: choose one currency")
    planned: list[Invoice] = []
    left_out: list[tuple[Invoice, str]] = []
    total = Decimal(0)
    full = False
    for one in sorted(wanted, key=lambda one: (one.due_date or datetime.max, one.invoices_id or 0)):
        reason = _left_out(one, max_each)
        if reason is None and max_total is not None and (full or total + _cost(one) > max_total):
            if not planned:
                raise ValueError(
                    f"invoice {one.invoices_id} alone costs {_cost(one)}, more than {max_total} in"
                    " all; nothing is planned"
                )
            full, reason = True, f"over {max_total} in all"
        if reason is None:
            planned.append(one)
            total += _cost(one)
        else:
            left_out.append((one, reason))
    return Plan(planned, left_out)


def _is_due(invoice: Invoice, until: date | None) -> bool:
    due = invoice.due_date
    return until is None or (due is not None and due.date() <= until)


def _left_out(invoice: Invoice, max_each: Decimal | None) -> str | None:
    if invoice.invoices_id is None:
        return "no id"
    if invoice.amount is None or invoice.amount <= 0:
        return "no amount"
    return f"over {max_each}" if max_each is not None and invoice.amount > max_each else None


def _cost(invoice: Invoice) -> Decimal:
    return invoice.amount or Decimal(0)


def pay_open(client: Client, plan: Plan, journal: Journal) -> Iterator[Entry]:
    """Pay what is planned, one after the other, and give each line that is written meanwhile.

    It stops at the first payment whose end is not known (a result of ``unknown``). JournalError,
    Unsettled and PlanChanged: nothing was sent. Unrecorded: the disk was full behind a payment.
    Other errors are those of the client, and nothing was paid then.
    """
    with journal:
        listed = client.get_client_invoices()
        yield from settle(listed, journal)
        current = {one.invoices_id: one for one in listed}
        for one in plan.invoices:
            _check(one, current.get(one.invoices_id), journal)
        for one in plan.invoices:
            entry = _paid(client, one, journal)
            yield entry
            if entry.result == "unknown":
                return


def pay_invoice(client: Client, invoice: Invoice, journal: Journal) -> Iterator[Entry]:
    """Pay one invoice, of which its id may be all that is known.

    The server's list is asked for only where the journal has a reason. Errors as ``pay_open``.
    """
    id = invoice.invoices_id
    with journal:
        if id is not None and (journal.unsettled() or journal.is_paid(id)):
            listed = client.get_client_invoices()
            yield from settle(listed, journal)
            if any(one.invoices_id == id and one.is_open for one in listed):
                _check_unpaid(id, journal)
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


def _check(planned: Invoice, now: Invoice | None, journal: Journal) -> None:
    id = planned.invoices_id
    if id is None or now is None:
        raise PlanChanged(f"invoice {id} is not listed any more; nothing was paid")
    same = (now.amount, now.invoices_currency) == (planned.amount, planned.invoices_currency)
    if not now.is_open or not same:
        what = "costs something else now" if now.is_open else "is not open any more"
        raise PlanChanged(f"invoice {id} {what}; nothing was paid")
    _check_unpaid(id, journal)


def _check_unpaid(id: int, journal: Journal) -> None:
    """Refuse to pay what the journal knows to be paid, though it is listed as open."""
    if journal.is_paid(id):
        raise Unsettled(
            f"{journal.path}: invoice {id} was paid, and the server still lists it as open, so"
            " nothing is paid now. Look at the account; if it was not paid, say so: soapmail"
            f" journal settle {id} unpaid",
            [id],
        )


def _paid(client: Client, invoice: Invoice, journal: Journal) -> Entry:
    """Pay one invoice between two lines of the journal."""
    id = invoice.invoices_id
    assert id is not None
    about = (id, invoice.invoices_amount, invoice.invoices_currency)
    journal.append(_entry("intent", about))
    failure: BaseException | None = None
    try:
        status = client.make_payment(id, invoice.invoices_module or "mail")
        result, text = "paid", status.status_text
    except OutcomeUnknown as error:
        result, text = "unknown", str(error)
    except (OperationFailed, SoapFault) as error:
        result, text = "refused", str(error)
    except SoapMailError as error:  # nothing was sent
        result, text, failure = "refused", str(error), error
    except BaseException as error:
        result = "unknown" if client._may_have_changed() else "refused"
        text, failure = type(error).__name__, error
    entry = _entry("outcome", about, result, text)
    try:
        journal.append(entry)
    except JournalError as error:
        raise Unrecorded(
            f"invoice {id}: {_SAID[result]}, and that could not be recorded: {error}", result
        ) from None
    if failure is not None:
        raise failure
    return entry


_SAID = {
    "paid": "it was paid",
    "refused": "it was not paid",
    "unknown": "it may or may not have been paid",
}


def _entry(
    event: str,
    about: tuple[int | None, float | None, str | None],
    result: str | None = None,
    text: str | None = None,
) -> Entry:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Entry(about[0], event, about[1], about[2], now, result, text)


# --- the journal -----------------------------------------------------------------------------


class Journal:
    """A file of JSON lines, only ever added to, which one process at a time may use.

    It is a context manager, which waits ``seconds`` for the lock of another process. Each line is
    on the disk before the next step. ``path`` is made if it is not there, for its owner alone.
    """

    def __init__(self, path: str, seconds: float = 60.0) -> None:
        self.path = path
        self._seconds = seconds
        self._lock = -1
        self._depth = 0
        self._entries: list[Entry] = []
        # What was cut off at the end of the file, by a power cut or a full disk.
        self._torn = b""

    def __enter__(self) -> Journal:
        if self._depth == 0:
            self._lock = self._locked()
            try:
                self._read()
            except BaseException:
                self._unlock()
                raise
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._unlock()

    def entries(self) -> list[Entry]:
        """Give all lines; the last one may be an intent of which only a part was written."""
        return [*self._entries, *self._cut()]

    def unsettled(self) -> list[Entry]:
        """Give the intents of which nobody knows what became; ``None`` as the invoice: of which."""
        last: dict[int | None, Entry] = {}
        intents: dict[int | None, Entry] = {}
        for one in self.entries():
            last[one.invoice] = one
            if one.event == "intent":
                intents[one.invoice] = one
        return [
            intents.get(invoice, one)
            for invoice, one in last.items()
            if one.event == "intent" or one.result == "unknown"
        ]

    def is_paid(self, invoice: int) -> bool:
        """Tell whether the last line of an invoice says that it was paid."""
        lines = [one for one in self.entries() if one.invoice == invoice]
        return bool(lines) and lines[-1].result == "paid"

    def settle(self, invoice: int, result: str, text: str | None = None) -> Entry:
        """Write down what became of a payment; JournalError: nothing is open about it."""
        of = [one for one in self.entries() if one.invoice == invoice and one.event == "intent"]
        nameless = any(one.invoice is None for one in self.unsettled())
        if not (of or nameless):
            raise JournalError(f"{self.path}: no payment of invoice {invoice} is written down")
        amount, currency = (of[-1].amount, of[-1].currency) if of else (None, None)
        self._mend(invoice)
        entry = _entry("settled", (invoice, amount, currency), result, text)
        self.append(entry)
        return entry

    def append(self, entry: Entry) -> None:
        """Write a line, and wait until it is on the disk; JournalError: it is not there."""
        assert self._depth, "not locked"
        if self._torn:
            raise JournalError(f"{self.path}: its last line is broken")
        try:
            self._write(_line(entry))
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror or error}") from None
        self._entries.append(entry)

    # --- the file ----------------------------------------------------------------------------

    def _write(self, line: bytes) -> None:
        new = not os.path.exists(self.path)
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(file).st_size
            try:
                if os.write(file, line) < len(line):
                    raise OSError(28, "No space left on device")
                os.fsync(file)
            except OSError:
                with suppress(OSError):  # else the beginning of a line stays, which is seen later
                    os.ftruncate(file, size)
                raise
        finally:
            os.close(file)
        if new:
            _sync_folder(os.path.dirname(self.path))

    def _read(self) -> None:
        self._entries, self._torn = [], b""
        try:
            with open(self.path, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from None
        *whole, rest = lines
        for number, line in enumerate(whole, 1):
            entry = _entry_of(line)
            if entry is not None:
                self._entries.append(entry)
            elif number == len(whole) and not rest:
                rest = line + b"\n"
            else:
                raise JournalError(f"{self.path}: line {number} is broken; nothing is paid by it")
        self._torn = rest

    def _cut(self) -> list[Entry]:
        """Give what the beginning of a line says; an unfinished line is an intent."""
        if not self._torn:
            return []
        found = re.match(_NAMED, self._torn.decode("utf-8", "replace"))
        return [Entry(int(found[1]) if found else None, "intent", None, None, "", text="cut off")]

    def _mend(self, invoice: int) -> None:
        """Put a whole intent in place of the beginning of one, in one step."""
        if not self._torn:
            return
        intents = self._cut()
        id = invoice if intents[0].invoice is None else intents[0].invoice
        entry = _entry("intent", (id, None, None), None, "cut off")
        beside = f"{self.path}.new"
        try:
            with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(b"".join(map(_line, [*self._entries, entry])))
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            _sync_folder(os.path.dirname(self.path))
        except OSError as error:
            with suppress(OSError):
                os.unlink(beside)
            raise JournalError(f"{self.path}: {error.strerror or error}") from None
        self._entries.append(entry)
        self._torn = b""

    # --- one process at a time ---------------------------------------------------------------

    def _locked(self) -> int:
        try:
            import fcntl
        except ImportError:
            raise JournalError(f"{self.path}: this system has no locks for it") from None
        path = f"{self.path}.lock"
        end = time.monotonic() + self._seconds
        try:
            os.makedirs(os.path.dirname(path) or ".", 0o700, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from None
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        holder = os.pread(file, 100, 0).decode("ascii", "replace").strip()
                        held = f"process {holder}" if holder else "another process"
                        raise JournalError(f"{path}: held by {held}; nothing was paid") from None
                time.sleep(_POLL)
        except OSError as error:
            os.close(file)
            raise JournalError(f"{path}: {error.strerror}") from None
        except BaseException:
            os.close(file)
            raise
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, b"%d\n" % os.getpid(), 0)
        return file

    def _unlock(self) -> None:
        os.close(self._lock)


def _line(entry: Entry) -> bytes:
    # The invoice first, so that even the beginning of a line names it.
    values = {
        name: value for name, value in asdict(entry).items() if value is not None or name in _ALWAYS
    }
    return json.dumps(values, ensure_ascii=True).encode() + b"\n"


_ALWAYS = ("invoice", "event", "amount", "currency", "time")


def _entry_of(line: bytes) -> Entry | None:
    """Give what a line says; None where it says nothing that is known."""
    try:
        found: Any = json.loads(line)
        entry = Entry(**found)
    except (ValueError, TypeError):
        return None
    kinds = (
        type(entry.invoice) is int,
        entry.event in EVENTS and entry.result in EVENTS[entry.event],
        entry.amount is None or type(entry.amount) in (int, float),
        isinstance(entry.time, str),
    )
    return entry if all(kinds) else None


def _sync_folder(folder: str) -> None:
    file = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
