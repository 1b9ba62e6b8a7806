"""The journal's file: what its lines say, its lock, and what a disk, a signal or a fork does to it."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import signal
import stat
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from soapmail.billing import (
    Journal,
    JournalError,
    JournalWriteFailed,
    OutcomeUndetermined,
    PlanOutdated,
    iter_settled,
    make_plan,
    pay_invoice,
    pay_open,
    read_history,
)
from soapmail.billing import journal as journal_module
from soapmail.billing.history import make_intent

from ..support import raise_alarm_after, run_in_child
from .journals import (
    ID,
    OTHER,
    brief,
    charge,
    collect_payments,
    entry,
    fill_disk,
    lose_payments,
    write_journal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from soapmail import Client
    from soapmail.sandbox import Sandbox


# --- what the lines say ------------------------------------------------------------------------


def test_an_answer_belongs_to_the_payment_that_it_names(path: str) -> None:
    with Journal(path) as journal:
        first = journal.append(make_intent(5, 1.0, "USD"))
        second = journal.append(make_intent(5, 2.0, "USD"))
        assert (first.number, second.number) == (1, 2)
        journal.append(second.follow_up("outcome", "refused", None))
        assert journal.unsettled() == [first]
        journal.append(first.follow_up("outcome", "unknown", "lost"))
        assert journal.unsettled() == [first]
        assert journal.settle(5, "paid").amount == 1.0
        assert journal.unsettled() == []
        assert journal.is_paid(5)
        assert not journal.is_paid(6)


def test_two_writers_that_the_lock_does_not_reach_never_make_a_paid_invoice_payable(
    path: str,
) -> None:
    """Both take the same number for a payment of the same invoice; one is paid, one refused."""
    intent = replace(entry("intent"), number=5)
    outcome = replace(intent, event="outcome", number=6, answers=5)
    for results in (["refused", "paid"], ["paid", "refused"]):
        answers = [replace(outcome, result=result) for result in results]
        Path(path).unlink(missing_ok=True)
        write_journal(path, intent, intent, *answers)
        history = read_history(path)
        assert history.is_paid(ID)
        assert not history.unsettled()


def test_records_without_numbers_are_read_as_their_order_says(path: str) -> None:
    """Other programs, and versions before, write none."""
    text = (
        '{"invoice": 5, "event": "intent", "amount": 1, "currency": "USD", "time": "x"}\n'
        '{"invoice": 6, "event": "intent", "amount": 1, "currency": "USD", "time": "x"}\n'
        '{"invoice": 5, "event": "outcome", "amount": 1, "currency": "USD", "time": "x", "result": "paid"}\n'
        '{"invoice": 7, "event": "outcome", "amount": 1, "currency": "USD", "time": "x", "result": "unknown"}\n'
        '{"invoice": 8, "event": "settled", "amount": 1, "currency": "USD", "time": "x", "result": "paid"}\n'
    )  # fmt: skip
    Path(path).write_text(text)
    with Journal(path) as journal:
        assert [one.invoice for one in journal.unsettled()] == [6, 7]
        assert [id for id in range(5, 9) if journal.is_paid(id)] == [5, 8]
        journal.settle(6, "unpaid")
        journal.settle(7, "paid")
        assert journal.unsettled() == []
        assert journal.reopen(5).result == "unknown"
        assert [one.invoice for one in journal.unsettled()] == [5]
    assert Path(path).read_text().startswith(text)


def test_a_list_answers_what_it_says_once(path: str) -> None:
    """Neither what is not listed, nor what has no id, nor what is listed twice says it."""
    paid = charge(5, invoices_paid=1)
    with Journal(path) as journal:
        journal.append(make_intent(5, 2.0, "USD"))
        for listed in (
            [], [replace(paid, invoices_id=None)], [paid, paid], [paid, charge(5)], [charge(5)],
        ):  # fmt: skip
            with pytest.raises(OutcomeUndetermined, match="whether invoice 5 was paid") as caught:
                list(iter_settled([*listed, charge(6, invoices_paid=1)], journal))
            assert caught.value.invoices == [5]
        assert [one.result for one in iter_settled([paid], journal)] == ["paid"]
        assert journal.entries()[-1].text == "the server lists it as paid"


@pytest.mark.parametrize("word", ["Unpaid", "refused", "", None])
def test_a_payment_is_settled_as_paid_or_unpaid(path: str, word: Any) -> None:
    with Journal(path) as journal:
        journal.append(entry("intent"))
        with pytest.raises(ValueError, match="^result: paid or unpaid expected, not "):
            journal.settle(ID, word)
        for wrong in (0, "5", None):
            with pytest.raises((TypeError, ValueError), match="^invoice: "):
                journal.settle(wrong, "paid")  # type: ignore[arg-type]
    assert brief(path) == [(ID, "intent", None)]


def test_only_an_open_question_is_answered(path: str) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    with Journal(path) as journal:
        for id, state in ((ID, "is recorded as paid"), (OTHER, "is not in it")):
            with pytest.raises(JournalError, match=f"invoice {id} {state}: its outcome is not an"):
                journal.settle(id, "unpaid")
        with pytest.raises(JournalError, match=f"holds no known outcome of invoice {OTHER}"):
            journal.reopen(OTHER)
        assert Path(path).read_bytes() == whole
        journal.reopen(ID, "a mistake")
        assert [one.invoice for one in journal.unsettled()] == [ID]
        journal.settle(ID, "unpaid")
        assert not journal.is_paid(ID)
        # A wrong word is taken back before the next run pays again.
        journal.reopen(ID)
        journal.settle(ID, "paid")
        assert journal.is_paid(ID)
    assert brief(path)[2:4] == [(ID, "reopened", "unknown"), (ID, "settled", "unpaid")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "other"}, {"result": "paid"}, {"amount": float("nan")}, {"invoice": None},
        {"time": None}, {"number": 0}, {"event": "outcome"},
    ],
)  # fmt: skip
def test_nothing_is_written_that_could_not_be_read(path: str, wrong: dict[str, Any]) -> None:
    with Journal(path) as journal:
        with pytest.raises(ValueError, match="^not a record of a journal"):
            journal.append(replace(entry("intent"), **wrong))
    assert Path(path).read_bytes() == b""


# --- lines that were cut off -------------------------------------------------------------------


@pytest.mark.slow
def test_a_last_line_cut_at_any_byte_is_a_question(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    whole = write_journal(
        path, entry("intent", None, OTHER), entry("outcome", "refused", OTHER), entry("intent")
    )
    first = whole.rindex(b"\n", 0, -1) + 1
    named = first + len(f'{{"invoice": {ID},')
    plan = make_plan(sandbox.invoices[:1])
    for end in range(first + 1, len(whole)):
        Path(path).write_bytes(whole[:end])
        with pytest.raises(OutcomeUndetermined) as caught:
            list(pay_open(signed_in, plan, Journal(path)))
        id = ID if end >= named else None
        assert caught.value.invoices == [id]
        assert [one.invoice for one in read_history(path).unsettled()] == [id]
        with Journal(path) as journal:
            journal.settle(ID, "unpaid")
            assert journal.unsettled() == []
        data = Path(path).read_bytes()
        assert data.startswith(whole[:end] + b"\n")
        *torn, settled = map(json.loads, data[end + 1 :].splitlines())
        # Of the last one the line feed alone is missing.
        is_whole = end == len(whole) - 1
        assert [(one["event"], one["invoice"]) for one in torn] == [("torn", id)] * (not is_whole)
        assert (settled["result"], settled["answers"]) == ("unpaid", 3)
        assert read_history(path).unsettled() == []
    assert not sandbox.invoices[0].is_paid


@pytest.mark.parametrize("tail", [b"x", b"\xff\xfe", b"hello", b"[]", b"\0", b'{"a": 1}', b"{"])
def test_a_last_line_of_anything_is_a_question(path: str, tail: bytes) -> None:
    """Where its line feed is missing, nobody knows what it would have become."""
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    Path(path).write_bytes(whole + tail)
    assert [one.invoice for one in read_history(path).unsettled()] == [None]


def test_settling_one_invoice_answers_no_question_of_another(path: str) -> None:
    whole = write_journal(path, entry("intent", None, OTHER), entry("outcome", "paid", OTHER))
    for tail in (b'{"invoice": 7514880, "ev', b'{"inv'):
        Path(path).write_bytes(whole + tail)
        with Journal(path) as journal, pytest.raises(JournalError, match="is recorded as paid"):
            journal.settle(OTHER, "paid")
        assert len(read_history(path).unsettled()) == 1


@pytest.mark.parametrize("second", [b"", b'{"invoi', b'{"invoice": 7514880, "event": "to'])
def test_what_ends_a_cut_line_may_be_cut_itself(path: str, second: bytes) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    Path(path).write_bytes(whole + b'{"invoice": 7529153, "event": \n' + second)
    with Journal(path) as journal:
        assert {one.invoice for one in journal.unsettled()} >= {OTHER}
        asked = {b"": [OTHER], b'{"invoi': [OTHER, 7530357]}.get(second, [OTHER, ID])
        assert len(journal.unsettled()) == len(asked)
        for id in asked:
            journal.settle(id, "unpaid" if id != ID else "paid")
        assert journal.unsettled() == []
    assert read_history(path).unsettled() == []


def test_what_names_cut_lines_may_be_interrupted_between_two(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = b'{"invoice": 7529153, "event": \n{"invoice": 7530357, '
    Path(path).write_bytes(tail)
    fill_disk(monkeypatch, 1)
    with Journal(path) as journal, pytest.raises(JournalError, match="No space left on device"):
        journal.settle(OTHER, "paid")
    monkeypatch.undo()
    assert [one.invoice for one in read_history(path).unsettled()] == [OTHER, 7530357, 7530357]
    with Journal(path) as journal:
        journal.settle(7530357, "paid")
        assert [one.invoice for one in journal.unsettled()] == [OTHER]
    assert Path(path).read_bytes().startswith(tail + b"\n")


def test_what_a_power_cut_left_is_a_question_of_any_invoice(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    """A file that has grown before its data came is zeros (ext4, XFS)."""
    whole = write_journal(path, entry("intent"), entry("outcome", "refused"))
    Path(path).write_bytes(whole + b"\0" * 100)
    with pytest.raises(OutcomeUndetermined, match="about any invoice, so nothing is paid"):
        list(pay_open(signed_in, make_plan(sandbox.invoices[:2]), Journal(path)))
    with Journal(path) as journal:
        assert journal.settle(OTHER, "unpaid").invoice == OTHER
    assert [one.result for one in pay_invoice(signed_in, sandbox.invoices[0], Journal(path))] == ["paid"]  # fmt: skip


def test_a_cut_line_of_an_invoice_that_is_paid_is_settled(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    whole = write_journal(path, entry("intent"))
    Path(path).write_bytes(whole[:-20])
    signed_in.make_payment(ID)
    plan = make_plan(sandbox.invoices[1:2])
    entries = [
        (one.invoice, one.event, one.result) for one in pay_open(signed_in, plan, Journal(path))
    ]
    assert entries == [(ID, "settled", "paid"), (OTHER, "outcome", "paid")]


@pytest.mark.parametrize(
    "line",
    [
        b"[]", b"null", b"[" * 100_000, b'{"invoice": 5, "event": []}', b"9" * 5000, b'{"invoice": 5}', b"\xff", b"hello",
        b'{"invoice": "5", "event": "intent", "amount": 1, "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "other", "amount": 1, "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "outcome", "amount": 1, "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "intent", "amount": "1", "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "intent", "amount": 1, "currency": "USD", "time": 5}',
        b'{"invoice": null, "event": "intent", "amount": 1, "currency": "USD", "time": "x"}',
        b'{"event": "intent", "amount": 1, "currency": "USD", "time": "x"}',
    ],
)  # fmt: skip
def test_a_whole_line_that_is_no_record_stops_wherever_it_stands(
    sandbox: Sandbox, signed_in: Client, path: str, line: bytes
) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    for data, number in ((line + b"\n" + whole, 1), (whole + line + b"\n", 3)):
        Path(path).write_bytes(data)
        with pytest.raises(JournalError, match=f"journal.jsonl: line {number} is not a record"):
            list(pay_open(signed_in, make_plan(sandbox.invoices[1:2]), Journal(path)))
        with pytest.raises(JournalError, match=f"line {number} is not a record"):
            read_history(path)
        assert Path(path).read_bytes() == data
    assert not sandbox.invoices[1].is_paid


def test_a_cut_line_that_others_follow_stops(path: str) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    Path(path).write_bytes(b'{"invoice": 5,\n\n' + whole)
    with pytest.raises(JournalError, match="line 1 is not a record"), Journal(path):
        pass


def test_fields_of_a_later_version_are_kept(path: str) -> None:
    line = b'{"invoice": 5, "event": "intent", "amount": 1, "currency": "USD", "time": "x", "more": [1]}\n'
    Path(path).write_bytes(line)
    with Journal(path) as journal:
        journal.settle(5, "paid")
    assert Path(path).read_bytes().startswith(line)


def test_a_blank_line_says_nothing(path: str) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    Path(path).write_bytes(b"\n" + whole + b"\n \r\n")
    with Journal(path) as journal:
        assert journal.is_paid(ID)
        journal.append(entry("intent"))
    with Journal(path) as journal:
        assert len(journal.entries()) == 3


@pytest.mark.parametrize("result", ["paid", "unpaid"])
@pytest.mark.parametrize("has_outcome", [False, True])
def test_a_line_that_was_cut_off_behind_a_question_is_settled_with_it(
    path: str, result: str, has_outcome: bool
) -> None:
    """It names no invoice, so that all is stopped till then; behind it nothing is left to ask."""
    more = [entry("outcome", "unknown")] * has_outcome
    whole = write_journal(path, entry("intent", None, OTHER), entry("outcome", "paid", OTHER), entry("intent"), *more)  # fmt: skip
    Path(path).write_bytes(whole + b'{"inv')
    assert [one.invoice for one in read_history(path).unsettled()] == [ID, None]
    both = (
        f"whether invoice {ID} was paid and a line was cut off that .* invoice, so nothing is paid"
    )
    with Journal(path) as journal:
        with pytest.raises(OutcomeUndetermined, match=both):
            list(iter_settled([], journal))
        journal.settle(ID, result)
        assert journal.unsettled() == []
        assert journal.is_paid(ID) == (result == "paid")
        journal.reopen(ID)
        assert {one.invoice for one in journal.unsettled()} == {ID}


def test_journals_that_were_put_together_are_answered_and_keep_what_is_paid(tmp_path: Path) -> None:
    """Each of them has given out the number 1."""
    asked = write_journal(str(tmp_path / "1"), entry("intent"))
    paid = write_journal(
        str(tmp_path / "2"), entry("intent"), replace(entry("outcome", "paid"), answers=1)
    )
    for data in (asked + paid, paid + asked):
        for result in ("paid", "unpaid"):
            path = str(tmp_path / "all")
            Path(path).write_bytes(data)
            with Journal(path) as journal:
                assert [one.invoice for one in journal.unsettled()] == [ID]
                journal.settle(ID, result)
                assert journal.unsettled() == []
                assert journal.is_paid(ID)
                journal.reopen(ID)
                journal.settle(ID, "unpaid")
                assert not journal.is_paid(ID)
                assert journal.unsettled() == []


def test_a_journal_without_numbers_can_be_reopened(path: str) -> None:
    line = '{"invoice": 5, "event": "%s", "amount": 1, "currency": "USD", "time": "x"%s}\n'
    outcomes = [(f', "result": "{result}"') for result in ("paid", "refused")]
    Path(path).write_text(
        "".join(line % ("intent", "") + line % ("outcome", one) for one in outcomes)
    )
    with Journal(path) as journal:
        assert journal.is_paid(5)
        journal.reopen(5)
        assert not journal.is_paid(5)
        journal.settle(5, "unpaid")
        assert not journal.is_paid(5)
        assert journal.unsettled() == []
        with pytest.raises(JournalError, match="^.*: invoice 6 is not in it"):
            journal.settle(6, "paid")
    Path(path).write_text(
        '{"invoice": null, "event": "torn", "amount": null, "currency": null, "time": "x"}\n'
    )
    with Journal(path) as journal:
        journal.settle(6, "unpaid")
        assert journal.unsettled() == []


def test_an_open_question_cannot_be_reopened(path: str) -> None:
    write_journal(path, entry("intent"))
    with Journal(path) as journal, pytest.raises(JournalError, match="is an open question already"):
        journal.reopen(ID)


# --- disks -------------------------------------------------------------------------------------


def test_a_record_is_one_write_and_nothing_is_ever_cut(
    sandbox: Sandbox, signed_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    real = os.write

    def write(file: int, data: bytes) -> int:
        written.append(data)
        return real(file, data)

    def never(*args: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(os, "write", write)
    for name in ("pwrite", "ftruncate", "truncate", "lseek"):
        monkeypatch.setattr(os, name, never)
    list(pay_open(signed_in, make_plan(sandbox.invoices[:2]), Journal(path)))
    assert [json.loads(line)["event"] for line in written] == ["intent", "outcome"] * 2
    assert b"".join(written) == Path(path).read_bytes()


def test_a_full_disk_before_the_intent_sends_nothing(
    sandbox: Sandbox, signed_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, 0)
    with pytest.raises(JournalError, match="journal.jsonl: No space left on device$"):
        list(pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path)))
    monkeypatch.undo()
    assert not sandbox.invoices[0].is_paid
    assert [one.invoice for one in read_history(path).unsettled()] == [ID]


@pytest.mark.parametrize("lost", [False, True])
def test_a_full_disk_behind_a_payment_is_said(
    sandbox: Sandbox, signed_in: Client, path: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, 1)
    if lost:
        lose_payments(sandbox, after=True)
    what = "it may or may not have been paid" if lost else "it was paid"
    with pytest.raises(
        JournalWriteFailed, match=f"^invoice {ID}: {what}, and that could not be recorded"
    ):
        list(pay_open(signed_in, make_plan(sandbox.invoices[:2]), Journal(path)))
    monkeypatch.undo()
    if lost:
        del sandbox.respond
    assert [one.event for one in read_history(path).unsettled()] == ["intent", "torn"]
    plan = make_plan(sandbox.invoices[1:2])
    entries = [
        (one.invoice, one.event, one.result) for one in pay_open(signed_in, plan, Journal(path))
    ]
    assert entries == [(ID, "settled", "paid"), (OTHER, "outcome", "paid")]
    assert read_history(path).unsettled() == []


def test_a_disk_that_cannot_be_trusted_stops_before_the_request(
    sandbox: Sandbox, signed_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def broken(file: int) -> None:
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        real(file)

    plan = make_plan(sandbox.invoices[:1])
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(JournalError, match="journal.jsonl: Input/output error$"):
        list(pay_open(signed_in, plan, Journal(path)))
    monkeypatch.undo()
    # The lines came that far all the same: nothing was sent, so there is no question.
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "refused")]
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid"]


def test_a_folder_that_cannot_be_synced_is_refused_each_time(
    sandbox: Sandbox, signed_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that may be entered and written to, but not read (mode 0300)."""
    folder = os.path.dirname(path)
    real = os.open

    def refuse(name: str, *rest: Any, **options: Any) -> int:
        if name == folder:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(name, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    for _ in range(2):
        with pytest.raises(JournalError, match=f"^{folder}: Permission denied$"):
            list(pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path)))
    assert Path(path).read_bytes() == b""
    assert not sandbox.invoices[0].is_paid


def test_a_journal_that_a_handler_closes_is_told(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def close_and_write(file: int, data: bytes) -> int:
        count = real(file, data)
        journal.close()
        return count

    with Journal(path) as journal:
        monkeypatch.setattr(os, "write", close_and_write)
        with pytest.raises(JournalError, match="journal.jsonl: I/O operation on closed file"):
            journal.append(entry("intent"))


def test_a_journal_that_is_removed_meanwhile_stops_the_run(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:2]), Journal(path))
    next(entries)
    Path(path).unlink()
    with pytest.raises(JournalError, match="journal.jsonl: was removed or replaced meanwhile$"):
        next(entries)
    assert not sandbox.invoices[1].is_paid


# --- others who write --------------------------------------------------------------------------

FOREIGN = b'{"invoice": 99, "event": "intent", "amount": 1, "currency": "USD", "time": "x"}\n'


def add_line(path: str, line: bytes = FOREIGN) -> None:
    with open(path, "ab") as file:
        file.write(line)


def add_line_at_payment(sandbox: Sandbox, path: str, line: bytes) -> None:
    """Let another program write while a payment is under way."""
    answer = sandbox.answer

    def add_and_answer(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            add_line(path, line)
        return answer(request)

    sandbox.answer = add_and_answer  # type: ignore[method-assign]


def test_what_another_program_adds_is_kept_and_stops_the_run(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:2]), Journal(path))
    next(entries)
    add_line(path)
    with pytest.raises(JournalError, match="another program has written into it; this run pays"):
        next(entries)
    assert FOREIGN in Path(path).read_bytes()
    assert not sandbox.invoices[1].is_paid
    assert [one.invoice for one in read_history(path).unsettled()] == [99]


@pytest.mark.parametrize("line", [FOREIGN, b"hello\n"])
def test_an_outcome_is_recorded_behind_whatever_another_program_adds(
    sandbox: Sandbox, signed_in: Client, path: str, line: bytes
) -> None:
    add_line_at_payment(sandbox, path, line)
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:2]), Journal(path))
    assert next(entries).result == "paid"
    with pytest.raises(JournalError):
        next(entries)
    data = Path(path).read_bytes()
    assert line in data
    assert json.loads(data.splitlines()[-1])["result"] == "paid"
    assert not sandbox.invoices[1].is_paid


def test_a_line_that_is_no_record_in_the_last_payment_is_told_as_what_it_is(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    add_line_at_payment(sandbox, path, b"hello\n")
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path))
    assert next(entries).result == "paid"
    with pytest.raises(JournalError, match="line 2 is not a record"):
        next(entries)


def test_a_number_is_given_once_though_cut_lines_come_first(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "refused"))
    tail = b'{"invoice": 5, "event\n{"invoice": 6, "ev'
    Path(path).write_bytes(whole + tail)
    plan = make_plan(sandbox.invoices[1:2])
    with pytest.raises(OutcomeUndetermined, match="invoice 5, 6"):
        list(pay_open(signed_in, plan, Journal(path)))
    records = list(map(json.loads, Path(path).read_bytes().replace(tail + b"\n", b"").splitlines()))
    assert [(one["event"], one["number"], one.get("answers")) for one in records] == [
        ("intent", 1, None), ("outcome", 2, None), ("torn", 3, None), ("torn", 4, None),
        ("intent", 5, None), ("outcome", 6, 5),
    ]  # fmt: skip


@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_comes_at_the_same_time_stops_before_the_request(
    sandbox: Sandbox, signed_in: Client, path: str, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def write(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", real)
        if first:
            add_line(path)
        count = real(file, data)
        if not first:
            add_line(path)
        return count

    plan = make_plan(sandbox.invoices[:1])
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(JournalError, match="another program has written into it"):
        list(pay_open(signed_in, plan, Journal(path)))
    assert not sandbox.invoices[0].is_paid
    assert [one.invoice for one in read_history(path).unsettled()] == [99]


def test_a_record_that_is_not_in_the_file_is_not_on_record(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a network, what is added to a file may be written over by somebody else."""
    with Journal(path) as journal:
        journal.append(entry("intent"))
        monkeypatch.setattr(os, "write", lambda file, data: len(data))
        with pytest.raises(JournalError, match="has written over this record"):
            journal.append(entry("outcome", "paid"))


def test_a_line_that_another_program_leaves_cut_off_during_a_payment_is_named(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    add_line_at_payment(sandbox, path, b'{"invoice": 9, "ev')
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path))
    assert next(entries).result == "paid"
    with pytest.raises(OutcomeUndetermined, match="whether invoice 9 was paid"):
        next(entries)
    assert read_history(path).is_paid(ID)


# --- places ------------------------------------------------------------------------------------


def test_neither_a_journal_nor_a_look_at_one_makes_a_folder(tmp_path: Path) -> None:
    place = str(tmp_path / "share" / "journal")
    problem = f"{place}: there is no folder {tmp_path / 'share'} .a disk that is not mounted"
    for _ in range(2):
        with pytest.raises(JournalError, match=problem), Journal(place):
            pass
        with pytest.raises(JournalError, match=problem):
            read_history(place)
    assert list(tmp_path.iterdir()) == []


def test_only_a_missing_file_is_an_empty_journal(tmp_path: Path, path: str) -> None:
    assert read_history(path).entries() == []
    assert not Path(path).exists()
    (tmp_path / "file").write_text("")
    loop, dangling = tmp_path / "loop", tmp_path / "dangling"
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nowhere")
    for place, problem in (
        (tmp_path / "file" / "x", "Not a directory"), (tmp_path, "Is a directory"),
        (tmp_path / ("x" * 300), "File name too long"), (loop, "Too many levels"),
        (dangling, "a link to a file that is not there"),
    ):  # fmt: skip
        with pytest.raises(JournalError, match=problem):
            read_history(str(place))
        with pytest.raises(JournalError, match=problem), Journal(str(place)):
            pass


def test_a_journal_is_a_regular_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (str(pipe), "/dev/full", "/dev/null"):
        with pytest.raises(JournalError, match="not a regular file"), Journal(place):
            pass
        with pytest.raises(JournalError, match="not a regular file"):
            read_history(place)


def test_a_file_that_cannot_be_opened_is_told(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(path).write_text("")

    def refuse(*args: Any, **options: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(JournalError, match="journal.jsonl: Permission denied$"), Journal(path):
        pass
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(JournalError, match="journal.jsonl: Permission denied$"):
        read_history(path)


def test_looking_takes_no_lock_and_waits_for_the_end_of_a_line(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(path) as journal:
        journal.append(entry("intent"))
        assert len(read_history(path).unsettled()) == 1
        whole = Path(path).read_bytes()
        Path(path).write_bytes(whole[:-10])

        def go_on(seconds: float) -> None:
            Path(path).write_bytes(whole)

        monkeypatch.setattr("time.sleep", go_on)
        assert [one.event for one in read_history(path).unsettled()] == ["intent"]


@pytest.mark.parametrize("seconds", [float("nan"), -1, float("inf"), True, "5"])
def test_the_time_to_wait_is_checked(path: str, seconds: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="^timeout: "):
        Journal(path, seconds)


# --- the lock ----------------------------------------------------------------------------------


def test_the_lock_fails_as_the_system_says(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(37, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", fail)
        with pytest.raises(JournalError, match="No locks available"), Journal(path):
            pass
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(JournalError, match="this system has no locks for it"), Journal(path):
        pass


def test_a_second_run_waits_for_the_lock_or_says_who_holds_it(path: str) -> None:
    with Journal(path):
        with pytest.raises(JournalError, match=f"held by process {os.getpid()}; nothing was paid"):
            Journal(path, 0.1).__enter__()
        begun = threading.Event()
        entered = threading.Event()

        def wait() -> None:
            begun.set()
            with Journal(path, 20):
                entered.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert begun.wait(20)
        assert not entered.is_set()
    assert entered.wait(20)
    thread.join()


def test_without_a_table_of_locks_the_holder_has_no_name(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open

    def refuse(name: Any, *rest: Any, **options: Any) -> Any:
        if name == "/proc/locks":
            raise FileNotFoundError
        return real(name, *rest, **options)

    with Journal(path):
        monkeypatch.setattr("builtins.open", refuse)
        with pytest.raises(JournalError, match="held by another process; nothing was paid"):
            Journal(path, 0).__enter__()


def test_other_paths_of_a_journal_have_the_same_lock(path: str, tmp_path: Path) -> None:
    with Journal(path):
        pass
    symbolic, hard = tmp_path / "symbolic", tmp_path / "hard"
    symbolic.symlink_to(path)
    hard.hardlink_to(path)
    with Journal(path):
        for other in (symbolic, hard):
            with pytest.raises(JournalError, match="held by process"), Journal(str(other), 0):
                pass
    with Journal(str(symbolic)) as journal:
        journal.append(entry("intent"))
    assert brief(path) == [(ID, "intent", None)]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["hard", "journal.jsonl", "symbolic"]


def count_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(sys.platform != "linux", reason="counts the open files in /proc")
def test_a_journal_that_was_replaced_while_its_lock_was_waited_for_is_opened_anew(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def replace_journal(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        Path(path).unlink()
        Path(path).write_bytes(whole)
        real(file, how)

    whole = write_journal(path, entry("intent"))
    monkeypatch.setattr(fcntl, "flock", replace_journal)
    before = count_files()
    with Journal(path) as journal:
        assert [one.invoice for one in journal.unsettled()] == [ID]
    assert count_files() == before


def test_a_journal_cannot_be_entered_twice(sandbox: Sandbox, signed_in: Client, path: str) -> None:
    journal = Journal(path)
    count = collect_payments(sandbox)
    suspended = pay_open(signed_in, make_plan(sandbox.invoices[:2]), journal)
    next(suspended)
    problems: list[str] = []

    def enter() -> None:
        try:
            journal.__enter__()
        except JournalError as error:
            problems.append(str(error))

    enter()
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert problems == [f"{path}: in use already; it cannot be entered twice"] * 2
    assert [one.result for one in suspended] == ["paid"]
    assert count == [ID, OTHER]
    with journal:
        assert len(journal.entries()) == 4


def test_a_journal_is_written_to_inside_only_and_by_one_thread(path: str) -> None:
    journal = Journal(path)
    problem = "not entered by this thread and process$"
    with pytest.raises(JournalError, match=problem):
        journal.append(entry("intent"))
    problems: list[str] = []

    def write() -> None:
        try:
            journal.append(entry("intent"))
        except JournalError as error:
            problems.append(str(error))

    with journal:
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    with pytest.raises(JournalError, match=problem):
        journal.settle(ID, "paid")
    assert problems == [f"{path}: not entered by this thread and process"]
    assert Path(path).read_bytes() == b""


# --- forks and signals -------------------------------------------------------------------------


def test_a_fork_in_the_middle_of_a_run_pays_in_one_process(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    count = collect_payments(sandbox)
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:3]), Journal(path))
    next(entries)

    def goes_on() -> str:
        try:
            list(entries)
        except JournalError as error:
            return str(error)
        return ""

    assert run_in_child(goes_on) == f"{path}: not entered by this thread and process"
    assert len(list(entries)) == 2
    assert sorted(count) == sorted(invoice.invoices_id or 0 for invoice in sandbox.invoices[:3])


def test_a_child_neither_holds_nor_releases_the_lock(path: str) -> None:
    """It was forked by another thread, and lives on when its parent is done."""
    reading, writing = os.pipe()
    has_started, start = os.pipe()
    children: list[int] = []

    def fork() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the tests have
            pid = os.fork()
        if not pid:
            os.close(writing)
            os.write(start, b".")
            os.read(reading, 1)
            os._exit(0)
        children.append(pid)

    journal = Journal(path)
    with journal:
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
        os.read(has_started, 1)
        assert run_in_child(lambda: enter_at_once(path)) == "held"
    assert enter_at_once(path) == "entered"
    os.close(writing)
    os.waitpid(children[0], 0)
    for descriptor in (reading, has_started, start):
        os.close(descriptor)


def test_what_a_child_does_first_leaves_the_journals_of_its_parent(path: str) -> None:
    with Journal(path) as journal:
        journal_module._leave_to_parent()
        with pytest.raises(JournalError, match="not entered by this thread and process"):
            journal.append(entry("intent"))


def enter_at_once(path: str) -> str:
    try:
        with Journal(path, 0):
            return "entered"
    except JournalError as error:
        assert "held by" in str(error)
        return "held"


def test_a_handler_that_uses_the_journal_while_a_record_is_written_is_refused(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str] = []
    real = os.fsync

    def use(number: int, frame: FrameType | None) -> None:
        for step in (lambda: journal.append(entry("intent", None, OTHER)), journal.__enter__):
            try:
                step()
            except JournalError as error:
                problems.append(str(error))

    def fsync(file: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        signal.raise_signal(signal.SIGUSR1)
        real(file)

    before = signal.signal(signal.SIGUSR1, use)
    try:
        with Journal(path) as journal:
            monkeypatch.setattr(os, "fsync", fsync)
            journal.append(entry("intent"))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [text.partition(": ")[2] for text in problems] == [
        "a record is being written, which a signal came into",
        "in use already; it cannot be entered twice",
    ]
    assert brief(path) == [(ID, "intent", None)]


@pytest.mark.parametrize("error", [TimeoutError("mine"), OSError(errno.EIO, "mine"), KeyError("x")])
def test_what_a_handler_raises_is_not_taken_for_the_journals(
    path: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise error

    with Journal(path, 1), raise_alarm_after(0.1, stop), pytest.raises(type(error)) as caught:
        Journal(path, 20).__enter__()
    assert caught.value is error
    real = os.fsync

    def fsync(file: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        signal.raise_signal(signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, stop)
    try:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(type(error)):  # of the folder of a new file
            Journal(path).__enter__()
        with Journal(path) as journal:
            monkeypatch.setattr(os, "fsync", fsync)
            with pytest.raises(type(error)):
                journal.append(entry("intent"))
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_a_handler_raises_takes_back_no_known_outcome(
    sandbox: Sandbox, signed_in: Client, path: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("mine")

    real = os.write
    count: list[int] = []

    def write(file: int, data: bytes) -> int:
        if data.startswith(b'{"invoice"'):
            count.append(len(data))
        if len(count) == 2 and moment == "before":
            monkeypatch.setattr(os, "write", real)
            signal.raise_signal(signal.SIGALRM)
        written = real(file, data)
        if len(count) == 2:
            monkeypatch.setattr(os, "write", real)
            signal.raise_signal(signal.SIGALRM)
        return written

    before = signal.signal(signal.SIGALRM, stop)
    monkeypatch.setattr(os, "write", write)
    try:
        with pytest.raises(TimeoutError, match="^mine$"):
            list(pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path)))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "paid")]


def interrupt_at(number: int, work: Callable[[], object]) -> bool:
    """Raise KeyboardInterrupt at the n-th line of the journal that runs; whether it came so far."""
    count = 0
    files = {journal_module.__file__, sys.modules[read_history.__module__].__file__}

    def trace(frame: FrameType, event: str, value: Any) -> Any:
        nonlocal count
        # The descriptor of a folder may stay open, which locks nothing.
        if frame.f_code.co_filename not in files or frame.f_code.co_name == "_sync_folder":
            return None
        if event == "line":
            count += 1
            if count == number:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()  # of coverage
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return count >= number


def test_an_interrupt_anywhere_leaves_no_lock_and_no_lost_record(tmp_path: Path) -> None:
    """At each line of entering, writing and leaving; the same object can be entered again."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def work() -> None:
        with journal:
            journal.append(intent)
            done.append(True)

    intent = entry("intent")
    for number in range(1, 1000):
        path = str(tmp_path / f"{number}.jsonl")
        done: list[bool] = []
        journal = Journal(path, 0)
        before = count_files()
        if not interrupt_at(number, work):
            break
        assert count_files() == before
        assert enter_at_once(path) == "entered"
        with journal:
            assert len(journal.entries()) in ((1,) if done else (0, 1))
            journal.append(entry("intent", None, OTHER))
        assert len(read_history(path).entries()) == len(journal.entries())
    assert number > 100
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def drop_journal(path: str) -> None:
    Journal(path).__enter__()
    gc.collect()


def test_a_journal_that_nobody_holds_is_not_locked(path: str) -> None:
    Journal(path).__enter__().close()
    assert enter_at_once(path) == "entered"
    with pytest.warns(ResourceWarning, match="unclosed"):
        drop_journal(path)
    assert enter_at_once(path) == "entered"


@pytest.mark.parametrize("id", [None, "7514880", 0, 1.5, True])
def test_an_id_that_is_none_leaves_the_journal_as_it_is(
    signed_in: Client, sandbox: Sandbox, path: str, id: Any
) -> None:
    invoice = replace(sandbox.invoices[0], invoices_id=id)
    with pytest.raises((TypeError, ValueError), match="^invoices_id: "):
        list(pay_invoice(signed_in, invoice, Journal(path)))
    assert not Path(path).exists()


def test_what_was_paid_elsewhere_meanwhile_is_not_sent(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    count = collect_payments(sandbox)
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:3]), Journal(path))
    next(entries)
    sandbox.invoices[1] = replace(sandbox.invoices[1], invoices_paid=1)
    with pytest.raises(PlanOutdated, match=f"^invoice {OTHER} is paid already; nothing was sent$"):
        next(entries)
    assert count == [ID]
