"""What requests, urllib3, ssl and the socket raised, as one failure in words."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
import urllib3

from .delivery import Response, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .delivery import Delivery

_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_TLS_ERRORS = (ssl.SSLError, requests.exceptions.SSLError, urllib3.exceptions.SSLError)
# What OpenSSL (1.1 and 3) makes of a server that answers in plain text.
_NO_TLS_REASONS = {
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
    "HTTP_REQUEST",
}
_REFUSED_TUNNEL = r"Tunnel connection failed: [0-9]{3}"  # of http.client


def describe_failure(
    error: Exception, delivery: Delivery, host: str, proxy: str | None
) -> Response:
    """Return what an exception means; whether the request was sent is known of its delivery."""
    causes = list(iter_causes(error))
    reason = describe_cause(causes, is_proxied=proxy is not None)
    # A refused connection is a NewConnectionError, in urllib3 1.26 a ConnectTimeoutError too.
    is_refused = any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes)
    is_timeout = any(isinstance(cause, _TIMEOUTS) for cause in causes) and not is_refused
    stage = delivery.stage
    if delivery.deadline.remaining() <= 0 or is_timeout:
        return Response(problem="timed out", is_transient=True)
    if any(isinstance(cause, _TLS_ERRORS) for cause in causes) and stage is not Stage.SENT:
        if any(getattr(cause, "reason", None) in _NO_TLS_REASONS for cause in causes):
            return Response(problem=f"the server does not speak TLS on this port ({reason})")
        return Response(problem=f"no trusted TLS connection ({reason})")
    if stage is Stage.LOCAL:
        if proxy and proxy.lower().startswith("socks") and "InvalidSchema" in reason:
            reason = "a SOCKS proxy needs PySocks; install it with: pip install 'requests[socks]'"
        return Response(problem=f"the request could not be sent ({reason})")
    if delivery.may_have_left:
        return Response(problem=f"the connection broke ({reason})", is_transient=True)
    target = f"{host} through the proxy" if proxy else host
    return Response(problem=f"could not connect to {target} ({reason})", is_transient=True)


def iter_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes (reason, ``__cause__``, args), not its ``__context__``."""
    seen: list[object] = []
    queue: list[object] = [error]
    while queue:
        cause = queue.pop(0)
        if isinstance(cause, BaseException) and not any(cause is other for other in seen):
            seen.append(cause)
            yield cause
            queue += [getattr(cause, "reason", None), cause.__cause__, *cause.args]


def describe_cause(causes: list[BaseException], *, is_proxied: bool) -> str:
    """Return the words of the system; of a proxy no others, which may hold its password."""
    deepest = next(
        (cause for cause in causes[::-1] if isinstance(cause, OSError) and cause.strerror),
        causes[-1],
    )
    words = getattr(deepest, "strerror", None)
    if is_proxied and not isinstance(words, str):
        refused = re.match(_REFUSED_TUNNEL, str(deepest))
        return refused[0] if refused else type(deepest).__name__
    # In one line: http.client quotes status lines as they came.
    return " ".join(str(words or deepest).split()) or type(deepest).__name__


def describe_status(status: int) -> str:
    """Return the words that belong to an HTTP status, in brackets."""
    if 300 <= status < 400:
        return " (a redirect, not followed)"
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
