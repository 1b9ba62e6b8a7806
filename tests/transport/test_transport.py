"""The network: what breaks, what is repeated, and what may never be."""

from __future__ import annotations

import http.client
import logging
import pickle
import socket
import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
import responses
import urllib3

from soapmail import (
    Client,
    OutcomeUnknown,
    ResponseError,
    SoapFault,
    SoapMailError,
    Status,
    TransportError,
)
from soapmail.sandbox import PASSWORD
from soapmail.transport.response_body import ResponseBody

from ..faulty import (
    Faulty,
    Hangup,
    Request,
    find_closed_port,
    hang_up,
    make_client,
    make_tls_context,
    respond_after_login,
    respond_normally,
    stay_silent,
)
from ..support import (
    CHANGING,
    DATA,
    LIST,
    LOGIN,
    METHODS,
    SID,
    make_fault_response,
    make_many_rows,
    make_status_response,
    make_text_response,
    read_recording,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ENDPOINT = "https://my.interserver.net/api.php"
FULL = make_many_rows(12)
SENT = read_recording("send_mail_ok").body


def send(client: Client) -> Status:
    return client.send_mail("s", "b", "a@b", "c@d")


def script(*steps: Callable[[Request], None]) -> Callable[[Request], None]:
    """Let the login work, then do one step for each request; the last one again and again."""
    left = list(steps)
    return respond_after_login(lambda request: (left.pop(0) if len(left) > 1 else left[0])(request))


def good(request: Request) -> None:
    request.respond(SENT if request.operation == "api_send_mail" else FULL)


def respond_by_half(request: Request) -> None:
    request.respond(FULL[: len(FULL) // 2], count=len(FULL), close=True)


def half_of_headers(request: Request) -> None:
    request.raw(b"HTTP/1.1 200 OK\r\nContent-Le")
    raise Hangup


def garbage(request: Request) -> None:
    request.raw(b"garbage\r\n\r\n")
    raise Hangup


def nothing(request: Request) -> None:
    request.respond(b"")


def broken_chunk(request: Request) -> None:
    request.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n" + FULL[:500])
    raise Hangup


def page(status: int, **headers: str) -> Callable[[Request], None]:
    return lambda request: request.respond(b"<html>x</html>", status, headers=headers)


BREAKS: dict[str, Callable[[Request], None]] = {
    "reset": Request.reset,
    "hang up": hang_up,
    "half a body": respond_by_half,
    "half of the headers": half_of_headers,
    "no HTTP": garbage,
    "nothing": nothing,
    "broken chunk": broken_chunk,
    "502": page(502),
    "503": page(503),
    "504": page(504),
    "429": page(429),
}


# --- repeating -------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", BREAKS)
def test_reading_is_repeated_after_a_break(broken: str) -> None:
    with Faulty(script(BREAKS[broken], BREAKS[broken], good)) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert server.operations == ["api_login", LIST, LIST, LIST]


@pytest.mark.parametrize("broken", BREAKS)
def test_reading_is_repeated_as_often_as_asked_and_no_more(broken: str) -> None:
    with Faulty(script(BREAKS[broken])) as server, pytest.raises(SoapMailError) as caught:
        make_client(server, retries=3).get_client_invoices()
    assert server.operations == ["api_login", *[LIST] * 4]
    # Python's http.client takes headers that end early for all headers there are.
    empty = broken in ("nothing", "half of the headers")
    expected = ResponseError if empty else TransportError
    assert type(caught.value) is expected
    if broken.isdigit():
        assert isinstance(caught.value, TransportError)
        assert caught.value.status == int(broken)
        assert broken in str(caught.value)
    with Faulty(script(BREAKS[broken])) as server, pytest.raises(expected):
        make_client(server, retries=0).get_client_invoices()
    assert server.operations == ["api_login", LIST]


@pytest.mark.parametrize("broken", BREAKS)
def test_a_login_is_repeated_too(broken: str) -> None:
    steps = [BREAKS[broken], respond_normally]
    with Faulty(lambda request: steps.pop(0)(request)) as server:
        assert make_client(server).login() == SID
    assert server.operations == ["api_login"] * 2


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("method", sorted(CHANGING))
def test_a_changing_operation_is_sent_once(broken: str, method: str) -> None:
    operation, arguments = METHODS[method]
    with Faulty(script(BREAKS[broken])) as server, pytest.raises(OutcomeUnknown) as caught:
        getattr(make_client(server, retries=5), method)(**arguments)
    assert server.operations == ["api_login", operation]
    done = "been sent" if method == "send_mail" else "happened"
    assert str(caught.value).startswith(
        f"{operation}: it may or may not have {done}; check before repeating: "
    )
    statuses = {"reset": None, "hang up": None, "no HTTP": None}
    status = int(broken) if broken.isdigit() else statuses.get(broken, 200)
    assert caught.value.status == status
    assert caught.value.__context__ is None


@pytest.mark.arrives(2)
@pytest.mark.parametrize("broken", ["reset", "hang up"])
def test_a_changing_operation_has_a_connection_of_its_own(broken: str) -> None:
    """A kept one may be dead, or hold what the server sent too late; it is closed before."""
    with Faulty(script(good, good, BREAKS[broken])) as server:
        client = make_client(server)
        assert len(client.get_client_invoices()) == 12
        assert send(client).status == "ok"
        with pytest.raises(OutcomeUnknown):
            send(client)
    assert server.operations == ["api_login", LIST, "api_send_mail", "api_send_mail"]
    assert [request.number for request in server.requests] == [1, 1, 2, 3]


def test_what_comes_late_is_not_the_response_to_a_payment() -> None:
    late = threading.Event()

    def twice(request: Request) -> None:
        request.respond(SENT if request.operation == "api_send_mail" else FULL)
        if request.operation == LIST:
            request.respond(make_status_response("api_send_mail", "ok", "of something else"))
            late.set()

    with Faulty(twice) as server:
        client = make_client(server, session_id="x")
        client.get_client_invoices()
        assert late.wait(5)
        assert send(client) == Status("ok", "Mail queued")


@pytest.mark.parametrize("status", [400, 403, 404, 408, 500, 501, 505, 599])
def test_other_statuses_are_not_repeated(status: int) -> None:
    with Faulty(script(page(status))) as server, pytest.raises(TransportError) as caught:
        make_client(server).get_client_invoices()
    assert server.operations == ["api_login", LIST]
    assert caught.value.status == status
    assert f"HTTP status {status}" in str(caught.value)
    with Faulty(script(page(status))) as server, pytest.raises(OutcomeUnknown) as caught:
        send(make_client(server))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "body", [b"<html>x</html>", b'{"a": 1}', b"ok", FULL[:-400], FULL.replace(b"[12]", b"[13]")]
)
def test_wrong_responses_are_not_repeated(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_COUNT_SECONDS", 0.1)
    with Faulty(script(lambda request: request.respond(body))) as server:
        with pytest.raises(ResponseError):
            make_client(server).get_client_invoices()
        assert server.operations == ["api_login", LIST]
        with pytest.raises(OutcomeUnknown):
            send(make_client(server))


def test_a_fault_is_a_response_in_any_status() -> None:
    for status in (200, 400, 500, 599):
        with Faulty(script(lambda r, s=status: r.respond(make_fault_response("no"), s))) as server:  # type: ignore[misc]
            for do in (Client.get_client_invoices, send):
                with pytest.raises(SoapFault) as caught:
                    do(make_client(server))
                assert caught.value == SoapFault("Client", "no")
            assert server.operations == ["api_login", LIST, "api_login", "api_send_mail"]


def test_a_fault_in_a_busy_status_is_repeated_where_that_is_safe() -> None:
    fault = make_fault_response("busy")
    with Faulty(script(lambda request: request.respond(fault, 503))) as server:
        for do in (Client.get_client_invoices, send):
            with pytest.raises(SoapFault) as caught:
                do(make_client(server))
            assert caught.value == SoapFault("Client", "busy")
    assert server.operations == ["api_login", *[LIST] * 3, "api_login", "api_send_mail"]


def test_a_broken_response_in_a_busy_status_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_COUNT_SECONDS", 0.1)
    with Faulty(script(lambda request: request.respond(FULL[:-400], 503), good)) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert server.operations == ["api_login", LIST, LIST]


def test_without_a_response_there_is_no_status() -> None:
    client = make_client(f"http://127.0.0.1:{find_closed_port()}/", retries=0)
    with pytest.raises(TransportError) as caught:
        client.login()
    assert caught.value.status is None


def test_what_requests_refuses_of_a_session_passes_as_it_is() -> None:
    """Before anything is asked of the network, it is a mistake of the caller."""
    with requests.Session() as session:
        session.auth = 5  # type: ignore[assignment]
        client = make_client("http://127.0.0.1:9/", session=session)
        with pytest.raises(TypeError, match="not callable"):
            client.login()


def test_a_whole_response_in_a_busy_status_is_a_response() -> None:
    with Faulty(script(lambda request: request.respond(FULL, 503))) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert server.operations == ["api_login", LIST]


def test_unknown_status_and_redirect_are_named() -> None:
    for status, text in ((599, "HTTP status 599 without"), (302, "302 (a redirect, not followed)")):
        with Faulty(page(status)) as server, pytest.raises(TransportError) as caught:
            make_client(server).login()
        assert text in str(caught.value)


def test_what_was_never_connected_is_never_unknown_and_repeated() -> None:
    endpoint = f"http://127.0.0.1:{find_closed_port()}/"
    for do in (Client.get_client_invoices, send):
        with pytest.raises(TransportError) as caught:
            do(make_client(endpoint, session_id="x"))
        assert type(caught.value) is TransportError
        host = endpoint.split("/")[2]
        assert str(caught.value).endswith(f": could not connect to {host} (Connection refused)")
        assert caught.value.__context__ is None


def test_a_changing_operation_is_repeated_when_the_connection_was_never_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Faulty(good) as server:
        port = find_closed_port()
        endpoint = f"http://127.0.0.1:{port}/"
        slept: list[float] = []

        def listen_at_the_second_pause(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                server.listen(port)

        monkeypatch.setattr("soapmail.call.time.sleep", listen_at_the_second_pause)
        assert send(make_client(endpoint, session_id="x")).status == "ok"
        assert server.operations == ["api_send_mail"]
        assert len(slept) == 2


# --- pauses ------------------------------------------------------------------------------------------


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("soapmail.call.time.sleep", found.append)
    return found


def test_pauses_grow_and_vary(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return 1.0

    monkeypatch.setattr("soapmail.call.uniform", uniform)
    with Faulty(script(page(503))) as server, pytest.raises(TransportError):
        make_client(server, retries=5).get_client_invoices()
    assert slept == [0.5, 1.0, 2.0, 2.0, 2.0]
    assert asked == [(0.5, 1.5)] * 5


def test_retry_after_counts_in_seconds(slept: list[float]) -> None:
    with Faulty(script(page(503, Retry_After="3"), page(429, Retry_After=" 0 "), good)) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert slept == [3.0, 0.0]


def test_retry_after_counts_as_a_date(slept: list[float]) -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=5)
    past = datetime.now(timezone.utc) - timedelta(seconds=500)
    steps = [page(503, Retry_After=format_datetime(when, usegmt=True)) for when in (soon, past)]
    with Faulty(script(*steps, good)) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert 3 < slept[0] <= 5
    assert slept[1] == 0


@pytest.mark.parametrize("written", ["soon", "-5", "", "1.5", "Mon, 99 Foo", "٣"])
def test_retry_after_that_says_nothing_is_ignored(slept: list[float], written: str) -> None:
    steps = (page(503, Retry_After=written.encode().decode("latin-1")), good)
    with Faulty(script(*steps)) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert slept == [0.0005]


def test_a_pause_that_would_pass_the_limit_is_not_begun(slept: list[float]) -> None:
    with Faulty(script(page(503, Retry_After="11"))) as server, pytest.raises(TransportError):
        make_client(server).get_client_invoices()
    assert slept == []
    assert server.operations == ["api_login", LIST]


def test_retry_after_of_a_fault_counts_too(slept: list[float]) -> None:
    busy = make_fault_response("busy")
    step = lambda request: request.respond(busy, 503, headers={"Retry-After": "2"})  # noqa: E731
    with Faulty(script(step, good)) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert slept == [2.0]


# --- time ----------------------------------------------------------------------------------------------


def drip(data: bytes) -> Callable[[Request], None]:
    def handler(request: Request) -> None:
        for n in range(len(data)):
            request.raw(data[n : n + 1])
            if request.closing.wait(0.05):
                raise Hangup

    return handler


def stall(request: Request) -> None:
    request.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + FULL[:5000])
    stay_silent(request)


def flood(request: Request) -> None:
    while not request.closing.is_set():
        request.raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


SLOW: dict[str, Callable[[Request], None]] = {
    "never answers": stay_silent,
    "drips headers": drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 500),
    "drips the body": drip(b"HTTP/1.1 200 OK\r\n\r\n" + FULL),
    "drips a counted body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + FULL),
    "drips chunks": drip(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 99
    ),
    "drips continues": drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 99),
    "stalls after half": stall,
}


@pytest.mark.parametrize("slow", SLOW)
def test_the_time_limit_bounds_the_whole_call(slow: str) -> None:
    with Faulty(script(SLOW[slow])) as server:
        for do, error in ((Client.get_client_invoices, TransportError), (send, OutcomeUnknown)):
            client = make_client(server, timeout=0.4, retries=5, session_id="x")
            started = time.monotonic()
            with pytest.raises(TransportError, match=r"timed out$") as caught:
                do(client)
            assert type(caught.value) is error
            assert 0.35 < time.monotonic() - started < 6
    assert len(server.requests) == 2


def test_a_flood_of_interim_responses_ends() -> None:
    """At the time limit, or where http.client itself counts them, as newer ones do."""
    with Faulty(script(flood)) as server:
        for do, error in ((Client.get_client_invoices, TransportError), (send, OutcomeUnknown)):
            started = time.monotonic()
            with pytest.raises(TransportError, match=r"timed out$|interim responses\)$") as caught:
                do(make_client(server, timeout=0.4, retries=0, session_id="x"))
            assert type(caught.value) is error
            assert time.monotonic() - started < 6
    assert len(server.requests) == 2


def test_busy_for_ever_ends_with_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soapmail.call.uniform", lambda low, high: 0.1)
    started = time.monotonic()
    with Faulty(page(503)) as server, pytest.raises(TransportError, match="503"):
        make_client(server, timeout=0.5, retries=10**9, session_id="x").get_client_invoices()
    assert time.monotonic() - started < 6
    assert 2 < len(server.requests) < 10


def test_login_and_call_share_the_limit() -> None:
    """A login takes four fifths of the time, and an operation that is never answered the rest."""
    handler = respond_after_login(stay_silent, seconds=0.8)
    with Faulty(handler) as server:
        started = time.monotonic()
        with pytest.raises(TransportError, match=f"^{LIST}: timed out$"):
            make_client(server, timeout=1).get_client_invoices()
        assert time.monotonic() - started < 1.6  # each with a limit of its own would take 1.8
    assert server.operations == ["api_login", LIST]


def test_attempts_and_a_second_login_share_the_limit() -> None:
    """A slow refusal, a slow login and a slow response have one time together."""

    def handler(request: Request) -> None:
        request.closing.wait(0.4)
        if len(server.requests) == 2:
            server.expire_sessions()
        respond_after_login(stay_silent)(request)

    with Faulty(handler) as server:
        client = make_client(server, timeout=1)
        client.login()
        started = time.monotonic()
        with pytest.raises(TransportError, match="timed out$"):
            client.get_client_invoices()
        assert time.monotonic() - started < 1.6  # the last one for itself would take 1.8
    assert server.operations == ["api_login", LIST, "api_login", LIST]


def test_no_time_left_asks_no_adapter(http: responses.RequestsMock) -> None:
    client = Client("u", PASSWORD, timeout=1e-9)
    with pytest.raises(TransportError, match="timed out$"):
        client.login()
    assert len(http.calls) == 0


def test_no_time_left_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Faulty(respond_normally) as server:
        client = make_client(server, timeout=1e-9)
        for do in (Client.get_client_invoices, Client.login, send):
            with pytest.raises(TransportError, match="timed out$") as caught:
                do(client)
            assert type(caught.value) is TransportError
    assert server.requests == []


def test_with_a_callers_session_each_read_is_bounded_and_the_body_as_a_whole() -> None:
    for slow in ("never answers", "drips the body", "stalls after half"):
        with Faulty(script(SLOW[slow])) as server, requests.Session() as session:
            started = time.monotonic()
            with pytest.raises(TransportError, match="timed out$"):
                make_client(
                    server, timeout=0.4, session=session, session_id="x"
                ).get_client_invoices()
            assert time.monotonic() - started < 6


# --- where passwords may go ------------------------------------------------------------------------------


@pytest.fixture
def canary() -> Any:
    with Faulty(respond_normally) as server:
        yield server
        assert server.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("own", [True, False])
def test_no_redirect_is_followed(canary: Faulty, status: int, own: bool) -> None:
    with Faulty(page(status, Location=f"{canary.endpoint}?{PASSWORD}")) as server:
        session = requests.Session()
        client = make_client(server, session=None if own else session)
        with pytest.raises(TransportError, match="a redirect, not followed") as caught:
            client.login()
        session.close()
    assert caught.value.status == status
    assert PASSWORD not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("own", [True, False])
def test_loopback_is_not_reached_through_a_proxy(
    canary: Faulty, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    with Faulty(respond_normally) as server, requests.Session() as session:
        session.proxies = {"http": f"http://127.0.0.1:{canary.port}"}
        client = make_client(server, session=None if own else session)
        assert client.login() == SID


def test_other_hosts_follow_the_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: Request) -> None:
        request.respond(b"", 403, close=True)

    with Faulty(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        client = make_client("https://my.interserver.net/api.php", session_id="given", retries=1)
        for do in (Client.get_client_invoices, send):
            with pytest.raises(
                TransportError, match=r"could not connect to \S+ through the proxy \(.*403"
            ) as caught:
                do(client)
            assert (
                type(caught.value) is TransportError
            )  # what the proxy was told is not the request
    assert {request.line[:-4] for request in proxy.requests} == {
        "CONNECT my.interserver.net:443 HTTP"
    }
    assert len(proxy.requests) == 4


@pytest.mark.parametrize("own", [True, False])
def test_no_netrc_is_read_and_no_cookie_kept(
    own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    def handler(request: Request) -> None:
        body = LOGIN if request.operation == "api_login" else FULL
        request.respond(body, headers={"Set-Cookie": "PHPSESSID=abc; Path=/"})

    with Faulty(handler) as server, requests.Session() as session:
        client = make_client(server, session=None if own else session)
        client.get_client_invoices()
        client.get_client_invoices()
        assert list(session.cookies) == []
    for request in server.requests:
        assert "cookie" not in request.headers
        assert "authorization" not in request.headers


def test_a_callers_session_keeps_its_own_headers_and_authentication() -> None:
    with Faulty(respond_normally) as server, requests.Session() as session:
        session.headers["X-Gateway"] = "yes"
        session.auth = ("a", "b")
        make_client(server, session=session).login()
    headers = server.requests[0].headers
    assert headers["x-gateway"] == "yes"
    assert headers["authorization"].startswith("Basic ")
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("slow", ["never answers", "drips headers", "drips the body"])
def test_the_time_limit_holds_over_tls(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "tls" / "ca.pem"))
    with Faulty(script(SLOW[slow]), make_tls_context()) as server:
        started = time.monotonic()
        with pytest.raises(TransportError, match="timed out$"):
            make_client(server, timeout=0.4, session_id="x").get_client_invoices()
        assert time.monotonic() - started < 6


def test_a_handshake_that_never_ends_is_bounded_and_not_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransportError, match="timed out$") as caught:
            send(make_client(endpoint, timeout=0.3, session_id="x"))
    assert type(caught.value) is TransportError


def test_plain_text_where_tls_belongs_is_not_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def response() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(9999)

        threading.Thread(target=response, daemon=True).start()
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransportError, match="TLS") as caught:
            send(make_client(endpoint, session_id="x", retries=0))
    assert type(caught.value) is TransportError


# --- every lower-level error ---------------------------------------------------------------------------


def lower_errors() -> list[type[BaseException]]:
    """List all that requests, urllib3, http.client and the socket can raise."""
    found: list[type[BaseException]] = []
    waiting: list[type[BaseException]] = [
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
    ]
    while waiting:
        kind = waiting.pop()
        if kind not in found and kind.__module__.split(".")[0] in ("requests", "urllib3", "http", "builtins", "ssl", "socket"):  # fmt: skip
            found.append(kind)
            waiting += kind.__subclasses__()
    return found


def make_error(kind: type[BaseException]) -> BaseException:
    error = kind.__new__(kind)
    error.args = ("broken",)
    if "IncompleteRead" in kind.__name__ or "InvalidChunk" in kind.__name__:
        error.partial = b"" if kind.__module__ == "http.client" else 0  # type: ignore[attr-defined]
        error.expected = error.length = 5  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    "kind", lower_errors(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
@pytest.mark.parametrize("own", [True, False])
def test_every_lower_level_error_becomes_a_transport_error(
    kind: type[BaseException], own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise make_error(kind)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", fail)
    with requests.Session() as session:
        client = make_client(ENDPOINT, session=None if own else session, session_id="x")
        with pytest.raises(TransportError) as caught:
            client.get_client_invoices()
        assert type(caught.value) is TransportError
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
        assert pickle.loads(pickle.dumps(caught.value)) == caught.value
        with pytest.raises(TransportError) as changing:
            send(client)
    # No connection of soapmail's own was asked, so nothing is known of what was sent.
    assert type(changing.value) is OutcomeUnknown


def test_the_walk_over_lower_errors_is_not_empty() -> None:
    names = {kind.__name__ for kind in lower_errors()}
    assert len(names) > 60
    assert {"ProxyError", "SSLError", "IncompleteRead", "ConnectionResetError"} <= names


def test_what_others_raise_is_never_taken_for_proof_that_nothing_left() -> None:
    inner = urllib3.exceptions.NewConnectionError(None, "x")  # type: ignore[arg-type]
    outer = requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", inner))  # type: ignore[arg-type]
    with responses.RequestsMock() as mock:
        mock.add(responses.POST, ENDPOINT, body=outer)
        with pytest.raises(OutcomeUnknown):
            send(make_client(ENDPOINT, session_id="x", retries=5))
        assert len(mock.calls) == 1


# --- log -----------------------------------------------------------------------------------------------


def test_each_exchange_is_one_record_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "soapmail")
    with Faulty(script(Request.reset, good)) as server:
        make_client(server).get_client_invoices()
    messages = [record.message for record in caplog.records if record.name == "soapmail"]
    assert [message.rpartition(", ")[0] for message in messages] == [
        f"api_login: HTTP 200, {len(LOGIN)} bytes",
        f"{LIST}: the connection broke (Connection reset by peer)",
        f"{LIST}: HTTP 200, {len(FULL)} bytes",
    ]
    assert all(0 <= int(message.rpartition(", ")[2].removesuffix(" ms")) < 5000 for message in messages)  # fmt: skip
    assert PASSWORD not in caplog.text
    assert SID not in caplog.text


def test_the_header_says_the_encoding_where_the_declaration_does_not() -> None:
    body = make_text_response("get_hostname", "@").partition(b"?>")[2].replace(b"@", b"\xbe")
    for header, text in (
        ("text/xml; charset=ISO-8859-5", "О"),
        ('text/xml;CHARSET = "iso-8859-5"', "О"),
        ("text/xml", "¾"),
        ("image/png; charset=", "¾"),
    ):
        with responses.RequestsMock() as mock:
            mock.add(responses.POST, ENDPOINT, body=body, content_type=header)
            assert make_client(ENDPOINT).call("get_hostname") == text


def test_status_structs_of_changing_operations_pass() -> None:
    with Faulty(respond_after_login(lambda r: r.respond(make_status_response("api_send_mail", "ok", "x")))) as server:  # fmt: skip
        assert send(make_client(server)) == Status("ok", "x")


@pytest.mark.parametrize("status", [300, 399, 400])
def test_which_statuses_are_redirects(status: int) -> None:
    with Faulty(page(status)) as server, pytest.raises(TransportError) as caught:
        make_client(server).login()
    assert ("a redirect, not followed" in str(caught.value)) == (status < 400)


def test_errno_timeouts_are_timeouts() -> None:
    with responses.RequestsMock() as mock:
        for error in (TimeoutError("x"), requests.ReadTimeout("x"), ConnectionResetError(104, "gone")):  # fmt: skip
            mock.add(responses.POST, ENDPOINT, body=error)
            with pytest.raises(TransportError) as caught:
                make_client(ENDPOINT, retries=0, session_id="x").get_client_invoices()
            shown = "the connection broke (gone)" if "gone" in str(error) else "timed out"
            assert str(caught.value) == f"{LIST}: {shown}"


@pytest.mark.parametrize("broken", ["reset", "hang up", "no HTTP", "half of the headers"])
@pytest.mark.parametrize("own", [True, False])
def test_a_break_on_a_new_connection_is_no_missing_connection(broken: str, own: bool) -> None:
    """The very first request of a connection left, so it may have been carried out."""
    with Faulty(BREAKS[broken]) as server, requests.Session() as session:
        client = make_client(server, session=None if own else session, session_id="x", retries=5)
        with pytest.raises(OutcomeUnknown):
            send(client)
    assert server.operations == ["api_send_mail"]


def test_a_short_limit_suffices_for_what_is_quick() -> None:
    with Faulty(respond_normally) as server:
        assert len(make_client(server, timeout=0.9).get_client_invoices()) == 12


def test_with_little_time_left_errors_say_what_happened() -> None:
    def hang_up_at_half(request: Request) -> None:
        request.respond(FULL[:2000], count=len(FULL))
        raise Hangup

    with Faulty(hang_up_at_half) as server:
        client = make_client(server, timeout=0.9, retries=0, session_id="x")
        with pytest.raises(TransportError, match=f"closed after 2000 of {len(FULL)} bytes"):
            client.get_client_invoices()
    with pytest.raises(TransportError, match=r"could not connect to \S+ \(.*refused\)"):
        client.get_client_invoices()

    def reset_at_half(request: Request) -> None:
        request.respond(FULL[:2000], count=len(FULL))
        request.closing.wait(0.1)
        request.reset()

    with Faulty(reset_at_half) as server:
        client = make_client(server, timeout=0.9, retries=0, session_id="x")
        with pytest.raises(
            TransportError, match=r"broke after 2000 bytes \(Connection reset by peer\)"
        ):
            client.get_client_invoices()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (http.client.HTTPException("odd"), "odd"),
        (http.client.HTTPException(), "HTTPException"),
    ],
)
def test_how_a_connection_broke_is_said_as_the_system_says_it(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(body: ResponseBody) -> None:
        raise error

    monkeypatch.setattr(ResponseBody, "_read_all", break_off)
    with Faulty(script(good)) as server:
        with pytest.raises(TransportError) as caught:
            make_client(server, retries=0, session_id="x").get_client_invoices()
    assert str(caught.value).endswith(f"the connection broke after 0 bytes ({words})")


@pytest.mark.parametrize("error", [requests.ConnectTimeout("x"), requests.ReadTimeout("x")])
def test_what_times_out_early_is_repeated(error: Exception) -> None:
    with responses.RequestsMock(registry=responses.registries.OrderedRegistry) as mock:
        mock.add(responses.POST, ENDPOINT, body=error)
        mock.add(responses.POST, ENDPOINT, body=FULL)
        assert len(make_client(ENDPOINT, retries=1, session_id="x").get_client_invoices()) == 12


def test_the_deepest_of_many_errors_gives_the_reason() -> None:
    """Errors hang on each other as arguments, reasons, causes and contexts."""
    deep = OSError(5, "the deepest")
    middle = OSError(6, "in the middle")
    middle.__cause__ = deep
    outer = requests.ConnectionError(ValueError("beside"), middle)
    wordless = requests.ConnectionError(http.client.HTTPException())
    lone = requests.ConnectionError(OSError(7, "has words"))
    lone.args[0].__context__ = ValueError("none of the system")
    for error, reason in (
        (outer, "the deepest"),
        (wordless, "HTTPException"),
        (lone, "has words"),
        (requests.ConnectionError("only words"), "only words"),
    ):
        with responses.RequestsMock() as mock:
            mock.add(responses.POST, ENDPOINT, body=error)
            with pytest.raises(TransportError) as caught:
                make_client(ENDPOINT, retries=0, session_id="given").get_client_invoices()
        assert str(caught.value) == f"{LIST}: the connection broke ({reason})"


@pytest.mark.parametrize("own", [True, False])
def test_a_server_cannot_say_that_no_tunnel_was_made(own: bool) -> None:
    """What stands in place of a status line comes into the text of an error."""

    def handler(request: Request) -> None:
        request.raw(b"Tunnel connection failed: 403\r\n\r\n")
        raise Hangup

    with Faulty(handler) as server, requests.Session() as session:
        client = make_client(server, session=None if own else session, session_id="given")
        with pytest.raises(OutcomeUnknown):
            send(client)
    assert server.operations == ["api_send_mail"]
