"""What arrived at the test servers: no changing operation more often than its test says."""

from __future__ import annotations

import re
import threading
from collections import Counter
from typing import NamedTuple

_BODY = rb"(?s)<(?:[\w.-]+:)?Body\b[^>]*>\s*<(?:[\w.-]+:)?([\w.-]+)(.*?)</(?:[\w.-]+:)?Body>"
_SESSION_ID = rb"(?s)<sid\b[^>]*>.*?</sid>"
# By their names all others may change something; the contract's five are among them.
_READING = re.compile(r"get_\w+|\w+_get_\w+|api_login|api_api_auto_zonemta_login")
# What the server writes where it did nothing for lack of a valid session; a text may hold the words too.
_REFUSAL = rb"(?i)<(?:faultstring|status_text)\b[^>]*>\s*invalid session"


class Arrival(NamedTuple):
    """A changing operation as one server got it, whoever's session it was sent with."""

    server: object
    operation: str
    content: bytes


class Judge:
    """Counts the changing operations of one test by their content."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrived: Counter[Arrival] = Counter()

    def note(self, server: object, request: bytes) -> None:
        """Note that a request arrived."""
        self._count(server, request, 1)

    def note_response(self, server: object, request: bytes, response: bytes) -> None:
        """Take an arrival back whose session the server refused: nothing was done."""
        if re.search(_REFUSAL, response):
            self._count(server, request, -1)

    def _count(self, server: object, request: bytes, number: int) -> None:
        match = re.search(_BODY, request)
        operation = match[1].decode() if match else "what cannot be read"
        if not request or _READING.fullmatch(operation):
            return
        content = re.sub(_SESSION_ID, b"", match[2] if match else request)
        with self._lock:
            self._arrived[Arrival(server, operation, content)] += number

    def list_repeated(self, allowed: int) -> list[str]:
        """Return what arrived more often than allowed at the same server."""
        with self._lock:
            return [
                f"{arrival.operation} arrived {count} times at one server: {arrival.content!r}"
                for arrival, count in self._arrived.items()
                if count > allowed
            ]

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._arrived.clear()


JUDGE = Judge()
