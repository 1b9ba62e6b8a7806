"""What a caller may pass: each check names the argument, and runs before anything is sent."""

from __future__ import annotations

import math
import threading

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    from decimal import Decimal
    from typing import TypeVar

    import requests

    F = TypeVar("F")


def text(name: str, value: str) -> str:
    """Return any text."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: str expected, not {type(value).__name__}")
    # The Unicode Standard, D71: what UTF-8 cannot carry is written as a question mark.
    if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
        raise ValueError(f"{name}: a half of a surrogate pair is no character")
    return value


def nonblank_text(name: str, value: str) -> str:
    """Return a text that is not blank."""
    if not text(name, value).strip():
        raise ValueError(f"{name}: must not be empty")
    return value


def credentials(username: str | None, password: str | None) -> tuple[str, str] | None:
    """Return both, or ``None`` where neither was given."""
    optional_text("username", username)
    optional_text("password", password)
    if username is not None and password is not None:
        return username, password
    if username is not None or password is not None:
        raise ValueError("username and password must be given together")
    return None


def optional_text(name: str, value: str | None) -> str | None:
    """Return a text that is not blank, or ``None``."""
    return None if value is None else nonblank_text(name, value)


def http_session(value: requests.Session | None) -> requests.Session | None:
    """Return what may send: a session of requests, or ``None``."""
    if value is None:
        return None
    if not hasattr(value, "get_adapter"):
        raise TypeError("session: requests.Session expected")
    return check_http_session(value)


def check_http_session(value: requests.Session) -> requests.Session:
    """Return a session that trusts not just anyone; ValueError."""
    if not value.verify:
        raise ValueError(
            "session: its verify is off, so the password would go to anyone; set it to True, or to"
            " the path of a CA bundle"
        )
    return value


def callable_or_none(name: str, value: F | None) -> F | None:
    """Return what can be called, or ``None``."""
    if value is not None and not callable(value):
        raise TypeError(f"{name}: a callable expected, not {type(value).__name__}")
    return value


def header_line(name: str, value: str) -> str:
    """Return a text that stays one header of a mail."""
    text(name, value)
    if "\r" in value or "\n" in value:
        raise ValueError(f"{name}: a line break would add headers to the mail")
    return value


def boolean(name: str, value: bool) -> bool:
    """Return a bool, and nothing that merely looks like one."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: bool expected, not {type(value).__name__}")
    return value


def positive_int(name: str, value: int, *, least: int = 1) -> int:
    """Return an int that is large enough; by default, an id."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: int expected, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name}: must be at least {least}, got {value}")
    return value


def amount(value: float | Decimal) -> float | Decimal:
    """Return an amount above zero that the server's float keeps."""
    from decimal import Decimal

    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise TypeError(f"amount: int, float or Decimal expected, not {type(value).__name__}")
    if not _is_finite(value) or value <= 0:
        raise ValueError(f"amount: must be a positive number, got {value}")
    if isinstance(value, int) and int(float(value)) != value:
        raise ValueError("amount: more digits than the server's float keeps")
    return value


def timeout(value: float) -> float:
    """Return a time limit that a lock can wait for."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout: a number of seconds expected, not {type(value).__name__}")
    if not 0 < value <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout: must be a positive number of seconds, got {value}")
    return float(value)


def _is_finite(value: float | Decimal) -> bool:
    try:
        return math.isfinite(value)
    except (OverflowError, ValueError):  # an int too large, a signalling NaN
        return False
