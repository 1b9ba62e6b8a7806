"""The command for monitoring: by the rules of monitoring plugins, and of Prometheus."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from soapmail import Client, Invoice, TransportError
from soapmail.cli import signals
from soapmail.cli.accounts import TrackingClient
from soapmail.cli.commands import check, check_formats
from soapmail.cli.exit_codes import UsageError
from soapmail.deadline import Deadline
from soapmail.sandbox.sandbox import _OPERATIONS

from ..commands import (
    ACCOUNT,
    Accounts,
    Result,
    Terminal,
    environment_without_coverage,
    format_section,
    note_operations,
    start_process,
)
from ..faulty import (
    Faulty,
    Request,
    find_closed_port,
    respond_after_login,
    stay_silent,
)
from ..support import LIST, LOGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from soapmail.sandbox import Sandbox

# What the guidelines of the monitoring plugins ask of performance data.
LABEL = r"(?:'[^'=]+'|[^\s'=]+)"
NUMBER = r"-?\d+(?:\.\d+)?"
DATUM = rf"{LABEL}={NUMBER}(?:s|%|B|c)?(?:;[\d.:~@-]*(?:;[\d.:~@-]*(?:;(?:{NUMBER})?(?:;(?:{NUMBER})?)?)?)?)?"
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def plugin(result: Result) -> tuple[int, str, dict[str, str], list[str]]:
    """Read what a plugin printed, and hold it against the rules."""
    assert result.err == "" or result.code == 3
    first, *details = result.out.splitlines()
    words, bar, data = first.partition(" | ")
    assert words.startswith(f"MAIL INVOICES {WORDS[result.code]}: ")
    assert bar or result.code == 3
    found = data.split()
    assert all(re.fullmatch(DATUM, one) for one in found), found
    assert "|" not in words + "".join(details)
    performance = dict(one.split("=") for one in found)
    assert len(performance) == len(found)
    return result.code, words, performance, details


def open_charge(sandbox: Sandbox, due: str | None, **fields: Any) -> Invoice:
    """Add an open charge of a service that is active."""
    if all(service.mail_id != 70000 for service in sandbox.services):
        sandbox.services.append(replace(sandbox.services[0], mail_id=70000, mail_status="active"))
    when = "0000-00-00 00:00:00" if due is None else f"{due} 12:00:00"
    return sandbox.add_invoice(**{"invoices_due_date": when, "invoices_service": 70000, **fields})


TODAY = ("--today", "2026-03-10")


@pytest.mark.parametrize(
    ("due", "within", "code"),
    [
        ("2026-03-09", "0", 2), ("2026-03-10", "0", 1), ("2026-03-11", "0", 0),
        ("2026-03-11", "1", 1), ("2026-03-17", "7", 1), ("2026-03-18", "7", 0), (None, "0", 1),
    ],
)  # fmt: skip
def test_due_today_is_due_soon_and_overdue_begins_on_the_next_day(
    run: Callable[..., Result], sandbox: Sandbox, due: str | None, within: str, code: int
) -> None:
    invoice = open_charge(sandbox, due, invoices_amount=12.5)
    found, words, data, details = plugin(run("check", *TODAY, "--due-within", within))
    assert found == code
    assert data["overdue"].split(";")[0] == str(int(code == 2))
    assert data["due_soon"].split(";")[0] == str(int(code == 1 and due is not None))
    said = {
        0: f"nothing is due, next is {invoice.invoices_id} on {due}",
        1: f"1 due soon, 12.50 USD ({invoice.invoices_id} on {due})",
        2: f"1 overdue, 12.50 USD ({invoice.invoices_id} since {due})",
    }[code]
    if due is None:
        said = f"1 open without a due date, 12.50 USD ({invoice.invoices_id})"
    assert said in words
    assert len(details) == (2 if code else 0)


def test_the_example_of_a_critical_line(run: Callable[..., Result], sandbox: Sandbox) -> None:
    sandbox.invoices, sandbox.services = [], sandbox.services[:1]
    for id, due in ((7514880, "2021-03-10"), (7529153, "2021-03-11")):
        open_charge(sandbox, due, invoices_id=id, invoices_amount=12.0)
    result = run("check", "--today", "2021-03-12")
    assert result.code == 2
    assert result.out.splitlines()[0] == (
        "MAIL INVOICES CRITICAL: 2 overdue, 24.00 USD (7514880 since 2021-03-10, 7529153 since "
        "2021-03-11) | overdue=2;;0;0 due_soon=0;0;;0 undated=0;0;;0 wrong=0;0;;0 open=2;;;0 "
        "ended_services=0;;;0 "
        "overdue_USD=24.00;;;0"
    )


def test_open_invoices_of_ended_services_are_counted_apart(run: Callable[..., Result]) -> None:
    """All twelve documented invoices are of expired services: an alarm for ever otherwise."""
    code, words, data, details = plugin(run("check"))
    assert code == 0
    assert words.endswith(": nothing is due; 12 open of ended services, 12.00 USD")
    assert (data["open"], data["ended_services"]) == ("12;;;0", "12;;;0")
    assert details == []
    code, words, data, details = plugin(run("check", "--all-services"))
    assert code == 2
    assert "12 overdue, 12.00 USD (7514880 since 2021-03-10, " in words
    assert words.endswith(", ...)")
    assert len([line for line in details if line.startswith("overdue: ")]) == 12


@pytest.mark.parametrize(
    ("status", "code"),
    [("expired", 0), ("canceled", 0), ("Cancelled ", 0), ("active", 2), ("pending", 2), ("", 2), (None, 2)],
)  # fmt: skip
def test_which_services_have_ended(
    run: Callable[..., Result], sandbox: Sandbox, status: str | None, code: int
) -> None:
    """An invoice of no known service is an alarm too: nobody said that it has ended."""
    open_charge(sandbox, "2021-03-10")
    last = sandbox.services.pop()
    if status is not None:
        sandbox.services.append(replace(last, mail_status=status))
    assert run("check").code == code


def test_amounts_by_currency_are_never_added(run: Callable[..., Result], sandbox: Sandbox) -> None:
    open_charge(sandbox, "2021-03-10", invoices_amount=0.1, invoices_currency="EUR")
    open_charge(sandbox, "2021-03-10", invoices_amount=0.2, invoices_currency="EUR")
    open_charge(sandbox, "2021-03-10", invoices_amount=5.0, invoices_currency="U|S\nD")
    _, words, data, details = plugin(run("check"))
    assert "3 overdue, 0.30 EUR and 5.00 U/S D (" in words
    assert data["overdue_EUR"] == "0.30;;;0"
    assert data["overdue_USD"] == "5.00;;;0"
    assert len(details) == 4


def test_what_is_longest_overdue_comes_first(run: Callable[..., Result], sandbox: Sandbox) -> None:
    words = {}
    for due in ("2021-03-11", None, "2021-03-09", "2021-03-10"):
        words[due] = str(open_charge(sandbox, due, invoices_description=f"of {due}").invoices_id)
    out = run("check", "--today", "2021-03-12").out
    order = [out.index(words[due]) for due in ("2021-03-09", "2021-03-10", "2021-03-11")]
    assert order == sorted(order)
    details = [line for line in out.splitlines() if ": of " in line or ", of " in line]
    assert [line.rpartition(", ")[2] for line in details] == [
        "of 2021-03-09", "of 2021-03-10", "of 2021-03-11", "of None"
    ]  # fmt: skip


def test_what_has_no_date_is_not_due_today_where_its_service_has_ended() -> None:
    bill = Invoice(invoices_type=1, invoices_service=5)
    dues = ("2021-03-15 00:00:00", None, "2021-03-05 00:00:00", "2021-03-10 00:00:00")
    opened = [replace(bill, invoices_due_date=due) for due in dues]
    report = check._merge([(None, check.make_report(opened, date(2021, 3, 10), 0, {5}, {}))])
    assert [one.days for one in report.apart] == [None, -5, 0, 5]


def test_where_nothing_is_open_nothing_more_is_asked(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    asked = note_operations(sandbox)
    sandbox.invoices = [replace(one, invoices_paid=1) for one in sandbox.invoices]
    assert plugin(run("check"))[0] == 0
    assert asked == ["api_login", LIST]


def test_what_is_wrong_is_counted_apart_and_named(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    """Overdue or not, it is a WARNING: it must not be paid before somebody has looked at it."""
    first = open_charge(sandbox, "2020-01-01", invoices_amount=2.0)
    twin = open_charge(
        sandbox, "2020-01-02", invoices_amount=2.0, invoices_extra=first.invoices_extra
    )
    paid = open_charge(sandbox, "2030-01-01", invoices_description="a|b")
    sandbox.add_payment(paid)
    ids = [one.invoices_id for one in (first, twin, paid)]
    code, words, data, details = plugin(run("check", *TODAY))
    assert code == 1
    assert f": 3 wrong, 5.00 USD ({ids[0]}, {ids[1]}, {ids[2]}); 12 open of ended services" in words
    assert (data["wrong"], data["overdue"], data["open"]) == ("3;0;;0", "0;;0;0", "15;;;0")
    assert details == [
        f"wrong: charged-twice: Service 70000 was charged twice, 0 days apart: invoice {ids[0]} of"
        f" 2021-02-24 over 2.00 USD and invoice {ids[1]} of 2021-02-24 over 2.00 USD.",
        f"wrong: open-though-paid: Invoice {ids[2]} of 2021-02-24 over 1.00 USD is open, though"
        f" 1.00 USD was paid for it (payments: {ids[2] + 1}).",  # type: ignore[operator]
    ]
    report = json.loads(run("check", *TODAY, "--format", "json").out)
    assert [(one["invoices_id"], one["findings"][0]["kind"]) for one in report["wrong"]] == [
        (ids[0], "charged-twice"), (ids[1], "charged-twice"), (ids[2], "open-though-paid"),
    ]  # fmt: skip
    assert report["wrong"][2]["findings"][0]["text"] == details[1].partition("paid: ")[2]
    assert report["amounts"]["wrong"] == {"USD": 5.0}
    assert (report["overdue"], report["later"]) == ([], [])
    metrics = run("check", *TODAY, "--format", "prometheus").out
    assert 'soapmail_open_invoices{state="wrong"} 3' in metrics
    open_charge(sandbox, "2020-01-01")
    assert run("check", *TODAY).code == 2


def test_what_is_listed_twice_is_counted_once(run: Callable[..., Result], sandbox: Sandbox) -> None:
    first = open_charge(sandbox, "2020-01-01")
    sandbox.invoices.append(replace(first, invoices_description="another"))
    sandbox.add_payment(first)
    _, words, data, details = plugin(run("check"))
    assert f": 1 wrong, 1.00 USD ({first.invoices_id});" in words
    assert data["wrong"] == "1;0;;0"
    assert [line.split(":")[1] for line in details] == [" listed-twice", " open-though-paid"]


def test_the_same_row_twice_is_counted_once(run: Callable[..., Result], sandbox: Sandbox) -> None:
    late = open_charge(sandbox, "2020-01-01")
    sandbox.invoices.append(late)
    _, words, data, _ = plugin(run("check", *TODAY))
    assert ": 1 overdue, 1.00 USD " in words
    assert (data["overdue"], data["overdue_USD"]) == ("1;;0;0", "1.00;;;0")


def test_what_is_wrong_is_so_of_an_ended_service_too(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.invoices = sandbox.invoices[:1]
    sandbox.add_payment(sandbox.invoices[0])
    code, words, data, _ = plugin(run("check"))
    assert (code, data["wrong"], data["ended_services"]) == (1, "1;0;;0", "0;;;0")
    assert words.endswith(": 1 wrong, 1.00 USD (7514880)")


def test_what_has_no_currency_has_a_label_too(run: Callable[..., Result], sandbox: Sandbox) -> None:
    open_charge(sandbox, "2021-03-10", invoices_currency="-")
    assert plugin(run("check"))[2]["overdue_none"] == "1.00;;;0"


def test_an_unknown_amount_is_told() -> None:
    charge = Invoice(invoices_id=5, invoices_type=1, invoices_currency="EUR")
    late = check_formats.OpenInvoice(None, charge, -1)
    report = check_formats.DueReport(overdue=[late])
    assert "overdue: 5, unknown amount EUR, no due" in check_formats.format_as_text(report)
    bill = check_formats.OpenInvoice(None, Invoice(invoices_id=5, invoices_type=1), -1)
    report = check_formats.DueReport(overdue=[bill])
    assert "1 overdue, 0.00 and 1 of unknown amount (5)" in check_formats.format_as_text(report)
    assert "overdue: 5, unknown amount, no due date, no service" in check_formats.format_as_text(
        report
    )


def test_the_prepaid_rest_is_told_where_it_matters(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    assert "prepaid" not in run("check").out
    open_charge(sandbox, "2021-03-10")
    sandbox.prepays[0] = replace(sandbox.prepays[0], prepay_module="mail", prepay_remaining=7.5)
    assert run("check").out.splitlines()[-1] == "prepaid: 7.50 left"


def test_an_unknown_prepaid_rest_is_no_reason_to_say_nothing(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_charge(sandbox, "2021-03-10")
    monkeypatch.delitem(_OPERATIONS, "api_get_prepay_remaining")
    code, _, _, details = plugin(run("check"))
    assert code == 2
    assert details[-1].startswith("prepaid: unknown (SOAP fault SOAP-ENV:Client: Operation")


# --- unknown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frob"], ["--due-within", "x"], ["--due-within", "-1"], ["--today", "tomorrow"], ["--format", "xml"],
        ["x"], ["--timeout", "0"], ["--account", "nobody"], ["--endpoint", "http://127.0.0.1:9/"],
        ["--username", "wrong"], ["--output", "/nowhere/file"], ["--endpoint", "ftp://x"],
    ],
)  # fmt: skip
def test_whatever_goes_wrong_is_unknown_on_stdout(
    run: Callable[..., Result], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOAPMAIL_CONFIG", "/nowhere/accounts.ini")
    for order in (
        ["check", *arguments],
        [*arguments, "check"]
        if arguments[0] in ("--timeout", "--endpoint", "--username", "--account")
        else [],
    ):
        if order:
            code, out, err = run(*order)
            assert (code, err) == (3, "")
            assert re.fullmatch(r"MAIL INVOICES UNKNOWN: [^|]+\n", out), out


def test_no_response_is_unknown(run: Callable[..., Result]) -> None:
    with Faulty(
        lambda request: request.respond(LOGIN if "login" in request.operation else b"<html>|")
    ) as server:
        code, out, _ = run("check", "--endpoint", server.endpoint)
    assert (code, out) == (
        3, "MAIL INVOICES UNKNOWN: api_mail_get_client_invoices: no SOAP envelope: '<html>/'\n",
    )  # fmt: skip


def test_a_due_date_that_is_none_counts_as_without_a_date(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    invoice = open_charge(sandbox, "soon")
    result = run("check")
    code, words, _, details = plugin(result)
    assert code == 1
    assert f"1 open without a due date, 1.00 USD ({invoice.invoices_id})" in words
    (detail,) = [line for line in details if line.startswith("undated: ")]
    assert "due ? soon 12:00:00" in detail
    for format in ("json", "prometheus"):
        result = run("check", "--format", format)
        place = f"invoice {invoice.invoices_id}, invoices_due_date"
        assert result.err.startswith(f"soapmail: {place}: not a date of the form ")
        assert result.err.count("\n") == 1
    assert [
        row["invoices_due_date"]
        for row in json.loads(run("check", "--format", "json").out)["undated"]
    ] == ["soon 12:00:00"]


@pytest.mark.parametrize("redirect", [">/dev/full", ">&-", "> >(exec true)"])
def test_output_that_fails_is_never_ok(sandbox: Sandbox, redirect: str) -> None:
    line = f"sleep 0.3; {shlex.quote(sys.executable)} -m soapmail check"
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    done = subprocess.run(["bash", "-c", f"{{ {line}; }} {redirect}"], env=environment, check=False)
    assert done.returncode == 3


def test_help_says_the_codes_and_the_time_zone(run: Callable[..., Result]) -> None:
    code, out, _ = run("check", "--help")
    assert code == 0
    for n, word in enumerate(WORDS):
        assert re.search(rf"^  {n}    {word} ", out, re.MULTILINE)
    assert "Due dates have no time zone" in out
    assert max(map(len, out.splitlines())) <= 80


# --- many accounts ---------------------------------------------------------------------------------------


def test_accounts_are_named_and_a_failure_is_unknown(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    one, two, _ = accounts.sandboxes
    open_charge(two, "2021-03-10", invoices_id=99)
    code, words, data, details = plugin(run("check", "--all-accounts"))
    assert code == 2
    assert "1 overdue, 1.00 USD (second: 99 since 2021-03-10)" in words
    assert data["open"] == "7;;;0"
    assert details[0].startswith("second: overdue: 99, 1.00 USD, due 2021-03-10, service 70000")
    accounts.write(
        format_section("first", one.endpoint, "false") + format_section("second", two.endpoint)
    )
    code, words, data, details = plugin(run("check", "--all-accounts"))
    assert code == 2
    assert "could not check 1 of 2 accounts (first); 1 overdue, 1.00 USD (second: 99" in words
    assert data["overdue"] == "1;;0;0"
    assert details[-1].startswith("failed: first: ")
    two.invoices = []
    code, words, data, details = plugin(run("check", "--all-accounts"))
    assert (code, details) == (3, [details[0]])
    assert words.endswith(": could not check 1 of 2 accounts (first)")


# --- JSON and Prometheus -----------------------------------------------------------------------------------


def test_json(run: Callable[..., Result], sandbox: Sandbox) -> None:
    invoice = open_charge(sandbox, "2026-03-09", invoices_amount=12.5)
    result = run("check", "--format", "json", *TODAY)
    data = json.loads(result.out)
    assert (result.code, result.err) == (2, "")
    assert (data["status"], data["code"]) == ("CRITICAL", 2)
    assert data["overdue"] == [
        {
            "account": None, "invoices_id": invoice.invoices_id, "invoices_due_date": "2026-03-09 12:00:00",
            "days_left": -1, "invoices_amount": 12.5, "invoices_currency": "USD", "invoices_service": 70000,
            "invoices_description": invoice.invoices_description,
        }
    ]  # fmt: skip
    assert data["amounts"]["overdue"] == {"USD": 12.5}
    assert len(data["apart"]) == 12
    assert (data["due_soon"], data["later"], data["failed"]) == ([], [], [])


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_is_read_by_its_own_parser(
    run: Callable[..., Result], accounts: Accounts, tmp_path: Path
) -> None:
    one, two, _ = accounts.sandboxes
    open_charge(two, "2021-03-10", invoices_amount=12.5)
    open_charge(two, "2021-03-10", invoices_amount=1.0, invoices_currency='E"\\R')
    accounts.write(
        format_section('a "b" \\c', two.endpoint) + format_section("second", one.endpoint) + format_section("dead", one.endpoint, "false")
    )  # fmt: skip
    target = tmp_path / "mail.prom"
    target.write_text("old")
    code, out, err = run(
        "check", "--all-accounts", "--format", "prometheus", "--output", str(target)
    )
    assert (code, out) == (2, "")
    found = samples(target.read_text())
    odd = 'a "b" \\c'
    assert found["soapmail_check_success", odd] == 1
    assert found["soapmail_check_success", "dead"] == 0
    assert found["soapmail_open_invoices", odd, "overdue"] == 2
    assert found["soapmail_open_invoices", "second", "apart"] == 1
    assert found["soapmail_open_amount", odd, "USD", "overdue"] == 12.5
    assert found["soapmail_open_amount", odd, 'E"\\R', "overdue"] == 1
    assert found["soapmail_prepaid_remaining", odd] == 0
    assert ("soapmail_open_invoices", "dead", "overdue") not in found
    assert found["soapmail_check_time_seconds",] > 1_700_000_000
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == ["mail.prom"]
    assert "dead: " in err


def test_without_a_name_there_is_no_label(run: Callable[..., Result]) -> None:
    found = samples(run("check", "--format", "prometheus").out)
    assert found["soapmail_check_success",] == 1
    assert found["soapmail_open_invoices", "apart"] == 12


def test_a_file_is_never_there_in_part(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mail.prom"
    target.write_text("old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for kind in ("text", "json", "prometheus"):
        code, out, err = run("check", "--format", kind, "--output", str(target))
        problem = "cannot read or write: No space left on device"
        assert code == 3
        if kind == "json":
            assert json.loads(out)["failed"] == [{"account": None, "error": problem}]
            assert json.loads(err) == {
                "code": 1, "kind": "OSError", "message": problem, "operation": None,
            }  # fmt: skip
        elif kind == "text":
            assert (out, err) == (f"MAIL INVOICES UNKNOWN: {problem}\n", "")
        else:
            assert samples(out)["soapmail_check_success",] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mail.prom"]
    assert target.read_text() == "old"
    monkeypatch.undo()


def test_a_file_keeps_its_mode(run: Callable[..., Result], tmp_path: Path) -> None:
    target = tmp_path / "mail.prom"
    for mode in (0o640, 0o604):
        target.write_text("old")
        target.chmod(mode)
        assert run("check", "--output", str(target)).code == 0
        assert target.read_text().startswith("MAIL INVOICES OK")
        assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_folder_that_is_not_there(run: Callable[..., Result], tmp_path: Path) -> None:
    code, out, err = run("check", "--output", str(tmp_path / "none" / "x.prom"))
    assert (code, err) == (3, "")
    assert re.fullmatch(
        r"MAIL INVOICES UNKNOWN: .*none/x\.prom\.\d+\.tmp: No such file or directory\n", out
    )


def test_as_a_process_it_ends_with_its_codes() -> None:
    codes: Sequence[tuple[list[str], int]] = [([], 0), (["--all-services"], 2), (["--nope"], 3)]
    for arguments, code in codes:
        done = start_process(
            "--sandbox", "check", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = done.communicate()
        assert (done.returncode, err) == (code, b"")
        assert out.startswith(b"MAIL INVOICES ")


def test_a_device_is_written_to_and_a_link_is_followed(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    """As root the rename would put a file in the place of a device."""
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    assert run("check", "--output", str(link)).out == ""
    assert link.is_symlink()
    assert target.read_text().startswith("MAIL INVOICES ")
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    run("check", "--output", str(pipe))
    assert reader.communicate(timeout=20)[0].startswith(b"MAIL INVOICES ")
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    "words", ["--due-within 7 check", "--sandbox varied check", "--nope check", "check --nope"]
)  # fmt: skip
def test_wrong_usage_is_unknown_wherever_it_stands(run: Callable[..., Result], words: str) -> None:
    code, out, err = run(*words.split())
    assert (code, err) == (3, "")
    assert out.startswith("MAIL INVOICES UNKNOWN: ")
    assert run("invoice", "check").code == 2


def test_an_interrupt_is_unknown(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "_merge", interrupt)
    assert run("check") == (3, "MAIL INVOICES UNKNOWN: interrupted\n", "")


# --- one place in which a check ends ---------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), KeyError("x"), RuntimeError("can't start new thread"), SystemError()])  # fmt: skip
@pytest.mark.parametrize("place", ["soapmail.Client.get_client_invoices", "soapmail.cli.commands.check._merge"])  # fmt: skip
def test_any_exception_is_unknown_in_the_form_and_the_file_that_were_asked_for(
    run: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    place: str,
) -> None:
    def fail(*args: object) -> None:
        raise error

    target = tmp_path / "mail.prom"
    assert run("check", "--format", "prometheus", "--output", str(target)).code == 0
    assert samples(target.read_text())["soapmail_check_success",] == 1
    monkeypatch.setattr(place, fail)
    code, out, _ = run("check")
    words = str(error) or type(error).__name__
    assert (code, out) == (3, f"MAIL INVOICES UNKNOWN: {words}\n")
    code, out, err = run("check", "--format", "json")
    data = json.loads(out)
    assert (code, data["status"], data["code"]) == (3, "UNKNOWN", 3)
    assert data["failed"] == [{"account": None, "error": words}]
    assert json.loads(err)["kind"] == type(error).__name__
    code, out, err = run("check", "--format", "prometheus", "--output", str(target))
    assert (code, out) == (3, "")
    assert samples(target.read_text())["soapmail_check_success",] == 0
    assert err == f"soapmail: {words}\n"


@pytest.mark.parametrize("words", ["--bogus", "--due-within x", "--account nobody", "--timeout 0"])
def test_wrong_usage_is_told_in_the_file_too(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("SOAPMAIL_CONFIG", "/nowhere/accounts.ini")
    target = tmp_path / "mail.prom"
    target.write_text("soapmail_check_success 1\n")
    line = f"check --format prometheus --output {target} {words}"
    code, out, err = run(*line.split())
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert samples(target.read_text())["soapmail_check_success",] == 0


def test_one_account_that_fails_is_told_as_one_of_many_is(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    dead = f"http://127.0.0.1:{find_closed_port()}/"
    result = run("check", "--format", "json", "--endpoint", dead)
    data = json.loads(result.out)
    assert (result.code, data["status"], len(data["failed"])) == (3, "UNKNOWN", 1)
    assert json.loads(result.err)["operation"] == "api_mail_get_client_invoices"
    assert samples(run("check", "--format", "prometheus", "--endpoint", dead).out)[
        "soapmail_check_success",
    ] == 0  # fmt: skip
    one = accounts.sandboxes[0]
    open_charge(one, "2021-03-10")
    accounts.write(format_section("first", one.endpoint) + format_section("dead", dead))
    result = run("check", "--all-accounts", "--format", "json")
    data = json.loads(result.out)
    assert (result.code, data["status"]) == (2, "CRITICAL")
    assert [failure["account"] for failure in data["failed"]] == ["dead"]
    assert [failure["account"] for failure in json.loads(result.err)["accounts"]] == ["dead"]


def test_a_warning_beside_a_failed_account_is_unknown(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    one = accounts.sandboxes[0]
    open_charge(one, "2026-03-10")
    accounts.write(
        format_section("first", one.endpoint) + format_section("x", one.endpoint, "false")
    )
    code, words, _, _ = plugin(run("check", "--all-accounts", *TODAY))
    assert code == 3
    assert "could not check 1 of 2 accounts (x); 1 due soon, 1.00 USD (first: " in words


def test_over_many_accounts_the_next_and_the_oldest_are_named(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    days = ("2027-01-10", "2026-12-15", "2026-12-20")
    for sandbox, day in zip(accounts.sandboxes, days, strict=True):
        sandbox.invoices = []
        open_charge(sandbox, day, invoices_id=1)
        open_charge(sandbox, f"2028{day[4:]}", invoices_id=2)
    words = plugin(run("check", "--all-accounts", "--today", "2026-12-01"))[1]
    assert words.endswith(": nothing is due, next is second: 1 on 2026-12-15")
    words = plugin(run("check", "--all-accounts", "--today", "2029-01-01"))[1]
    assert "(second: 1 since 2026-12-15, third: 1 since 2026-12-20, first: 1 since 2027-01-10, ...)" in words  # fmt: skip
    data = json.loads(
        run("check", "--all-accounts", "--today", "2029-01-01", "--format", "json").out
    )
    found = [row["days_left"] for row in data["overdue"]]
    assert found == sorted(found)
    assert len(found) == 6


def test_unknown_amounts_are_told_beside_each_sum(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    open_charge(sandbox, "2021-03-10")
    open_charge(sandbox, "2021-03-10", invoices_amount=None)
    code, words, data, _ = plugin(run("check"))
    assert code == 2
    assert "2 overdue, 1.00 USD and 1 of unknown amount" in words
    assert (data["overdue_USD"], data["overdue_USD_unknown"]) == ("1.00;;;0", "1;;;0")
    found = json.loads(run("check", "--format", "json").out)
    assert found["amounts"]["overdue"] == {"USD": 1.0}
    assert found["unknown_amounts"]["overdue"] == {"USD": 1}
    assert found["unknown_amounts"]["apart"] == {"USD": 0}
    metrics = samples(run("check", "--format", "prometheus").out)
    assert metrics["soapmail_open_amount", "USD", "overdue"] == 1
    assert metrics["soapmail_open_unknown_amounts", "USD", "overdue"] == 1
    assert metrics["soapmail_open_unknown_amounts", "USD", "apart"] == 0


def test_sums_that_no_float_holds_are_json_all_the_same(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    for _ in range(2):
        open_charge(sandbox, "2021-03-10", invoices_amount=1.5e308)
    for words in (("check",), ("summary",)):
        assert "Infinity" not in run(*words, "--format", "json").out


def test_no_label_of_the_performance_data_stands_twice(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    for currency in ("USD", "U.S.D", "", "$"):
        open_charge(sandbox, "2021-03-10", invoices_currency=currency)
    data = plugin(run("check"))[2]  # which holds that against the rules
    assert {"overdue_USD", "overdue_USD_", "overdue_none", "overdue_none_"} <= set(data)


def test_a_negative_balance_is_a_sample(run: Callable[..., Result], sandbox: Sandbox) -> None:
    open_charge(sandbox, "2021-03-10")
    sandbox.prepays[0] = replace(sandbox.prepays[0], prepay_module="mail", prepay_remaining=-7.5)
    assert run("check").out.splitlines()[-1] == "prepaid: -7.50 left"
    metrics = samples(run("check", "--format", "prometheus").out)
    assert metrics["soapmail_prepaid_remaining",] == -7.5
    found = json.loads(run("check", "--format", "json").out)
    assert found["prepaid"] == [{"account": None, "remaining": -7.5, "problem": None}]


# --- its limit, and signals --------------------------------------------------------------------------------


def test_the_limit_is_one_for_the_whole_check(accounts: Accounts) -> None:
    """Twenty accounts that say nothing, one after the other, and one in time before them."""
    with Faulty(respond_after_login(stay_silent)) as server:
        sections = [format_section(f"a{n}", server.endpoint) for n in range(20)]
        accounts.write("".join(sections))
        started = time.monotonic()
        command = start_process(
            "check", "--all-accounts", "--jobs", "1", "--timeout", "1.5", "--format", "json",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        out, _ = command.communicate(timeout=30)
    assert command.returncode == 3
    failed = json.loads(out)["failed"]
    assert len(failed) == 20
    late = "its turn did not come within the --timeout of the check"
    assert [row["error"] == late for row in failed] == [False, *[True] * 19]
    assert time.monotonic() - started < 15


def find_ending_signals() -> list[int]:
    others = {"SIGKILL", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT", "SIGCHLD", "SIGURG", "SIGWINCH", "SIGPIPE", "SIGXFSZ",
              "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"}  # fmt: skip
    named = {int(number): number.name for number in signal.Signals}
    numbers = sorted(map(int, signal.valid_signals()))
    first, last = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
    return [n for n in numbers if named.get(n, "") not in others and not first + 1 < n < last]


@pytest.mark.parametrize(
    ("number", "accounts_option"),
    [*((number, []) for number in find_ending_signals()), (15, ["--all-accounts"]), (2, ["--all-accounts"])],
)  # fmt: skip
def test_a_signal_tells_its_line(
    accounts: Accounts, number: int, accounts_option: list[str]
) -> None:
    """signal(7): each whose default is to end the process; whatever the exit code is, it is 3."""
    arrived = threading.Event()

    def handler(request: Request) -> None:
        arrived.set()
        stay_silent(request)

    with Faulty(respond_after_login(handler)) as server:
        accounts.write(format_section("a", server.endpoint) + format_section("b", server.endpoint))
        # A shell that starts the tests in the background has SIGINT and SIGQUIT ignored.
        previous = signal.signal(number, signal.SIG_DFL)
        command = start_process(
            "check", *accounts_option, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment_without_coverage(), **ACCOUNT, "SOAPMAIL_ENDPOINT": server.endpoint},
        )  # fmt: skip
        signal.signal(number, previous)
        assert arrived.wait(20)
        command.send_signal(number)
        command.send_signal(number)
        out, err = command.communicate(timeout=20)
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    assert (command.returncode, err) == (3, b"")
    assert out.decode() == f"MAIL INVOICES UNKNOWN: stopped by {name}\n"


def test_a_signal_is_told_in_the_file_too(tmp_path: Path) -> None:
    arrived = threading.Event()

    def handler(request: Request) -> None:
        arrived.set()
        stay_silent(request)

    target = tmp_path / "mail.prom"
    with Faulty(handler) as server:
        command = start_process(
            "check", "--format", "prometheus", "--output", str(target), "--endpoint", server.endpoint,
            stderr=subprocess.PIPE, env={**environment_without_coverage(), **ACCOUNT},
        )  # fmt: skip
        assert arrived.wait(20)
        command.send_signal(signal.SIGTERM)
        _, err = command.communicate(timeout=20)
    assert (command.returncode, err) == (3, b"soapmail: stopped by SIGTERM\n")
    assert samples(target.read_text())["soapmail_check_success",] == 0


def test_a_signal_that_is_ignored_or_handled_stays_so(run: Callable[..., Result]) -> None:
    first = signals.FirstSignal(3)
    previous = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        first.watch(20)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == first._handle
        first.finish(ends_process=False)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert run("check").code == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_of_two_signals_one_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    first = signals.FirstSignal(3)
    with pytest.raises(KeyboardInterrupt, match="stopped by SIGTERM"):
        first._handle(signal.SIGTERM, None)
    first._handle(signal.SIGTERM, None)
    first = signals.FirstSignal(3)
    first.is_over = True
    first._handle(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt, match="stopped by signal 62$"):
        signals.FirstSignal(3)._handle(62, None)
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    first = signals.FirstSignal(3)
    first._limit = Deadline(-1)
    with pytest.raises(KeyboardInterrupt, match="it did not end within the --timeout of the check"):
        first._handle(signal.SIGALRM, None)
    first._handle(signal.SIGALRM, None)
    assert ended == [3]


@pytest.mark.parametrize("where", ["a pipe that nobody reads", "a FIFO that nobody reads"])
@pytest.mark.parametrize("number", [0, signal.SIGTERM])
def test_output_that_nobody_takes_ends_a_check_too(
    sandbox: Sandbox, tmp_path: Path, where: str, number: int
) -> None:
    """By its limit or by a signal, and with one report: what was begun is not told again."""
    charge = sandbox.invoices[0]
    sandbox.invoices = [replace(charge, invoices_id=n, invoices_extra=n) for n in range(1, 1500)]
    environment = {
        **environment_without_coverage(),
        **ACCOUNT,
        "SOAPMAIL_ENDPOINT": sandbox.endpoint,
    }
    words = ["check", "--all-services", "--timeout", "20" if number else "2"]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    if "FIFO" in where:
        words += ["--output", str(fifo)]
    asked = note_operations(sandbox)
    command = start_process(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert command.stdout is not None
    assert command.stderr is not None
    if number:
        while asked[-1:] != ["api_get_prepay_remaining"]:
            assert command.poll() is None
        if "FIFO" not in where:
            command.stdout.read(1)  # the report has begun
        command.send_signal(number)
    assert command.wait(20) == 3
    assert command.stdout.read().count(b"MAIL INVOICES ") <= 1
    command.stdout.close()
    command.stderr.close()


def test_a_prompt_ends_by_the_limit_of_the_check() -> None:
    terminal = Terminal("check", "--timeout", "0.5", inherited={"PATH": os.environ["PATH"]})
    terminal.until("Username: ")
    code, out = terminal.end()
    assert code == 3
    assert "MAIL INVOICES UNKNOWN: it did not end within the --timeout of the check\n" in out


def test_stdout_by_its_name_is_written_to_and_nothing_of_it_is_lost(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    line = f"{shlex.quote(sys.executable)} -m soapmail check --output /dev/stdout"
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    for words in (f"{line} >>{log}", f"{line} | cat >>{log}", f"{line} >&2 2>>{log}"):
        subprocess.run(["bash", "-o", "pipefail", "-c", words], env=environment, check=True)
    first, *reports = log.read_text().splitlines()
    assert first == "before"
    assert [report[:17] for report in reports] == ["MAIL INVOICES OK:"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_in_another_thread_no_signal_is_taken_over() -> None:
    first = signals.FirstSignal(3)
    thread = threading.Thread(target=first.watch, args=(20,))
    thread.start()
    thread.join()
    assert first._previous == {}


def test_a_signal_behind_an_error_is_told_once(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while the error of the check is looked at."""
    shown: list[BaseException] = []

    def report(args: object, error: BaseException) -> int:
        shown.append(error)
        if len(shown) == 1:
            raise KeyboardInterrupt("stopped by SIGTERM")
        return check.report_unknown(args, error)  # type: ignore[arg-type]

    monkeypatch.setattr(sys.modules["soapmail.cli.main"], "_load", lambda path: report)
    assert run("check", "--bogus") == (3, "MAIL INVOICES UNKNOWN: stopped by SIGTERM\n", "")
    assert [type(error) for error in shown] == [UsageError, KeyboardInterrupt]


def test_a_call_ends_by_the_limit_of_the_check(sandbox: Sandbox) -> None:
    """Each call of a client may take as long as its own limit, and here no longer than the rest."""
    with Faulty(respond_after_login(stay_silent)) as server:
        client = TrackingClient("u", "p", endpoint=server.endpoint, timeout=8, retries=0)
        client.limit = Deadline(0.3)
        started = time.monotonic()
        with client, pytest.raises(TransportError):
            client.get_client_invoices()
        assert time.monotonic() - started < 6


def test_a_defect_of_one_account_hides_no_other(
    run: Callable[..., Result], accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, _ = accounts.sandboxes
    open_charge(two, "2021-03-10", invoices_id=99)
    get = Client.get_client_invoices

    def fail(self: Client) -> list[Invoice]:
        if self._endpoint == one.endpoint:
            raise MemoryError
        return get(self)

    monkeypatch.setattr(Client, "get_client_invoices", fail)
    code, words, _, details = plugin(run("check", "--all-accounts"))
    assert code == 2
    assert "could not check 1 of 3 accounts (first); 1 overdue, 1.00 USD (second: 99" in words
    assert details[-1] == "failed: first: MemoryError"
