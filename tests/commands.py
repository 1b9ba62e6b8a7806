"""The command run in this process, in one of its own, and on a terminal."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import pty
import select
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from soapmail import cli
from soapmail.cli.command_table import COMMANDS
from soapmail.sandbox import PASSWORD, USERNAME, Sandbox
from soapmail.sandbox.nusoap import read_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    import pytest

    from soapmail.cli.command_table import Command

ACCOUNT = {"SOAPMAIL_USERNAME": USERNAME, "SOAPMAIL_PASSWORD": PASSWORD}


class Result(NamedTuple):
    """What a command wrote and how it ended."""

    code: int
    out: str
    err: str


def list_commands() -> Iterator[tuple[str, Command]]:
    """Yield each command that does something, with its names."""
    for command in COMMANDS:
        if command.function:
            yield command.name, command
        for inner in command.commands:
            yield f"{command.name} {inner.name}", inner


BY_PATH = dict(list_commands())


def make_runner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    def command(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = cli.main(arguments)
        return Result(code, *capsys.readouterr())

    return command


def note_operations(sandbox: Sandbox) -> list[str]:
    """Return a list to which the sandbox adds each operation that arrives."""
    found: list[str] = []
    answer = sandbox.answer

    def note(request: bytes) -> tuple[int, bytes]:
        found.append(read_operation(request))
        return answer(request)

    sandbox.answer = note  # type: ignore[method-assign]
    return found


def parse_csv(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def start_process(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "soapmail", *arguments], **options)


def environment_without_coverage() -> dict[str, str]:
    """Give the environment without coverage, whose lock a signal would leave taken."""
    return {key: text for key, text in os.environ.items() if not key.startswith("COVERAGE")}


class Terminal:
    """A command on a real pseudo-terminal."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        environment: Mapping[str, str] = {},
        inherited: Mapping[str, str] = os.environ,
    ) -> None:
        self.fd, theirs = pty.openpty()
        # The leader of a new session gets its terminal by opening one; Python itself may not
        # fork here, where other threads run.
        opened = ["sh", "-c", ': <>"$0"; exec "$@"', os.ttyname(theirs)]
        self.process = subprocess.Popen(
            [*opened, sys.executable, "-m", "soapmail", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**inherited, "COLUMNS": str(columns), "PYTHONWARNINGS": "error", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> str:
        """Read up to a text; what came before it."""
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], 20)
            assert ready, f"nothing more after {self.seen!r}"
            self.seen += os.read(self.fd, 4096).decode()
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C, and end; again where nothing comes of it, as a person does.

        A signal that comes just before a read is seen behind it only (CPython, signal).
        """
        for _ in range(3):
            self.type("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
                return self.end()
        raise AssertionError(f"not interrupted after {self.seen!r}")

    def end(self) -> tuple[int, str]:
        """Read the rest, and give the exit code."""
        with contextlib.suppress(OSError):
            while piece := os.read(self.fd, 4096):
                self.seen += piece.decode()
        os.close(self.fd)
        return self.process.wait(20), self.seen.replace("\r\n", "\n")


ECHO = f"printf %s {shlex.quote(PASSWORD)}"
THREE = ("first", "second", "third")


def format_section(name: str, endpoint: str, command: str = ECHO, username: str = USERNAME) -> str:
    return (
        f"[{name}]\nusername = {username}\nendpoint = {endpoint}\npassword_command = {command}\n\n"
    )


class Accounts:
    """Three sandboxes, each with another number of invoices, and the file that names them."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self.sandboxes = [stack.enter_context(Sandbox(rows=n)) for n in (1, 2, 3)]
        self.write(
            "".join(
                format_section(n, s.endpoint) for n, s in zip(THREE, self.sandboxes, strict=True)
            )
        )

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")
