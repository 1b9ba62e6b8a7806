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
from typing import TYPE_CHECKING, Any

from ..secret import MAX_SECRET_BYTES, call_within, decode_first_line, read_descriptor
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def read_command(where: str, command: Sequence[str], seconds: float) -> str:
    """Return the first line that a program prints; UsageError names ``where`` it is configured.

    The program is done when it ends, whatever its children keep open. After the time it ends with
    all that it started.
    """
    try:
        process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{where}: {command[0]}: {problem}") from None
    _running.add(process)
    try:
        output = call_within(lambda: _read_until_end(process, where), seconds, where)
        if process.returncode:
            raise ValueError(f"{where}: {_describe_status(process.returncode)}")
        return decode_first_line(output, where)
    except ValueError as error:
        problem = str(error)
    finally:
        output = b""  # which a traceback would show
        _end_group(process)
    raise UsageError(problem)


def end_commands() -> None:
    """End the programs that are still running, as nobody waits for them any more."""
    for process in list(_running):
        _end_group(process)


_running: set[subprocess.Popen[bytes]] = set()


def _describe_status(status: int) -> str:
    return f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"


def _read_until_end(process: subprocess.Popen[bytes], where: str) -> bytes:
    """Return what a program printed until it ended; ValueError: too much."""
    pipe: Any = process.stdout
    over, ending = os.pipe()

    def wait() -> None:
        process.wait()
        os.close(ending)

    threading.Thread(target=wait, daemon=True).start()
    os.set_blocking(pipe.fileno(), False)
    output, is_over = b"", False
    try:
        while True:
            is_over = is_over or over in select.select([pipe, over], [], [])[0]
            piece = pipe.read(MAX_SECRET_BYTES)
            if piece:
                output += piece
            elif is_over:  # the end of the pipe, or a child that keeps it open
                return output
            elif piece is not None:
                process.wait()
            if len(output) > MAX_SECRET_BYTES:
                raise ValueError(f"{where}: printed more than {MAX_SECRET_BYTES} bytes")
    finally:
        os.close(over)
        pipe.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program that did not end, with all that it started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    _running.discard(process)
