"""Connections that tell their exchange whether a byte left, and whether more came than was read.

Each exchange has a line of its own: a copy of an adapter of requests without its retries, with
connections that report to the exchange. All private reaches into urllib3 and http.client are here;
``tests/README.md`` lists them.
"""

from __future__ import annotations

import http.client
import io
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import allowed_gai_family, create_connection

if TYPE_CHECKING:
    import requests

    from .adapter import Line
    from .delivery import Exchange


class AlreadySent(ConnectionError):
    """An adapter wants to send a request again that has left."""


class _Tracked:
    """A connection that reports to the exchange of its line."""

    sock: Any
    timeout: Any
    response_class: Any
    # Not that of http.client, which would print passwords.
    debuglevel = 0
    _open = False

    def __init__(self, *args: Any, owner: Line, **options: Any) -> None:
        super().__init__(*args, **options)
        self._owner = owner
        self.response_class = partial(_Response, owner)

    def request(self, *args: Any, **options: Any) -> None:
        if self._owner.exchange.left:
            raise AlreadySent("this request was sent before, and is not repeated")
        super().request(*args, **options)  # type: ignore[misc]

    def connect(self) -> None:
        exchange = self._owner.exchange
        self._open = False
        exchange.connecting()
        self.timeout = exchange.seconds()
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError as error:
            raise exchange.timed_out(error) from None
        self._open = True

    def _tunnel(self) -> None:
        super()._tunnel()  # type: ignore[misc]
        # What the proxy took of the time is gone for the handshake behind it.
        self.sock.settimeout(self._owner.exchange.seconds())

    def send(self, data: Any) -> None:
        exchange = self._owner.exchange
        if self.sock is None:
            self.connect()
        if self._open:  # else it is for a proxy
            exchange.leaving()
        try:
            self.sock.settimeout(exchange.seconds())
            super().send(data)  # type: ignore[misc]
        except TimeoutError as error:
            raise exchange.timed_out(error) from None


class _Direct(_Tracked):
    """The same without SOCKS: all addresses of a host and the handshake share one time."""

    _dns_host: str
    port: int
    source_address: Any
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        exchange = self._owner.exchange
        family = allowed_gai_family()
        found = socket.getaddrinfo(self._dns_host, self.port, family, socket.SOCK_STREAM)
        for n, (*_, address) in enumerate(found, 1):
            try:
                sock = create_connection(
                    (str(address[0]), self.port),
                    exchange.seconds(),
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
                sock.settimeout(exchange.seconds())
                return sock
            except TimeoutError as error:
                if error.errno is None or n == len(found):
                    raise exchange.timed_out(error) from None
            except OSError:
                if n == len(found):
                    raise
        raise OSError("the name has no address")


class _HTTP(_Direct, HTTPConnection):
    pass


class _HTTPS(_Direct, HTTPSConnection):
    pass


class _Response(http.client.HTTPResponse):
    """The response of http.client, which reads no longer than its exchange may take."""

    def __init__(self, owner: Line, sock: socket.socket, *args: Any, **options: Any) -> None:
        exchange = owner.exchange
        exchange.source = self
        exchange.stream = Stream(_Wire(exchange, sock))
        super().__init__(_Readable(exchange.stream), *args, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        super().begin()
        # urllib3 would log what it cannot parse of the headers, secrets included.
        self.msg.defects, self.msg._payload = [], ""  # type: ignore[attr-defined]


class _Readable:
    """All that http.client wants of a socket to read from."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> Stream:
        return self._stream


class _Wire(io.RawIOBase):
    """Reads from a socket until the time is up, headers included."""

    def __init__(self, exchange: Exchange, sock: socket.socket) -> None:
        self._exchange = exchange
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self.dry = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.dry:
            return None
        self._sock.settimeout(self._exchange.seconds())
        try:
            return self._raw.readinto(buffer)
        except TimeoutError as error:
            raise self._exchange.timed_out(error) from None

    def waiting(self) -> bool:
        """Tell whether TLS holds bytes that were received and not read."""
        pending = getattr(self._sock, "pending", None)
        return bool(pending and pending())

    def close(self) -> None:
        self._raw.close()
        super().close()


class Stream(io.BufferedReader):
    """What came over the wire, read past any count; it knows whether more came than was read."""

    raw: _Wire
    surplus = False

    def close(self) -> None:
        if not self.closed:
            self.raw.dry = True
            self.surplus = bool(self.peek(1)) or self.raw.waiting()
        super().close()


def source_of(raw: Any) -> Any:
    """Give what the response of somebody else's connection is read from."""
    return getattr(raw, "_fp", raw)


def head_of(received: requests.Response, exchange: Exchange) -> dict[str, Any]:
    """Give version, reason and headers as they came, each of them apart, where they are known."""
    source = exchange.source
    version = {9: "HTTP/0.9", 10: "HTTP/1.0"}.get(getattr(source, "version", 11), "HTTP/1.1")
    headers = received.headers.items() if source is None else source.msg.items()
    reason = getattr(source, "reason", None) or received.reason or ""
    return {"version": version, "reason": reason, "headers": list(headers)}
