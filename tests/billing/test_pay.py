"""Payments by a plan: the journal, two at once, full disks, signals, and SIGKILL at every point."""

from __future__ import annotations

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
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import Client, Invoice, SoapFault, TransportError
from soapmail.billing import (
    Journal,
    JournalError,
    OutcomeUndetermined,
    Plan,
    PlanOutdated,
    Reason,
    make_plan,
    pay_open,
    read_history,
)
from soapmail.billing import pay as payments
from soapmail.sandbox import PASSWORD, USERNAME, Sandbox

from .. import kill, walk
from ..commands import (
    ACCOUNT,
    Result,
    Terminal,
    environment_without_coverage,
    note_operations,
)
from ..faulty import Faulty, Request
from ..support import make_fault_response, make_status_response, signal_main_thread
from .journals import (
    ID,
    OTHER,
    brief,
    collect_payments,
    entry,
    fill_disk,
    lines,
    list_journals,
    lose_payments,
    write_journal,
)

if TYPE_CHECKING:
    from collections.abc import Callable


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
        ((ID, "intent", None), ["folder", "file"]),
        ((OTHER, "intent", None), ["folder", "file", "file", "file"]),
    ]
    assert synced == ["folder", "file", "file", "file", "file"]
    assert brief(path) == [
        (ID, "intent", None), (ID, "outcome", "paid"), (OTHER, "intent", None), (OTHER, "outcome", "paid"),
    ]  # fmt: skip
    one = lines(path)[0]
    assert (one["amount"], one["currency"]) == (1.0, "USD")
    assert lines(path)[1]["text"] == "Payment made"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def refuse_payments(sandbox: Sandbox, id: int, response: bytes) -> None:
    """Let the payment of an invoice be answered by something else, and not be made."""
    answer = sandbox.answer

    def refuse(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request and str(id).encode() in request:
            return 500 if b"Fault>" in response else 200, response
        return answer(request)

    sandbox.answer = refuse  # type: ignore[method-assign]


def test_a_refused_payment_is_written_down_and_the_next_one_is_made(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    planned = make_plan(sandbox.invoices[:2])
    refuse_payments(sandbox, ID, make_status_response("api_make_payment", "error", "no funds"))
    entries = [(one.invoice, one.result) for one in pay_open(signed_in, planned, Journal(path))]
    assert entries == [(ID, "refused"), (OTHER, "paid")]
    assert "no funds" in lines(path)[1]["text"]


@pytest.mark.parametrize("words", ["Invoice Already Paid", "already marked as paid", "This invoice has been paid.", "It is paid", "paid already", "Invoice no 5 was paid before", "Not possible: it has been paid"])  # fmt: skip
@pytest.mark.parametrize("is_fault", [False, True])
def test_a_refusal_that_says_paid_already_is_a_question_to_the_list(
    sandbox: Sandbox, signed_in: Client, path: str, words: str, is_fault: bool
) -> None:
    status = make_status_response("api_make_payment", "error", words)
    response = make_fault_response(words) if is_fault else status
    plan = make_plan(sandbox.invoices[:3])
    refuse_payments(sandbox, ID, response)
    entries = [(one.invoice, one.event, one.result) for one in pay_open(signed_in, plan, Journal(path))]  # fmt: skip
    # The list shows it as open: nobody knows.
    assert entries == [(ID, "outcome", "unknown")]
    answer = sandbox.answer

    def pay_elsewhere(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request and str(OTHER).encode() in request:
            sandbox.invoices[1] = replace(sandbox.invoices[1], invoices_paid=1)
            return 500 if is_fault else 200, response
        return answer(request)

    sandbox.answer = pay_elsewhere  # type: ignore[method-assign]
    plan = make_plan(sandbox.invoices[1:3])
    entries = []
    with pytest.raises(OutcomeUndetermined, match=f"whether invoice {ID} was paid"):
        for one in pay_open(signed_in, plan, Journal(path)):
            entries.append((one.invoice, one.event, one.result))
    assert entries == [(OTHER, "settled", "paid"), (7530357, "outcome", "paid")]


@pytest.mark.parametrize(
    "words",
    [
        "Invoice has not been paid: insufficient funds", "It can be paid once it is approved", "no funds",
        "Your account already has a negative balance, invoice can not be paid", "must be paid", "unpaid",
        "Already in progress", "It cannot be changed if it was paid", "isn't paid",
    ],
)  # fmt: skip
def test_a_refusal_that_speaks_of_paying_is_a_refusal(
    sandbox: Sandbox, signed_in: Client, path: str, words: str
) -> None:
    plan = make_plan(sandbox.invoices[:2])
    refuse_payments(sandbox, ID, make_status_response("api_make_payment", "error", words))
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["refused", "paid"]


def test_what_the_list_settles_of_others_is_yielded_too(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    plan = make_plan(sandbox.invoices[:1])
    write_journal(path, entry("intent", None, OTHER))
    answer = sandbox.answer

    def pay_all_elsewhere(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            sandbox.invoices = [replace(one, invoices_paid=1) for one in sandbox.invoices]
        return answer(request)

    sandbox.answer = pay_all_elsewhere  # type: ignore[method-assign]
    status = make_status_response("api_make_payment", "error", "already paid")
    answer_all = sandbox.answer

    def refuse(request: bytes) -> tuple[int, bytes]:
        code, body = answer_all(request)
        return (code, status) if b"api_make_payment" in request else (code, body)

    sandbox.answer = refuse  # type: ignore[method-assign]
    entries = [(one.invoice, one.event, one.result) for one in pay_open(signed_in, plan, Journal(path))]  # fmt: skip
    assert entries == [(OTHER, "settled", "paid"), (ID, "settled", "paid")]


def test_what_changes_while_somebody_is_told_or_asked_is_not_paid(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    """Between the settled record and the payment, and at the prompt."""
    write_journal(path, entry("intent", None, OTHER))
    sandbox.invoices[1] = replace(sandbox.invoices[1], invoices_paid=1)
    count = collect_payments(sandbox)
    for pay in (
        pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path)),
        payments.pay_invoice(signed_in, sandbox.invoices[0], Journal(path)),
    ):
        assert next(pay).event == "settled"
        sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=1)
        with pytest.raises(PlanOutdated, match="is paid already"):
            next(pay)
        write_journal(path, entry("intent", None, OTHER))
        sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=0)
    Path(path).unlink()
    environment = {**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    for words in (["--open"], [str(ID)]):
        for changed in ({"invoices_paid": 1}, {"invoices_amount": 500.0}):
            terminal = Terminal("pay", *words, "--journal", path, environment=environment)
            terminal.until("[y/N] ")
            before = sandbox.invoices[0]
            sandbox.invoices[0] = replace(before, **changed)
            terminal.type("y\n")
            code, output = terminal.end()
            assert (code, "; nothing was sent" in output) == (1, True)
            sandbox.invoices[0] = before
    assert count == []


@pytest.mark.parametrize("failing", ["list", "list of another customer"])
def test_where_the_list_does_not_come_the_question_stays(
    sandbox: Sandbox, signed_in: Client, path: str, failing: str
) -> None:
    refuse_payments(sandbox, ID, make_status_response("api_make_payment", "error", "already paid"))
    entries = pay_open(signed_in, make_plan(sandbox.invoices[:1]), Journal(path))
    answer = sandbox.answer

    def fail(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            if failing == "list":
                sandbox.answer = lambda request: (500, make_fault_response("no"))  # type: ignore[method-assign]
            sandbox.invoices = [replace(one, invoices_custid=9) for one in sandbox.invoices]
        return answer(request)

    sandbox.answer = fail  # type: ignore[method-assign]
    assert [one.result for one in entries] == ["unknown"]


def test_a_payment_names_the_module_of_its_invoice(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    for n in (0, 1):
        sandbox.invoices[n] = replace(sandbox.invoices[n], invoices_module=("vps", "mail")[n])
    plan = Plan([sandbox.invoices[0], replace(sandbox.invoices[1], invoices_module=None)])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid", "paid"]


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
def test_what_is_still_open_is_not_paid_again_and_the_others_are(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    lose_payments(sandbox, after=False)
    plan = make_plan(sandbox.invoices[:2])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["unknown"]
    del sandbox.respond
    paid: list[int | None] = []
    for other in (plan, Plan(sandbox.invoices[2:3]), Plan([])):
        with pytest.raises(
            OutcomeUndetermined, match=f"whether invoice {ID} was paid.* say what became of it$"
        ) as caught:
            paid += (one.invoice for one in pay_open(signed_in, other, Journal(path)))
        assert caught.value.invoices == [ID]
    assert [one.invoices_id for one in sandbox.invoices if one.is_paid] == [OTHER, 7530357]
    with Journal(path) as journal:
        assert journal.settle(ID, "unpaid").amount == 1.0
    plan = make_plan(sandbox.invoices[:1])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid"]


@pytest.mark.arrives(2)
def test_what_the_journal_knows_as_paid_is_left_out_though_it_is_listed(
    sandbox: Sandbox, signed_in: Client, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan(sandbox.invoices[:1])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid"]
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=0)
    plan = make_plan(sandbox.invoices[:2])
    entries = [(one.invoice, one.result) for one in pay_open(signed_in, plan, Journal(path))]
    assert entries == [(OTHER, "paid")]
    assert caplog.messages == [f"invoice {ID} left out: paid before, and still listed as open"]
    known = make_plan(sandbox.invoices[:1], history=read_history(path))
    assert [reason for _, reason in known.left_out] == [Reason.PAID_BEFORE]
    with pytest.raises(PlanOutdated, match=f"^invoice {ID}: paid before, and still listed as"):
        list(payments.pay_invoice(signed_in, sandbox.invoices[0], Journal(path)))
    with Journal(path) as journal:
        journal.reopen(ID)
        journal.settle(ID, "unpaid")
    plan = make_plan(sandbox.invoices[:1], history=read_history(path))
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid"]


def test_what_became_wrong_since_the_plan_is_not_paid(
    run: Callable[..., Result], sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    """The list is read before each payment; who planned what was wrong already has meant it."""
    plan = make_plan(sandbox.invoices[:3])
    assert plan.findings == {}
    payment = sandbox.add_payment(sandbox.invoices[1])
    entries = pay_open(signed_in, plan, Journal(path))
    assert next(entries).invoice == ID
    words = (
        f"invoice {OTHER} is not as planned; nothing was sent. open though paid: Invoice {OTHER} of"
        " 2021-02-24 over 1.00 USD is open, though 1.00 USD was paid for it (payments:"
        f" {payment.invoices_id})."
    )
    with pytest.raises(PlanOutdated, match=f"^{re.escape(words)}$"):
        next(entries)
    plan = make_plan(sandbox.invoices)
    assert [finding.kind for finding in plan.findings[OTHER]] == ["open-though-paid"]
    assert [reason for _, reason in plan.left_out] == [Reason.OPEN_THOUGH_PAID]
    sandbox.invoices.append(replace(sandbox.invoices[1], invoices_extra=5))
    sandbox.invoices[-1] = replace(sandbox.invoices[1], invoices_id=77, invoices_paid=1)
    planned = Plan(sandbox.invoices[1:2], findings=plan.findings)
    with pytest.raises(PlanOutdated, match=r"nothing was sent\. charged twice: [^:]*: [^:]*\.$"):
        list(pay_open(signed_in, planned, Journal(path)))
    paid = payments.pay_invoice(signed_in, sandbox.invoices[1], Journal(path))
    assert [one.result for one in paid] == ["paid"]


def test_a_run_tells_what_became_wrong_meanwhile(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    """In JSON with the reason, and with exit code 1."""
    pay = sandbox.answer

    def pay_elsewhere(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            sandbox.add_payment(sandbox.invoices[1])
        return pay(request)

    sandbox.answer = pay_elsewhere  # type: ignore[method-assign]
    code, out, err = run("pay", "--open", "--yes", "--max-total", "50", "--format", "json")
    rows = json.loads(out)
    assert [row["result"] for row in rows] == ["paid", *["not paid"] * 11]
    assert rows[1]["text"].startswith(f"invoice {OTHER} is not as planned; nothing was sent. open")
    assert (code, "open though paid" in err) == (1, True)


def test_one_invoice_is_paid_by_its_id_once(sandbox: Sandbox, signed_in: Client, path: str) -> None:
    """At first unseen, then with a look at the list, which may answer for it."""

    def pay(id: int) -> list[tuple[int | None, str, str | None]]:
        entries = payments.pay_invoice(signed_in, Invoice(invoices_id=id), Journal(path))
        return [(one.invoice, one.event, one.result) for one in entries]

    asked = note_operations(sandbox)
    assert pay(ID) == [(ID, "outcome", "paid")]
    assert asked == ["api_login", "api_make_payment"]
    lose_payments(sandbox, after=True)
    assert pay(OTHER) == [(OTHER, "outcome", "unknown")]
    del sandbox.respond
    assert pay(OTHER) == [(OTHER, "settled", "paid")]
    write_journal(path, entry("intent", None, 7530357))
    with pytest.raises(OutcomeUndetermined, match="whether invoice 7530357 was paid"):
        pay(7530357)
    with Journal(path) as journal:
        journal.settle(7530357, "unpaid")
    assert pay(7530357) == [(7530357, "outcome", "paid")]


def test_the_journal_of_another_customer_is_refused(
    sandbox: Sandbox, signed_in: Client, path: str
) -> None:
    plan = make_plan(sandbox.invoices[:1])
    assert [one.result for one in pay_open(signed_in, plan, Journal(path))] == ["paid"]
    assert {one["customer"] for one in lines(path)} == {160884}
    with Sandbox() as other:
        other.invoices = [replace(one, invoices_custid=7) for one in other.invoices]
        problem = (
            "this journal belongs to customer 160884, but the account is customer 7; nothing is"
        )
        with Client(USERNAME, PASSWORD, endpoint=other.endpoint) as client:
            for pay in (
                pay_open(client, make_plan(other.invoices[1:2]), Journal(path)),
                payments.pay_invoice(client, other.invoices[1], Journal(path)),
            ):
                with pytest.raises(JournalError, match=problem):
                    list(pay)
            assert not any(one.is_paid for one in other.invoices)
            # Where the server does not say who the customer is, nothing is compared.
            other.invoices = [replace(one, invoices_custid=0) for one in other.invoices]
            plan = make_plan(other.invoices[1:2])
            assert [one.result for one in pay_open(client, plan, Journal(path))] == ["paid"]
    assert "customer" not in lines(path)[-1]


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


def test_a_server_that_is_not_there_is_no_refusal_in_words(
    sandbox: Sandbox, signed_in: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(sandbox.invoices[:1])
    run = Client._run

    def fail(self: Client, call: Any) -> Any:
        if call._request.operation == "api_make_payment":
            raise TransportError("x: already paid")
        return run(self, call)

    monkeypatch.setattr(Client, "_run", fail)
    with pytest.raises(TransportError, match="^x: already paid$"):
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
    assert err.count("left out: over the limit in total") == 10
    assert [one.is_paid for one in sandbox.invoices[:3]] == [True, True, False]


def test_without_yes_the_plan_is_all_that_is_shown(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options in ([], ["--dry-run"]):
        code, out, err = run("pay", "--open", *options)
        assert (code, err) == (0, "")
        assert out.splitlines()[-1] == "12 invoices, 12.00 USD"
        head, first, *_, last, _ = out.splitlines()
        assert head == "      id  due date      amount  service  description"
        assert first.startswith(" 7514880  2021-03-10  1.00 USD     8556  (Repeat Invoice: 191569")
        assert last.startswith("23785939  2023-11-16  1.00 USD    50367  (Repeat Invoice: 205558")
    code, out, _ = run("pay", str(ID), "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "1 invoice, 1.00 USD")
    assert run("pay", str(ID), "--dry-run", "--yes").code == 2
    monkeypatch.setattr("soapmail.cli.commands.pay.has_terminal", lambda: True)
    code, out, err = run("pay", "--open", "--dry-run")  # asks nobody, who could be asked
    assert (code, out.splitlines()[-1], err) == (0, "12 invoices, 12.00 USD", "")
    assert not any(invoice.is_paid for invoice in sandbox.invoices)


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ([], 2, "pay: give an invoice, or --open"),
        ([str(ID), "--open"], 2, "invoice cannot be combined with --open (see soapmail pay --help)"),
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
    assert err == f"soapmail: invoice {ID} left out: an amount of zero\n"


def test_the_journal_is_on_by_default_for_one_invoice_too(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("pay", str(ID), "--yes") == (0, "Payment made\n", "")
    (path,) = list_journals()
    assert re.fullmatch(r"user@example\.com-[0-9a-f]{16}\.jsonl", path.name)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "paid")]
    assert run("pay", str(ID), "--yes").code == 1
    with Sandbox() as other:
        assert run("pay", str(ID), "--yes", "--endpoint", other.endpoint).code == 0
    assert len(list_journals()) == 2
    assert run("--sandbox", "pay", str(ID), "--yes").code == 0
    assert len(list_journals()) == 2


@pytest.mark.arrives(2)
def test_an_unknown_outcome_is_settled_by_hand(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.break_next()
    code, out, err = run("pay", str(ID), "--yes")
    assert (code, out) == (5, "")
    assert "it may or may not have happened; check before repeating" in err
    for arguments, paid in (([str(ID)], 0), ([str(OTHER)], 1), (["--open", "--max-total", "1"], 1)):
        code, out, err = run("pay", *arguments, "--yes")
        assert (code, out.count("Payment made")) == (5, paid)
        assert f"it is not known whether invoice {ID} was paid, so it is not paid now" in err
        assert f" (account {USERNAME} at " in err
        advice = (
            f"soapmail: to say what became of it: soapmail journal settle {ID} paid (or unpaid)\n"
        )
        assert err.endswith(advice)
    code, out, err = run("journal", "--format", "json")
    assert (code, [one["result"] for one in json.loads(out)][:2]) == (0, [None, "unknown"])
    asked = f"soapmail: invoice {ID}: it is not known whether it was paid: soapmail journal settle {ID} paid (or unpaid)\n"
    assert err == asked
    assert run("journal", "settle") == (0, asked.removeprefix("soapmail: "), "")
    assert run("journal", "settle", "5", "paid").code == 1
    assert run("journal", "settle", str(ID)).code == 2
    settled = (0, f"invoice {ID}: settled, unpaid\n", "")
    assert run("journal", "settle", str(ID), "unpaid") == settled
    assert run("journal", "settle") == (0, "no open questions\n", "")
    assert run("pay", str(ID), "--yes").code == 0
    head, *rows = run("journal").out.splitlines()
    assert head.split() == ["time", "invoice", "event", "result", "amount", "currency", "text"]
    of_it = [row.split()[2:4] for row in rows if row.split()[1] == str(ID)]
    assert of_it == [
        ["intent", "-"], ["outcome", "unknown"], ["settled", "unpaid"], ["intent", "-"], ["outcome", "paid"],
    ]  # fmt: skip


def test_a_recorded_payment_is_undone_by_another_word(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    assert run("pay", str(ID), "--yes").code == 0
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=0)
    for word in ("paid", "unpaid"):
        code, out, err = run("journal", "settle", str(ID), word)
        assert (code, out) == (1, "")
        assert err.endswith(f"to settle of it; to undo that: soapmail journal reopen {ID}\n")
    code, out, err = run("journal", "reopen", str(ID))
    assert (code, out) == (2, "")
    assert f"invoice {ID}: " in err
    assert "outcome, paid, Payment made" in err
    reopened = f"invoice {ID}: reopened, unknown\n"
    assert run("journal", "reopen", str(ID), "--yes")[:2] == (0, reopened)
    assert run("journal", "reopen", str(ID), "--yes").code == 1
    assert run("journal", "reopen", str(OTHER), "--yes").code == 1
    code, _, err = run("pay", str(ID), "--yes")
    assert code == 5
    assert f"soapmail journal settle {ID} paid" in err
    assert run("journal", "settle", str(ID), "paid").code == 0


def test_an_unknown_outcome_that_was_paid_is_settled_by_the_list(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.break_next(after=True)
    assert run("pay", str(ID), "--yes").code == 5
    code, out, err = run("pay", str(OTHER), "--yes")
    assert (code, out) == (0, "Payment made\n")
    assert err == f"soapmail: invoice {ID}: settled, the server lists it as paid\n"
    lose_payments(sandbox, after=True)
    assert run("pay", "7530357", "--yes").code == 5
    del sandbox.respond
    _, out, err = run("pay", "--open", "--yes", "--max-total", "1")
    assert "invoice 7530357: settled" in err
    assert out.endswith("invoice 7530371: Payment made\n")


def test_what_the_journal_knows_as_paid_is_no_obstacle_for_the_others(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    """In a daily cron, for as long as the list is wrong; each time it is said."""
    count = collect_payments(sandbox)
    assert run("pay", str(ID), "--yes").code == 0
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=0)
    warning = f"soapmail: invoice {ID} left out: paid before, and still listed as open\n"
    for n in range(3):
        code, out, err = run("pay", "--open", "--yes", "--max-total", "1")
        assert (code, out.count("Payment made")) == (0, 1)
        assert err.startswith(warning)
        assert len(count) == 2 + n
        for words in (["--dry-run"], []):
            assert run("pay", "--open", *words).err == warning
    assert run("pay", str(ID), "--yes") == (0, "", warning)
    assert run("pay", str(ID), "--dry-run") == (0, "", warning)
    assert count.count(ID) == 1


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
    fill_disk(monkeypatch, 1)
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


@pytest.mark.slow
@pytest.mark.arrives(12)
def test_whatever_happens_to_runs_pays_nothing_twice_and_leaves_nothing_unnamed() -> None:
    """A few steps at random; ``python -m tests.walk 100`` goes more."""
    walks = walk.main(4, seed=7)
    assert [problem for one in walks for problem in one.problems] == []
    assert sum(one.asked for one in walks) > 0


@pytest.mark.arrives(2)
def test_the_judge_sees_a_second_payment() -> None:
    with kill.Judge() as judge, Client(USERNAME, PASSWORD, endpoint=judge.endpoint) as client:
        client.make_payment(ID)
        with pytest.raises(Exception, match="Invalid Invoice Number"):
            client.make_payment(ID)
    assert judge.twice == [ID]
    assert judge.done == {ID: 1}


# --- what an attack found ------------------------------------------------------------------------------


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
    words = f"soapmail: {option[0]} is used only with --open (see soapmail pay --help)\n"
    assert run("pay", str(ID), "--yes", *option) == (2, "", words)
    assert not sandbox.invoices[0].is_paid


@pytest.mark.parametrize("text", ["nan", "snan", "inf", "-inf", "1e999999", ""])
def test_what_is_no_amount_is_wrong_usage(run: Callable[..., Result], text: str) -> None:
    code, _, err = run("pay", "--open", f"--max-total={text}")
    assert code == 2
    assert (f"{text!r} is not an amount" if text else "--max-total is empty") in err


def test_a_signal_that_somebody_swallowed_stops_before_the_next_payment(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_sigterm(self: object, exchange: Any, account: object) -> None:
        if exchange.operation == "api_make_payment":
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("soapmail.cli.dump.Dump.__call__", raise_sigterm)
    monkeypatch.setattr(os, "kill", lambda *args: None)
    count = collect_payments(sandbox)
    line = ("--dump", str(tmp_path), "pay", "--open", "--yes", "--max-total", "5")
    code, out, err = run(*line)
    assert (code, count) == (128 + signal.SIGTERM, [ID])
    assert f"invoice {ID}: Payment made" in out
    assert "soapmail: SIGTERM: waiting for the response for 5 seconds at most" in err


def test_the_default_journal_is_one_however_its_account_is_spelled(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = sandbox.endpoint.partition("127.0.0.1:")[2]
    for endpoint in (sandbox.endpoint, f"HTTP://127.0.0.1:{port}", f"{sandbox.endpoint}?", f"{sandbox.endpoint}#x"):  # fmt: skip
        run("pay", str(ID), "--yes", "--endpoint", endpoint)
    assert len(list_journals()) == 1


def test_a_state_folder_that_is_not_absolute_does_not_count(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert run("pay", str(ID), "--yes").code == 0
    assert len(list((tmp_path / "home" / ".local" / "state" / "soapmail").glob("*.jsonl"))) == 1
    problem = (
        "soapmail: there is no home folder: set XDG_STATE_HOME to an absolute path, or give"
        " --journal FILE on a disk that lasts: if the journal is lost, invoices could be paid again\n"
    )
    # As of a container's user, whose home may also be a folder that nobody made.
    for home in ("", "/", "//", str(tmp_path / "nowhere"), "home"):
        monkeypatch.setenv("HOME", home)
        assert run("pay", str(OTHER), "--yes") == (2, "", problem)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert run("pay", str(OTHER), "--yes", "--journal", "here.jsonl").code == 0


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
    assert f"soapmail: invoice {ID}: api_make_payment: it may or" in err
    assert "; nothing was paid after it\nsoapmail: to say what became of it: soapmail" in err
    code, out, err = run("pay", "--open", "--dry-run")
    assert (code, out.splitlines()[-1]) == (5, "11 invoices, 11.00 USD")
    assert f"invoice {ID} left out: it is not known whether it was paid before\n" in err
    assert f"it is not known whether invoice {ID} was paid, so it is not paid now" in err


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
