"""One exchange as it was on the wire, without secrets, for whoever wants to look at it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .redaction import STARS, hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .transport import Response

_log = logging.getLogger("soapmail")
# A session id that could not be read is not known, and so is not found.
_SECRET_RESULT = rb"(<(?:[\w.-]+:)?return\b[^>]*>)[^<]*"
_SECRET_HEADERS = ("set-cookie", "set-cookie2", "authorization", "www-authenticate")


@dataclass(frozen=True, slots=True)
class ObservedExchange:
    """One request and what came of it, with ``***`` in place of each secret.

    - ``operation``, ``attempt``: what was asked for, and for which time, from 1 on
    - ``request``: the envelope
    - ``status``, ``version``, ``reason``, ``headers``: of the response; without one, ``status`` is
      ``None``
    - ``response``: its body, decompressed and in one piece
    - ``seconds``: how long it took, connecting included
    - ``repairs``: what had to be put right; ``problem``: why it cannot be used, or ``None``
    """

    operation: str
    attempt: int
    request: bytes
    status: int | None
    version: str
    reason: str
    headers: Sequence[tuple[str, str]]
    response: bytes
    seconds: float
    repairs: Sequence[str]
    problem: str | None

    @property
    def http(self) -> bytes:
        """The response as a server would send it again; empty where none came."""
        if self.status is None:
            return b""
        lines = [f"{self.version} {self.status} {self.reason}"]
        coded = ("transfer-encoding", "content-encoding")
        lines += [f"{name}: {text}" for name, text in self.headers if name.lower() not in coded]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.response


class Observer:
    """Tells a callable of each exchange; what it raises is logged, and disturbs no call."""

    def __init__(self, tell: Callable[[ObservedExchange], object]) -> None:
        self._tell = tell

    def observe(
        self,
        request: tuple[str, int, bytes],
        response: Response,
        seconds: float,
        outcome: tuple[Sequence[str], str | None],
        secrets: Collection[str],
    ) -> None:
        """Tell of one exchange: operation, attempt and envelope; repairs and problem."""
        operation, attempt, envelope = request
        repairs, problem = outcome
        body = response.data
        if operation == "api_login":
            body = re.sub(_SECRET_RESULT, rb"\1" + STARS.encode(), body)
        found = ObservedExchange(
            operation,
            attempt,
            _without(envelope, secrets),
            response.status or None,
            response.version,
            response.reason,
            [(name, _header(name, text, secrets)) for name, text in response.headers],
            _without(body, secrets),
            seconds,
            [hidden(one, secrets) for one in repairs],
            hidden(problem, secrets),
        )
        try:
            self._tell(found)
        except Exception as error:
            problem = f"{type(error).__name__}: {hidden(str(error), secrets)}"
            _log.warning("%s: on_exchange failed: %s", operation, problem)


def _header(name: str, text: str, secrets: Collection[str]) -> str:
    return STARS if name.lower() in _SECRET_HEADERS else str(hidden(text, secrets))


def _without(data: bytes, secrets: Collection[str]) -> bytes:
    """Hide secrets in bytes: those of UTF-8 are known in the form of Latin-1, too."""
    text: str = hidden(data.decode("latin-1"), secrets, everywhere=True)
    return text.encode("latin-1")
