"""One HTTP exchange after another: session, deadline, size limit, retry."""

from __future__ import annotations

import http.client
import io
import logging
import random
import re
import ssl
import threading
import time
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

from .document import Answer, has_envelope
from .errors import ResponseError, SoapMailError, TransportError, outcome_unknown, unimportable

try:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
except ImportError as error:
    raise unimportable("requests", error) from None

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

T = TypeVar("T")

_log = logging.getLogger("soapmail")

_PIECE = 64 * 1024
_HEAD = 64 * 1024  # in which the envelope begins
_TAIL = 1024  # in which it ends, most likely; where that matters, in the long one
_LONG_TAIL = 64 * 1024
_TOLD = 300
_DIGITS = 20
# How long to wait for bytes that nothing announces: behind a whole envelope, behind the count.
_AFTER_END = 1.0
_AFTER_COUNT = 2.0
_BUSY = {429, 502, 503, 504}
_PAUSES = (0.5, 1.0, 2.0)
_CHARSET = r"(?i)charset\s*=\s*[\"']?([\w.:-]+)"
_END = re.compile(rb"</(?:[\w.-]+:)?Envelope\s*>")
# What urllib3 and requests raise when no connection was made, so that nothing was sent.
_NEVER_CONNECTED = (
    requests.exceptions.ConnectTimeout,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    ssl.SSLCertVerificationError,
)
# What http.client says, by an OSError of no other kind, when a proxy refuses to connect.
_NO_TUNNEL = "Tunnel connection failed"
_TIMEOUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_LOWER_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


class _State(threading.local):
    """What the connection classes must know of the exchange that this thread is in."""

    deadline = 0.0
    # Whether a byte of the request may have left.
    sent = True


_state = _State()


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until the deadline of this thread's exchange, headers included."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _state.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_DeadlineReader(raw, sock))


class _Tracked:
    """Notes whether a byte of the request left; what a proxy was told does not count."""

    sock: socket.socket | None
    _connected = False

    def connect(self) -> None:
        _state.sent = self._connected = False
        super().connect()  # type: ignore[misc]
        self._connected = True

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if self._connected:
            _state.sent = True
        super().send(data)  # type: ignore[misc]


class _HTTP(_Tracked, HTTPConnection):
    response_class = _Response


class _HTTPS(_Tracked, HTTPSConnection):
    response_class = _Response


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _Adapter(HTTPAdapter):
    _POOLS = {"http": _HTTPPool, "https": _HTTPSPool}

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._POOLS
        return manager


class Call(NamedTuple):
    """One request and the limits it stands under; ``deadline`` is of the monotonic clock."""

    operation: str
    body: bytes
    changing: bool
    deadline: float
    hide: Callable[[str], str]

    def left(self) -> float:
        return self.deadline - time.monotonic()


class _Reply(NamedTuple):
    status: int
    charset: str | None
    data: bytes
    broken: str | None  # how the connection ended before its time
    after: float | None  # what Retry-After asks for, in seconds


class _Failure(NamedTuple):
    reason: str
    status: int | None = None
    sent: bool = True
    transient: bool = False
    after: float | None = None
    error: SoapMailError | None = None


class Transport:
    """Posts envelopes to one endpoint over one ``requests.Session``."""

    def __init__(
        self,
        endpoint: str,
        *,
        loopback: bool,
        user_agent: str,
        retries: int,
        max_response_bytes: int,
        session: requests.Session | None,
    ) -> None:
        self._endpoint = endpoint
        self._host = urlsplit(endpoint).netloc
        self._loopback = loopback
        self._user_agent = user_agent
        self._retries = retries
        self._limit = max_response_bytes
        self._own = session is None
        self._session = session if session is not None else _own_session()

    def close(self) -> None:
        """Close the session, unless it is the caller's."""
        if self._own:
            self._session.close()

    def post(self, call: Call, read: Callable[[Answer], T]) -> T:
        """Exchange, retry where that is safe, and return what ``read`` makes of the answer.

        TransportError: no usable answer. OutcomeUnknown: the same for a changing operation that was
        sent. What ``read`` raises passes, but for a changing operation's ResponseError.
        """
        attempt = 0
        while True:
            result = self._attempt(call, read)
            if not isinstance(result, _Failure):
                return result
            repeatable = result.transient and not (call.changing and result.sent)
            if not repeatable or attempt >= self._retries:
                break
            pause = _PAUSES[min(attempt, len(_PAUSES) - 1)] * random.uniform(0.5, 1.5)
            if result.after is not None:
                pause = result.after
            if pause >= call.left():
                break
            time.sleep(pause)
            attempt += 1
        raise self._error(call, result)

    def _error(self, call: Call, failure: _Failure) -> SoapMailError:
        if failure.error is not None and not isinstance(failure.error, ResponseError):
            return failure.error
        reason = call.hide(failure.reason)[:_TOLD]
        if call.changing and failure.sent:
            return outcome_unknown(call.operation, reason, failure.status)
        if failure.error is not None:
            return failure.error
        return TransportError(f"{call.operation}: {reason}", failure.status)

    def _attempt(self, call: Call, read: Callable[[Answer], T]) -> T | _Failure:
        started = time.monotonic()
        reply = self._exchange(call)
        passed = (time.monotonic() - started) * 1000
        if isinstance(reply, _Failure):
            _log.debug("%s: %s, %.0f ms", call.operation, call.hide(reply.reason), passed)
            return reply
        size = len(reply.data)
        _log.debug("%s: HTTP %d, %d bytes, %.0f ms", call.operation, reply.status, size, passed)
        answer = Answer(reply.data, reply.charset, call.operation, call.hide)
        busy = reply.status in _BUSY
        if reply.status >= 300 and not has_envelope(answer):
            reason = f"HTTP status {reply.status}{_phrase(reply.status)} without a SOAP answer"
            return _Failure(reason, reply.status, transient=busy, after=reply.after)
        try:
            return read(answer)
        except SoapMailError as error:
            wrong = error
        if isinstance(wrong, ResponseError) and reply.broken:
            return _Failure(reply.broken, reply.status, transient=True)
        transient = busy or not reply.data.strip()
        return _Failure(
            str(wrong), reply.status, transient=transient, after=reply.after, error=wrong
        )

    def _exchange(self, call: Call) -> _Reply | _Failure:
        _state.deadline = call.deadline
        _state.sent = True  # as long as no connection of ours says otherwise
        try:
            with self._send(call) as response:
                return self._received(call, response)
        except _LOWER_ERRORS as error:
            return _failure(error, call, self._host)

    def _send(self, call: Call) -> requests.Response:
        left = call.left()
        if left <= 0:
            raise requests.ConnectTimeout
        # The adapter, not the session, sends: so no redirect is followed and no cookie kept.
        request = self._session.prepare_request(
            requests.Request(
                "POST",
                self._endpoint,
                data=call.body,
                headers={
                    "Content-Type": "text/xml; charset=UTF-8",
                    "SOAPAction": f'"urn:myapi#{quote(call.operation)}"',
                    "User-Agent": self._user_agent,
                    "Accept-Encoding": "identity",
                },
                # Any authentication of its own keeps requests from looking into a netrc.
                auth=self._session.auth or (lambda request: request),
            )
        )
        # Without its own "verify" requests would put the environment above the caller's session.
        settings: Any = self._session.merge_environment_settings(
            self._endpoint, {}, True, self._session.verify, None
        )
        if self._loopback:
            settings["proxies"] = {}
        adapter = self._session.get_adapter(self._endpoint)
        return adapter.send(request, timeout=(left, left), **settings)

    def _received(self, call: Call, response: requests.Response) -> _Reply | _Failure:
        body = _Body(response, self._limit)
        broken = wrong = None
        try:
            body.read(call)
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            if call.left() <= 0:
                raise
            broken = f"the connection broke after {body.received} bytes ({_reason(error)})"
        except zlib.error as error:
            wrong = f"a compressed answer that is broken ({error})"
        if body.size > self._limit:
            wrong = f"an answer over {self._limit} bytes (max_response_bytes)"
        if wrong is not None:
            problem = ResponseError(wrong, call.operation)
            return _Failure(str(problem), response.status_code, error=problem)
        return _Reply(
            response.status_code,
            _charset(response.headers.get("Content-Type", "")),
            body.data(),
            broken or body.short,
            _retry_after(response.headers.get("Retry-After")),
        )


class _Body:
    """Reads the body of an answer whose ``Content-Length`` may be wrong.

    NuSOAP counts characters, not bytes, so the connection itself is read: on behind the count
    while the envelope is not whole, and not for ever while it is.
    """

    def __init__(self, response: requests.Response, limit: int) -> None:
        self._response = response
        self._limit = limit
        self._out = io.BytesIO()
        self.size = 0
        self.received = 0
        self.short: str | None = None
        raw = response.raw
        # The answer of http.client; in tests that replace the adapter, any file.
        self._source = getattr(raw, "_fp", raw)
        self._chunked = bool(getattr(self._source, "chunked", False))
        written = response.headers.get("Content-Length", "")
        counted = written.isascii() and written.isdigit() and not self._chunked
        self._count = int(written) if counted and len(written) < _DIGITS else None
        compressed = response.headers.get("Content-Encoding", "").strip().lower()
        gzip = compressed in ("gzip", "x-gzip", "deflate")
        self._inflater = zlib.decompressobj(47) if gzip else None

    def data(self) -> bytes:
        return self._out.getvalue()

    def read(self, call: Call) -> None:
        reader = self._reader()
        whole = False
        try:
            while self.size <= self._limit:
                counted = self._count is not None and self.received >= self._count
                whole = self._ends(_LONG_TAIL if counted else _TAIL)
                if counted and (whole or not self._begins()):
                    return self._reuse()
                _state.deadline = call.deadline
                if whole or counted:
                    wait = _AFTER_END if whole else _AFTER_COUNT
                    _state.deadline = min(call.deadline, time.monotonic() + wait)
                if call.left() <= 0:
                    raise TimeoutError
                piece = reader(_PIECE)
                if not piece:
                    return self._finished(whole)
                self._take(piece)
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError):
            counted = self._count is not None and self.received >= self._count
            if not (whole or (counted and call.left() > 0)):
                raise

    def _reader(self) -> Callable[[int], bytes]:
        if isinstance(self._source, http.client.HTTPResponse):
            if self._chunked or self._source.fp is None:
                return self._source.read1
            return self._source.fp.read1
        return self._source.read

    def _take(self, piece: bytes) -> None:
        self.received += len(piece)
        if self._inflater is not None:
            piece = self._inflater.decompress(piece, self._limit + 1 - self.size)
        self.size += len(piece)
        self._out.write(piece)

    def _ends(self, within: int) -> bool:
        # UTF-16 has a NUL in every letter of the tag.
        tail = bytes(self._out.getbuffer()[-within:])
        return bool(_END.search(tail.replace(b"\0", b"")))

    def _begins(self) -> bool:
        head = bytes(self._out.getbuffer()[:_HEAD])
        return b"Envelope" in head.replace(b"\0", b"")

    def _finished(self, whole: bool) -> None:
        if self._count is not None and self.received < self._count and not whole:
            self.short = f"the connection closed after {self.received} of {self._count} bytes"
        elif self._chunked:
            self._reuse()

    def _reuse(self) -> None:
        """Give the connection back, if it carried what was announced and nothing more."""
        if isinstance(self._source, http.client.HTTPResponse) and (
            self._chunked or self.received == self._count
        ):
            self._source.close()
            self._response.raw.release_conn()


def _own_session() -> requests.Session:
    session = requests.Session()
    for prefix in ("https://", "http://"):
        session.mount(prefix, _Adapter())
    return session


def _charset(content_type: str) -> str | None:
    found = re.search(_CHARSET, content_type)
    return found[1] if found else None


def _retry_after(written: str | None) -> float | None:
    """Give the seconds that a ``Retry-After`` header asks for, written as seconds or as a date."""
    from email.utils import parsedate_to_datetime

    if written is None:
        return None
    if written.strip().isascii() and written.strip().isdigit():
        return float(written)
    try:
        return max(0.0, parsedate_to_datetime(written).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _phrase(status: int) -> str:
    if 300 <= status < 400:
        return " (a redirect, not followed)"
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""


def _chain(error: BaseException) -> list[BaseException]:
    """List an error and what led to it, as requests and urllib3 hang them on each other."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            inner = getattr(one, "reason", None)
            waiting += [inner, one.__cause__, one.__context__, *one.args]
    return found


def _reason(error: BaseException) -> str:
    deepest = next(
        (one for one in _chain(error)[::-1] if isinstance(one, OSError) and one.strerror),
        _chain(error)[-1],
    )
    return str(getattr(deepest, "strerror", None) or deepest) or type(deepest).__name__


def _failure(error: BaseException, call: Call, host: str) -> _Failure:
    """Map whatever requests, urllib3, ssl and the socket raise; the one place that does."""
    chain = _chain(error)
    never = not _state.sent or any(
        isinstance(one, _NEVER_CONNECTED)
        or (type(one) is OSError and str(one).startswith(_NO_TUNNEL))
        for one in chain
    )
    # A refused connection is a NewConnectionError, which is a ConnectTimeoutError too.
    refused = any(isinstance(one, urllib3.exceptions.NewConnectionError) for one in chain)
    timed_out = any(isinstance(one, _TIMEOUTS) for one in chain)
    if call.left() <= 0 or (timed_out and not refused):
        return _Failure("timed out", sent=not never, transient=True)
    if any(isinstance(one, (ssl.SSLError, requests.exceptions.SSLError)) for one in chain):
        return _Failure(f"no trusted TLS connection ({_reason(error)})", sent=not never)
    by_proxy = any(isinstance(one, urllib3.exceptions.ProxyError) for one in chain)
    target = f"{host} through the proxy" if by_proxy else host
    what = f"could not connect to {target}" if never else "the connection broke"
    return _Failure(f"{what} ({_reason(error)})", sent=not never, transient=True)
