"""An adapter that sends one request, over connections that report whether a byte left.

They also know whether more came than was read. What else may stand in their place is looked at
for each request: a recorder can be put in at any time. All private reaches into requests, urllib3
and http.client are here; ``tests/README.md`` lists them.
"""

from __future__ import annotations

import copy
import http.client
import io
import queue
import socket
from contextlib import suppress
from functools import cache, partial
from http import HTTPStatus
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import requests.cookies
import urllib3.connection
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import LocationParseError, NewConnectionError
from urllib3.util import Retry
from urllib3.util import connection as urllib3_sockets

from .delivery import Stage, Tls

if TYPE_CHECKING:
    from .delivery import Delivery

# What a request goes through, and the packages that it belongs to.
_ADAPTER_METHODS = ("send", "get_connection_with_tls_context")
_MANAGER_METHODS = (
    "connection_from_url", "connection_from_host", "connection_from_context",
    "connection_from_pool_key", "_new_pool",
)  # fmt: skip
_POOL_METHODS = (
    "__init__", "urlopen", "_make_request", "_get_conn", "_new_conn", "_validate_conn",
)  # fmt: skip
_CONNECTION_METHODS = (
    "request", "putrequest", "putheader", "endheaders", "_send_output", "getresponse",
)  # fmt: skip
_SOCKET_METHODS = ("__init__", "connect", "_new_conn", "send")
_PACKAGES = {"requests", "urllib3", "http"}


def require_plain_urllib3() -> None:
    """Refuse a package that has taken urllib3's place, with other connections; ImportError."""
    connection = urllib3.connection.HTTPConnection
    bases = {base.__module__ for base in getattr(connection, "__mro__", ())}  # a mock has none
    if http.client.__name__ not in bases:
        version = getattr(urllib3, "__version__", "without a version")
        raise ImportError(
            f"another package stands in place of urllib3 ({version}, in {urllib3.__file__}): its"
            " connections are not those of http.client, so nobody knows what was sent over them;"
            " remove it, and reinstall urllib3"
        )


def is_replaced(owner: Any, name: str) -> bool:
    """Return whether something else, such as a mock, stands in place of a package's function."""
    function = getattr(owner, name, None)
    if type(function) is MethodType and function.__self__ is owner:
        function = function.__func__
    if type(function) is not FunctionType:  # proxies, as wrapt's, have __globals__ too
        return True
    module: str = function.__globals__.get("__name__", "")
    return module.partition(".")[0] not in _PACKAGES


def _has_replaced(owner: Any, names: tuple[str, ...]) -> bool:
    return any(is_replaced(owner, name) for name in names)


def is_plain_adapter(adapter: HTTPAdapter) -> bool:
    """Return whether requests' and urllib3's own functions lead from an adapter to its pools."""
    return not (
        _has_replaced(adapter, _ADAPTER_METHODS)
        or _has_replaced(adapter.poolmanager, _MANAGER_METHODS)
    )


class _Connections(NamedTuple):
    """What is known of the connections of one class of pools."""

    kind: Any
    can_report: bool
    is_plain: bool  # all their bytes go where it is reported


def find_connections(manager: Any) -> dict[Any, _Connections]:
    """Return what is known of the connections of each class of pools.

    What writes in a way of its own, or makes its connections so, cannot report.
    """
    found = {}
    for pool_class in manager.pool_classes_by_scheme.values():
        kind = getattr(pool_class, "ConnectionCls", None)
        can_report = not _has_replaced(kind, _SOCKET_METHODS)
        is_plain = can_report and not (
            _has_replaced(pool_class, _POOL_METHODS) or _has_replaced(kind, _CONNECTION_METHODS)
        )
        # A tracer wraps functions of urllib3's own classes, which stay what they are.
        modules = {
            getattr(owner, "__module__", "").partition(".")[0] for owner in (pool_class, kind)
        }
        can_report = is_plain or (can_report and modules <= _PACKAGES)
        found[pool_class] = _Connections(kind, can_report, is_plain)
    return found


class Slot:
    """What an adapter and its connections share: the delivery at hand.

    Connections know no more of it: urllib3's finalizers keep them alive
    (test_a_client_that_is_dropped_frees_its_sockets).
    """

    delivery: Delivery


class SingleRequestAdapter(HTTPAdapter):
    """An adapter with one connection, for one delivery at a time."""

    slot: Slot
    origin: HTTPAdapter
    is_plain = True
    _origin_manager: Any
    _connections: dict[Any, _Connections]

    def is_copy_of(self, origin: HTTPAdapter) -> bool:
        """Return whether it was made of an adapter as that is now."""
        manager = origin.poolmanager
        is_same = self.origin is origin and self._origin_manager is manager
        return is_same and self._connections == find_connections(manager)

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return a pool, and note whether its connections report."""
        self.slot.delivery.to_own_connection()
        pool = super().get_connection_with_tls_context(*args, **options)
        if not getattr(pool, "reports_all", False):
            self.slot.delivery.to_adapter(is_plain=False)
        return pool

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return a manager of pools whose connections report."""
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if is_new:
            manager = _make_reporting_manager(manager, find_connections(manager), self.slot)
            self.proxy_manager[proxy] = manager
        return manager

    def close_connections(self) -> None:
        """Close the connections, and keep the pools: urllib3 has a finalizer for each."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it cannot be iterated over
                connections = manager.pools[key].pool
                with suppress(queue.Empty):
                    connection = connections.get(block=False)
                    connections.put(None)
                    if connection is not None:
                        connection.close()

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
    adapter.slot = Slot()
    adapter._origin_manager = origin.poolmanager
    adapter._connections = connections = find_connections(origin.poolmanager)
    adapter.max_retries = Retry(0, read=False)
    adapter.poolmanager = _make_reporting_manager(origin.poolmanager, connections, adapter.slot)
    adapter.proxy_manager = {}
    return adapter  # type: ignore[no-any-return]


def make_twin(session: requests.Session, adapter: HTTPAdapter, own: str) -> requests.Session:
    """Return a session like another one that sends to its own URL over one adapter.

    It keeps no cookie, and does not look where a redirect leads, for which requests would read
    the content (2.32).
    """
    twin: requests.Session = object.__new__(type(session))
    twin.__dict__.update(
        session.__dict__,
        get_adapter=lambda url: adapter if url == own else session.get_adapter(url),
        resolve_redirects=lambda *args, **options: iter(()),
        cookies=requests.cookies.RequestsCookieJar(),
    )
    return twin


@cache
def _make_single_request_class(kind: Any) -> type[SingleRequestAdapter]:
    if kind is HTTPAdapter:
        return SingleRequestAdapter
    return type(kind.__name__, (SingleRequestAdapter, kind), {})


def _make_reporting_manager(manager: Any, found: dict[Any, _Connections], slot: Slot) -> Any:
    reporting = copy.copy(manager)
    reporting.pools = type(manager.pools)(1)
    reporting.connection_pool_kw = {**manager.connection_pool_kw, "maxsize": 1}
    reporting.pool_classes_by_scheme = {
        scheme: _make_pool_factory(pool_class, found[pool_class], slot)
        for scheme, pool_class in manager.pool_classes_by_scheme.items()
    }
    return reporting


def _make_pool_factory(pool_class: Any, connections: _Connections, slot: Slot) -> Any:
    if not connections.can_report:
        return pool_class
    return partial(_make_reporting_pool_class(pool_class, connections), slot=slot)


@cache
def _make_reporting_pool_class(pool_class: Any, connections: _Connections) -> Any:
    kind = connections.kind
    # Not of SOCKS, whose library connects by itself.
    is_direct = kind.__module__ == urllib3.connection.__name__
    bases = (_DirectConnection if is_direct else ReportingConnection, kind)
    overrides = {
        "ConnectionCls": type(kind.__name__, bases, {}),
        # Without the lock of queue.Queue, which a signal's handler would wait for; and all in C,
        # as urllib3 empties it in a finalizer, where an exception is lost.
        "QueueCls": staticmethod(_make_queue),
        "reports_all": connections.is_plain,
    }
    return type(pool_class.__name__, (pool_class,), overrides)


def _make_queue(size: int) -> queue.SimpleQueue[Any]:
    return queue.SimpleQueue()


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

    def __init__(self, *args: Any, slot: Slot, **options: Any) -> None:
        super().__init__(*args, **options)
        self._slot = slot
        self.response_class = partial(_DeadlineResponse, slot)

    def request(self, *args: Any, **options: Any) -> None:
        self._refuse_to_repeat()
        super().request(*args, **options)  # type: ignore[misc]

    def _refuse_to_repeat(self) -> None:
        if self._slot.delivery.stage is Stage.SENT:
            raise AlreadySent("this request was sent before, and is not repeated")

    def connect(self) -> None:
        delivery = self._slot.delivery
        self._refuse_to_repeat()
        self._is_open = False
        delivery.connecting()
        self.timeout = delivery.timeout()
        try:
            super().connect()  # type: ignore[misc]
        except OSError as error:
            raise delivery.mark(error) from None
        self._is_open = True
        if hasattr(self.sock, "getpeercert"):
            delivery.tls = Tls(self.sock.version() or "", self.sock.getpeercert() or {})

    def _tunnel(self) -> None:
        super()._tunnel()  # type: ignore[misc]
        # The handshake has what the proxy left of the time (test_tls).
        self.sock.settimeout(self._slot.delivery.timeout())

    def send(self, data: Any) -> None:
        delivery = self._slot.delivery
        if not self.sock:
            self.connect()
        if self._is_open:  # else it is the CONNECT for a proxy (RFC 9110 9.3.6)
            delivery.sending()
        try:
            self.sock.settimeout(delivery.timeout())
            super().send(data)  # type: ignore[misc]
        except OSError as error:
            raise delivery.mark(error) from None


class _DirectConnection(ReportingConnection):
    """The same without SOCKS: all addresses of a host and the handshake share one time."""

    _dns_host: str
    port: int
    source_address: Any
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        """Connect to one address after another, each with a share of the time (RFC 8305 4)."""
        delivery = self._slot.delivery
        host = self._dns_host
        try:
            addresses = socket.getaddrinfo(
                host, self.port, urllib3_sockets.allowed_gai_family(), socket.SOCK_STREAM
            )
        # RFC 1035 2.3.4: an empty label, or one that is too long. Coverage 7.10 does not see it
        # (test_a_host_name_with_a_wrong_label).
        except UnicodeError as error:  # pragma: no cover
            raise LocationParseError(f"{host!r}, {error}") from None
        failure: OSError = OSError("the name has no address")
        for number, (*_, address) in enumerate(addresses):
            try:
                return urllib3_sockets.create_connection(
                    (str(address[0]), self.port),
                    delivery.timeout() / (len(addresses) - number),
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except OSError as error:
                failure = delivery.mark(error)
                if delivery.callers_error is not None:
                    break
        # Not as it is: urllib3 takes a reset for one of a request that was sent (urlopen of 2.x).
        if isinstance(failure, ConnectionError):
            raise NewConnectionError(self, str(failure)) from failure  # type: ignore[arg-type]
        raise failure


class _DeadlineResponse(http.client.HTTPResponse):
    fp: Any = None  # for close(), if a signal comes before it is made

    def __init__(self, slot: Slot, sock: socket.socket, *args: Any, **options: Any) -> None:
        self._delivery = delivery = slot.delivery
        delivery.source = self
        delivery.reader = CountingReader(_DeadlineSocketIO(delivery, sock))
        super().__init__(_SocketShim(delivery.reader), *args, **options)  # type: ignore[arg-type]

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status line of the final response (RFC 9110 15.2)."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("the server switched to another protocol")
            if status >= HTTPStatus.OK:
                self._delivery.status = status
                return version, status, reason
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        super().begin()
        self.has_lost_headers = has_lost_headers(self)
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
        except OSError as error:
            raise self._delivery.mark(error) from None

    def has_pending(self) -> bool:
        """Return whether TLS holds bytes that were received and not read."""
        pending = getattr(self._sock, "pending", None)
        return bool(pending and pending())

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class CountingReader(io.BufferedReader):
    """A reader that ignores Content-Length. On close it records whether unread bytes remained."""

    raw: Any  # a _DeadlineSocketIO; the base's type may not be made narrower
    has_surplus = False

    def close(self) -> None:
        """Close it, and look once for bytes that were received and not read.

        A close that an interrupt breaks off leaves no buffer to look into for the close of the
        garbage collection, which would tell of that on stderr.
        """
        if not (self.closed or self.raw.may_not_wait):
            self.raw.may_not_wait = self.has_surplus = True
            self.has_surplus = bool(self.peek()) or self.raw.has_pending()
        super().close()
        self.raw.close()  # which a broken off close of Python 3.15 leaves open


def has_lost_headers(source: Any) -> bool:
    """Return whether headers stand behind a line that is none, and so were not read as such."""
    payload = getattr(getattr(source, "msg", None), "_payload", "")
    return getattr(source, "has_lost_headers", False) or bool(payload)


def find_source(raw: Any) -> Any:
    """Return what the response of somebody else's connection is read from."""
    return getattr(raw, "_fp", raw)
