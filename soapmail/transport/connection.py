"""Connections that report whether a byte left, and whether more came than was read.

All private reaches into urllib3 and http.client are here and in ``adapter``; ``tests/README.md``
lists them.
"""

from __future__ import annotations

import http.client
import io
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import allowed_gai_family, create_connection

from .delivery import Stage, Tls

if TYPE_CHECKING:
    from .adapter import SingleRequestAdapter
    from .delivery import Delivery


class AlreadySent(ConnectionError):
    """An adapter wants to send a request again that has left."""


class ReportingConnection:
    """A connection that reports to the delivery of its adapter."""

    sock: Any
    timeout: Any
    response_class: Any
    # Not that of http.client, which would print passwords.
    debuglevel = 0
    _is_open = False

    def __init__(self, *args: Any, owner: SingleRequestAdapter, **options: Any) -> None:
        super().__init__(*args, **options)
        self._owner = owner
        self.response_class = partial(_DeadlineResponse, owner)

    def request(self, *args: Any, **options: Any) -> None:
        if self._owner.delivery.stage is Stage.SENT:
            raise AlreadySent("this request was sent before, and is not repeated")
        super().request(*args, **options)  # type: ignore[misc]

    def connect(self) -> None:
        delivery = self._owner.delivery
        self._is_open = False
        delivery.connecting()
        self.timeout = delivery.timeout()
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError as error:
            raise delivery.attribute_timeout(error) from None
        self._is_open = True
        if hasattr(self.sock, "getpeercert"):
            delivery.tls = Tls(self.sock.version() or "", self.sock.getpeercert() or {})

    def _tunnel(self) -> None:
        super()._tunnel()  # type: ignore[misc]
        # For the handshake: test_what_a_proxy_took_of_the_time_is_gone_for_the_handshake.
        self.sock.settimeout(self._owner.delivery.timeout())

    def send(self, data: Any) -> None:
        delivery = self._owner.delivery
        if self.sock is None:
            self.connect()
        if self._is_open:  # else it is the CONNECT for a proxy (RFC 9110 9.3.6)
            delivery.sending()
        try:
            self.sock.settimeout(delivery.timeout())
            super().send(data)  # type: ignore[misc]
        except TimeoutError as error:
            raise delivery.attribute_timeout(error) from None


class _DirectConnection(ReportingConnection):
    """The same without SOCKS: all addresses of a host and the handshake share one time."""

    _dns_host: str
    port: int
    source_address: Any
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        delivery = self._owner.delivery
        family = allowed_gai_family()
        addresses = socket.getaddrinfo(self._dns_host, self.port, family, socket.SOCK_STREAM)
        for number, (*_, address) in enumerate(addresses, 1):
            try:
                sock = create_connection(
                    (str(address[0]), self.port),
                    delivery.timeout(),
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
                sock.settimeout(delivery.timeout())
                return sock
            except TimeoutError as error:
                if error.errno is None or number == len(addresses):
                    raise delivery.attribute_timeout(error) from None
            except OSError:
                if number == len(addresses):
                    raise
        raise OSError("the name has no address")


class DirectHTTPConnection(_DirectConnection, HTTPConnection):
    """A connection without TLS."""


class DirectHTTPSConnection(_DirectConnection, HTTPSConnection):
    """A connection with TLS."""


class _DeadlineResponse(http.client.HTTPResponse):
    """The response of http.client, which reads no longer than its delivery may take."""

    def __init__(
        self, owner: SingleRequestAdapter, sock: socket.socket, *args: Any, **options: Any
    ) -> None:
        delivery = owner.delivery
        delivery.source = self
        delivery.reader = CountingReader(_DeadlineSocketIO(delivery, sock))
        super().__init__(_SocketShim(delivery.reader), *args, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        super().begin()
        # urllib3 (1.26 and 2) logs what it cannot parse of the headers, secrets included.
        self.msg.defects, self.msg._payload = [], ""  # type: ignore[attr-defined]


class _SocketShim:
    """All that http.client wants of a socket to read from."""

    def __init__(self, reader: CountingReader) -> None:
        self._reader = reader

    def makefile(self, mode: str) -> CountingReader:
        return self._reader


class _DeadlineSocketIO(io.RawIOBase):
    """Reads from a socket until the time is up, headers included."""

    def __init__(self, delivery: Delivery, sock: socket.socket) -> None:
        self._delivery = delivery
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self.may_not_wait = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.may_not_wait:
            return None
        self._sock.settimeout(self._delivery.timeout())
        try:
            return self._raw.readinto(buffer)
        except TimeoutError as error:
            raise self._delivery.attribute_timeout(error) from None

    def has_pending(self) -> bool:
        """Return whether TLS holds bytes that were received and not read."""
        pending = getattr(self._sock, "pending", None)
        return bool(pending and pending())

    def close(self) -> None:
        self._raw.close()
        super().close()


class CountingReader(io.BufferedReader):
    """A reader that ignores Content-Length. On close it records whether unread bytes remained."""

    raw: _DeadlineSocketIO
    has_surplus = False

    def close(self) -> None:
        """Close it, and look for bytes that were received and not read."""
        if not self.closed:
            self.raw.may_not_wait = True
            self.has_surplus = bool(self.peek(1)) or self.raw.has_pending()
        super().close()


def source_of(raw: Any) -> Any:
    """Return what the response of somebody else's connection is read from."""
    return getattr(raw, "_fp", raw)
