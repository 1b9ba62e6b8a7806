"""An adapter of requests that sends one request, over connections that report to its delivery."""

from __future__ import annotations

import copy
import queue
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Retry

from .connection import DirectHTTPConnection, DirectHTTPSConnection, ReportingConnection

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
        # test_an_adapter_that_brings_pools_of_its_own_is_never_believed_to_have_sent_nothing
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
    adapter: Any = object.__new__(_single_request_class(kind))
    adapter.__dict__.update(origin.__dict__)
    adapter.origin = origin
    adapter.max_retries = Retry(0, read=False)
    adapter.poolmanager = _make_reporting_manager(origin.poolmanager, adapter)
    adapter.proxy_manager = {}
    return adapter  # type: ignore[no-any-return]


@cache
def _single_request_class(kind: Any) -> type[SingleRequestAdapter]:
    if kind is HTTPAdapter:
        return SingleRequestAdapter
    return type(kind.__name__, (SingleRequestAdapter, kind), {})


def _make_reporting_manager(manager: Any, owner: SingleRequestAdapter) -> Any:
    reporting = copy.copy(manager)
    reporting.pools = type(manager.pools)(1)
    reporting.pool_classes_by_scheme = {
        scheme: partial(_reporting_pool_class(pool_class), owner=owner)
        for scheme, pool_class in manager.pool_classes_by_scheme.items()
    }
    return reporting


@cache
def _reporting_pool_class(pool_class: Any) -> Any:
    direct = {HTTPConnection: DirectHTTPConnection, HTTPSConnection: DirectHTTPSConnection}
    connection = pool_class.ConnectionCls
    reporting = direct.get(connection) or type(
        connection.__name__, (ReportingConnection, connection), {}
    )
    # Without the lock of queue.Queue: test_a_handler_that_makes_a_call_of_its_own_changes_nothing.
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
