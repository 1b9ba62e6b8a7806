"""One exchange as it was on the wire, without secrets, for whoever wants to look at it."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .deadline import DeadlineExceeded
from .operations import ISSUING
from .redaction import STARS, redact, redact_fields
from .soap.encoding import detect_wide_encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from .deadline import Deadline
    from .session import AttemptResult
    from .transport import Outgoing, Response
    from .transport.delivery import Tls

_log = logging.getLogger("soapmail")
_SECRET_HEADERS = ("set-cookie", "set-cookie2", "authorization", "www-authenticate")
_UNCHECKED_CHARACTERS = 100_000
_CODING_HEADERS = ("transfer-encoding", "content-encoding")


@dataclass(frozen=True, slots=True)
class ObservedExchange:
    """One request and what came of it, with ``***`` in place of each secret.

    - ``operation``, ``attempt``: what was asked for, and for which time, from 1 on
    - ``request``: the envelope; empty where the WSDL was asked for
    - ``status``, ``version``, ``reason``, ``headers``: of the response; without one, ``status`` is
      ``None``
    - ``response``: its body, decompressed and in one piece
    - ``seconds``: how long it took, connecting included
    - ``repairs``: what had to be put right; ``problem``: why it cannot be used, or ``None``
    - ``tls``: version and certificate, where a connection with TLS was made for this exchange
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
    tls: Tls | None = None

    @property
    def http(self) -> bytes:
        """The response as a server would send it again; empty where none came."""
        if self.status is None:
            return b""
        lines = [f"{self.version} {self.status} {self.reason}"]
        lines += [
            f"{name}: {text}" for name, text in self.headers if name.lower() not in _CODING_HEADERS
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.response


def notify(
    on_exchange: Callable[[ObservedExchange], object],
    outgoing: Outgoing,
    response: Response,
    seconds: float,
    result: AttemptResult,
    secrets: Collection[str],
    deadline: Deadline,
) -> None:
    """Call a callable with one exchange; what it raises is logged, and disturbs no call.

    What is large is searched for secrets within the deadline: behind it nothing of it is told.
    """
    headers: list[tuple[str, str]] = []
    body = STARS.encode()
    with suppress(DeadlineExceeded):
        headers = [*_redact_headers(response.headers, secrets, deadline.check)]
        # What was issued is in a response that cannot be used, and not known.
        is_unknown = outgoing.operation in ISSUING and result.error is not None
        if not (is_unknown and response.data):
            body = _redact_bytes(response.data, secrets, deadline.check)
    exchange = ObservedExchange(
        outgoing.operation,
        outgoing.attempt,
        outgoing.shown,
        response.status or None,
        response.version,
        redact(response.reason, secrets),
        headers,
        body,
        seconds,
        [redact(repair, secrets) for repair in result.repairs],
        None if result.error is None else redact(str(result.error), secrets),
        response.tls,
    )
    try:
        on_exchange(exchange)
    except Exception as error:
        problem = type(error).__name__
        with suppress(Exception):  # some errors have no text
            problem += f": {redact(str(error), secrets)}"
        _log.warning("%s: on_exchange failed: %s", outgoing.operation, problem)


def _redact_headers(
    headers: Sequence[tuple[str, str]], secrets: Collection[str], check: Callable[[], object]
) -> Iterator[tuple[str, str]]:
    size = 0
    for name, text in headers:
        is_secret = name.lower() in _SECRET_HEADERS
        yield redact(name, secrets), STARS if is_secret else redact(text, secrets)
        size += len(text)
        if size > _UNCHECKED_CHARACTERS:
            check()


def _redact_bytes(data: bytes, secrets: Collection[str], check: Callable[[], object]) -> bytes:
    """Hide secrets in bytes: those of UTF-8 are known in the form of Latin-1, too."""
    encoding = detect_wide_encoding(data) or "latin-1"
    # Of UTF-16 and UTF-32 the last character may be cut, and others may be none.
    end = len(data) if encoding == "latin-1" else len(data) // 4 * 4
    # By value first, as a part of a secret is none that is found.
    text = redact(data[:end].decode(encoding, "replace"), secrets, check)
    return redact_fields(text, check).encode(encoding) + data[end:]
