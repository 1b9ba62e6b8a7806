"""One request to a response, or to one failure in words."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

import requests.hooks
from requests import Session
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from ..arguments import check_http_session
from ..deadline import is_of_handler
from .connection import (
    SingleRequestAdapter,
    is_plain_adapter,
    is_replaced,
    make_single_request_adapter,
    make_twin,
    require_plain_urllib3,
)
from .delivery import NetworkTimeout, Response, Stage
from .failures import describe_failure, iter_causes
from .response_body import BREAKS, ResponseBody

if TYPE_CHECKING:
    from .delivery import Delivery

_MAX_IDLE_ADAPTERS = 10
_CHARSET = r"(?i)charset\s*=\s*[\"']?([\w.:-]+)"  # RFC 9110 8.3.2
_BUSY = {429, 502, 503, 504}  # RFC 6585 4, RFC 9110 15.6
_STUMBLES = (ValueError, TypeError, AttributeError, LookupError)
_VERSIONS = {9: "HTTP/0.9", 10: "HTTP/1.0"}  # of http.client


class Outgoing(NamedTuple):
    """What is sent, and shown: an envelope; without one, the WSDL is asked for."""

    operation: str
    envelope: bytes = b""
    attempt: int = 1
    shown: bytes = b""


class Transport:
    """Sends requests to one endpoint, each over an adapter of its own."""

    def __init__(
        self,
        endpoint: str,
        *,
        loopback: bool,
        max_response_bytes: int,
        session: requests.Session | None,
    ) -> None:
        require_plain_urllib3()
        parts = urlsplit(endpoint)
        self._endpoint = endpoint
        self._host = parts.netloc
        self._loopback = loopback
        # A "no_proxy" of its own: no search of the environment for proxies that are not used.
        self._no_proxies = {"no_proxy": str(parts.hostname)} if loopback else {}
        self._limit = max_response_bytes
        self._is_own = session is None
        self._http_session = session if session is not None else requests.Session()
        self._idle: list[SingleRequestAdapter] = []
        self._is_closed = False

    def close(self) -> None:
        """Close the connections, and the session unless it is the caller's; no lock is taken."""
        self._is_closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
        if self._is_own:
            self._http_session.close()

    def check(self) -> None:
        """Refuse what may send a request more than once; ValueError.

        What was put in place of a function of requests or urllib3, as mocks are, is used.
        """
        session = self._http_session
        owners: list[tuple[str, Any, Any]] = [("it", session, Session)]
        with suppress(requests.exceptions.InvalidSchema):  # there is none, so nothing will be sent
            adapter = session.get_adapter(self._endpoint)
            owners.append((f"its adapter ({type(adapter).__name__})", adapter, HTTPAdapter))
        for name, owner, kind in owners:
            if _has_own_send(owner, kind):
                raise ValueError(
                    f"session: {name} has a send of its own, which might repeat a request that must"
                    " be sent once; use a plain requests.Session with a plain HTTPAdapter"
                )

    def send(self, outgoing: Outgoing, delivery: Delivery, *, fresh: bool) -> Response:
        """Send one request once, and return its response; the delivery says what happened.

        A ``fresh`` connection cannot hold what a server sent too late, nor be dead already. A
        TimeoutError that somebody else raised meanwhile passes as it is.
        """
        settings: dict[str, Any] = {}
        try:
            if delivery.deadline.remaining() <= 0:
                raise NetworkTimeout
            request, settings = self._prepare(outgoing)
            return self._send(request, settings, delivery, fresh=fresh)
        except BREAKS as error:
            failure: Exception = error
        except _STUMBLES as error:
            # requests raises any of these over the URL of a proxy that is none (2.32).
            if not settings or delivery.stage is not Stage.LOCAL:
                raise
            failure = error
        if delivery.callers_error is not None:
            raise delivery.callers_error
        for cause in filter(is_of_handler, iter_causes(failure)):
            # urllib3 gives its own errors the frames of what they were made from (Retry.increment).
            if not isinstance(cause, HTTPError):
                raise cause
        proxy = select_proxy(self._endpoint, settings.get("proxies"))
        response = describe_failure(failure, delivery, self._host, proxy)
        return response._replace(status=delivery.status if delivery.may_have_left else 0)

    def _prepare(self, outgoing: Outgoing) -> tuple[Any, dict[str, Any]]:
        from .. import __version__

        session = check_http_session(self._http_session)
        headers = {"User-Agent": f"soapmail/{__version__}", "Accept-Encoding": "identity"}
        if outgoing.envelope:  # SOAP 1.1 6
            headers["Content-Type"] = "text/xml; charset=UTF-8"
            headers["SOAPAction"] = f'"urn:myapi#{quote(outgoing.operation)}"'
        request = session.prepare_request(
            requests.Request(
                "POST" if outgoing.envelope else "GET",
                self._endpoint if outgoing.envelope else f"{self._endpoint}?wsdl",
                data=outgoing.envelope,
                headers=headers,
                # Any authentication of its own keeps requests 2.32 from looking into a netrc.
                auth=session.auth or (lambda request: request),
            )
        )
        # Without its own "verify" requests puts the environment above the session, and it adds to
        # the proxies (2.32).
        settings: Any = session.merge_environment_settings(
            self._endpoint, dict(self._no_proxies), True, session.verify, None
        )
        if self._loopback:
            settings["proxies"] = {}
        return request, settings

    def _send(
        self, request: Any, settings: dict[str, Any], delivery: Delivery, *, fresh: bool
    ) -> Response:
        remaining = delivery.deadline.remaining()
        adapter = self._acquire_adapter(fresh=fresh)
        sender: Any = adapter
        is_own = isinstance(adapter, SingleRequestAdapter)
        is_through_session = is_replaced(self._http_session, "send")
        if is_through_session:
            sender = self._http_session
            if is_own:
                sender = make_twin(sender, adapter, request.url)
            settings["allow_redirects"] = False
            request.hooks = requests.hooks.default_hooks()  # some send again, as of digests
        delivery.to_adapter(is_plain=is_own and adapter.is_plain and not is_through_session)
        if is_own:
            adapter.slot.delivery = delivery
        is_reusable = False
        try:
            # A session would follow redirects and keep cookies (test_transport).
            received = sender.send(request, timeout=(remaining, remaining), **settings)
            is_response = isinstance(received, requests.Response)
            if not is_response or not isinstance(received.status_code, int):
                raise requests.RequestException(
                    "what stands in place of a function of requests or urllib3 returned no response"
                )
            with received:
                # Of a mock that has a content alone, or where a spy has read it.
                is_read = received.raw is None or received._content is not False
                content = received.content or b"" if is_read else None
                body = ResponseBody(received, delivery, self._limit, content)
                response = _read_response(received, body, delivery)
                is_reusable = body.is_reusable()
                if is_reusable:
                    assert received.raw is not None
                    received.raw.release_conn()
            return response
        finally:
            if is_own:
                self._release_adapter(adapter, is_reusable=is_reusable)

    def _acquire_adapter(self, *, fresh: bool) -> Any:
        """Return an idle adapter or a new one; what is no HTTPAdapter as it is, and may be None."""
        session = self._http_session
        if _has_own_send(session, Session):
            return None
        try:
            origin = session.get_adapter(self._endpoint)
        except requests.exceptions.InvalidSchema:
            if is_replaced(session, "send"):
                return None
            raise
        if not isinstance(origin, HTTPAdapter):
            return origin
        is_plain = is_plain_adapter(origin)
        with suppress(IndexError):
            while is_plain:
                idle = self._idle.pop()
                if idle.is_copy_of(origin):
                    if fresh:
                        idle.close_connections()
                    return idle
                idle.close()
        adapter = make_single_request_adapter(origin)
        adapter.is_plain = is_plain
        return adapter

    def _release_adapter(self, adapter: SingleRequestAdapter, *, is_reusable: bool) -> None:
        if not is_reusable:
            adapter.close_connections()
        if len(self._idle) < _MAX_IDLE_ADAPTERS and adapter.is_plain:
            self._idle.append(adapter)
        else:
            adapter.close()
        if self._is_closed:
            self.close()


def _has_own_send(owner: Any, kind: type) -> bool:
    definers = [base for base in type(owner).__mro__ if "send" in vars(base)]
    return definers[:1] != [kind] or "send" in vars(owner)


def _read_response(received: requests.Response, body: ResponseBody, delivery: Delivery) -> Response:
    data = body.read()
    charset = re.search(_CHARSET, received.headers.get("Content-Type", ""))
    source = delivery.source
    headers = received.headers.items() if source is None else source.msg.items()
    return Response(
        received.status_code,
        charset[1] if charset else None,
        data,
        _parse_retry_after(received.headers.get("Retry-After")),
        is_transient=received.status_code in _BUSY,
        ended_early=body.ended_early,
        unusable=body.unusable,
        # The status line and each header as they came, where they are known.
        version=_VERSIONS.get(getattr(source, "version", 11), "HTTP/1.1"),
        reason=getattr(source, "reason", None) or received.reason or "",
        headers=list(headers),
        tls=delivery.tls,
    )


def _parse_retry_after(header: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, or ``None`` (RFC 9110 10.2.3)."""
    if header is None:
        return None
    try:
        return float(Retry().parse_retry_after(header))
    except (InvalidHeader, ValueError, OverflowError):
        return None
