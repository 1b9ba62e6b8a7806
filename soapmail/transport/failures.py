"""What requests, urllib3, ssl and the socket raised, as one failure in words."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
import urllib3

from .response import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .delivery import Exchange


_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_TLS = (ssl.SSLError, requests.exceptions.SSLError, urllib3.exceptions.SSLError)
# What OpenSSL makes of a server that answers in plain text.
_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"}
_NO_TUNNEL = r"Tunnel connection failed: [0-9]{3}"


def _failure_of(error: Exception, exchange: Exchange, host: str, proxy: str | None) -> Response:
    """Say what requests, urllib3, ssl and the socket raised; whether it was sent is known."""
    chain = list(_links(error))
    reason = _reason(chain, proxied=proxy is not None)
    # A refused connection is a NewConnectionError, which is a ConnectTimeoutError too.
    refused = any(isinstance(one, urllib3.exceptions.NewConnectionError) for one in chain)
    timed_out = any(isinstance(one, _TIMEOUTS) for one in chain) and not refused
    if exchange.deadline.left() <= 0 or timed_out:
        return Response(problem="timed out", transient=True)
    if any(isinstance(one, _TLS) for one in chain) and not exchange.left:
        if any(getattr(one, "reason", None) in _NO_TLS for one in chain):
            return Response(problem=f"the server does not speak TLS on this port ({reason})")
        return Response(problem=f"no trusted TLS connection ({reason})")
    if exchange.local:
        if proxy and proxy.lower().startswith("socks") and "InvalidSchema" in reason:
            reason = "a SOCKS proxy needs PySocks; install it with: pip install 'requests[socks]'"
        return Response(problem=f"the request could not be sent ({reason})")
    if exchange.sent:
        return Response(problem=f"the connection broke ({reason})", transient=True)
    target = f"{host} through the proxy" if proxy else host
    return Response(problem=f"could not connect to {target} ({reason})", transient=True)


def _links(error: BaseException) -> Iterator[BaseException]:
    """List an error and what it was made from, but not what happened to be handled meanwhile."""
    found: list[object] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and not any(one is other for other in found):
            found.append(one)
            yield one
            waiting += [getattr(one, "reason", None), one.__cause__, *one.args]


def _reason(chain: list[BaseException], *, proxied: bool) -> str:
    """Give the words of the system; behind a proxy no others, which may hold its password."""
    deepest = next(
        (one for one in chain[::-1] if isinstance(one, OSError) and one.strerror), chain[-1]
    )
    words = getattr(deepest, "strerror", None)
    if proxied and not isinstance(words, str):
        refused = re.match(_NO_TUNNEL, str(deepest))
        return refused[0] if refused else type(deepest).__name__
    return str(words or deepest) or type(deepest).__name__


def phrase(status: int) -> str:
    """Give the words that belong to an HTTP status."""
    if 300 <= status < 400:
        return " (a redirect, not followed)"
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
