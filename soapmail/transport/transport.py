"""One POST to a response, or to one failure in words."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy

from ..patterns import is_count
from .adapter import Line, line
from .connection import head_of
from .delivery import TimeUp, is_foreign
from .failures import _failure_of, _links
from .response import Response
from .response_body import BREAKS, Body

if TYPE_CHECKING:
    from .delivery import Exchange


_IDLE = 10
_CHARSET = r"(?i)charset\s*=\s*[\"']?([\w.:-]+)"
_BUSY = {429, 502, 503, 504}
_STUMBLES = (ValueError, TypeError, AttributeError, LookupError)


class Transport:
    """Posts envelopes to one endpoint, each over a line of its own."""

    def __init__(
        self,
        endpoint: str,
        *,
        loopback: bool,
        max_response_bytes: int,
        session: requests.Session | None,
    ) -> None:
        self._endpoint = endpoint
        self._host = urlsplit(endpoint).netloc
        self._loopback = loopback
        self._limit = max_response_bytes
        self._own = session is None
        self._session = session if session is not None else requests.Session()
        self._idle: list[Line] = []
        self._closed = False

    def close(self) -> None:
        """Close the connections, and the session unless it is the caller's; no lock is taken."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
        if self._own:
            self._session.close()

    def check(self) -> None:
        """Refuse an adapter that may send a request more than once; ValueError."""
        try:
            adapter = self._session.get_adapter(self._endpoint)
        except requests.exceptions.InvalidSchema:
            return  # there is none, so nothing will be sent
        plain = isinstance(adapter, HTTPAdapter) and "send" not in vars(adapter)
        if not self._own and not (plain and type(adapter).send is HTTPAdapter.send):
            raise ValueError(
                f"session: its adapter ({type(adapter).__name__}) has a send of its own, which"
                " might repeat a request that must be sent once; mount a plain HTTPAdapter"
            )

    def post(self, operation: str, envelope: bytes, exchange: Exchange, *, fresh: bool) -> Response:
        """Send one request once, and give its response; the exchange says what happened.

        A ``fresh`` connection cannot hold what a server sent too late, nor be dead already. A
        TimeoutError that somebody else raised meanwhile passes as it is.
        """
        settings: dict[str, Any] = {}
        try:
            if exchange.deadline.left() <= 0:
                raise TimeUp
            request, settings = self._prepared(operation, envelope)
            return self._exchanged(request, settings, exchange, fresh=fresh)
        except BREAKS as error:
            failure: Exception = error
        except _STUMBLES as error:
            # requests stumbles in all ways over the URL of a proxy that is none.
            if not settings or not exchange.local:
                raise
            failure = error
        if exchange.interruption is not None:
            raise exchange.interruption
        # Of an adapter that is not ours, nobody knows whose timeout it is.
        if exchange.ours or exchange.local:
            for one in filter(is_foreign, _links(failure)):
                raise one
        proxy = select_proxy(self._endpoint, settings.get("proxies"))
        return _failure_of(failure, exchange, self._host, proxy)

    def _prepared(self, operation: str, envelope: bytes) -> tuple[Any, dict[str, Any]]:
        from .. import __version__

        request = self._session.prepare_request(
            requests.Request(
                "POST",
                self._endpoint,
                data=envelope,
                headers={
                    "Content-Type": "text/xml; charset=UTF-8",
                    "SOAPAction": f'"urn:myapi#{quote(operation)}"',
                    "User-Agent": f"soapmail/{__version__}",
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
        return request, settings

    def _exchanged(
        self, request: Any, settings: dict[str, Any], exchange: Exchange, *, fresh: bool
    ) -> Response:
        adapter = self._leased(fresh=fresh)
        left = exchange.deadline.left()
        kept = False
        try:
            if isinstance(adapter, Line):
                adapter.exchange = exchange
            exchange.handed_over()
            # The adapter, not the session, sends: so no redirect is followed and no cookie kept.
            with adapter.send(request, timeout=(left, left), **settings) as received:
                body = Body(received, exchange, self._limit)
                response = _response(received, body, exchange)
                kept = body.reusable()
                if kept:
                    received.raw.release_conn()
            return response
        finally:
            if isinstance(adapter, Line):
                self._returned(adapter, kept=kept)

    def _leased(self, *, fresh: bool) -> Any:
        """Take a line that nobody uses, or make one; an adapter of a kind of its own is no line."""
        adapter = self._session.get_adapter(self._endpoint)
        if not isinstance(adapter, HTTPAdapter):
            return adapter
        with suppress(IndexError):
            while True:
                idle = self._idle.pop()
                if idle.origin is adapter and not fresh:
                    return idle
                idle.close()
                if fresh:  # in place of this one: a server may serve one connection at a time
                    break
        return line(adapter)

    def _returned(self, used: Line, *, kept: bool) -> None:
        if kept and not self._closed and len(self._idle) < _IDLE:
            self._idle.append(used)
        else:
            used.close()
        if self._closed:
            self.close()


def _response(received: requests.Response, body: Body, exchange: Exchange) -> Response:
    data = body.read()
    written = re.search(_CHARSET, received.headers.get("Content-Type", ""))
    return Response(
        received.status_code,
        written[1] if written else None,
        data,
        _retry_after(received.headers.get("Retry-After")),
        transient=received.status_code in _BUSY,
        short=body.short,
        wrong=body.wrong,
        **head_of(received, exchange),
    )


def _retry_after(written: str | None) -> float | None:
    """Give the seconds that a ``Retry-After`` header asks for, written as seconds or as a date."""
    from email.utils import parsedate_to_datetime

    if written is None:
        return None
    if is_count(written.strip()):
        return float(written)
    try:
        return max(0.0, parsedate_to_datetime(written).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
