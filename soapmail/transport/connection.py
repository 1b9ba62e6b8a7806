"""An adapter that sends one request, over connections that report whether a byte left.

They also know whether more came than was read. All private reaches into requests, urllib3 and
http.client are here; ``tests/README.md`` lists them.
"""

from __future__ import annotations

import copy
import http.client
import io
import queue
import socket
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Retry
from urllib3.util.connection import allowed_gai_family, create_connection

from .delivery import Stage, Tls

if TYPE_CHECKING:
    from .delivery import Delivery


class SingleRequestAdapter(HTTPAdapter):
    """An adapter with one connection, for one delivery at a time."""

    delivery: Delivery
    origin: HTTPAdapter

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return a pool, and note whether its connections report."""
        self.delivery.to_own_connection()
        pool = super().get_connection_with_tls_context(*args, **options)
        # test_an_adapter_that_brings_pools_of_its_own_is_never_believed...
        if not issubclass(getattr(pool, "ConnectionCls", object), ReportingConnection):
            self.delivery.to_foreign_connection()
        return pool

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return a manager of pools whose connections report."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            manager = self.proxy_manager[proxy] = _make_reporting_manager(manager, self)
        return manager

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Return a response without an encoding, which requests can fail to find."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.request = req
        response.url = req.url
        return response


def make_single_request_adapter(origin: HTTPAdapter) -> SingleRequestAdapter:
    """Return an adapter that sends as another one does, but once, and over its own connections."""
    kind: Any = type(origin)
    adapter: Any = object.__new__(_make_single_request_class(kind))
    adapter.__dict__.update(origin.__dict__)
    adapter.origin = origin
    adapter.max_retries = Retry(0, read=False)
    adapter.poolmanager = _make_reporting_manager(origin.poolmanager, adapter)
    adapter.proxy_manager = {}
    return adapter  # type: ignore[no-any-return]


@cache
def _make_single_request_class(kind: Any) -> type[SingleRequestAdapter]:
    if kind is HTTPAdapter:
        return SingleRequestAdapter
    return type(kind.__name__, (SingleRequestAdapter, kind), {})


def _make_reporting_manager(manager: Any, owner: SingleRequestAdapter) -> Any:
    reporting = copy.copy(manager)
    reporting.pools = type(manager.pools)(1)
    reporting.pool_classes_by_scheme = {
        scheme: partial(_make_reporting_pool_class(pool_class), owner=owner)
        for scheme, pool_class in manager.pool_classes_by_scheme.items()
    }
    return reporting


@cache
def _make_reporting_pool_class(pool_class: Any) -> Any:
    direct = {HTTPConnection: _DirectHTTPConnection, HTTPSConnection: _DirectHTTPSConnection}
    connection = pool_class.ConnectionCls
    reporting = direct.get(connection) or type(
        connection.__name__, (ReportingConnection, connection), {}
    )
    # Without the lock of queue.Queue, which a signal's handler would wait for.
    overrides = {"ConnectionCls": reporting, "QueueCls": _UnlockedQueue}
    return type(pool_class.__name__, (pool_class,), overrides)


class _UnlockedQueue:
    """The connections that a pool keeps; one delivery at a time uses it, so there is no lock."""

    def __init__(self, size: int) -> None:
        self._connections: list[Any] = []

    def put(self, connection: Any, block: bool = True) -> None:
        self._connections.append(connection)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return self._connections.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        return len(self._connections)


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
        # The handshake has what the proxy left of the time (test_tls).
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


class _DirectHTTPConnection(_DirectConnection, HTTPConnection):
    pass


class _DirectHTTPSConnection(_DirectConnection, HTTPSConnection):
    pass


class _DeadlineResponse(http.client.HTTPResponse):
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
            self.has_surplus = bool(self.peek()) or self.raw.has_pending()
        super().close()


def find_source(raw: Any) -> Any:
    """Return what the response of somebody else's connection is read from."""
    return getattr(raw, "_fp", raw)
