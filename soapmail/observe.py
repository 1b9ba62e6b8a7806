"""One exchange as it was on the wire, without secrets, for whoever wants to look at it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .redaction import STARS, hidden, without_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .transport.response import Response

_log = logging.getLogger("soapmail")
_WIDE = {
    b"\xff\xfe": "utf-16-le",
    b"<\0": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
    b"\0<": "utf-16-be",
}
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
        hide = partial(hidden, secrets=secrets)
        found = ObservedExchange(
            operation,
            attempt,
            _without(envelope, secrets),
            response.status or None,
            response.version,
            hide(response.reason),
            [(hide(name), _header(name, text, secrets)) for name, text in response.headers],
            _without(response.data, secrets, tokens=operation == "api_login"),
            seconds,
            list(map(hide, repairs)),
            hide(problem),
        )
        try:
            self._tell(found)
        except Exception as error:
            problem = f"{type(error).__name__}: {hidden(str(error), secrets)}"
            _log.warning("%s: on_exchange failed: %s", operation, problem)


def _header(name: str, text: str, secrets: Collection[str]) -> str:
    return STARS if name.lower() in _SECRET_HEADERS else str(hidden(text, secrets))


def _without(data: bytes, secrets: Collection[str], *, tokens: bool = False) -> bytes:
    """Hide secrets in bytes: those of UTF-8 are known in the form of Latin-1, too.

    ``tokens``: a session id that could not be read is not known, so what may be one is hidden.
    """
    name = _WIDE.get(data[:2], "latin-1")
    whole = len(data) if name == "latin-1" else len(data) // 2 * 2
    text: str = hidden(data[:whole].decode(name, "surrogatepass"), secrets, everywhere=True)
    if tokens:
        text = str(without_tokens(text))
    return text.encode(name, "surrogatepass") + data[whole:]
