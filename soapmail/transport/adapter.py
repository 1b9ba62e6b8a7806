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

from .connection import _HTTP, _HTTPS, _Tracked

if TYPE_CHECKING:
    from .delivery import Exchange


class Line(HTTPAdapter):
    """An adapter with one connection, for one exchange at a time."""

    exchange: Exchange
    origin: HTTPAdapter

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        self.exchange.kept()
        pool = super().get_connection_with_tls_context(*args, **options)
        # Not of an adapter that brings pools of its own.
        if not issubclass(getattr(pool, "ConnectionCls", object), _Tracked):
            self.exchange.lent()
        return pool

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            manager = self.proxy_manager[proxy] = _tracked_manager(manager, self)
        return manager

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        # Nothing of requests' own: it looks for an encoding, and can fail over that.
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.request = req
        response.url = req.url
        return response


def line(adapter: HTTPAdapter) -> Line:
    """Make a line that sends as an adapter does, but once, and over connections of its own."""
    kind: Any = type(adapter)
    made: Any = object.__new__(_line_of(kind))
    made.__dict__.update(adapter.__dict__)
    made.origin = adapter
    made.max_retries = Retry(0, read=False)
    made.poolmanager = _tracked_manager(adapter.poolmanager, made)
    made.proxy_manager = {}
    return made  # type: ignore[no-any-return]


@cache
def _line_of(kind: Any) -> type[Line]:
    return Line if kind is HTTPAdapter else type(kind.__name__, (Line, kind), {})


def _tracked_manager(manager: Any, owner: Line) -> Any:
    made = copy.copy(manager)
    made.pools = type(manager.pools)(1)
    made.pool_classes_by_scheme = {
        scheme: partial(_tracked_pool(kind), owner=owner)
        for scheme, kind in manager.pool_classes_by_scheme.items()
    }
    return made


@cache
def _tracked_pool(kind: Any) -> Any:
    # Without locks, which a signal's handler might leave taken.
    known = {HTTPConnection: _HTTP, HTTPSConnection: _HTTPS}
    connection = kind.ConnectionCls
    tracked = known.get(connection) or type(connection.__name__, (_Tracked, connection), {})
    return type(kind.__name__, (kind,), {"ConnectionCls": tracked, "QueueCls": _Slots})


class _Slots:
    """The connections that a pool keeps; one exchange at a time uses it, so there is no lock."""

    def __init__(self, size: int) -> None:
        self._kept: list[Any] = []

    def put(self, one: Any, block: bool = True) -> None:
        self._kept.append(one)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return self._kept.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        return len(self._kept)
