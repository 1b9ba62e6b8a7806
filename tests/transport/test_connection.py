"""What soapmail reaches into of requests, urllib3 and http.client is there, and does what is needed of it."""

from __future__ import annotations

import gc
import http.client
import io
import queue
import signal
import socket
import ssl
import threading
import time
import types
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from soapmail import Client, ResponseError, TransportError
from soapmail.deadline import Deadline, is_of_handler
from soapmail.transport import connection as connection_module
from soapmail.transport.connection import find_source, make_single_request_adapter
from soapmail.transport.delivery import Delivery, NetworkTimeout, Stage
from soapmail.transport.failures import describe_failure, describe_status, iter_causes

from ..faulty import Faulty, Hangup, Request, make_client, respond_normally, stay_silent


def test_what_is_reached_into_is_listed() -> None:
    page = (Path(__file__).parents[1] / "README.md").read_text()
    listed = page.partition("What `soapmail/transport/` reaches into")[2]
    for name in ("pools", "pool_classes_by_scheme", "_new_conn", "_dns_host", "_fp", "response_class", "makefile", "QueueCls", "_tunnel", "_read_status", "connection_pool_kw", "defects", "_payload", "_content", "resolve_redirects"):  # fmt: skip
        assert f"`{name}`" in listed


def test_a_pool_manager_has_pools_and_their_classes() -> None:
    """``pools``, ``pool_classes_by_scheme`` and ``ConnectionCls``: a line has its own of each."""
    adapter = HTTPAdapter()
    made = make_single_request_adapter(adapter)
    assert made.poolmanager.pools is not adapter.poolmanager.pools
    pool = made.poolmanager.connection_from_url("https://127.0.0.1/")
    assert issubclass(pool.ConnectionCls, HTTPSConnection)
    assert pool.ConnectionCls is not HTTPSConnection
    assert adapter.poolmanager.connection_from_url("https://127.0.0.1/").ConnectionCls is HTTPSConnection  # fmt: skip


def test_a_response_keeps_what_was_read_of_it() -> None:
    """``_content``; for ``resolve_redirects`` see tests/test_mocks.py."""
    received: Any = requests.Response()
    before = received._content
    received.raw = io.BytesIO(b"x")
    assert (before, received.content, received._content) == (False, b"x", b"x")


def test_a_connection_is_made_by_new_conn_from_dns_host() -> None:
    """``_new_conn`` is what ``connect`` calls, and ``_dns_host`` is where to."""
    asked = []

    class Watched(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            asked.append(self._dns_host)
            raise OSError("watched")

    with pytest.raises(OSError, match="watched"):
        Watched("example.test.", 80).connect()
    assert asked == ["example.test."]


def test_a_response_is_made_by_response_class_which_reads_from_makefile() -> None:
    """``response_class`` of an instance counts, and ``makefile`` is all it wants of a socket."""

    class Lines:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    lines: Any = Lines()
    response = http.client.HTTPResponse(lines)
    response.begin()
    assert response.read() == b"hi"
    with Faulty(respond_normally) as server:
        one = HTTPConnection("127.0.0.1", server.port)
        made: list[object] = []

        def own(sock: socket.socket, **options: Any) -> http.client.HTTPResponse:
            made.append(sock)
            return http.client.HTTPResponse(sock, **options)

        one.response_class = own  # type: ignore[assignment]
        one.request("POST", "/", b"x")
        one.getresponse().close()
        assert len(made) == 1
        one.close()


def test_a_response_of_urllib3_keeps_what_it_reads_from_as_fp() -> None:
    body = io.BytesIO(b"x")
    assert find_source(urllib3.HTTPResponse(body, preload_content=False)) is body
    assert find_source(body) is body


def test_a_delivery_knows_what_may_have_left() -> None:
    """What an adapter does is not known, until a connection of soapmail's own says it."""
    delivery = Delivery(Deadline(5))
    stages = [delivery.stage]
    steps = (
        partial(delivery.to_adapter, is_plain=True),
        delivery.to_own_connection,
        delivery.connecting,
        delivery.sending,
    )
    # What left stays so, whatever an adapter tries after it.
    for step in (*steps, delivery.to_own_connection, delivery.connecting):
        step()
        stages.append(delivery.stage)
    assert stages == [
        Stage.LOCAL, Stage.MAYBE_SENT, Stage.LOCAL, Stage.CONNECTING, Stage.SENT, Stage.SENT,
        Stage.SENT,
    ]  # fmt: skip
    assert [stage for stage in Stage if stage >= Stage.MAYBE_SENT] == [Stage.MAYBE_SENT, Stage.SENT]
    assert delivery.may_have_left


def test_once_a_request_was_sent_tls_that_fails_is_a_connection_that_broke() -> None:
    delivery = Delivery(Deadline(0.9))
    error = ssl.SSLError(1, "bad record")
    refused = "no trusted TLS connection (bad record)"
    for step, problem in (
        (delivery.connecting, refused),
        (delivery.sending, "the connection broke (bad record)"),
    ):
        step()
        response = describe_failure(error, delivery, "host", None)
        assert response.problem == problem
        assert response.is_transient == (problem != refused)
    late = Delivery(Deadline(0))
    assert describe_failure(error, late, "host", None).problem == "timed out"


@pytest.mark.parametrize("is_replaced", [True, False])
def test_what_is_not_soapmails_own_is_never_believed_to_have_sent_nothing(
    is_replaced: bool,
) -> None:
    delivery = Delivery(Deadline(5))
    delivery.to_adapter(is_plain=not is_replaced)
    if not is_replaced:
        delivery.to_own_connection()
        delivery.to_adapter(is_plain=False)
    for step in (delivery.to_own_connection, delivery.connecting):
        step()
        assert delivery.stage is Stage.MAYBE_SENT


def test_a_cause_that_is_its_own_cause_is_told_once() -> None:
    error, other = OSError("a"), OSError("b")
    error.__cause__, other.__cause__ = other, error
    assert list(iter_causes(error)) == [error, other]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (200, " (OK)"),
        (299, ""),
        (300, " (a redirect, not followed)"),
        (399, " (a redirect, not followed)"),
        (400, " (Bad Request)"),
        (599, ""),
    ],
)
def test_the_words_of_a_status(status: int, words: str) -> None:
    """RFC 9110 15: what begins with 3 is a redirect."""
    assert describe_status(status) == words


class Handler:
    """A signal's handler that is no function."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *args: object) -> None:
        raise self.error

    def handle(self, *args: object) -> None:
        raise self.error


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError, OSError, requests.Timeout])
@pytest.mark.parametrize(
    "make_handler",
    [Handler, lambda error: Handler(error).handle, lambda error: partial(Handler.handle, Handler(error))],
    ids=["object", "method", "partial"],
)  # fmt: skip
def test_what_a_signals_handler_raised_is_known_by_its_frame(
    kind: type[OSError], make_handler: Any
) -> None:
    error = kind(110, "Connection timed out")
    before = signal.signal(signal.SIGUSR1, make_handler(error))
    try:
        with pytest.raises(kind):
            signal.raise_signal(signal.SIGUSR1)
        assert is_of_handler(error)
        delivery = Delivery(Deadline(5))
        assert delivery.mark(error) is delivery.callers_error is error
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not is_of_handler(error)


def test_a_timeout_of_a_socket_is_the_networks_whatever_the_clock_says() -> None:
    for seconds in (-1, 0.9, 1000):
        delivery = Delivery(Deadline(seconds))
        assert isinstance(delivery.mark(TimeoutError("timed out")), NetworkTimeout)
        assert delivery.callers_error is None
    other = ConnectionResetError(104, "reset")
    assert delivery.mark(other) is other
    with pytest.raises(NetworkTimeout):
        Delivery(Deadline(-1)).timeout()


def test_each_address_of_a_host_gets_a_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three addresses that never respond: a third, half of what is left, and all of it."""
    waits: list[float] = []

    def never(address: object, timeout: float, **options: object) -> None:
        waits.append(timeout)
        now[0] += timeout
        raise TimeoutError

    now = [100.0]
    monkeypatch.setattr("soapmail.deadline.time.monotonic", lambda: now[0])
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", 9)) for n in (1, 2, 3)]
    monkeypatch.setattr("soapmail.transport.connection.socket.getaddrinfo", lambda *args: found)
    monkeypatch.setattr("urllib3.util.connection.create_connection", never)
    adapter = make_single_request_adapter(HTTPAdapter())
    adapter.slot.delivery = Delivery(Deadline(9))
    pool = adapter.poolmanager.connection_from_url("http://localhost:9/")
    with pytest.raises(TimeoutError):
        pool._new_conn().connect()
    assert waits == [3.0, 3.0, 3.0]


def test_a_reset_while_connecting_is_a_missing_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over http, urllib3 takes it for one of a request that was sent, and reads from no socket."""

    def reset(self: socket.socket, address: object) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(socket.socket, "connect", reset)
    client = make_client("http://127.0.0.1:9/", session_id="x", retries=0)
    for do in (client.get_client_invoices, lambda: client.make_payment(5)):
        with pytest.raises(TransportError, match=r"could not connect to 127\.0\.0\.1:9") as caught:
            do()
        assert type(caught.value) is TransportError


@pytest.mark.parametrize("host", ["a..b", "a.b..", f"{'x' * 64}.example"])
def test_a_host_name_with_a_wrong_label_cannot_be_connected_to(host: str) -> None:
    """RFC 1035 2.3.4: a label has 1 to 63 octets."""
    client = Client(session_id="x", endpoint=f"https://{host}:9/", retries=0)
    for do in (client.get_client_invoices, lambda: client.make_payment(5)):
        with pytest.raises(TransportError, match="could not connect to") as caught:
            do()
        assert type(caught.value) is TransportError


@pytest.mark.parametrize("clock", ["coarse", "frozen", "right"])
def test_a_timer_that_ends_early_is_the_clients_timeout(
    clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As timers of libuv do, and time.monotonic of Windows before Python 3.13, in steps of 1/64 s."""
    settimeout = socket.socket.settimeout

    def set_less(self: socket.socket, seconds: float | None) -> None:
        settimeout(self, seconds and max(0.001, seconds - 0.002))

    now = time.monotonic
    clocks = {"coarse": lambda: now() // (1 / 64) / 64, "frozen": lambda: 1000.0, "right": now}
    monkeypatch.setattr(socket.socket, "settimeout", set_less)
    monkeypatch.setattr("soapmail.deadline.time.monotonic", clocks[clock])
    with Faulty(stay_silent) as server:
        for number in range(10):
            client = make_client(server, session_id="x", timeout=0.05 + number / 700, retries=0)
            with pytest.raises(TransportError, match="timed out$"):
                client.get_modules()


def test_ten_connections_are_kept_for_what_comes_next() -> None:
    """Of twelve threads at once, two have to connect anew the next time."""
    meeting = threading.Barrier(12)

    def handler(request: Request) -> None:
        if request.operation != "api_login":
            meeting.wait(20)
        respond_normally(request)

    with Faulty(handler) as server, make_client(server, timeout=30) as client:
        client.login()
        before = server.connections
        for connections in (12, 14):
            threads = [threading.Thread(target=client.get_client_invoices) for _ in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # The connection of the login is one of them.
            assert server.connections == before - 1 + connections


def test_the_next_address_is_tried_where_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    hosts = ["127.0.0.2", "127.0.0.1"]  # nobody listens at the first one

    def two(host: str, port: int, *args: Any) -> list[Any]:
        names = hosts if host == "localhost" else [host]
        return [found for name in names for found in real(name, port, *args)]

    monkeypatch.setattr("soapmail.transport.connection.socket.getaddrinfo", two)
    with Faulty(respond_normally) as server:
        endpoint = f"http://localhost:{server.port}/"
        with Client("u", "p", endpoint=endpoint, retries=0) as client:
            assert len(client.get_client_invoices()) == 12
        hosts.pop()
        with Client("u", "p", endpoint=endpoint, retries=0) as client:
            with pytest.raises(TransportError, match="could not connect to localhost:"):
                client.get_client_invoices()
    assert server.operations == ["api_login", "api_mail_get_client_invoices"]


def test_an_address_that_times_out_by_itself_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system's own timeout of one address leaves the others."""
    create = urllib3.util.connection.create_connection
    tried: list[object] = []

    def first_times_out(address: Any, *args: Any, **options: Any) -> socket.socket:
        tried.append(address)
        if len(tried) == 1:
            raise TimeoutError(110, "Connection timed out")
        return create(address, *args, **options)

    real = socket.getaddrinfo
    monkeypatch.setattr(
        "soapmail.transport.connection.socket.getaddrinfo",
        lambda *args: [*real(*args), *real(*args)],
    )
    monkeypatch.setattr("urllib3.util.connection.create_connection", first_times_out)
    with Faulty(respond_normally) as server:
        with Client("u", "p", endpoint=server.endpoint, retries=0) as client:
            assert len(client.get_client_invoices()) == 12
    assert len(tried) == 2


def test_a_name_without_an_address_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soapmail.transport.connection.socket.getaddrinfo", lambda *args: [])
    adapter = make_single_request_adapter(HTTPAdapter())
    adapter.slot.delivery = Delivery(Deadline(8))
    one = adapter.poolmanager.connection_from_url("http://127.0.0.1:9/")._new_conn()
    with pytest.raises(OSError, match="the name has no address"):
        one.connect()


def test_a_stream_may_be_closed_twice() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = connection_module.CountingReader(
            connection_module._DeadlineSocketIO(Delivery(Deadline(5)), ours)
        )
        theirs.sendall(b"ab")
        assert stream.read(1) == b"a"  # and both are in its buffer
        stream.close()
        assert stream.has_surplus
        stream.close()
        assert stream.closed


def test_a_close_that_an_interrupt_broke_off_is_done_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The buffer is gone then, so the next may not look into it: `peek of closed file`."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        raw = connection_module._DeadlineSocketIO(Delivery(Deadline(5)), ours)
        stream = connection_module.CountingReader(raw)

        def interrupt() -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(raw, "close", interrupt)
            stream.close()
        assert not stream.closed
        stream.close()
        assert stream.closed


def test_a_raw_stream_is_closed_whatever_closing_its_socket_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        raw = connection_module._DeadlineSocketIO(Delivery(Deadline(5)), ours)
        of_socket = raw._raw

        def interrupt() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(raw, "_raw", types.SimpleNamespace(close=interrupt))
        with pytest.raises(KeyboardInterrupt):
            raw.close()
        assert raw.closed
        of_socket.close()


def test_the_queue_of_a_pool_is_one_of_c_for_one_connection() -> None:
    """``QueueCls``: no lock that a handler waits for, and no Python in urllib3's finalizer."""
    adapter = make_single_request_adapter(HTTPAdapter())
    pool: Any = adapter.poolmanager.connection_from_url("http://127.0.0.1/")
    assert type(pool.pool) is queue.SimpleQueue
    assert pool.pool.qsize() == 1


def test_a_client_that_is_dropped_frees_its_sockets() -> None:
    with Faulty(respond_normally) as server:
        for _ in range(3):
            client = make_client(server)
            client.get_client_invoices()
            (state,) = client._states.values()
            pools = state.transport._idle[0].poolmanager.pools
            connection = pools[next(iter(pools.keys()))].pool.get(block=False)
            sock = connection.sock
            pools[next(iter(pools.keys()))].pool.put(connection)
            del state, pools, connection
            assert sock.fileno() >= 0
            del client
            gc.collect()
            assert sock.fileno() == -1


def test_what_cannot_be_parsed_of_the_headers_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """``defects`` and ``_payload``: urllib3 logs them as they are."""

    def handler(request: Request) -> None:
        request.raw(b"HTTP/1.1 200 OK\r\nA: 1\r\nthe password is hunter2\r\nB: 2\r\n\r\n")
        raise Hangup

    with Faulty(handler) as server, Client("u", "hunter2", endpoint=server.endpoint, retries=0) as client:  # fmt: skip
        with pytest.raises(ResponseError):
            client.login()
    assert "hunter2" not in caplog.text


def test_a_response_that_was_interrupted_while_it_was_made_can_be_closed() -> None:
    """A signal may come before http.client has set all that it looks at in close()."""
    kind = connection_module._DeadlineResponse
    response = kind.__new__(kind)
    response.close()
    assert response.closed
