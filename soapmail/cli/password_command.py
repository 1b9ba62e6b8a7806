"""The password that a program prints, within a time."""

from __future__ import annotations

import select
import subprocess
import time
from typing import TYPE_CHECKING, Any

from ..arguments import MAX_PASSWORD_BYTES
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_password(where: str, command: Sequence[str], seconds: float) -> str:
    """Return the first line that a program prints; UsageError names ``where`` it is configured."""
    try:
        output, status = _read_output(command, seconds)
    except subprocess.TimeoutExpired:
        raise UsageError(f"{where}: did not end within {seconds:g} seconds (--timeout)") from None
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{where}: {command[0]}: {problem}") from None
    if len(output) > MAX_PASSWORD_BYTES:
        raise UsageError(f"{where}: printed more than {MAX_PASSWORD_BYTES} bytes")
    if status:
        ending = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise UsageError(f"{where}: {ending}")
    try:
        line = output.partition(b"\n")[0].rstrip(b"\r").decode()
    except UnicodeDecodeError:
        raise UsageError(f"{where}: printed what is not UTF-8") from None
    if not line.strip():
        raise UsageError(f"{where}: printed {'an empty line' if output else 'nothing'}")
    return line


def _read_output(command: Sequence[str], seconds: float) -> tuple[bytes, int]:
    """Return what a program prints, and its status; no more is read than is too much."""
    end = time.monotonic() + seconds
    output = b""
    devnull, piped = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, bufsize=0, stdin=devnull, stdout=piped) as process:
        try:
            pipe: Any = process.stdout
            while len(output) <= MAX_PASSWORD_BYTES:
                if not select.select([pipe], [], [], max(0, end - time.monotonic()))[0]:
                    raise subprocess.TimeoutExpired(command, seconds)
                piece = pipe.read(MAX_PASSWORD_BYTES)
                if not piece:
                    return output, process.wait(max(0, end - time.monotonic()))
                output += piece
        finally:
            process.kill()
    return output, 0
