"""What the lines of a journal say: its records, and which payments have an open outcome."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SETTLED_RESULTS = ("paid", "unpaid")
# For each event, the results that it may have.
_RESULTS: dict[str, tuple[str | None, ...]] = {
    "intent": (None,),
    "outcome": ("paid", "refused", "unknown"),
    "settled": _SETTLED_RESULTS,
    "reopened": ("unknown",),
    "torn": (None,),
}
_ALWAYS_WRITTEN = ("invoice", "event", "amount", "currency", "time")
# How each record begins; the invoice first, as a record may be cut off at any byte.
_HEAD = b'{"invoice": '
_FIRST_FIELD = re.compile(rb'\{"invoice": ([0-9]{1,18}),')


class JournalError(Exception):
    """The journal cannot be locked, read, written or trusted; nothing was sent."""


@dataclass(frozen=True)
class Entry:
    """One record of a journal, a line.

    - ``invoice``: its id; ``None``: what was cut off does not say it
    - ``event``: ``intent`` (about to be paid), ``outcome`` (with a ``result`` of ``paid``,
      ``refused`` or ``unknown``), ``settled`` (``paid`` or ``unpaid``, as was found out later),
      ``reopened`` (``unknown``: what was known is in doubt), ``torn`` (the line before it was cut
      off, so that its payment may have been made)
    - ``amount``, ``currency``: what it costs; ``None``: not known
    - ``time``: UTC, in the form of ISO 8601
    - ``text``: what the server or the error said
    - ``number``: of this record, which no other one has; ``answers``: of the record whose outcome
      this is; ``customer``: the ``invoices_custid``; ``None``: not known
    """

    invoice: int | None
    event: str
    amount: float | None
    currency: str | None
    time: str
    result: str | None = None
    text: str | None = None
    number: int | None = None
    answers: int | None = None
    customer: int | None = None

    def follow_up(self, event: str, result: str | None, text: str | None) -> Entry:
        """Return what became of this payment, now."""
        return replace(
            self,
            event=event,
            time=_format_now(),
            result=result,
            text=text,
            number=None,
            answers=self.number,
        )


def make_intent(
    invoice: int | None,
    amount: float | None,
    currency: str | None,
    customer: int | None = None,
) -> Entry:
    """Return the record of a payment that is about to be made."""
    return Entry(invoice, "intent", amount, currency, _format_now(), customer=customer)


def _format_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass
class _Question:
    """A payment that was begun, and the last that is known of its outcome."""

    entry: Entry
    answer: Entry | None = None

    @property
    def result(self) -> str | None:
        return None if self.answer is None else self.answer.result

    @property
    def is_open(self) -> bool:
        return self.result in (None, "unknown")


class History:
    """What the records of a journal say, in their order; ``path`` is the journal's."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        self._entries: list[Entry] = []
        self._questions: dict[int | None, list[_Question]] = {}
        # Lines that were cut off, which no record of the file has named yet.
        self._torn: list[Entry] = []

    def entries(self) -> list[Entry]:
        """Return all records, and last those that were cut off."""
        return [*self._entries, *self._torn]

    def entries_for(self, invoice: int) -> list[Entry]:
        """Return the records of one invoice."""
        return [entry for entry in self.entries() if entry.invoice == invoice]

    def unsettled(self) -> list[Entry]:
        """Return the payments whose outcome is open; ``None`` as the invoice: of any invoice."""
        asked = [entry for invoice in self._questions for entry in self._list_open(invoice)]
        return [*asked, *self._torn]

    def unsettled_for(self, invoice: int) -> list[Entry]:
        """Return those of one invoice."""
        torn = [entry for entry in self._torn if entry.invoice == invoice]
        return [*self._list_open(invoice), *torn]

    def may_be_unsettled(self, invoice: int) -> bool:
        """Return whether one of them is, or may be, about an invoice."""
        is_torn = any(entry.invoice in (invoice, None) for entry in self._torn)
        return is_torn or bool(self._list_open(invoice) or self._list_open(None))

    def is_paid(self, invoice: int) -> bool:
        """Return whether a payment of an invoice is recorded as paid."""
        return any(question.result == "paid" for question in self._questions.get(invoice, ()))

    @property
    def customers(self) -> set[int]:
        """The customers whose invoices were paid by this journal, as far as it knows."""
        return {entry.customer for entry in self._entries if entry.customer is not None}

    def _list_open(self, invoice: int | None) -> list[Entry]:
        return [one.entry for one in self._questions.get(invoice, ()) if one.is_open]

    def _find_cause(self, torn: Entry) -> int | None:
        """Return the invoice of which more was to come where a line was cut off, if any."""
        before = self._entries[: self._entries.index(torn)]
        last = next((entry for entry in reversed(before) if entry.event != "torn"), None)
        is_open = last is not None and (last.event == "intent" or last.result == "unknown")
        return last.invoice if last is not None and is_open else None

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        if entry.event in ("intent", "torn"):
            self._questions.setdefault(entry.invoice, []).append(_Question(entry))
            return
        for question in self._find_questions(entry):
            if question.entry.invoice is None:  # from now on it is of the invoice that is named
                self._questions[None].remove(question)
                self._questions.setdefault(entry.invoice, []).append(question)
                question.entry = replace(question.entry, invoice=entry.invoice)
            question.answer = entry

    def _find_questions(self, answer: Entry) -> list[_Question]:
        """Return what a record answers: the payment that it names, or all of its invoice."""
        of_invoice = self._questions.get(answer.invoice, [])
        nameless = self._questions.get(None, [])
        if answer.event == "reopened":
            return of_invoice
        if answer.answers is not None:
            # Journals that were put together may hold a number twice.
            named = [one for one in (*nameless, *of_invoice) if one.entry.number == answer.answers]
            return ([one for one in named if one.is_open] or named)[-1:]
        # A record of another program, or of one that wrote no numbers.
        unnumbered = [one for one in nameless if one.entry.number is None]
        asked = [one for one in of_invoice if one.is_open] or unnumbered or of_invoice[-1:]
        if not asked:
            asked = [_Question(answer)]
            self._questions[answer.invoice] = asked
        return asked


def read_records(data: bytes, path: str) -> History:
    """Return what a journal's bytes say.

    JournalError: a line is not a record that this version writes, so that nothing is known.
    """
    history = History(path)
    cut_off: dict[int, bytes] = {}
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        entry = _parse_entry(line)
        is_unended = number == len(lines)
        if entry is None and (is_unended or _is_cut_off(line)):
            cut_off[number] = line
            continue
        if entry is not None and entry.event == "torn":  # each names one, in their order
            cut_off.pop(next(iter(cut_off), 0), None)
        elif entry is None or cut_off:
            broken = next(iter(cut_off), number)
            raise JournalError(
                f"{path}: line {broken} is not a record that this version of soapmail writes;"
                " nothing is paid before somebody has looked at it"
            )
        history._add(entry)
    history._torn = [_make_torn(line) for line in cut_off.values()]
    return history


def format_record(entry: Entry) -> bytes:
    """Return the line of a record; ValueError: it could not be read again."""
    values = {
        name: value
        for name, value in asdict(entry).items()
        if value is not None or name in _ALWAYS_WRITTEN
    }
    line = json.dumps(values).encode()
    if _parse_entry(line) != entry:
        raise ValueError(f"not a record of a journal: {values}")
    return line + b"\n"


def check_result(result: str) -> None:
    """Raise ValueError where a payment cannot be settled with a result."""
    if result not in _SETTLED_RESULTS:
        raise ValueError(f"result: {' or '.join(_SETTLED_RESULTS)} expected, not {result!r}")


def _is_cut_off(line: bytes) -> bool:
    """Return whether a line may be the beginning of a record, or what a power cut leaves of one."""
    if b"\0" in line or _HEAD.startswith(line):
        return True
    return line.startswith(_HEAD) and _parse_json(line) is None


def _make_torn(line: bytes) -> Entry:
    id = _FIRST_FIELD.match(line)
    return Entry(int(id[1]) if id else None, "torn", None, None, _format_now(), text="cut off")


def _parse_json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_optional_id(value: Any) -> bool:
    return value is None or (type(value) is int and value > 0)


def _is_optional_text(value: Any) -> bool:
    return value is None or type(value) is str


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "invoice": _is_optional_id,
    "event": lambda value: type(value) is str,
    "amount": lambda value: value is None or type(value) in (int, float),
    "currency": _is_optional_text,
    "time": lambda value: type(value) is str,
    "result": _is_optional_text,
    "text": _is_optional_text,
    "number": _is_optional_id,
    "answers": _is_optional_id,
    "customer": _is_optional_id,
}


def _parse_entry(line: bytes) -> Entry | None:
    """Return the record of a line; fields that this version does not know stay in the file."""
    fields = _parse_json(line)
    if not isinstance(fields, dict) or not fields.keys() >= set(_ALWAYS_WRITTEN):
        return None
    known: dict[str, Any] = {name: fields.get(name) for name in _CHECKS}
    if not all(check(known[name]) for name, check in _CHECKS.items()):
        return None
    entry = Entry(**known)
    has_invoice = entry.invoice is not None or entry.event == "torn"
    return entry if has_invoice and entry.result in _RESULTS.get(entry.event, ()) else None
