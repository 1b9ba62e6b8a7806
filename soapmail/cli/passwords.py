"""The passwords that a program prints, or that stand on stdin, within a time."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from ..deadline import Deadline
from ..secret import MAX_SECRET_BYTES, decode_first_line, read_descriptor, read_password
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
# How soon it is seen that a program has ended whose pipe somebody else keeps open.
_LOOK_MILLISECONDS = 20
_SPARE_SECONDS = 5.0
# A signal that comes just before a wait is seen behind it, as in parallel.py.
_LOOK_SECONDS = 0.5


def read_environment(seconds: float) -> str:
    """Return the password of the environment, or of a file that it names; empty: neither."""
    where = "SOAPMAIL_PASSWORD_FILE"  # which may be a pipe
    return call_within(lambda: read_password(os.environ), seconds, where)


def read_stdin(seconds: float) -> str:
    """Return the first line of stdin; ValueError: it is no password."""
    where = "stdin"
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, io.UnsupportedOperation):  # in a program that put another stream there
        return decode_first_line(sys.stdin.readline().encode(errors="replace"), where)
    return decode_first_line(
        call_within(lambda: read_descriptor(descriptor), seconds, where), where
    )


def call_within(read: Callable[[], T], seconds: float, where: str) -> T:
    """Return what is read in a thread of its own; ValueError: that takes longer."""
    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            results.put((read(), None))
        except BaseException as error:
            results.put((None, error))

    try:
        name = threading.current_thread().name  # by which a message is that of an account
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:  # the system has no more threads
        raise OSError(str(error)) from None
    deadline = Deadline(seconds)
    while True:
        with suppress(Empty):
            value, problem = results.get(timeout=min(_LOOK_SECONDS, max(0, deadline.remaining())))
            break
        if deadline.remaining() <= 0:
            raise ValueError(f"{where}: did not end within {seconds:g} seconds")
    if problem is not None:
        raise problem
    return value  # type: ignore[return-value]


class Programs:
    """Runs programs that print passwords; each is done when it ends, whatever its children keep.

    What takes too long ends with all that it started, and so does what still runs at the end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_over = False

    def read_first_line(self, where: str, command: Sequence[str], seconds: float) -> str:
        """Return the first line that one prints; UsageError names ``where`` it is configured."""
        if threading.current_thread() is threading.main_thread():
            # A signal may come into the start of a program, of which nobody would know then.
            limit = seconds + _SPARE_SECONDS
            with suppress(OSError):  # the system has no more threads
                return call_within(
                    lambda: self._read_first_line(where, command, seconds), limit, where
                )
        return self._read_first_line(where, command, seconds)

    def _read_first_line(self, where: str, command: Sequence[str], seconds: float) -> str:
        try:
            process = self._start(command)
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"{where}: the program: {problem}") from None
        try:
            output = _read_until_end(process, where, seconds)
            if process.returncode:
                raise ValueError(f"{where}: {_describe_status(process.returncode)}")
            return decode_first_line(output, where)
        except ValueError as error:
            problem = str(error)
        finally:
            output = b""  # which a traceback would show
            _end_group(process)
            self._running.discard(process)
        raise UsageError(problem)

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_over:
                raise ValueError("not started, as the command ends")
            process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def end(self) -> None:
        """End the programs that still run, as nobody waits for them any more; start no others."""
        with self._lock:
            self._is_over = True
        for process in list(self._running):
            _end_group(process)


def _describe_status(status: int) -> str:
    return f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"


def _read_until_end(process: subprocess.Popen[bytes], where: str, seconds: float) -> bytes:
    """Return what a program printed until it ended; ValueError: too much, or too late."""
    deadline = Deadline(seconds)
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    output = b""
    with process.stdout:
        while len(output) <= MAX_SECRET_BYTES + len(b"\xef\xbb\xbf\r\n"):
            is_over = process.poll() is not None  # before the last look
            if poll.poll(0 if is_over else _LOOK_MILLISECONDS):
                piece = os.read(descriptor, MAX_SECRET_BYTES)
                output += piece
                if not piece:
                    with suppress(subprocess.TimeoutExpired):  # as the loop ends then
                        process.wait(max(0, deadline.remaining()))
                        return output
            elif is_over:  # and a child of it keeps the pipe open
                return output
            if deadline.remaining() <= 0:
                raise ValueError(f"{where}: did not end within {seconds:g} seconds")
    raise ValueError(f"{where}: printed more than {MAX_SECRET_BYTES} bytes")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program that did not end, with all that it started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
