"""Passwords from a file, stdin, a program and the environment: one reader, one deadline."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from soapmail import Client
from soapmail.cli import passwords
from soapmail.cli.exit_codes import UsageError
from soapmail.cli.passwords import Programs
from soapmail.sandbox import PASSWORD, USERNAME

from ..commands import (
    ACCOUNT,
    Accounts,
    Result,
    environment_without_coverage,
    format_section,
    start_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soapmail.sandbox import Sandbox

BOM = b"\xef\xbb\xbf"
WORD = "pässwörd"


def ask(source: str, data: bytes, sandbox: Sandbox, folder: Path) -> tuple[int, str]:
    """Log in with what a source holds; the locale is one of 8 bits."""
    environment = {
        **os.environ,
        "SOAPMAIL_USERNAME": USERNAME,
        "SOAPMAIL_ENDPOINT": sandbox.endpoint,
    }
    environment |= {"PYTHONIOENCODING": "latin-1", "PYTHONWARNINGS": "error"}
    words = ["services"]
    file = folder / "secret"
    file.write_bytes(data)
    file.chmod(0o600)
    if source == "file":
        environment["SOAPMAIL_PASSWORD_FILE"] = str(file)
    elif source == "pipe":
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        environment["SOAPMAIL_PASSWORD_FILE"] = str(pipe)
        threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()
    elif source == "program":
        accounts = folder / "accounts.ini"
        section = format_section("a", sandbox.endpoint, f"cat {shlex.quote(str(file))}")
        accounts.write_text(section)
        environment["SOAPMAIL_CONFIG"] = str(accounts)
        words += ["--account", "a"]
    elif source == "stdin":
        words += ["--password-stdin"]
    variables = {os.fsencode(name): os.fsencode(text) for name, text in environment.items()}
    variables.pop(b"SOAPMAIL_PASSWORD", None)
    if source == "environment":
        variables[b"SOAPMAIL_PASSWORD"] = data
    done = subprocess.run(
        [sys.executable, "-m", "soapmail", *words],
        env=variables,
        input=data if source == "stdin" else b"",
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("source", ["file", "pipe", "stdin", "program", "environment"])
@pytest.mark.parametrize(
    ("data", "code", "problem"),
    [
        (WORD.encode(), 0, ""),
        (WORD.encode() + b"\r\nmore\n", 0, ""),
        (BOM + WORD.encode() + b"\n", 0, ""),
        (WORD.encode("latin-1"), 2, "the first line is not UTF-8"),
        (b"\n" + WORD.encode(), 2, "the first line is empty"),
        (BOM + b" \t\r\n", 2, "the first line is empty"),
    ],
)  # fmt: skip
def test_all_sources_are_read_alike(
    sandbox: Sandbox, tmp_path: Path, source: str, data: bytes, code: int, problem: str
) -> None:
    sandbox.password = WORD
    result, err = ask(source, data, sandbox, tmp_path)
    assert (result, problem in err, err.count("\n")) == (
        code,
        True,
        (2 if source == "program" else 1) * bool(code),
    )
    assert "wörd" not in err


@pytest.mark.parametrize("source", ["file", "stdin", "program"])
@pytest.mark.parametrize(("length", "code"), [(65_536, 3), (65_537, 2)])
def test_at_most_64_kib_are_taken(
    sandbox: Sandbox, tmp_path: Path, source: str, length: int, code: int
) -> None:
    result, err = ask(source, b"x" * length, sandbox, tmp_path)
    assert result == code, err
    assert "xxx" not in err


def test_of_a_long_file_the_first_line_counts(sandbox: Sandbox, tmp_path: Path) -> None:
    for source in ("file", "stdin"):
        data = f"{PASSWORD}\n".encode() + b"x" * 200_000
        assert ask(source, data, sandbox, tmp_path)[0] == 0


# --- one deadline ------------------------------------------------------------------------------------


def test_a_pipe_that_nobody_writes_to_is_waited_for_no_longer_than_the_limit(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.delenv("SOAPMAIL_PASSWORD")
    monkeypatch.setenv("SOAPMAIL_PASSWORD_FILE", str(pipe))
    code, out, err = run("services", "--timeout", "0.2")
    assert (code, out) == (2, "")
    assert err == "soapmail: SOAPMAIL_PASSWORD_FILE: did not end within 0.2 seconds\n"
    os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # lets the reader go


def test_stdin_that_stays_open_is_read_up_to_the_end_of_the_line(sandbox: Sandbox) -> None:
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    environment["SOAPMAIL_PASSWORD"] = ""
    command = start_process(
        "--password-stdin", "services", stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )  # fmt: skip
    assert command.stdin is not None
    assert command.stdout is not None
    command.stdin.write(f"{PASSWORD}\n".encode())
    command.stdin.flush()
    assert b"8556" in command.stdout.read()
    command.stdin.close()
    command.stdout.close()
    assert command.wait(20) == 0


def test_stdin_that_says_nothing_is_waited_for_no_longer_than_the_limit(sandbox: Sandbox) -> None:
    environment = {**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    command = start_process(
        "--password-stdin", "services", "--timeout", "0.2", stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )  # fmt: skip
    assert command.stdin is not None
    assert command.stderr is not None
    assert command.wait(20) == 2
    assert command.stderr.read() == b"soapmail: stdin: did not end within 0.2 seconds\n"
    command.stdin.close()
    command.stderr.close()


# --- programs ----------------------------------------------------------------------------------------


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_program_is_done_when_it_ends_whatever_its_children_keep(tmp_path: Path) -> None:
    """The child ends by the pipe of this test, and holds the program's stdout until then."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = ["sh", "-c", f"printf secret; cat {shlex.quote(str(gate))} 2>&1 &"]
    assert Programs().read_first_line("here", command, 5) == "secret"
    gate.write_bytes(b"")  # a reader is there: the child is alive


def test_what_a_program_started_ends_with_it_when_it_takes_too_long(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    command = ["sh", "-c", f"cat {shlex.quote(str(gate))} & echo $! > {shlex.quote(str(tmp_path / 'pid'))}; wait"]  # fmt: skip
    programs = Programs()
    with pytest.raises(UsageError, match="here: did not end within 0.5 seconds"):
        programs.read_first_line("here", command, 0.5)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        if read_state(child) == "Z":  # nobody waits for it in a container
            break
    assert time.monotonic() < deadline
    assert programs._running == set()


def read_state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def test_a_program_may_close_its_output_before_it_ends() -> None:
    code = "import os, sys; os.write(1, b'secret'); os.close(1); sys.exit(0)"
    assert Programs().read_first_line("here", python(code), 20) == "secret"


@pytest.mark.parametrize("seconds", ["3000000", str(int(threading.TIMEOUT_MAX))])
def test_a_time_that_is_longer_than_any_is_no_obstacle(
    run: Callable[..., Result], accounts: Accounts, seconds: str
) -> None:
    for words in ("services", "login-url 8556", "check"):
        assert run(*words.split(), "--account", "first", "--timeout", seconds).code == 0
    stdin = f"{PASSWORD}\n"
    assert run("services", "--password-stdin", "--timeout", seconds, stdin=stdin).code == 0


def test_programs_end_with_the_command(accounts: Accounts, tmp_path: Path) -> None:
    """An interrupt ends them, too, though they are in a group of their own."""
    started, held = tmp_path / "started", tmp_path / "held"
    os.mkfifo(started)
    os.mkfifo(held)
    script = f"exec 3<>{held}; echo x > {started}; exec cat <&3"  # which nobody writes to
    endpoint = accounts.sandboxes[0].endpoint
    program = f"sh -c {shlex.quote(script)}"
    accounts.write("".join(format_section(name, endpoint, program) for name in "abc"))
    for _ in range(3):
        command = start_process(
            "services", "--all-accounts", "--jobs", "2", stderr=subprocess.DEVNULL
        )
        with open(started, "rb", buffering=0) as reader:
            assert reader.read(2) == b"x\n"
            command.send_signal(signal.SIGINT)
            assert command.wait(20) == 130
        # With nobody left who reads, a pipe cannot be opened for writing alone.
        with pytest.raises(OSError, match="No such device"):
            os.open(held, os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", ["services --all-accounts", "pay 5 --yes --account a", "check --account a"])  # fmt: skip
def test_no_program_outlives_a_signal(
    accounts: Accounts, tmp_path: Path, words: str, number: signal.Signals
) -> None:
    """Twice in a row, and wherever in the start of the program it comes."""
    held = tmp_path / "held"
    os.mkfifo(held)
    program = f"sh -c {shlex.quote(f'exec 3<>{held}; echo x >&2; exec cat <&3')}"
    endpoint = accounts.sandboxes[0].endpoint
    accounts.write("".join(format_section(name, endpoint, program) for name in "abc"))
    environment = {**environment_without_coverage(), "XDG_STATE_HOME": str(tmp_path)}
    command = start_process(
        *words.split(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
    )
    assert command.stderr is not None
    assert command.stderr.read(1) == b"x"
    command.send_signal(number)
    command.send_signal(number)
    code = command.wait(20)
    command.stderr.close()
    assert code == (3 if "check" in words else 130 if number == signal.SIGINT else -number)
    with pytest.raises(OSError, match="No such device"):
        os.open(held, os.O_WRONLY | os.O_NONBLOCK)


def test_behind_the_end_no_program_is_started() -> None:
    programs = Programs()
    programs.end()
    with pytest.raises(UsageError, match="here: the program: not started, as the command ends"):
        programs.read_first_line("here", ["true"], 20)


def test_where_the_system_has_no_threads_it_is_slower_or_a_clear_error(
    run: Callable[..., Result],
    accounts: Accounts,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self._target.__module__.startswith("soapmail.cli"):  # type: ignore[attr-defined]
            raise RuntimeError("can't start new thread")
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert run("services", "--all-accounts", "--format", "jsonl").out.count("\n") == 6
        assert run("check", "--all-accounts").code == 0
        patch.delenv("SOAPMAIL_PASSWORD")
        patch.setattr(passwords, "read_password", lambda environ: "secret")
        assert run("services") == (1, "", "soapmail: can't start new thread\n")
        code, out, _ = run("check")
        assert (code, out) == (3, "MAIL INVOICES UNKNOWN: can't start new thread\n")


def test_from_env_reads_the_file_in_the_same_way(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(BOM + f"{PASSWORD}\r\n".encode())
    path.chmod(0o640)
    monkeypatch.delenv("SOAPMAIL_PASSWORD", raising=False)
    monkeypatch.setenv("SOAPMAIL_USERNAME", USERNAME)
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", sandbox.endpoint)
    monkeypatch.setenv("SOAPMAIL_PASSWORD_FILE", str(path))
    with Client.from_env() as client:
        assert len(client.get_services()) == 12
