"""What a caller may pass: each check names the argument, and runs before anything is sent."""

from __future__ import annotations

import math
import threading

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    from decimal import Decimal

    import requests


def text(name: str, value: str) -> str:
    """Return any text."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: str expected, not {type(value).__name__}")
    return value


def filled(name: str, value: str) -> str:
    """Return a text that is not blank."""
    if not text(name, value).strip():
        raise ValueError(f"{name}: empty")
    return value


def credentials(username: str | None, password: str | None) -> tuple[str, str] | None:
    """Return both, or ``None`` where neither was given."""
    given("username", username)
    given("password", password)
    if username is not None and password is not None:
        return username, password
    if username is not None or password is not None:
        raise ValueError("username and password are given together or not at all")
    return None


def given(name: str, value: str | None) -> str | None:
    """Return a text that is not blank, or ``None``."""
    return None if value is None else filled(name, value)


def http_session(value: requests.Session | None) -> requests.Session | None:
    """Return what may send: a session of requests, or ``None``."""
    if value is not None and not hasattr(value, "get_adapter"):
        raise TypeError("session: requests.Session expected")
    return value


def line(name: str, value: str) -> str:
    """Return a text that stays one header of a mail."""
    text(name, value)
    if "\r" in value or "\n" in value:
        raise ValueError(f"{name}: a line break would add headers to the mail")
    return value


def flag(name: str, value: bool) -> bool:
    """Return a bool, and nothing that merely looks like one."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: bool expected, not {type(value).__name__}")
    return value


def whole(name: str, value: int, least: int = 1) -> int:
    """Return an int that is large enough; by default, an id."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: int expected, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name}: {value} is less than {least}")
    return value


def money(value: float | Decimal) -> float | Decimal:
    """Return an amount above zero."""
    from decimal import Decimal

    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise TypeError(f"amount: int, float or Decimal expected, not {type(value).__name__}")
    if not _finite(value) or value <= 0:
        raise ValueError(f"amount: {value} is not a positive number")
    return value


def seconds(value: float) -> float:
    """Return a time limit that a lock can wait for."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout: a number of seconds expected, not {type(value).__name__}")
    if not _finite(value) or not 0 < value <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout: {value} is not a positive number of seconds")
    return float(value)


def _finite(value: float | Decimal) -> bool:
    try:
        return math.isfinite(value)
    except (OverflowError, ValueError):  # an int too large, a signalling NaN
        return False
