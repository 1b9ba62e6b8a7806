"""The commands `pay` and `journal`: what they say, where their journal is, and how they end."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from soapmail.billing import Journal
from soapmail.billing.identity import identify_account
from soapmail.sandbox import USERNAME, Sandbox

from ..commands import ACCOUNT, Result, Terminal, format_section
from ..support import ROOT, make_status_response
from .journals import (
    ID,
    OTHER,
    brief,
    collect_payments,
    entry,
    lines,
    list_journals,
    lose_payments,
    write_journal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN = ("pay", "--open", "--yes", "--max-total", "100")


def change_invoices(sandbox: Sandbox, **fields: Any) -> None:
    sandbox.invoices = [replace(one, **fields) for one in sandbox.invoices]


# --- what is planned ---------------------------------------------------------------------------


def test_invoices_of_ended_services_are_left_out(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.services[1:] = [replace(one, mail_status="expired") for one in sandbox.services[1:]]
    count = collect_payments(sandbox)
    warning = "soapmail: 11 invoices of ended services left out, 11.00 USD (--all-services pays them too)\n"
    assert run(*OPEN)[::2] == (0, warning)
    assert count == [ID]
    assert run("pay", "--open", "--dry-run") == (
        0, "id  due date  amount  service  description\n0 invoices, nothing\n", warning,
    )  # fmt: skip
    assert run("pay", str(OTHER), "--yes").code == 0  # who names one means it
    assert run(*OPEN, "--all-services").code == 0
    assert len(count) == 12


def test_what_is_wrong_is_left_out_with_the_finding(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    """An invoice that is charged twice, one that was paid already, and one with two rows."""
    first, second, third = sandbox.invoices[:3]
    sandbox.invoices = [first, second, replace(third, invoices_paid=1)]
    twin = sandbox.add_invoice(invoices_extra=first.invoices_extra, invoices_date="2021-02-25")
    payment = sandbox.add_payment(second)
    sandbox.invoices.append(third)
    fine = sandbox.add_invoice()
    count = collect_payments(sandbox)
    charged = (
        f"charged twice: Service 8556 was charged twice, 0 days apart: invoice {ID} of 2021-02-24"
        f" over 1.00 USD and invoice {twin.invoices_id} of 2021-02-25 over 1.00 USD."
    )
    paid = (
        f"open though paid: Invoice {OTHER} of 2021-02-24 over 1.00 USD is open, though 1.00 USD"
        f" was paid for it (payments: {payment.invoices_id})."
    )
    listed = "listed twice: Invoice 7530357 is listed in 2 versions that differ in invoices_paid."
    told = [
        f"soapmail: invoice {id} left out: {text}"
        for id, text in (
            (ID, charged),
            (twin.invoices_id, charged),
            (OTHER, paid),
            (7530357, listed),
        )
    ]
    for words in (("--dry-run",), OPEN[2:]):
        code, out, err = run("pay", "--open", *words)
        assert code == 1
        assert sorted(err.splitlines()) == sorted(told)
        assert "1 invoice, 1.00 USD" in out
        assert count == ([fine.invoices_id] if "--yes" in words else [])
    rows = json.loads(run("pay", "--open", "--dry-run", "--format", "json").out)
    texts = {row["invoice"]: row["text"] for row in rows}
    assert texts == {ID: charged, twin.invoices_id: charged, OTHER: paid, 7530357: listed}


def test_who_names_an_invoice_is_told_what_is_wrong_with_it(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.add_payment(sandbox.invoices[0])
    count = collect_payments(sandbox)
    code, out, err = run("pay", str(ID), "--dry-run")
    assert (code, out.count(str(ID))) == (0, 1)
    assert err.startswith(
        f"soapmail: open though paid: Invoice {ID} of 2021-02-24 over 1.00 USD is"
    )
    environment = {**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    terminal = Terminal("pay", str(ID), environment=environment)
    assert "soapmail: open though paid: Invoice" in terminal.until(
        "from the account's funds? [y/N] "
    )
    terminal.type("y\n")
    assert terminal.end()[0] == 0
    assert count == [ID]


def test_a_filter_that_matches_nothing_says_so(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.cli.commands.pay.resolve_today", lambda given: date(2021, 3, 9))
    for options in ("--currency CHF", "--service 5", "--due-within 0", "--currency x --service 5"):
        code, out, err = run(*OPEN, *options.split())
        assert (code, out.splitlines()[-1]) == (0, "0 invoices, nothing")
        assert err == f"soapmail: no open invoice matches {options}\n"
    assert run(*OPEN, "--currency", "usd").out.count("Payment made") == 12
    change_invoices(sandbox, invoices_paid=1)
    assert run(*OPEN, "--currency", "CHF").err == ""


def test_what_has_no_amount_to_pay_is_told_as_what_it_is(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    for n, amount in enumerate((None, 0.0, -3.5)):
        sandbox.invoices[n] = replace(sandbox.invoices[n], invoices_amount=amount)
    code, out, err = run(*OPEN)
    assert (code, out.count("Payment made")) == (1, 9)
    words = ("no amount", "an amount of zero", "a negative amount")
    ids = [one.invoices_id for one in sandbox.invoices[:3]]
    assert err.splitlines() == [
        f"soapmail: invoice {id} left out: {text}" for id, text in zip(ids, words, strict=True)
    ]
    for id, text in zip(ids, words, strict=True):
        assert run("pay", str(id), "--dry-run")[::2] == (
            1, f"soapmail: invoice {id} left out: {text}\n",
        )  # fmt: skip


def test_on_a_terminal_no_currency_is_one_to_choose(sandbox: Sandbox) -> None:
    sandbox.invoices[1:] = [replace(sandbox.invoices[1], invoices_currency=None)]
    environment = {**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    for answer, cost in (("none", "1.00"), ("usd", "1.00 USD")):
        terminal = Terminal("pay", "--open", environment=environment)
        terminal.until("Currency (none, USD): ")
        terminal.type(f"{answer}\n")
        assert "id" in terminal.until(f"pay 1 invoice, {cost} from the account's funds? [y/N] ")
        terminal.type("n\n")
        assert terminal.end()[0] == 1


# --- what is said ------------------------------------------------------------------------------


def test_the_advice_is_the_command_that_settles(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As typed: account, user name, endpoint and journal included, and quoted for a shell."""
    accounts = tmp_path / "accounts.ini"
    accounts.write_text(format_section("my account", sandbox.endpoint))
    monkeypatch.setenv("SOAPMAIL_CONFIG", str(accounts))
    path = str(tmp_path / "my journal")
    for n, options in enumerate((
        [], ["--journal", path], ["--account", "my account"],
        ["--username", USERNAME.upper(), "--endpoint", f"{sandbox.endpoint}?", "--journal", f"{path}2"],
    )):  # fmt: skip
        id = str(sandbox.invoices[n].invoices_id)
        sandbox.username = USERNAME.upper() if "--username" in options else USERNAME
        lose_payments(sandbox, after=False)
        assert run("pay", id, "--yes", *options).code == 5
        del sandbox.respond
        code, _, err = run("pay", id, "--yes", *options)
        assert code == 5
        assert err.count(f" at {sandbox.endpoint.partition('?')[0]})\n") == 1
        (advice,) = re.findall(r": (soapmail .*) \(or unpaid\)", err)
        words = shlex.split(advice)
        assert run(*words[1:]) == (0, f"invoice {id}: settled, paid\n", "")
        kept = options[-2:] if "--journal" in options else options  # all that a named journal needs
        assert run("journal", "settle", *kept) == (0, "no open questions\n", "")


def test_a_cut_line_that_names_no_invoice_asks_for_one(
    run: Callable[..., Result], sandbox: Sandbox, path: str
) -> None:
    Path(path).write_bytes(b'{"inv')
    count = collect_payments(sandbox)
    for words in (OPEN, ("pay", str(ID), "--yes"), ("pay", "--open", "--dry-run")):
        code, _, err = run(*words, "--journal", path)
        assert code == 5
        assert "a line was cut off that may have been about any invoice, so nothing is paid" in err
        assert f": soapmail journal settle INVOICE paid --journal {path} (or unpaid)\n" in err
    assert count == []
    assert run("journal", "settle", "--journal", path).out == (
        "a line was cut off that may have been about any invoice:"
        f" soapmail journal settle INVOICE paid --journal {path} (or unpaid)\n"
    )
    assert run("journal", "settle", str(ID), "unpaid", "--journal", path).code == 0
    assert run(*OPEN, "--journal", path).code == 0


def test_several_open_questions_are_named(
    run: Callable[..., Result], sandbox: Sandbox, path: str
) -> None:
    write_journal(path, entry("intent"), entry("intent", None, OTHER))
    code, out, err = run(*OPEN, "--journal", path)
    assert (code, out.count("Payment made")) == (5, 10)
    assert f"whether invoice {ID}, {OTHER} was paid, so they are not paid now" in err
    for id in (ID, OTHER):
        assert f"soapmail journal settle {id} paid --journal {path}" in err


@pytest.mark.parametrize("how", ["plan", "invoice"])
def test_json_tells_what_became_of_each_invoice(
    run: Callable[..., Result], sandbox: Sandbox, how: str
) -> None:
    sandbox.invoices[3:] = [replace(sandbox.invoices[3], invoices_amount=None)]
    count = collect_payments(sandbox)
    answer = sandbox.answer

    def lose_second(request: bytes) -> tuple[int, bytes]:
        response = answer(request)
        if len(count) == 2:
            sandbox.break_next(after=True)
        return response

    sandbox.answer = lose_second  # type: ignore[method-assign]
    if how == "invoice":
        code, out, err = run("pay", str(ID), "--yes", "--format", "json")
        assert (code, err) == (0, "")
        assert json.loads(out) == [
            {"invoice": ID, "amount": None, "currency": None, "result": "paid", "text": "Payment made"}
        ]  # fmt: skip
        assert run("pay", str(OTHER), "--dry-run", "--format", "json").out == (
            f'[\n {{"invoice": {OTHER}, "amount": 1.0, "currency": "USD", "result": "planned", "text": null}}\n]\n'
        )
        return
    respond = sandbox.respond

    def lose(request: bytes) -> tuple[int, bytes] | None:
        if b"api_make_payment" in request and str(OTHER).encode() in request:
            sandbox.break_next(after=True)
        return respond(request)

    sandbox.respond = lose  # type: ignore[method-assign]
    sandbox.answer = answer  # type: ignore[method-assign]
    planned = run("pay", "--open", "--format", "json")
    assert [(one["invoice"], one["result"]) for one in json.loads(planned.out)] == [
        (7530371, "left out"), (ID, "planned"), (OTHER, "planned"), (7530357, "planned"),
    ]  # fmt: skip
    code, out, _ = run(*OPEN, "--format", "json")
    assert code == 5
    found = json.loads(out)
    assert [(one["invoice"], one["result"]) for one in found] == [
        (7530371, "left out"), (ID, "paid"), (OTHER, "unknown"), (7530357, "not paid"),
    ]  # fmt: skip
    assert (found[0]["text"], found[1]["amount"], found[1]["currency"]) == ("no amount", 1.0, "USD")
    assert "may or may not have happened" in found[2]["text"]
    code, out, _ = run(*OPEN, "--format", "json")
    settled = {"invoice": OTHER, "amount": 1.0, "currency": "USD", "result": "paid", "text": "settled: the server lists it as paid"}  # fmt: skip
    assert (code, json.loads(out)[0]) == (1, settled)
    change_invoices(sandbox, invoices_paid=1)
    assert run(*OPEN, "--format", "json")[:2] == (0, "[]\n")


def test_json_that_cannot_be_written_is_told(sandbox: Sandbox, path: str) -> None:
    """Before anything is paid nothing is; behind a payment it is code 6."""
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    line = f"{sys.executable} -m soapmail pay {{}} --yes --format json --journal {path}"
    sandbox.invoices[1] = replace(sandbox.invoices[1], invoices_amount=None)
    for what, code in ((f"{ID}", 6), ("--open --max-total 2", 1)):
        words = f"{line.format(what)} >/dev/full"
        done = subprocess.run(["bash", "-c", words], env=environment, capture_output=True, check=False)  # fmt: skip
        assert done.returncode == code
        assert b"No space left on device" in done.stderr
    assert brief(path) == [(ID, "intent", None), (ID, "outcome", "paid")]
    sandbox.invoices = []
    words = f"{line.format('--open --max-total 2')} >/dev/full"
    done = subprocess.run(["bash", "-c", words], env=environment, capture_output=True, check=False)
    assert (done.returncode, json.loads(done.stderr)["code"]) == (1, 1)
    assert b"cannot read or write: No space left on device" in done.stderr


def shell(sandbox: Sandbox, line: str) -> tuple[int, str, str]:
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    words = f"{sys.executable} -m soapmail {line}"
    done = subprocess.run(["bash", "-c", words], env=environment, capture_output=True, text=True, check=False)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("output", [">/dev/full", ">&-", ""])
def test_json_that_is_lost_hides_neither_a_refusal_nor_an_unknown_outcome(
    sandbox: Sandbox, path: str, output: str
) -> None:
    line = f"pay {{}} --yes --format json --journal {path} {output}"
    lose_payments(sandbox, after=False)
    code, _, err = shell(sandbox, line.format(ID))
    assert (code, "it may or may not have happened" in err) == (5, True)
    del sandbox.respond
    answer = sandbox.answer
    refused = make_status_response("api_make_payment", "error", "no funds")

    def refuse_payment(request: bytes) -> tuple[int, bytes]:
        return (200, refused) if b"make_payment" in request else answer(request)

    sandbox.answer = refuse_payment  # type: ignore[method-assign]
    Path(path).unlink()
    code, out, err = shell(sandbox, line.format(OTHER))
    assert (code, err.splitlines()[0]) == (1, "soapmail: the server answered 'error': no funds")
    assert output or json.loads(out)[0]["result"] == "refused"


@pytest.mark.parametrize("how", ["--open --max-total 2", str(ID)])
def test_json_tells_of_a_payment_that_could_not_be_recorded(
    run: Callable[..., Result], sandbox: Sandbox, path: str, how: str
) -> None:
    answer = sandbox.answer

    def rename_journal(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            Path(path).rename(f"{path}.old")
        return answer(request)

    sandbox.answer = rename_journal  # type: ignore[method-assign]
    code, out, err = run("pay", *how.split(), "--yes", "--format", "json", "--journal", path)
    assert code == 5
    first = next(one for one in json.loads(out) if one["invoice"] == ID)
    assert first["result"] == "paid"
    assert "it was paid, and that could not be recorded" in first["text"]
    error = json.loads(err)
    assert (error["code"], error["kind"]) == (5, "OutcomeUncertain")
    settling = f"soapmail journal settle {ID} paid --journal {path} (or unpaid)"
    assert error["advice"] == [f"to say what became of it: {settling}"]
    Path(path).unlink(missing_ok=True)
    code, out, err = run("pay", str(OTHER), "--yes", "--journal", path)
    assert (code, out) == (5, "")
    assert f"soapmail journal settle {OTHER} paid" in err


def test_json_names_the_one_invoice_that_is_not_paid_and_why(
    run: Callable[..., Result], sandbox: Sandbox, path: str
) -> None:
    write_journal(path, entry("intent"))
    sandbox.invoices[1] = replace(sandbox.invoices[1], invoices_paid=1)
    sandbox.invoices[2] = replace(sandbox.invoices[2], invoices_amount=0.0)
    third = sandbox.invoices[2].invoices_id
    for options in (["--yes"], ["--dry-run"]):
        for id, code, result, words in (
            (ID, 5, "left out", "it is not known whether it was paid before"),
            (OTHER, 1, "not paid", "is paid already; nothing was sent"),
            (third, 5, "left out", "an amount of zero"), (5, 1, "not paid", "there is no invoice 5"),
        ):  # fmt: skip
            done = run("pay", str(id), *options, "--format", "json", "--journal", path)
            (one,) = json.loads(done.out)
            assert (done.code, one["invoice"], one["result"]) == (code, id, result)
            assert words in one["text"]
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_paid=1)
    for form in ("json", "text"):
        done = run("pay", str(ID), "--dry-run", "--format", form, "--journal", path)
        assert done.code == 0
        assert "the server lists it as paid" in (done.out if form == "json" else done.err)
    settled = f"soapmail: invoice {ID}: settled, the server lists it as paid\n"
    environment = {**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    terminal = Terminal("pay", str(ID), "--journal", path, environment=environment)
    assert terminal.end() == (0, settled)


def test_a_plan_is_not_shown_where_stdout_is_closed(sandbox: Sandbox, path: str) -> None:
    for output, problem in ((">&-", "stdout is closed"), (">/dev/full", "No space left on device")):
        code, _, err = shell(sandbox, f"pay --open --yes --max-total 2 --journal {path} {output}")
        assert (code, problem in err) == (1, True)
    assert not any(one.is_paid for one in sandbox.invoices)


def test_the_advice_keeps_blanks_and_leading_dashes(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a  b", "-j"):
        write_journal(name, entry("intent"))
        _, _, err = run("pay", str(ID), "--yes", f"--journal={name}")
        (advice,) = re.findall(r": (soapmail .*) \(or unpaid\)", err)
        assert run(*shlex.split(advice)[1:]) == (0, f"invoice {ID}: settled, paid\n", "")


def test_one_plan_adds_a_currency_in_any_case(run: Callable[..., Result], sandbox: Sandbox) -> None:
    sandbox.invoices[1] = replace(sandbox.invoices[1], invoices_currency="usd")
    out = run("pay", "--open", "--currency", "Usd").out
    assert out.splitlines()[-1] == "12 invoices, 12.00 USD"


# --- where the journal is ----------------------------------------------------------------------


def test_a_journal_under_another_spelling_is_found_and_two_are_an_error(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    count = collect_payments(sandbox)
    folder = Path(os.environ["XDG_STATE_HOME"]) / "soapmail"
    folder.mkdir(parents=True)
    identity = identify_account(sandbox.endpoint, USERNAME)
    before = folder / f"User_Example.com_-{identity.key}.jsonl"
    write_journal(str(before), entry("intent"))
    code, out, err = run("pay", str(ID), "--yes")
    assert (code, out, count) == (5, "", [])
    assert str(before) in err
    assert run("journal", "settle", str(ID), "unpaid").code == 0
    assert list_journals() == [before]
    other = folder / f"{identity.file_stem}.jsonl"
    other.touch()
    for words in (
        ("pay", str(ID), "--yes"), OPEN, ("pay", "--open", "--dry-run"), ("journal",),
        ("journal", "settle", str(ID), "paid"),
    ):  # fmt: skip
        code, out, err = run(*words)
        assert (code, out) == (1, "")
        assert f"{identity} has 2 journals: {before} and {other}; put the lines" in err
    with before.open("ab") as file:
        file.write(other.read_bytes())
    other.unlink()
    assert run("pay", str(ID), "--yes").code == 0
    assert count == [ID]


def test_the_name_of_the_default_journal_is_that_of_the_identity(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.username = " User@Example.COM"
    assert run("pay", str(ID), "--yes", "--username", sandbox.username).code == 0
    stem = identify_account(sandbox.endpoint, USERNAME).file_stem
    assert [path.name for path in list_journals()] == [f"{stem}.jsonl"]


def test_an_explicit_journal_makes_no_folder_and_looking_makes_none_at_all(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path
) -> None:
    place = tmp_path / "share" / "journal"
    for words in (("pay", str(ID), "--yes"), OPEN, ("pay", "--open", "--dry-run"), ("journal",)):
        code, out, err = run(*words, "--journal", str(place))
        assert (code, out) == (1, "")
        assert f"there is no folder {place.parent}" in err
    assert list(tmp_path.iterdir()) == []
    for line in ("pay --open --dry-run", "journal", "journal settle"):
        assert run(*line.split()).code == 0
    assert not Path(os.environ["XDG_STATE_HOME"]).exists()
    assert not any(one.is_paid for one in sandbox.invoices)


def test_where_no_folder_can_be_made_a_journal_is_asked_for(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, whose disk is forgotten."""
    monkeypatch.setattr(os, "makedirs", refuse)
    code, _, err = run("pay", str(ID), "--yes")
    assert code == 1
    assert err.endswith(
        "Permission denied; give --journal FILE on a disk that lasts: if the journal is lost,"
        " invoices could be paid again\n"
    )
    assert not sandbox.invoices[0].is_paid


def refuse(*args: Any, **options: Any) -> Any:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_looking_at_a_named_journal_needs_no_account(
    run: Callable[..., Result], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SOAPMAIL_USERNAME", "SOAPMAIL_PASSWORD", "SOAPMAIL_ENDPOINT"):
        monkeypatch.delenv(name)
    write_journal(path, entry("intent"))
    assert run("journal", "--journal", path, "--format", "jsonl").out.count("\n") == 1
    assert run("journal", "settle", str(ID), "paid", "--journal", path).code == 0
    assert run("journal", "settle", "--journal", path).out == "no open questions\n"
    assert run("journal").code == 2
    empty = "soapmail: --journal is empty (see soapmail journal --help)\n"
    assert run("journal", "--journal", "") == (2, "", empty)


@pytest.mark.parametrize("option", ["--max-total", "--max-each"])
def test_a_limit_is_not_below_zero(run: Callable[..., Result], option: str) -> None:
    code, out, err = run("pay", "--open", f"{option}=-1")
    assert (code, out) == (2, "")
    assert f"argument {option}: '-1' is below zero" in err


def test_invoices_without_an_id_are_counted_with_what_they_cost(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    nameless = replace(sandbox.invoices[1], invoices_id=None)
    later = replace(nameless, invoices_due_date="2026-12-31 00:00:00")
    sandbox.invoices[1:] = [nameless, later, nameless]  # the same row twice is one
    code, out, err = run(*OPEN)
    assert (code, out.count("Payment made")) == (1, 1)
    assert err == "soapmail: 2 invoices without an id left out, 2.00 USD\n"


def test_a_folder_that_cannot_be_entered_is_no_empty_journal(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    folder = tmp_path / "file" / "soapmail"
    for problem in ("Not a directory", "Permission denied"):
        for line in ("journal", "journal settle", "pay --open --dry-run", f"pay {ID} --yes"):
            assert run(*line.split()) == (1, "", f"soapmail: {folder}: {problem}\n")
        monkeypatch.setattr(os, "listdir", refuse)
    place = str(tmp_path / "file" / "journal")
    done = run("journal", "settle", "5", "paid", "--journal", place)
    assert done == (1, "", f"soapmail: {place}: Not a directory\n")


def test_what_is_recorded_as_paid_is_no_answer_for_a_cut_line(
    run: Callable[..., Result], path: str
) -> None:
    whole = write_journal(path, entry("intent"), entry("outcome", "paid"))
    Path(path).write_bytes(whole + b'{"inv')
    code, _, err = run("journal", "settle", str(ID), "paid", "--journal", path)
    assert code == 1
    words = "for the line that was cut off, name one that was not paid: soapmail journal settle INVOICE unpaid"
    assert f"{words} --journal {path}\n" in err
    assert run("journal", "settle", str(OTHER), "unpaid", "--journal", path).code == 0
    assert run("journal", "settle", "--journal", path).out == "no open questions\n"


def test_looking_works_during_a_run_and_on_a_file_that_cannot_be_written(
    run: Callable[..., Result], path: str
) -> None:
    write_journal(path, entry("intent"), entry("outcome", "unknown"))
    before = Path(path).read_bytes()
    with Journal(path):
        assert run("journal", "--journal", path, "--format", "jsonl").out.count("\n") == 2
        code, out, _ = run("pay", "--open", "--dry-run", "--journal", path)
        assert (code, out.splitlines()[-1]) == (5, "11 invoices, 11.00 USD")
        code, _, err = run(*OPEN, "--journal", path, "--timeout", "0.2")
        assert (code, f"held by process {os.getpid()}" in err) == (1, True)
    assert Path(path).read_bytes() == before


def test_a_journal_that_cannot_be_trusted_pays_nothing(
    run: Callable[..., Result], sandbox: Sandbox, path: str
) -> None:
    Path(path).write_bytes(b"hello\n")
    for words in (OPEN, ("pay", str(ID), "--yes"), ("pay", "--open", "--dry-run"), ("journal",)):
        code, out, err = run(*words, "--journal", path)
        assert (code, out) == (1, "")
        assert f"soapmail: {path}: line 1 is not a record" in err
    assert not any(one.is_paid for one in sandbox.invoices)


def test_the_journal_of_another_customer_is_refused_by_the_command(
    run: Callable[..., Result], sandbox: Sandbox, path: str
) -> None:
    assert run("pay", "--open", "--yes", "--max-total", "1", "--journal", path).code == 0
    change_invoices(sandbox, invoices_custid=5)
    count = collect_payments(sandbox)
    for words in (OPEN, ("pay", str(OTHER), "--yes"), ("pay", "--open", "--dry-run")):
        code, _, err = run(*words, "--journal", path)
        assert code == 1
        assert (
            f"{path}: this journal belongs to customer 160884, but the account is customer 5;"
            in err
        )
    assert count == []


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "0"])
def test_the_limit_of_time_is_checked_for_the_journal_too(
    run: Callable[..., Result], seconds: str
) -> None:
    for words in (("journal", "reopen", "5"), ("journal", "settle", "5", "paid"), OPEN):
        code, out, err = run(*words, "--timeout", seconds)
        assert (code, out) == (2, "")
        assert f"argument --timeout: {seconds!r} is not a number of seconds" in err


# --- signals and output ------------------------------------------------------------------------


def test_what_is_settled_and_cannot_be_told_is_code_6(sandbox: Sandbox, path: str) -> None:
    write_journal(path, entry("intent"), entry("intent", None, OTHER), entry("outcome", "paid", OTHER))  # fmt: skip
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    for words in (f"settle {ID} paid", f"reopen {OTHER} --yes"):
        line = f"{sys.executable} -m soapmail journal {words} --journal {path} >/dev/full"
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, check=False)  # fmt: skip
        assert done.returncode == 6
        assert b"it was done, and only the output failed (No space left on device)" in done.stderr
    assert brief(path)[3:] == [(ID, "settled", "paid"), (OTHER, "reopened", "unknown")]


def test_no_signal_comes_between_settling_and_its_word(
    run: Callable[..., Result], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_journal(path, entry("intent"))
    real = os.fsync

    def fsync(file: int) -> None:
        signal.raise_signal(signal.SIGTERM)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "kill", lambda *args: None)
    settled = f"invoice {ID}: settled, paid\n"
    result = run("journal", "settle", str(ID), "paid", "--journal", path)
    assert result == (128 + signal.SIGTERM, settled, "")
    assert brief(path)[-1] == (ID, "settled", "paid")


def test_a_signal_that_was_swallowed_before_a_payment_stops_it(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an observer of the list, for one; what a run before paid is not told as this run's."""
    assert run("pay", str(ID), "--yes").code == 0

    def raise_sigterm(self: object, exchange: Any, account: object) -> None:
        if exchange.operation == "api_mail_get_client_invoices":
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("soapmail.cli.dump.Dump.__call__", raise_sigterm)
    monkeypatch.setattr(os, "kill", lambda *args: None)
    count = collect_payments(sandbox)
    write_journal(str(list_journals()[0]), entry("outcome", "refused", OTHER))
    code, out, err = run("--dump", str(tmp_path), "pay", str(OTHER), "--yes")
    assert (code, out, count) == (128 + signal.SIGTERM, "", [])
    assert "was paid" not in err
    assert "may or may not" not in err
    assert brief(list_journals()[0])[-1] == (OTHER, "outcome", "refused")


def test_one_error_is_all_that_comes_into_a_change(sandbox: Sandbox) -> None:
    """Of many signals while the response is waited for, the rest are ignored till the end."""
    from ..cli.test_main import ORDERS, run_and_signal

    signals = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM]
    code, err = run_and_signal(signals, *ORDERS["cancel"], logs_in=True, gap=0.01)
    assert code == 5
    assert err.count("it may or may not have happened") == 1
    assert "Traceback" not in err


def test_a_signal_behind_a_refusal_is_told_after_it(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = sandbox.answer
    done = threading.Event()

    def refuse_and_signal(request: bytes) -> tuple[int, bytes]:
        if b"api_api_buy_mail" in request:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            assert done.wait(20)
            return 200, answer(request)[1].replace(b">ok<", b">error<")
        return answer(request)

    def print_and_go_on(*args: Any, **options: Any) -> None:
        done.set()

    monkeypatch.setattr("soapmail.cli.signals.print_error", print_and_go_on)
    monkeypatch.setattr(os, "kill", lambda *args: None)
    sandbox.answer = refuse_and_signal  # type: ignore[method-assign]
    code, out, err = run("buy", "--yes")
    assert (code, out) == (128 + signal.SIGTERM, "")
    assert err == "soapmail: the server answered 'error': Order placed\n"


@pytest.mark.parametrize("words", ["no funds", "already paid"])
def test_a_signal_behind_a_refused_payment_hides_nothing(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """While the response, or the list that is asked about it, is on its way."""
    answer = sandbox.answer
    refused = make_status_response("api_make_payment", "error", words)
    is_refused = False

    def refuse(request: bytes) -> tuple[int, bytes]:
        nonlocal is_refused
        response = answer(request)
        if b"api_make_payment" in request:  # it was paid elsewhere
            is_refused, response = True, (200, refused)
        if is_refused and (words == "no funds" or b"invoices" in request):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        return response

    monkeypatch.setattr(os, "kill", lambda *args: None)
    sandbox.answer = refuse  # type: ignore[method-assign]
    code, _, err = run("pay", str(ID), "--yes")
    told = {"no funds": "the server answered 'error': no funds", "already paid": "settled, the"}
    assert told[words] in err
    assert code == 128 + signal.SIGTERM


# --- the page ----------------------------------------------------------------------------------


def read_tables(section: str) -> list[list[list[str]]]:
    """Return the cells of each table of a section of the command's page."""
    page = (ROOT / "soapmail" / "cli" / "README.md").read_text(encoding="utf-8")
    text = re.search(rf"(?ms)^###? {section}$(.*?)^## ", page)
    assert text is not None
    tables = re.findall(r"(?m)(?:^\|.*\n)+", text[1])
    return [[re.split(r" *\| *", line.strip("| ")) for line in table.splitlines()[2:]] for table in tables]  # fmt: skip


def test_the_page_tells_what_a_record_is(
    run: Callable[..., Result], sandbox: Sandbox, path: str
) -> None:
    """A parser that was written from the page's two tables reads what every event writes."""
    keys, events = read_tables("The journal")
    kinds = {
        "an integer": lambda value: type(value) is int, "a word": lambda value: type(value) is str,
        "a number": lambda value: type(value) in (int, float), "a text": lambda value: type(value) is str,
        "a time": lambda value: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", value) is not None,
    }  # fmt: skip
    described = {key.strip("`"): (kind, presence) for key, kind, presence, _ in keys}
    results = {
        event.strip("`"): re.findall(r"`(\w+)`", result) or [None] for event, result, _ in events
    }
    lose_payments(sandbox, after=True)
    assert run("pay", str(ID), "--yes", "--journal", path).code == 5
    del sandbox.respond
    assert run(*OPEN, "--journal", path).code == 0
    assert run("journal", "reopen", str(OTHER), "--yes", "--journal", path).code == 0
    with open(path, "ab") as file:
        file.write(b'{"invoice": 7530357, "ev')
    assert run("journal", "settle", "7530357", "unpaid", "--journal", path).code == 0
    change_invoices(sandbox, invoices_paid=0)
    assert run("pay", "7530357", "--yes", "--journal", path).code == 5  # the other one is asked
    text = Path(path).read_text().replace('{"invoice": 7530357, "ev\n', "")
    records = [json.loads(line) for line in text.splitlines()]
    assert {record["event"] for record in records} == set(results)
    for record in records:
        assert set(record) <= set(described)
        assert record.get("result") in results[record["event"]]
        for key, (kind, presence) in described.items():
            value = record.get(key)
            assert key in record or presence == "yes"
            assert (value is None and presence != "no") or kinds[kind](value)
    assert lines.__doc__ is not None
