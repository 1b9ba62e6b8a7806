"""Payments by a plan: the journal, two at once, full disks, signals, and SIGKILL at every point."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import Client, Invoice, SoapFault, TransportError
from soapmail.billing import (
    Entry,
    Journal,
    JournalError,
    JournalWriteFailed,
    OutcomeUndetermined,
    Plan,
    PlanOutdated,
    make_plan,
    pay_open,
)
from soapmail.billing import pay as payments
from soapmail.billing.journal import make_intent
from soapmail.cli.commands.journal import _normalize
from soapmail.sandbox import PASSWORD, USERNAME, Sandbox

from .. import kill
from ..commands import ACCOUNT, Result, Terminal, environment_without_coverage
from ..faulty import Faulty, Request
from ..support import make_fault_response, run_in_child, signal_main_thread

if TYPE_CHECKING:
    from collections.abc import Callable

ID, OTHER = 7514880, 7529153


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal.jsonl")


def lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a journal as its description says: one JSON object a line, the last one ended too."""
    text = Path(path).read_bytes().decode("ascii")
    assert text == "" or text.endswith("\n")
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        assert {"event", "invoice", "amount", "currency", "time"} <= set(one)
        assert one["event"] in ("intent", "outcome", "settled")
        moment = datetime.fromisoformat(one["time"])
        assert moment.utcoffset() == timezone.utc.utcoffset(None)
        results = {"outcome": ("paid", "refused", "unknown"), "settled": ("paid", "unpaid")}
        assert one.get("result") in results.get(one["event"], (None,))
    return found


def lose_payments(sandbox: Sandbox, *, after: bool) -> None:
    """Break the connection of each payment, before it is made or after."""
    respond = sandbox.respond

    def lose(request: bytes) -> tuple[int, bytes] | None:
        if b"api_make_payment" in request:
            sandbox.break_next(after=after)
        return respond(request)

    sandbox.respond = lose  # type: ignore[method-assign]


def brief(path: str | Path) -> list[tuple[int, str, str | None]]:
    return [(one["invoice"], one["event"], one.get("result")) for one in lines(path)]


def journal_of(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    return sorted(Path(os.environ["XDG_STATE_HOME"]).glob("soapmail/*.jsonl"))


# --- the plan --------------------------------------------------------------------------------------


def charge(id: int, amount: float | None = 1.0, due: str = "2026-03-10", **fields: Any) -> Invoice:
    when = f"{due} 00:00:00"
    fields = {"invoices_currency": "USD", "invoices_service": 5, **fields}
    return Invoice(
        invoices_id=id, invoices_type=1, invoices_amount=amount, invoices_due_date=when, **fields
    )


def ids(plan: Plan) -> tuple[list[int | None], list[tuple[int | None, str]]]:
    return (
        [one.invoices_id for one in plan.invoices],
        [(one.invoices_id, reason) for one, reason in plan.left_out],
    )


def test_a_plan_holds_what_is_open_in_the_order_of_the_due_dates() -> None:
    listed = [
        charge(1, due="2026-03-12"), charge(2, due="2026-03-10"), charge(3, invoices_paid=1),
        charge(4, invoices_deleted=1), replace(charge(5), invoices_type=10),
        replace(charge(6), invoices_due_date="0000-00-00 00:00:00"), charge(7, due="2026-03-10"),
    ]  # fmt: skip
    plan = make_plan(listed)
    assert ids(plan) == ([2, 7, 1, 6], [])
    assert plan.totals == {"USD": Decimal(4)}
    assert ids(make_plan(listed, due_until=date(2026, 3, 10)))[0] == [2, 7]
    assert ids(make_plan(listed, service=9)) == ([], [])
    assert make_plan([]).totals == {}


@pytest.mark.parametrize("due", ["0000-00-00 00:00:00", "-0001-11-30 00:00:00", "soon", None])
def test_a_plan_by_due_dates_says_what_has_none(due: str | None) -> None:
    listed = [charge(1, due="2026-03-12"), replace(charge(2), invoices_due_date=due), charge(3, due="2026-03-10")]  # fmt: skip
    assert ids(make_plan(listed)) == ([3, 1, 2], [])
    by_day = make_plan(listed, due_until=date(2026, 3, 11))
    assert ids(by_day) == ([3], [(2, "no due date that can be read")])


def test_a_plan_is_in_one_currency() -> None:
    listed = [charge(1), charge(2, invoices_currency="EUR"), charge(3, invoices_currency=None)]
    with pytest.raises(
        ValueError, match="^open invoices are in no currency and EUR and USD: choose"
    ):
        make_plan(listed)
    assert ids(make_plan(listed, currency="EUR"))[0] == [2]
    assert ids(make_plan(listed, currency="CHF"))[0] == []
    assert ids(make_plan(listed, currency=""))[0] == [3]


def test_limits_leave_out_and_never_exceed() -> None:
    listed = [charge(n, amount) for n, amount in enumerate([0.1, 0.2, 5.0, 0.1], 1)]
    assert ids(make_plan(listed, max_each=Decimal("0.2"))) == ([1, 2, 4], [(3, "over 0.2")])
    # What is due later is not paid before what did not fit.
    entries = ids(make_plan(listed, max_total=Decimal("0.3")))
    assert entries == ([1, 2], [(3, "over 0.3 in all"), (4, "over 0.3 in all")])
    assert make_plan(listed, max_total=Decimal("0.3")).totals == {"USD": Decimal("0.3")}
    # Nor though it would fit for itself; and what is left out anyway keeps its own reason.
    entries = ids(make_plan([*listed, listed[2]], max_total=Decimal("0.45")))
    assert entries == (
        [1, 2, 4], [(3, "listed twice"), (3, "listed twice")],
    )  # fmt: skip
    entries = ids(make_plan(listed, max_total=Decimal("0.45")))
    assert entries == ([1, 2], [(3, "over 0.45 in all"), (4, "over 0.45 in all")])
    with pytest.raises(ValueError, match="^invoice 1 alone costs 0.1, more than 0.05 in all"):
        make_plan(listed, max_total=Decimal("0.05"))
    entries = ids(
        make_plan([charge(1, None), charge(2, 0.0), replace(charge(3), invoices_id=None)])
    )
    assert entries == ([], [(None, "no id"), (1, "no amount"), (2, "no amount")])


# --- the journal's lines ------------------------------------------------------------------------------


def test_an_intent_is_on_the_disk_before_the_request_leaves(
    sandbox: Sandbox, signed_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    synced: list[str] = []
    real = os.fsync

    def fsync(file: int) -> None:
        mode = os.fstat(file).st_mode
        synced.append("folder" if stat.S_ISDIR(mode) else "file")
        real(file)

    response = sandbox.answer

    def respond_and_watch(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            seen.append((brief(path)[-1], list(synced)))
        return response(request)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(sandbox, "answer", respond_and_watch)
    plan = make_plan(sandbox.invoices[:2])
    entries = [(one.invoice, one.result) for one in pay_open(signed_in, plan, Journal(path))]
    assert entries == [(ID, "paid"), (OTHER, "paid")]
    assert seen == [
        ((ID, "intent", None), ["file", "folder"]),
        ((OTHER, "intent", None), ["file", "folder", "file", "file"]),
    ]
    assert synced == ["file", "folder", "file", "file", "file"]
    assert brief(path) == [
        (ID, "intent", None), (ID, "outcome", "paid"), (OTHER, "intent", None), (OTHER, "outcome", "paid"),
    ]  # fmt: skip
    one = lines(path)[0]
    assert (one["amount"], one["currency"]) == (1.0, "USD")
    assert lines(path)[1]["text"] == "Payment made"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_refused_payment_is_written_down_and_the_next_one_is_made(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    planned = make_plan(sandbox.invoices[:2])
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_module="vps")
    entries = [(one.invoice, one.result) for one in pay_open(signed_in, planned, Journal(path))]
    assert entries == [(ID, "refused"), (OTHER, "paid")]
    assert "Invalid Invoice Number" in lines(path)[1]["text"]


def test_a_payment_names_the_module_of_its_invoice(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    for n in (0, 1):
        sandbox.invoices[n] = replace(sandbox.invoices[n], invoices_module=("vps", "mail")[n])
    plan = Plan([sandbox.invoices[0], replace(sandbox.invoices[1], invoices_module=None)])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid", "paid"]


def test_an_unknown_payment_that_the_list_does_not_hold_stays_unknown(path: str) -> None:
    """Neither what is not listed, nor what has no id, says what became of a payment."""
    nameless = replace(charge(1, invoices_paid=1), invoices_id=None)
    with Journal(path) as journal:
        journal.append(make_intent(5, 2.0, "USD"))
        with pytest.raises(payments.OutcomeUndetermined, match="whether invoice 5 was paid"):
            list(payments.iter_settled([charge(6, invoices_paid=1), nameless], journal))
    with open(path, "ab") as file:
        file.write(b'{"in')
    with Journal(path) as journal:
        journal.settle(5, "unpaid")
    with open(path, "ab") as file:
        file.write(b'{"in')
    with Journal(path) as journal, pytest.raises(payments.OutcomeUndetermined, match="unknown"):
        list(payments.iter_settled([nameless], journal))


def test_what_is_unknown_is_the_intent_and_the_last_one_counts(path: str) -> None:
    with Journal(path) as journal:
        first, last = make_intent(5, 1.0, "USD"), make_intent(5, 2.0, "USD")
        for entry in (first, first.follow_up("outcome", "refused", None), last):
            journal.append(entry)
        journal.append(last.follow_up("outcome", "unknown", "lost"))
        assert journal.unsettled() == [last]
        assert journal.settle(5, "paid").amount == 2.0


def test_a_journal_that_could_not_be_entered_can_be_later(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("in the way")
    journal = Journal(str(folder / "journal"))
    for _ in range(2):
        with pytest.raises(JournalError, match="Not a directory|File exists"):
            journal.__enter__()
    folder.unlink()
    with journal:
        assert journal.entries() == []


def test_a_line_that_cannot_be_written_leaves_what_was_there(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(path) as journal:
        journal.append(make_intent(5, 1.0, "USD"))
    with open(path, "ab") as file:
        file.write(b'{"invoice": 5, "ev')
    before = Path(path).read_bytes()
    write = os.pwrite
    writes: list[int] = []

    def write_half(file: int, data: bytes, at: int) -> int:
        writes.append(len(data))
        return write(file, data[: len(data) // 2] if len(writes) == 1 else data, at)

    monkeypatch.setattr(os, "pwrite", write_half)
    with Journal(path) as journal, pytest.raises(JournalError, match="No space left"):
        journal.settle(5, "paid")
    assert Path(path).read_bytes() == before


def test_a_journal_is_entered_as_often_as_it_is_left(path: str) -> None:
    journal = Journal(path, seconds=0.2)
    for _ in range(2):
        with journal, journal:
            assert journal.entries() == []


def test_a_cut_line_longer_than_those_in_its_place_leaves_nothing_behind(path: str) -> None:
    whole = write_journal(path, entry("intent"))
    Path(path).write_bytes(whole + whole[:-20] + b"x" * 5000)
    with Journal(path) as journal:
        journal.settle(ID, "unpaid")
    assert brief(path) == [
        (ID, "intent", None), (ID, "intent", None), (ID, "settled", "unpaid")
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="counts the open files in /proc")
def test_no_file_stays_open(path: str) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    for n in range(1, 4):
        with Journal(f"{path}{n}") as journal:
            journal.append(make_intent(5, 1.0, "USD"))
    assert count() == before


def test_it_stops_at_the_first_unknown_outcome(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    plan = make_plan(sandbox.invoices[:3])
    entries = pay_open(signed_in, plan, Journal(path))
    assert next(entries).result == "paid"
    lose_payments(sandbox, after=True)
    assert next(entries).result == "unknown"
    assert list(entries) == []
    del sandbox.respond
    assert [one.is_paid for one in sandbox.invoices[:3]] == [True, True, False]
    # The next start looks it up, and goes on.
    plan = make_plan(sandbox.invoices)
    found = [
        (one.invoice, one.event, one.result) for one in pay_open(signed_in, plan, Journal(path))
    ]
    assert found[0] == (OTHER, "settled", "paid")
    assert len(found) == 11


@pytest.mark.arrives(2)
def test_what_is_still_open_is_not_paid_again(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    lose_payments(sandbox, after=False)
    plan = make_plan(sandbox.invoices[:2])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["unknown"]
    del sandbox.respond
    for _ in range(2):
        with pytest.raises(
            OutcomeUndetermined, match=f"whether invoice {ID} was paid.* say what became of it$"
        ) as caught:
            list(pay_open(signed_in, plan, Journal(path)))
        assert caught.value.invoices == [ID]
    assert not any(one.is_paid for one in sandbox.invoices)
    with Journal(path) as journal:
        assert journal.settle(ID, "unpaid").amount == 1.0
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid", "paid"]


@pytest.mark.arrives(2)
def test_what_the_journal_knows_as_paid_is_not_paid_again_though_it_is_listed(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    plan = make_plan(sandbox.invoices[:1])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid"]
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=0)
    with pytest.raises(
        OutcomeUndetermined, match=f"invoice {ID} was paid, and the server still lists it as open"
    ):
        list(pay_open(signed_in, plan, Journal(path)))
    with Journal(path) as journal:
        journal.settle(ID, "unpaid")
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid"]


@pytest.mark.parametrize("change", ["gone", "paid", "dearer"])
def test_a_plan_that_is_not_true_any_more_pays_nothing(
    sandbox: Sandbox, signed_in: Client, path: str, change: str
) -> None:
    plan = make_plan(sandbox.invoices[:2])
    invoice = sandbox.invoices[1]
    if change == "gone":
        del sandbox.invoices[1]
    else:
        fields: dict[str, Any] = (
            {"invoices_paid": 1} if change == "paid" else {"invoices_amount": 2.0}
        )
        sandbox.invoices[1] = replace(invoice, **fields)
    problem = (
        rf"there is no invoice {OTHER}"
        if change == "gone"
        else rf"invoice {OTHER} .*; nothing was sent"
    )
    with pytest.raises(PlanOutdated, match=f"^{problem}$"):
        list(pay_open(signed_in, plan, Journal(path)))
    assert brief(path) == []
    assert not sandbox.invoices[0].is_paid


@pytest.mark.parametrize("error", [SoapFault("Client", "no"), TransportError("x: refused")])
def test_errors_that_prove_that_nothing_was_paid(
    sandbox: Sandbox,
    signed_in: Client,
    path: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan(sandbox.invoices[:1])

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(Client, "_prepare_payment", fail)
    if isinstance(error, SoapFault):
        assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["refused"]
    else:
        with pytest.raises(TransportError, match="^x: refused$"):
            list(pay_open(signed_in, plan, Journal(path)))
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "refused")]


def test_an_interrupt_after_a_byte_left_is_an_unknown_outcome(
    sandbox: Sandbox, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(request: Request) -> None:
        if request.operation == "api_make_payment":
            signal_main_thread(signal.SIGUSR1)
            request.closing.wait(20)
        status, body = sandbox.answer(request.body)
        request.respond(body, status)

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with (
            Faulty(interrupt) as server,
            Client(USERNAME, PASSWORD, endpoint=server.endpoint) as client,
        ):
            with pytest.raises(KeyboardInterrupt):
                list(pay_open(client, make_plan(sandbox.invoices[:2]), Journal(path)))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "unknown")]


# --- broken files, full disks, locks ------------------------------------------------------------------


def write_journal(path: str, *entries: Entry) -> bytes:
    with Journal(path) as journal:
        for one in entries:
            journal.append(one)
    return Path(path).read_bytes()


def entry(event: str, result: str | None = None, invoice: int = ID) -> Entry:
    return Entry(invoice, event, 1.0, "USD", "2026-03-10T00:00:00+00:00", result)


def test_a_last_line_cut_at_any_byte_is_an_intent(
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
        assert caught.value.invoices == [ID if end >= named else None]
        with Journal(path) as journal:
            assert len(journal.entries()) == 3
            journal.settle(ID, "unpaid")
        assert brief(path)[2:] == [(ID, "intent", None), (ID, "settled", "unpaid")]
    assert not sandbox.invoices[0].is_paid


def test_a_cut_line_of_an_invoice_that_is_paid_is_settled(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    whole = write_journal(path, entry("intent"))
    Path(path).write_bytes(whole[:-20])
    signed_in.make_payment(ID)
    plan = make_plan(sandbox.invoices[:2])
    entries = [
        (one.invoice, one.event, one.result) for one in pay_open(signed_in, plan, Journal(path))
    ]
    assert entries == [(ID, "settled", "paid"), (OTHER, "outcome", "paid")]
    assert brief(path)[:2] == [(ID, "intent", None), (ID, "settled", "paid")]


@pytest.mark.parametrize(
    "line",
    [
        b" ", b"{", b"[]", b"null", b"[" * 100_000, b'{"invoice": 5, "event": []}', b"9" * 5000, b'{"invoice": 5}', b"\x00\x00\x00", b"\xff",
        b'{"invoice": "5", "event": "intent", "amount": 1, "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "other", "amount": 1, "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "outcome", "amount": 1, "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "intent", "amount": "1", "currency": "USD", "time": "x"}',
        b'{"invoice": 5, "event": "intent", "amount": 1, "currency": "USD", "time": 5}',
        b'{"invoice": 5, "event": "intent", "amount": 1, "currency": "USD", "time": "x", "more": 1}',
    ],
)  # fmt: skip
def test_a_line_that_is_broken_elsewhere_stops(path: str, line: bytes) -> None:
    """As the last one it is an intent; of which invoice, it may not say."""
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    Path(path).write_bytes(line + b"\n" + whole)
    with pytest.raises(JournalError, match="line 1 is broken"), Journal(path):
        pass
    Path(path).write_bytes(whole + line + b"\n")
    with Journal(path) as journal:
        assert len(journal.unsettled()) == 1
        with pytest.raises(JournalError, match="its last line is broken"):
            journal.append(entry("intent"))


def full(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    """Let the disk be full from the n-th line on, in the middle of which it ends."""
    count: list[int] = []
    real = os.pwrite

    def write(file: int, data: bytes, at: int) -> int:
        count.append(len(data))
        if len(count) <= after:
            return real(file, data, at)
        return real(file, data[: len(data) // 2], at)

    monkeypatch.setattr(os, "pwrite", write)
    return count


def test_no_signal_comes_between_the_steps_of_one_line(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a line is written, signals that stop a program wait; behind it they do not."""
    stopping = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    seen: list[set[Any]] = []

    def note(call: Any, *arguments: Any) -> Any:
        seen.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])) & stopping)
        return call(*arguments)

    for step in ("pwrite", "ftruncate", "fsync"):
        monkeypatch.setattr(os, step, partial(note, getattr(os, step)))
    with Journal(path) as journal:
        journal.append(make_intent(5, 1.0, "USD"))
    assert len(seen) >= 3
    assert all(blocked == stopping for blocked in seen)
    assert not set(signal.pthread_sigmask(signal.SIG_BLOCK, [])) & stopping


def test_a_full_disk_before_the_intent_sends_nothing(
    sandbox: Sandbox, signed_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, 0)
    with pytest.raises(JournalError, match="journal.jsonl: No space left on device$"):
        list(pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path)))
    assert not sandbox.invoices[0].is_paid
    assert Path(path).read_bytes() == b""


@pytest.mark.parametrize("lost", [False, True])
def test_a_full_disk_behind_a_payment_is_said(
    sandbox: Sandbox, signed_in: Client, path: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, 1)
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
    assert brief(path) == [(ID, "intent", None)]
    plan = make_plan(sandbox.invoices[:2])
    entries = [
        (one.invoice, one.event, one.result) for one in pay_open(signed_in, plan, Journal(path))
    ]
    assert entries == [(ID, "settled", "paid"), (OTHER, "outcome", "paid")]


def test_a_disk_that_cannot_be_trusted_keeps_the_line_away(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.append(entry("intent"))
        assert journal.entries() == []
        monkeypatch.undo()
        journal.append(entry("intent"))
    Path(path).write_bytes(Path(path).read_bytes()[:-9])
    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.settle(ID, "paid")
        monkeypatch.undo()
        assert [one.text for one in journal.unsettled()] == ["cut off"]
    with Journal(path) as journal:
        assert [one.text for one in journal.unsettled()] == ["cut off"]


def test_a_journal_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(JournalError, match="file/x.jsonl: "),
        Journal(str(tmp_path / "file" / "x.jsonl")),
    ):
        pass
    (tmp_path / "folder.jsonl").mkdir()
    with (
        pytest.raises(JournalError, match="folder.jsonl: Is a directory"),
        Journal(str(tmp_path / "folder.jsonl")),
    ):
        pass
    with Journal(str(tmp_path / "x")) as journal:
        with pytest.raises(JournalError, match="holds no payment of invoice 5"):
            journal.settle(5, "paid")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with (
        pytest.raises(JournalError, match="this system has no locks"),
        Journal(str(tmp_path / "x")),
    ):
        pass


def test_the_lock_fails_as_the_system_says(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(JournalError, match="No locks available"), Journal(path):
        pass

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, "flock", interrupt)
    with pytest.raises(KeyboardInterrupt), Journal(path):
        pass


def test_a_second_run_waits_for_the_lock_or_says_who_holds_it(path: str) -> None:
    with Journal(path) as journal, journal:  # one may take it twice
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


def test_two_at_once_pay_each_invoice_once(sandbox: Sandbox, path: str) -> None:
    count = collect_payments(sandbox)
    line = [
        sys.executable,
        "-m",
        "soapmail",
        "pay",
        "--open",
        "--yes",
        "--max-total",
        "50",
        "--journal",
        path,
    ]
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    runs = [
        subprocess.Popen(line, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    outs = [process.communicate()[0].decode() for process in runs]
    assert [process.returncode for process in runs] == [0, 0, 0]
    assert len(count) == 12
    assert sum(out.count("Payment made") for out in outs) == 12


# --- the command ---------------------------------------------------------------------------------------


def test_pay_open(run: Callable[..., Result], sandbox: Sandbox, path: str) -> None:
    code, out, err = run("pay", "--open", "--yes", "--max-total", "2.5", "--journal", path)
    assert code == 0
    head, one, two, totals, *paid = out.splitlines()
    assert head.split() == ["id", "due", "date", "amount", "service", "description"]
    assert one.split()[:4] == [str(ID), "2021-03-10", "1.00", "USD"]
    assert two.split()[0] == str(OTHER)
    assert totals == "2 invoices, 2.00 USD"
    assert paid == [f"invoice {ID}: Payment made", f"invoice {OTHER}: Payment made"]
    assert err.count("left out: over 2.5 in all") == 10
    assert [one.is_paid for one in sandbox.invoices[:3]] == [True, True, False]


def test_without_yes_the_plan_is_all_that_is_shown(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    for options in ([], ["--dry-run"], ["--dry-run", "--yes"]):
        code, out, err = run("pay", "--open", *options)
        assert (code, err) == (0, "")
        assert out.splitlines()[-1] == "12 invoices, 12.00 USD"
        head, first, *_, last, _ = out.splitlines()
        assert head == "      id  due date      amount  service  description"
        assert first.startswith(" 7514880  2021-03-10  1.00 USD     8556  (Repeat Invoice: 191569")
        assert last.startswith("23785939  2023-11-16  1.00 USD    50367  (Repeat Invoice: 205558")
    for options in ([], ["--yes"]):
        code, out, _ = run("pay", str(ID), "--dry-run", *options)
        assert (code, out.splitlines()[-1]) == (0, "1 invoice, 1.00 USD")
    assert not any(invoice.is_paid for invoice in sandbox.invoices)


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ([], 2, "pay: give an invoice, or --open"),
        ([str(ID), "--open"], 2, "pay: give an invoice, or --open"),
        (["--open", "--yes"], 2, "pay --open --yes: --max-total is required without a terminal"),
        (["--open", "--yes", "--max-total", "0.5"], 2, f"invoice {ID} alone costs 1.0, more than 0.5 in all; nothing is planned"),
        (["--open", "--max-total", "x"], 2, "argument --max-total: 'x' is not an amount (see soapmail pay --help)"),
        (["5", "--dry-run"], 1, "there is no invoice 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned(
    run: Callable[..., Result], sandbox: Sandbox, arguments: list[str], code: int, problem: str
) -> None:
    assert run("pay", *arguments) == (code, "", f"soapmail: {problem}\n")
    assert not any(invoice.is_paid for invoice in sandbox.invoices)


def test_two_currencies_are_asked_for(run: Callable[..., Result], sandbox: Sandbox) -> None:
    sandbox.add_invoice(invoices_currency="EUR", invoices_id=99, invoices_amount=7.0)
    code, _, err = run("pay", "--open")
    assert (code, err) == (
        2,
        "soapmail: open invoices are in EUR and USD: choose one currency (--currency)\n",
    )
    assert run("pay", "--open", "--currency", "EUR").out.splitlines()[-1] == "1 invoice, 7.00 EUR"
    terminal = Terminal(
        "pay", "--open", environment={**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    )
    terminal.until("Currency (EUR, USD): ")
    terminal.type("EUR\n")
    assert "1 invoice, 7.00 EUR" in terminal.until(
        "pay 1 invoice, 7.00 EUR from the account's funds? [y/N] "
    )
    terminal.type("y\n")
    code, output = terminal.end()
    assert code == 0
    assert "invoice 99: Payment made" in output
    assert sandbox.invoices[-1].is_paid
    assert not sandbox.invoices[0].is_paid


def test_on_a_terminal_yes_needs_no_limit(sandbox: Sandbox) -> None:
    environment = {**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    code, _ = Terminal("pay", "--open", "--yes", environment=environment).end()
    assert code == 0
    assert all(invoice.is_paid for invoice in sandbox.invoices)


def test_a_no_on_a_terminal_pays_nothing(sandbox: Sandbox) -> None:
    """And with one currency there is nothing to choose."""
    terminal = Terminal(
        "pay", "--open", environment={**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    )
    question = "pay 12 invoices, 12.00 USD from the account's funds? [y/N] "
    assert "Currency" not in terminal.until(question)
    terminal.type("n\n")
    assert terminal.end()[0] == 1
    assert not any(invoice.is_paid for invoice in sandbox.invoices)


def test_filters_of_what_is_paid(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.cli.commands.pay.resolve_today", lambda given: date(2021, 3, 9))
    assert run("pay", "--open", "--due-within", "1").out.splitlines()[-1] == "2 invoices, 2.00 USD"
    assert run("pay", "--open", "--due-within", "0").out.splitlines()[-1] == "0 invoices, nothing"
    assert run("pay", "--open", "--service", "8640").out.splitlines()[-1] == "1 invoice, 1.00 USD"
    assert run("pay", "--open", "--yes", "--max-total", "9", "--due-within", "0").code == 0


def test_a_missing_amount_is_left_out_and_told(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_amount=0.0)
    code, out, err = run("pay", "--open", "--yes", "--max-total", "50")
    assert (code, out.count("Payment made")) == (1, 11)
    assert err == f"soapmail: invoice {ID} left out: no amount\n"


def test_the_journal_is_on_by_default_for_one_invoice_too(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("pay", str(ID), "--yes") == (0, "Payment made\n", "")
    (path,) = journal_of(monkeypatch)
    assert re.fullmatch(r"user@example\.com-[0-9a-f]{16}\.jsonl", path.name)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "paid")]
    assert run("pay", str(ID), "--yes").code == 1
    with Sandbox() as other:
        assert run("pay", str(ID), "--yes", "--endpoint", other.endpoint).code == 0
    assert len(journal_of(monkeypatch)) == 2
    assert run("--sandbox", "pay", str(ID), "--yes").code == 0
    assert len(journal_of(monkeypatch)) == 2


@pytest.mark.arrives(2)
def test_an_unknown_outcome_is_settled_by_hand(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.break_next()
    code, out, err = run("pay", str(ID), "--yes")
    assert (code, out) == (5, "")
    assert "it may or may not have happened; check before repeating" in err
    for arguments in ([str(ID)], [str(OTHER)], ["--open", "--max-total", "9"]):
        code, _, err = run("pay", *arguments, "--yes")
        assert code == 5
        assert f"it is not known whether invoice {ID} was paid, so nothing is paid now" in err
    code, out, err = run("journal", "--format", "json")
    assert (code, [one["result"] for one in json.loads(out)]) == (0, [None, "unknown"])
    assert err == f"soapmail: invoice {ID}: it is not known whether it was paid\n"
    assert run("journal", "settle", "5", "paid").code == 1
    assert run("journal", "settle", str(ID), "unpaid") == (
        0,
        f"invoice {ID}: settled, unpaid\n",
        "",
    )
    assert run("pay", str(ID), "--yes").code == 0
    head, *rows = run("journal").out.splitlines()
    assert head.split() == ["time", "invoice", "event", "result", "amount", "currency", "text"]
    assert [row.split()[2:4] for row in rows] == [
        ["intent", "-"], ["outcome", "unknown"], ["settled", "unpaid"], ["intent", "-"], ["outcome", "paid"],
    ]  # fmt: skip


def test_an_unknown_outcome_that_was_paid_is_settled_by_the_list(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.break_next(after=True)
    assert run("pay", str(ID), "--yes").code == 5
    code, out, err = run("pay", str(OTHER), "--yes")
    assert (code, out) == (0, "Payment made\n")
    assert err == f"soapmail: invoice {ID}: settled, the server lists it as paid\n"
    sandbox.break_next(after=True)
    assert run("pay", "7530357", "--yes").code == 5
    _, out, err = run("pay", "--open", "--yes", "--max-total", "1")
    assert "invoice 7530357: settled" in err
    assert out.endswith("invoice 7530371: Payment made\n")


def test_what_the_journal_knows_as_paid_stops_the_command_too(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    assert run("pay", str(ID), "--yes").code == 0
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=0)
    code, _, err = run("pay", str(ID), "--yes")
    assert code == 5
    assert "was paid, and the server still lists it as open" in err
    assert err.endswith(f": soapmail journal settle {ID} unpaid\n")
    assert not sandbox.invoices[0].is_paid


def test_on_a_terminal_one_invoice_that_is_not_open_is_not_sent(sandbox: Sandbox) -> None:
    environment = {**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=1)
    sandbox.invoices[1] = replace(sandbox.invoices[1], invoices_deleted=1)
    for id, state in ((ID, "paid already"), (OTHER, "not open")):
        result = Terminal("pay", str(id), environment=environment).end()
        assert result == (1, f"soapmail: invoice {id} is {state}; nothing was sent\n")


def test_refused_ones_set_the_exit_code(run: Callable[..., Result], sandbox: Sandbox) -> None:
    response = sandbox.answer

    def refuse_payment(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request and str(ID).encode() in request:
            return 500, make_fault_response("no funds")
        return response(request)

    sandbox.answer = refuse_payment  # type: ignore[method-assign]
    code, out, err = run("pay", "--open", "--yes", "--max-total", "3")
    assert code == 1
    assert out.count("Payment made") == 2
    assert f"soapmail: invoice {ID}: SOAP fault Client: no funds\n" in err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("after", [1, 2])
def test_a_signal_between_and_within_payments(
    sandbox: Sandbox, path: str, name: str, after: int
) -> None:
    """The second payment is under way, or the second list: the first one is on record."""
    arrived = threading.Event()
    count = 0

    def handler(request: Request) -> None:
        nonlocal count
        if request.operation == "api_make_payment":
            count += 1
            if count == after:
                arrived.set()
                request.closing.wait(20)
        status, body = sandbox.answer(request.body)
        request.respond(body, status)

    with Faulty(handler) as server:
        command = subprocess.Popen(
            [sys.executable, "-m", "soapmail", "pay", "--open", "--yes", "--max-total", "5", "--journal", path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment_without_coverage(), **ACCOUNT, "SOAPMAIL_ENDPOINT": server.endpoint},
        )  # fmt: skip
        assert arrived.wait(20)
        command.send_signal(getattr(signal, name))
        out, err = command.communicate(timeout=20)
    assert command.returncode == 5
    assert (
        f"may or may not have happened; check before repeating: Interrupted: {name}" in err.decode()
    )
    assert out.decode().count("Payment made") == after - 1
    assert brief(path)[-1] == (sandbox.invoices[after - 1].invoices_id, "outcome", "unknown")


def test_a_signal_after_an_outcome_ends_as_it_would_have(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soapmail.cli.commands import pay
    from soapmail.cli.exit_codes import Interrupted

    monkeypatch.setattr(os, "kill", lambda *args: None)

    def stop(*args: object) -> None:
        raise Interrupted("SIGTERM", signal.SIGTERM)

    monkeypatch.setattr(pay, "_report_entry", stop)
    assert run("pay", "--open", "--yes", "--max-total", "2").code == 128 + signal.SIGTERM
    real = Journal.append

    def append(self: Journal, one: Entry) -> None:
        real(self, one)
        raise Interrupted("SIGTERM", signal.SIGTERM)

    monkeypatch.setattr(Journal, "append", append)
    assert run("pay", str(OTHER), "--yes").code == 128 + signal.SIGTERM
    monkeypatch.setattr(Journal, "append", real)
    (path,) = journal_of(monkeypatch)
    assert brief(path)[-2:] == [(OTHER, "intent", None), (OTHER, "outcome", "refused")]

    def append_outcome(self: Journal, one: Entry) -> None:
        real(self, one)
        if one.event == "outcome":
            raise Interrupted("SIGTERM", signal.SIGTERM)

    monkeypatch.setattr(Journal, "append", append_outcome)
    code, out, err = run("pay", str(OTHER), "--yes")
    assert (code, out, err) == (
        128 + signal.SIGTERM,
        "",
        f"soapmail: invoice {OTHER}: it was paid\n",
    )
    assert sandbox.invoices[1].is_paid
    lose_payments(sandbox, after=False)
    third = sandbox.invoices[2].invoices_id
    code, out, err = run("pay", str(third), "--yes")
    words = f"soapmail: invoice {third}: it may or may not have happened; check before repeating: SIGTERM\n"
    assert (code, out, err) == (5, "", words)


def test_output_that_fails_behind_a_payment_is_code_6_and_on_record(
    sandbox: Sandbox, path: str
) -> None:
    for redirect in (">/dev/full", ">&-"):
        line = f"{sys.executable} -m soapmail pay {ID if redirect == '>&-' else OTHER} --yes --journal {path} {redirect}"
        environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
        done = subprocess.run(["bash", "-c", line], env=environment, check=False)
        assert done.returncode == 6
    assert [one[2] for one in brief(path)] == [None, "paid", None, "paid"]


def test_a_journal_that_cannot_be_written_sends_nothing(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    code, out, err = run("pay", str(ID), "--yes", "--journal", "/proc/none/x")
    assert (code, out) == (1, "")
    assert err.startswith("soapmail: /proc/none/x: ")
    assert not sandbox.invoices[0].is_paid


def test_a_response_that_is_lost_and_a_disk_that_is_full_are_told(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, 1)
    code, _, err = run("pay", str(ID), "--yes")
    assert code == 5
    assert f"invoice {ID}: it was paid, and that could not be recorded: " in err


# --- SIGKILL -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.arrives(12)  # a person says of some that they were not paid
def test_a_killed_run_never_pays_twice_and_loses_nothing() -> None:
    """At each moment of each request, once; ``python -m tests.kill 500`` does more."""
    chance = random.Random(5)
    tally = kill.Tally()
    for point in kill.iter_points(2 * kill.REQUESTS + 1, chance):
        kill.run_trial(point, chance, tally)
    assert tally.problems == []
    assert tally.killed >= 2 * kill.REQUESTS
    assert tally.asked > 0


@pytest.mark.arrives(2)
def test_the_judge_sees_a_second_payment() -> None:
    with kill.Judge() as judge, Client(USERNAME, PASSWORD, endpoint=judge.endpoint) as client:
        client.make_payment(ID)
        with pytest.raises(Exception, match="Invalid Invoice Number"):
            client.make_payment(ID)
    assert judge.twice == [ID]
    assert judge.done == {ID: 1}


# --- what an attack found ------------------------------------------------------------------------------


def collect_payments(sandbox: Sandbox) -> list[int]:
    """Collect the invoices of the payments that arrive from now on."""
    found: list[int] = []
    response = sandbox.answer

    def collect(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            found.append(int(re.findall(rb">(\d{7,})<", request)[-1]))
        return response(request)

    sandbox.answer = collect  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("paid", [0, 1])
def test_an_invoice_that_is_listed_twice_is_not_paid(
    run: Callable[..., Result], sandbox: Sandbox, signed_in: Client, path: str, paid: int
) -> None:
    plan = make_plan(sandbox.invoices[:1])
    sandbox.invoices[2] = replace(sandbox.invoices[0], invoices_paid=paid)
    count = collect_payments(sandbox)
    with pytest.raises(PlanOutdated, match=f"^invoice {ID} is listed twice; nothing was sent$"):
        list(pay_open(signed_in, plan, Journal(path)))
    code, _, err = run("pay", "--open", "--yes", "--max-total", "1")
    assert code == 1
    assert f"invoice {ID} left out: listed twice" in err
    assert count == [OTHER]


@pytest.mark.parametrize("state", ["paid", "deleted", "gone"])
def test_what_a_run_before_paid_is_not_sent_again(
    run: Callable[..., Result], sandbox: Sandbox, state: str
) -> None:
    count = collect_payments(sandbox)
    sandbox.break_next(after=True)
    assert run("pay", str(ID), "--yes").code == 5
    # The natural next step: it was paid, which is what was asked for.
    settled = f"soapmail: invoice {ID}: settled, the server lists it as paid\n"
    assert run("pay", str(ID), "--yes") == (0, "", settled)
    if state == "deleted":
        sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=0, invoices_deleted=1)
    elif state == "gone":
        del sandbox.invoices[0]
    problems = {
        "paid": f"invoice {ID} is paid already; nothing was sent",
        "deleted": f"invoice {ID} is not open; nothing was sent",
        "gone": f"there is no invoice {ID}",
    }
    assert run("pay", str(ID), "--yes") == (1, "", f"soapmail: {problems[state]}\n")
    assert count == [ID]


@pytest.mark.parametrize("where", ["handler", "observer"])
def test_a_client_that_is_closed_in_the_middle_of_a_payment_leaves_it_unknown(
    sandbox: Sandbox, path: str, where: str
) -> None:
    def close() -> None:
        client.close()
        raise SystemExit(1)

    def handler(request: Request) -> None:
        status, body = sandbox.answer(request.body)
        if where == "handler" and request.operation == "api_make_payment":
            signal_main_thread(signal.SIGUSR1)
            request.closing.wait(20)
        request.respond(body, status)

    def observe(exchange: Any) -> None:
        if where == "observer" and exchange.operation == "api_make_payment":
            close()

    before = signal.signal(signal.SIGUSR1, lambda number, frame: close())
    try:
        with Faulty(handler) as server:
            client = Client(USERNAME, PASSWORD, endpoint=server.endpoint, on_exchange=observe)
            with pytest.raises(SystemExit):
                list(payments.pay_invoice(client, Invoice(invoices_id=ID), Journal(path)))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert sandbox.invoices[0].is_paid
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "unknown")]


@pytest.mark.parametrize(
    "option", [["--max-total", "5"], ["--max-each", "5"], ["--currency", "USD"], ["--service", "5"], ["--due-within", "5"]]
)  # fmt: skip
def test_limits_of_a_plan_are_refused_for_one_invoice(
    run: Callable[..., Result], sandbox: Sandbox, option: list[str]
) -> None:
    words = f"soapmail: pay: {option[0]} goes with --open\n"
    assert run("pay", str(ID), "--yes", *option) == (2, "", words)
    assert not sandbox.invoices[0].is_paid


@pytest.mark.parametrize("text", ["nan", "snan", "inf", "-inf", "1e999999", ""])
def test_what_is_no_amount_is_wrong_usage(run: Callable[..., Result], text: str) -> None:
    code, _, err = run("pay", "--open", f"--max-total={text}")
    assert code == 2
    assert f"{text!r} is not an amount" in err


def test_a_signal_that_somebody_swallowed_stops_before_the_next_payment(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_sigterm(self: object, exchange: Any) -> None:
        if exchange.operation == "api_make_payment":
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("soapmail.cli.dump.Dump.__call__", raise_sigterm)
    monkeypatch.setattr(os, "kill", lambda *args: None)
    count = collect_payments(sandbox)
    line = ("--dump", str(tmp_path), "pay", "--open", "--yes", "--max-total", "5")
    code, out, err = run(*line)
    assert (code, count) == (128 + signal.SIGTERM, [ID])
    assert f"invoice {ID}: Payment made" in out
    assert "on_exchange failed: Interrupted: SIGTERM" in err


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
    Path(path).write_bytes(Path(path).read_bytes()[:-5])
    with Journal(str(symbolic)) as journal:
        journal.settle(ID, "unpaid")
    assert symbolic.is_symlink()
    assert brief(path) == [(ID, "intent", None), (ID, "settled", "unpaid")]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["hard", "journal.jsonl", "symbolic"]


def test_a_journal_that_is_removed_meanwhile_stops_the_run(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:2]), Journal(path))
    next(entries)
    Path(path).unlink()
    with pytest.raises(JournalError, match="journal.jsonl: was removed or replaced meanwhile$"):
        next(entries)
    assert not sandbox.invoices[1].is_paid


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
    before = len(os.listdir("/proc/self/fd"))
    with Journal(path) as journal:
        assert [one.invoice for one in journal.unsettled()] == [ID]
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_journal_object_belongs_to_one_thread_and_process(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    journal = Journal(path)
    plan = make_plan(sandbox.invoices[:2])
    count = collect_payments(sandbox)
    suspended = pay_open(signed_in, plan, journal)
    next(suspended)
    problems: list[str] = []

    def pay() -> None:
        try:
            list(pay_open(signed_in, plan, journal))
        except JournalError as error:
            problems.append(str(error))

    thread = threading.Thread(target=pay)
    thread.start()
    thread.join()
    assert problems == [f"{path}: in use by another thread or process"]
    # Another run in this thread pays the rest, and the first one sees that.
    entries = list(payments.pay_invoice(signed_in, sandbox.invoices[1], journal))
    assert [one.result for one in entries] == ["paid"]
    with pytest.raises(PlanOutdated, match=f"^invoice {OTHER} is paid already"):
        next(suspended)
    assert count == [ID, OTHER]


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


def test_the_default_journal_is_one_however_its_account_is_spelled(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = sandbox.endpoint.partition("127.0.0.1:")[2]
    for endpoint in (sandbox.endpoint, f"HTTP://127.0.0.1:{port}", f"{sandbox.endpoint}?", f"{sandbox.endpoint}#x"):  # fmt: skip
        run("pay", str(ID), "--yes", "--endpoint", endpoint)
    assert len(journal_of(monkeypatch)) == 1


@pytest.mark.parametrize(("scheme", "port"), [("https", 443), ("http", 80)])
def test_the_usual_port_is_the_one_that_nobody_names(scheme: str, port: int) -> None:
    """RFC 9110 4.2.1 and 4.2.2."""
    named = {_normalize(f"{scheme}://host{text}/") for text in ("", f":{port}")}
    assert len(named) == 1
    assert _normalize(f"{scheme}://host:{port + 1}/") not in named
    assert _normalize(f"{scheme}://host/api.php") not in named
    assert {_normalize(f"{scheme}://host")} == named


def test_a_state_folder_that_is_not_absolute_does_not_count(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert run("pay", str(ID), "--yes").code == 0
    assert len(list((tmp_path / "home" / ".local" / "state" / "soapmail").glob("*.jsonl"))) == 1
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    problem = "soapmail: there is no home folder: set XDG_STATE_HOME to an absolute path\n"
    assert run("pay", str(OTHER), "--yes") == (2, "", problem)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_journal_is_a_regular_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for place in (str(pipe), "/dev/full", "/dev/null"):
        with pytest.raises(JournalError, match="not a regular file"), Journal(place):
            pass
    assert not Path("/dev/full").is_file()


@pytest.mark.parametrize("options", [["--yes", "--max-total", "2"], []])
def test_a_plan_that_nobody_can_see_is_not_paid(
    sandbox: Sandbox, path: str, options: list[str]
) -> None:
    line = [sys.executable, "-m", "soapmail", "pay", "--open", *options, "--journal", path]
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(line, env=environment, stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, check=False)  # fmt: skip
    os.close(writing)
    words = b"soapmail: the plan cannot be shown (Broken pipe); nothing was paid\n"
    assert (done.returncode, done.stderr) == ((1, words) if options else (0, b""))
    assert not sandbox.invoices[0].is_paid


def test_an_unknown_outcome_of_a_plan_names_the_invoice_and_the_rest(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    lose_payments(sandbox, after=False)
    code, _, err = run("pay", "--open", "--yes", "--max-total", "3")
    assert code == 5
    assert err.splitlines()[-1].startswith(f"soapmail: invoice {ID}: api_make_payment: it may or")
    assert err.endswith("; nothing was paid after it\n")
    code, _, err = run("pay", "--open", "--dry-run")
    assert code == 0
    assert f"soapmail: invoice {ID}: it is not known whether it was paid" in err.splitlines()


@pytest.mark.parametrize("id", [None, "7514880", 0, 1.5, True])
def test_an_id_that_is_none_leaves_the_journal_as_it_is(
    signed_in: Client, path: str, id: Any
) -> None:
    invoice = Invoice(invoices_id=id)
    with pytest.raises((TypeError, ValueError), match="^invoices_id: "):
        list(payments.pay_invoice(signed_in, invoice, Journal(path)))
    with pytest.raises((TypeError, ValueError), match="^invoices_id: "):
        list(pay_open(signed_in, Plan([invoice]), Journal(path)))
    assert not Path(path).exists() or brief(path) == []


def test_a_journal_is_written_to_inside_only(path: str) -> None:
    journal = Journal(path)
    with pytest.raises(JournalError, match="not entered by this thread and process$"):
        journal.append(entry("intent"))


def test_a_signal_in_the_middle_of_a_plan_names_the_invoice(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = sandbox.answer

    def raise_and_hold(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            os.kill(os.getpid(), signal.SIGHUP)
            held.wait(20)
        return response(request)

    held = threading.Event()
    monkeypatch.setattr(sandbox, "answer", raise_and_hold)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    code, _, err = run("pay", "--open", "--yes", "--max-total", "5")
    held.set()
    assert code == 5
    assert f"invoice {ID}: api_make_payment: it may or may not have happened" in err


def test_a_blank_line_says_nothing(path: str) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    Path(path).write_bytes(b"\n" + whole + b"\n\n")
    with Journal(path) as journal:
        assert journal.is_paid(ID)
        journal.append(entry("intent"))
    with Journal(path) as journal:
        assert len(journal.entries()) == 3


def test_a_journal_that_is_not_there_is_not_made_by_looking(
    run: Callable[..., Result], path: str
) -> None:
    assert run("journal", "--journal", path, "--format", "json") == (0, "[]\n", "")
    problem = f"soapmail: {path}: there is no such journal\n"
    assert run("journal", "settle", "5", "paid", "--journal", path) == (1, "", problem)
    assert not Path(path).exists()


def test_what_the_server_echoes_of_a_secret_is_not_written_down(
    run: Callable[..., Result], sandbox: Sandbox, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = sandbox.answer

    def respond_with_secret(request: bytes) -> tuple[int, bytes]:
        status, body = response(request)
        sid = re.search(rb"<sid[^>]*>([^<]*)", request)
        echo = b"Payment made by " + (sid[1] if sid else b"")
        return status, body.replace(b"Payment made", echo)

    monkeypatch.setattr(sandbox, "answer", respond_with_secret)
    code, out, _ = run("pay", str(ID), "--yes", "--journal", path)
    assert (code, out) == (0, "Payment made by ***\n")
    assert lines(path)[-1]["text"] == "Payment made by ***"


def test_without_a_table_of_locks_the_holder_has_no_name(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soapmail.billing import journal as module

    def nothing(*args: object, **options: object) -> Any:
        raise FileNotFoundError

    with Journal(path):
        monkeypatch.setattr(module, "open", nothing, raising=False)
        with pytest.raises(JournalError, match="held by another process; nothing was paid"):
            Journal(path, 0).__enter__()
        monkeypatch.undo()
