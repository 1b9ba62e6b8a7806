"""Many accounts: the accounts file, password commands, order, failures and interrupts."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from soapmail.sandbox import PASSWORD, USERNAME

from ..commands import (
    ECHO,
    THREE,
    Accounts,
    Result,
    Terminal,
    environment_without_coverage,
    format_section,
)
from ..faulty import Faulty, Request, respond_after_login, respond_to_login
from ..support import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def names(result: Result) -> list[str]:
    assert result.code == 0, result.err
    return [json.loads(line)["account"] for line in result.out.splitlines()]


# --- rows of many accounts ---------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", ["1", "2", "8"])
def test_rows_come_in_the_order_of_the_file_under_an_account_column(
    run: Callable[..., Result], accounts: Accounts, jobs: str
) -> None:
    result = run("invoices", "--all-accounts", "--jobs", jobs, "--format", "jsonl")
    assert names(result) == ["first", "second", "second", "third", "third", "third"]
    assert list(json.loads(result.out.splitlines()[0])) == ["account", *FIELDS]
    assert result.err == ""
    result = run("--account", "third", "invoices", "--format", "jsonl", "--account", "first")
    assert names(result) == ["first", "third", "third", "third"]


@pytest.mark.parametrize(
    ("command", "counts"),
    [
        (["invoices"], [1, 2, 3]), (["services"], [1, 2, 3]), (["prepay", "list"], [3, 3, 3]),
        (["summary", "service"], [1, 2, 3]), (["invoice", "7529153"], [0, 1, 1]),
        (["service", "8640"], [0, 0, 1]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["table", "json", "jsonl", "csv", "tsv"])
def test_each_list_works_over_many_accounts(
    run: Callable[..., Result], accounts: Accounts, command: list[str], counts: list[int], kind: str
) -> None:
    code, out, err = run(*command, "--all-accounts", "--format", kind)
    assert (code, err) == (0, "")
    single = kind == "table" and command[0] in ("invoice", "service")
    words = [
        sum(name in line.split() for line in out.splitlines()) if single else out.count(name)
        for name in THREE
    ]
    assert words == counts


def test_the_account_column_is_first_unless_it_is_placed(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    options = ("invoices", "--account", "second", "--format", "tsv")
    assert run(*options, "--columns", "invoices_id").out.splitlines() == [
        "account\tinvoices_id", "second\t7514880", "second\t7529153",
    ]  # fmt: skip
    out = run(*options, "--columns", "invoices_id,account", "--sort", "-account").out
    assert out.splitlines()[0] == "invoices_id\taccount"


def test_sorting_goes_over_all_accounts(run: Callable[..., Result], accounts: Accounts) -> None:
    result = run("invoices", "--all-accounts", "--sort", "-invoices_id", "--format", "jsonl")
    assert names(result) == ["third", "second", "third", "first", "second", "third"]
    result = run("invoices", "--all-accounts", "--sort", "-account", "--format", "jsonl")
    assert names(result)[0] == "third"


def test_a_wrong_date_is_no_date_in_a_summary(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    invoices = accounts.sandboxes[1].invoices
    invoices[0] = replace(invoices[0], invoices_date="yesterday")
    result = run("summary", "--all-accounts", "--format", "jsonl")
    listed = [json.loads(line) for line in result.out.splitlines()]
    assert [(row["account"], row["month"], row["count"]) for row in listed] == [
        ("first", "2021-02", 1), ("second", "2021-02", 1), ("second", None, 1),
        ("third", "2021-02", 3),
    ]  # fmt: skip
    assert result.code == 0
    place = f"second: invoice {invoices[0].invoices_id}, invoices_date"
    problem = "not a date of the form YYYY-MM-DD HH:MM:SS: 'yesterday'"
    assert result.err == f"soapmail: {place}: {problem}; its day is not known\n"


def test_records_of_several_accounts_stand_apart(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    out = run("invoice", "7529153", "--all-accounts").out
    assert [part.split()[1] for part in out.split("\n\n")] == ["second", "third"]


def test_one_account_may_do_everything(run: Callable[..., Result], accounts: Accounts) -> None:
    assert run("pay", "7514880", "--yes", "--account", "second").code == 0
    paid = [
        [invoice.invoices_paid for invoice in sandbox.invoices] for sandbox in accounts.sandboxes
    ]
    assert paid == [[0], [1, 0], [0, 0, 0]]
    code, _, err = run("pay", "7514880", "--yes", "--account", "first", "--account", "second")
    assert (code, err) == (2, "soapmail: this command works on one account at a time\n")
    assert run("call", "get_modules", "--account", "first").code == 0


# --- failures ------------------------------------------------------------------------------------------


def test_one_failure_stops_no_other_and_sets_the_exit_code(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    one, two, three = accounts.sandboxes
    accounts.write(
        format_section("first", one.endpoint)
        + format_section("dead", "http://127.0.0.1:9/api.php")
        + format_section("second", two.endpoint, "printf wrong")
        + format_section("broken", three.endpoint, "false")
        + format_section("third", three.endpoint)
    )
    code, out, err = run("services", "--all-accounts", "--format", "jsonl")
    assert [json.loads(line)["account"] for line in out.splitlines()] == ["first", *["third"] * 3]
    assert code == 4
    lines = err.splitlines()
    assert [line.split(": ")[1] for line in lines[:3]] == ["dead", "second", "broken"]
    assert "could not connect" in lines[0]
    assert "does not accept username and password" in lines[1]
    assert lines[2].endswith("[broken] password_command: failed with status 1")
    assert lines[3] == "soapmail: 3 accounts of 5 failed"
    assert run("services", "--account", "second", "--account", "broken").code == 3
    assert run("service", "1", "--account", "second").code == 3


def test_nothing_found_in_any_account_is_code_1(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    result = run("invoice", "5", "--all-accounts")
    assert result == (1, "", "soapmail: there is no invoice 5\n")


def test_a_defect_of_the_program_is_no_failure_of_an_account(
    run: Callable[..., Result], accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*args: object) -> None:
        raise KeyError

    monkeypatch.setattr("soapmail.cli.commands.records._InvoiceFilter.includes", defect)
    monkeypatch.setattr("soapmail.Client.get_services", defect)
    for command in ("invoices", "services"):
        with pytest.raises(KeyError):
            run(command, "--all-accounts")


def test_what_is_repaired_names_its_account(run: Callable[..., Result], accounts: Accounts) -> None:
    for sandbox in accounts.sandboxes:
        sandbox.services[0] = replace(sandbox.services[0], mail_comment="a\x01")
    result = run("services", "--account", "first")
    assert "soapmail: first: api_mail_get_services: repaired: " in result.err
    result = run("services", "--all-accounts")
    for name in THREE:
        assert f"soapmail: {name}: api_mail_get_services: repaired: " in result.err


# --- the file ------------------------------------------------------------------------------------------

GOOD = format_section("good", "https://example.com/")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no account"),
        (f"[DEFAULT]\nendpoint = https://x/\n{GOOD}", "[DEFAULT] what holds for all accounts is not read from here: repeat it in each"),
        ("username = x\n", "line 1: before the first [account]"),
        (f"{GOOD}{GOOD}", "line 6: duplicate account [good]"),
        (f"{GOOD}[x]\nusername = a\nusername = b\n", "line 8: [x] duplicate key username"),
        (f"{GOOD}[x]\nhunter2\n", "line 7: not of the form key = value"),
        (f"{GOOD}[x]\nusername = a\npassword = hunter2\n", "[x] password: a file in plain text is no place for it"),
        (f"{GOOD}[x]\nusername = a\nuser = b\n", "[x] user: not known; there are: username, endpoint, password_command"),
        (f"{GOOD}[x]\nusername = a\npass word hunter2 = b\n", "[x] a key: not known; there are: username"),
        (f"{GOOD}[x]\npassword_command = a\n", "[x] username: missing"),
        (f"{GOOD}[x]\nusername = a\n", "[x] password_command: missing"),
        (f"{GOOD}[x]\nusername = a\npassword_command = 'a\n", "[x] password_command: No closing quotation"),
        (f"{GOOD}[x]\nusername = a\nendpoint = http://example.com\npassword_command = b\n", "[x] endpoint: https expected"),
    ],
)  # fmt: skip
def test_errors_of_the_file_name_file_section_and_key(
    run: Callable[..., Result], accounts: Accounts, text: str, problem: str
) -> None:
    accounts.write(text)
    code, out, err = run("invoices", "--all-accounts")
    assert (code, out) == (2, "")
    assert err.startswith(f"soapmail: {accounts.path}: {problem}")
    assert err.count("\n") == 1
    assert "hunter2" not in err


def test_a_file_that_is_not_utf8_or_not_there(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    accounts.path.write_bytes(b"[caf\xe9]\n")
    assert run("invoices", "--all-accounts").err == f"soapmail: {accounts.path}: not UTF-8\n"
    accounts.path.unlink()
    assert run("invoices", "--all-accounts") == (
        1, "", f"soapmail: {accounts.path}: No such file or directory\n",
    )  # fmt: skip


def test_names_that_are_not_there_or_given_twice(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    code, _, err = run("invoices", "--account", "nobody")
    assert (code, err) == (
        2, f"soapmail: {accounts.path}: no account 'nobody'; there are: first, second, third\n",
    )  # fmt: skip
    code, _, err = run("invoices", "--account", "first", "--account", "first")
    assert (code, err) == (2, "soapmail: --account first: a duplicate account\n")


@pytest.mark.parametrize(
    "option",
    [["--sandbox"], ["--username", "u"], ["--password-stdin"], ["--endpoint", "https://x/"]],
)
def test_options_of_another_account_are_refused(
    run: Callable[..., Result], accounts: Accounts, option: list[str]
) -> None:
    for chosen in (["--all-accounts"], ["--account", "first"]):
        code, out, err = run("invoices", *chosen, *option)
        assert (code, out) == (2, "")
        pair = [option[0], chosen[0]]
        said = [f"soapmail: {a} cannot be combined with {b}" for a, b in (pair, pair[::-1])]
        assert err.removesuffix(" (see soapmail invoices --help)\n") in said


def test_where_the_file_is(
    run: Callable[..., Result], accounts: Accounts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The endpoint of a section may be left out; a mark at the beginning is no letter."""
    text = f"\ufeff[here]\nUserName = {USERNAME}\npassword_command = {ECHO}\n"
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", accounts.sandboxes[0].endpoint)
    for variable, base in (
        ("XDG_CONFIG_HOME", tmp_path / "xdg"),
        ("HOME", tmp_path / "home" / ".config"),
    ):
        monkeypatch.delenv("SOAPMAIL_CONFIG", raising=False)
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        monkeypatch.setenv(variable, str(base.parent if variable == "HOME" else base))
        (base / "soapmail").mkdir(parents=True)
        (base / "soapmail" / "accounts.ini").write_text(text, encoding="utf-8")
        assert names(run("invoices", "--all-accounts", "--format", "jsonl")) == ["here"]


def test_percent_signs_mean_themselves(run: Callable[..., Result], accounts: Accounts) -> None:
    accounts.write(format_section("a%(b)s", accounts.sandboxes[0].endpoint))
    assert names(run("invoices", "--all-accounts", "--format", "jsonl")) == ["a%(b)s"]


# --- password commands ---------------------------------------------------------------------------------


def python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("false", "failed with status 1"),
        ("no-such-program-here x", "the program: No such file or directory"),
        ("true", "the first line is empty"),
        ("echo", "the first line is empty"),
        ("sleep 60", "did not end within 0.5 seconds"),
        (python("import os, time; os.close(1); time.sleep(60)"), "did not end within 0.5 seconds"),
        (python("print('\\ufeff\\r')"), "the first line is empty"),
        (python("print('x' * 10_000_000)"), "printed more than 65536 bytes"),
        ("yes", "printed more than 65536 bytes"),
        (python("print(end='x' * 65_537)"), "the first line is longer than 65536 bytes"),
        (python("print('\\ufeff' + 'x' * 65_536 + '\\r')"), None),
        (python("print('x\\n' + 'y' * 65_533)"), None),
        (python("import sys; sys.stdout.buffer.write(b'caf\\xe9')"), "the first line is not UTF-8"),
        (python("import os; os.kill(os.getpid(), 9)"), "was ended by signal 9"),
        ("echo $HOME | cat; echo `x`", None),
    ],
)  # fmt: skip
def test_password_commands_that_fail(
    run: Callable[..., Result], accounts: Accounts, command: str, problem: str | None
) -> None:
    accounts.write(format_section("x", accounts.sandboxes[0].endpoint, command))
    started = time.monotonic()
    timeout = "0.5" if command.startswith("sleep") or "os.close" in command else "30"
    code, out, err = run("invoices", "--account", "x", "--timeout", timeout)
    assert time.monotonic() - started < 20
    assert out == ""
    if problem is None:  # no shell looks at it, so it is a wrong password
        assert (code, err.splitlines()[0].split(": ")[2]) == (3, "api_login")
        return
    assert code == 2
    assert err.splitlines()[0] == f"soapmail: x: {accounts.path}: [x] password_command: {problem}"


def test_the_first_line_is_the_password_split_as_a_shell_splits(
    run: Callable[..., Result], accounts: Accounts, tmp_path: Path
) -> None:
    secret = tmp_path / "a secret"
    secret.write_bytes(f"{PASSWORD}\r\nlogin: x\n".encode())
    accounts.write(format_section("x", accounts.sandboxes[0].endpoint, f"cat '{secret}'"))
    assert names(run("invoices", "--account", "x", "--format", "jsonl")) == ["x"]


def test_a_password_command_reads_nothing_of_stdin(accounts: Accounts, tmp_path: Path) -> None:
    body = "the body"
    command = python(f"import sys; sys.stdin.read(); print({PASSWORD!r})")
    accounts.write(format_section("x", accounts.sandboxes[0].endpoint, command))
    line = [
        sys.executable,
        "-m",
        "soapmail",
        "--account",
        "x",
        "send",
        "--to",
        "a@b",
        "--from",
        "c@d",
        "--subject",
        "s",
        "--yes",
    ]
    done = subprocess.run(line, input=body, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert accounts.sandboxes[0].sent[0]["body"] == body


# --- at a time, and interrupts ---------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_than_so_many_at_a_time(
    run: Callable[..., Result], accounts: Accounts, jobs: int
) -> None:
    lock = threading.Lock()
    now, most, full = 0, 0, threading.Event()

    def handler(request: Request) -> None:
        nonlocal now, most
        if request.operation == "api_login":
            respond_to_login(request)
            return
        with lock:
            now += 1
            most = max(most, now)
            if now == jobs:
                full.set()
        full.wait(20)
        with lock:
            now -= 1
        request.respond(EMPTY)

    with Faulty(handler) as server:
        accounts.write("".join(format_section(f"a{n}", server.endpoint) for n in range(12)))
        code, _, err = run("services", "--all-accounts", "--jobs", str(jobs), "--format", "jsonl")
    assert (code, err, most) == (0, "", jobs)


def test_a_slow_account_holds_up_no_more_than_a_few(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    """Rows of finished accounts wait for their turn, but not those of all accounts."""
    seen: list[str] = []
    slow, beyond = threading.Event(), threading.Event()

    def handler(request: Request) -> None:
        if request.operation == "api_login":
            respond_to_login(request)
            return
        seen.append(request.operation)
        if len(seen) == 1:
            slow.wait(20)
            beyond.wait(0.3)
            behind.append(len(seen))
        elif len(seen) > 9:
            beyond.set()
        elif len(seen) == 8:
            slow.set()
        request.respond(EMPTY)

    behind: list[int] = []
    with Faulty(handler) as server:
        accounts.write("".join(format_section(f"a{n}", server.endpoint) for n in range(40)))
        code, _, _ = run("services", "--all-accounts", "--jobs", "2", "--format", "jsonl")
    assert code == 0
    assert len(seen) == 40
    assert 8 <= behind[0] <= 9  # the first one to come may be of the second account


def test_an_interrupt_ends_it_at_once(accounts: Accounts) -> None:
    arrived = threading.Event()

    def handler(request: Request) -> None:
        if request.operation == "api_login":
            respond_to_login(request)
            return
        arrived.set()
        request.closing.wait(30)

    with Faulty(handler) as server:
        accounts.write("".join(format_section(f"a{n}", server.endpoint) for n in range(20)))
        command = subprocess.Popen(
            [sys.executable, "-m", "soapmail", "services", "--all-accounts"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment_without_coverage(),
        )  # fmt: skip
        assert arrived.wait(20)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=20)
    assert (command.returncode, out, err) == (130, b"", b"")


def test_progress_is_shown_on_a_terminal_alone(accounts: Accounts) -> None:
    slow = threading.Event()

    def handler(request: Request) -> None:
        if request.operation != "api_login":
            slow.wait(20)
        respond_after_login(lambda request: request.respond(EMPTY))(request)

    with Faulty(handler) as server:
        accounts.write("".join(format_section(f"a{n}", server.endpoint) for n in range(3)))
        terminal = Terminal("services", "--all-accounts", "--format", "jsonl")
        terminal.until("\r0 of 3 accounts")
        slow.set()
        code, output = terminal.end()
    assert code == 0
    assert output.endswith("\r\x1b[K")
    counts = re.findall(r"\r(\d+) of 3 accounts", output)
    assert counts == sorted(counts)
    assert 2 <= int(counts[-1]) <= 3


def test_a_full_disk_is_told(accounts: Accounts) -> None:
    line = f"{shlex.quote(sys.executable)} -m soapmail invoices --all-accounts --format jsonl >/dev/full"
    done = subprocess.run(["bash", "-c", line], stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1, "soapmail: cannot read or write: No space left on device\n",
    )  # fmt: skip


EMPTY = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b"<api_mail_get_servicesResponse><return/></api_mail_get_servicesResponse></s:Body></s:Envelope>"
)


# --- the account that is meant where none is named -----------------------------------------------------


def test_a_default_account_is_one_of_the_file(
    run: Callable[..., Result], accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOAPMAIL_ACCOUNT", "second")
    monkeypatch.setenv("SOAPMAIL_USERNAME", "somebody else")
    result = run("invoices", "--format", "jsonl")
    assert (result.code, result.out.count("\n"), result.err) == (0, 2, "")
    assert "account" not in json.loads(result.out.splitlines()[0])
    assert names(run("invoices", "--account", "third", "--format", "jsonl")) == ["third"] * 3
    assert len(names(run("invoices", "--all-accounts", "--format", "jsonl"))) == 6
    assert run("--sandbox", "invoices", "--format", "jsonl").out.count("\n") == 12
    assert run("pay", "7514880", "--yes").code == 0
    assert [sandbox.invoices[0].invoices_paid for sandbox in accounts.sandboxes] == [0, 1, 0]
    assert run("check").out.startswith("MAIL INVOICES OK: nothing is due; 1 open of ended services")


def test_a_default_account_gives_way_to_a_named_user_and_to_nothing_else(
    run: Callable[..., Result], accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOAPMAIL_ACCOUNT", "second")
    endpoint = accounts.sandboxes[2].endpoint
    options = ("--username", USERNAME, "--endpoint", endpoint)
    assert run(*options, "invoices", "--format", "jsonl").out.count("\n") == 3
    for option in (["--endpoint", endpoint], ["--password-stdin"]):
        code, out, err = run("pay", "7514880", "--yes", *option)
        assert (code, out) == (2, "")
        assert err == (
            f"soapmail: {option[0]} cannot be combined with SOAPMAIL_ACCOUNT, which names the"
            " account second: unset it, or name an account with --username\n"
        )
    assert not any(sandbox.invoices[0].is_paid for sandbox in accounts.sandboxes)
    monkeypatch.setenv("SOAPMAIL_ACCOUNT", "nobody")
    code, _, err = run("invoices")
    assert (code, "no account 'nobody'" in err) == (2, True)
    assert run("check").code == 3
    monkeypatch.setenv("SOAPMAIL_ACCOUNT", "")
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", endpoint)
    assert run("invoices", "--format", "jsonl").out.count("\n") == 3


def test_where_each_account_failed_nothing_else_is_printed(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    endpoint = accounts.sandboxes[0].endpoint
    accounts.write(format_section("x", endpoint, "false") + format_section("y", endpoint, "false"))
    for kind in ("table", "json", "jsonl", "csv", "tsv"):
        for command in ("invoices", "summary", "services"):
            code, out, err = run(command, "--all-accounts", "--format", kind)
            assert (code, out) == (2, "")
            assert "2 accounts of 2 failed" in err
