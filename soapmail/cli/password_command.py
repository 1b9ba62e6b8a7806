"""The password that a program prints, within a time."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from ..arguments import MAX_PASSWORD_BYTES
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_password(where: str, command: Sequence[str], seconds: float) -> str:
    """Return the first line that a program prints; UsageError names ``where`` it is configured."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"{where}: did not end within {seconds:g} seconds (--timeout)") from None
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{where}: {command[0]}: {problem}") from None
    if len(done.stdout) > MAX_PASSWORD_BYTES:
        raise UsageError(f"{where}: printed more than {MAX_PASSWORD_BYTES} bytes")
    status = done.returncode
    if status:
        ending = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
        raise UsageError(f"{where}: {ending}")
    try:
        line = done.stdout.partition(b"\n")[0].rstrip(b"\r").decode()
    except UnicodeDecodeError:
        raise UsageError(f"{where}: printed what is not UTF-8") from None
    if not line.strip():
        raise UsageError(f"{where}: printed {'an empty line' if done.stdout else 'nothing'}")
    return line
