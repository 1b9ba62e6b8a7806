"""The password that a program prints, within a time."""

from __future__ import annotations

import selectors
import subprocess
import time
from typing import TYPE_CHECKING

from ..arguments import LONG_PASSWORD
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def _printed(where: str, command: Sequence[str], seconds: float) -> str:
    """Give the first line that a program prints within a time, and so much at most."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0
        )
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{where}: {command[0]}: {problem}") from None
    with process:
        try:
            return _line(where, process, time.monotonic() + seconds, seconds)
        except BaseException:
            process.kill()
            raise


def _line(where: str, process: subprocess.Popen[bytes], end: float, seconds: float) -> str:
    assert process.stdout is not None
    printed = b""
    piece = b"none yet"
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while piece:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise UsageError(f"{where}: did not end within {seconds:g} seconds (--timeout)")
            piece = process.stdout.read(LONG_PASSWORD)
            printed += piece
            if len(printed) > LONG_PASSWORD:
                raise UsageError(f"{where}: printed more than {LONG_PASSWORD} bytes")
    try:
        status = process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise UsageError(f"{where}: did not end within {seconds:g} seconds (--timeout)") from None
    if status:
        ended = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise UsageError(f"{where}: {ended}")
    try:
        line = printed.partition(b"\n")[0].rstrip(b"\r").decode()
    except UnicodeDecodeError:
        raise UsageError(f"{where}: printed what is not UTF-8") from None
    if not line.strip():
        raise UsageError(f"{where}: printed {'an empty line' if printed else 'nothing'}")
    return line
