"""What people put in the place of requests and urllib3 is used, or refused, and never passed by."""

from __future__ import annotations

import functools
import gzip
import io
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import requests
import requests_mock
import responses
import urllib3
import vcr  # type: ignore[import-untyped]
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.util import Retry

from soapmail import OutcomeUnknown, ResponseError, Status, TransportError

from .faulty import Faulty, Hangup, Request, hang_up, make_client, respond_after_login
from .support import LIST, SID, make_many_rows, make_status_response, write_chunks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAID = make_status_response("api_make_payment", "ok", "Paid")
ROWS = make_many_rows(2)
BODIES = {"api_make_payment": PAID, LIST: ROWS}


def respond(request: Request) -> None:
    request.respond(BODIES[request.operation])


def make_response(request: Any) -> requests.Response:
    """Return what a mock of ``send`` returns for a request of soapmail."""
    response = requests.Response()
    response.status_code = 200
    response.raw = io.BytesIO(BODIES[request.headers["SOAPAction"].partition("#")[2].strip('"')])
    return response


def test_responses_gets_the_payment() -> None:
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        assert len(client.get_client_invoices()) == 2  # and leaves a connection
        with responses.RequestsMock() as mocked:
            mocked.add(responses.POST, server.endpoint, body=PAID)
            assert client.make_payment(5) == Status("ok", "Paid")
    assert server.operations == [LIST]


def test_requests_mock_gets_the_payment() -> None:
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        client.get_client_invoices()
        with requests_mock.Mocker() as mocked:
            mocked.post(server.endpoint, content=PAID)
            assert client.make_payment(5) == Status("ok", "Paid")
            assert mocked.call_count == 1
            mocked.post(server.endpoint, exc=requests.ConnectionError("refused"))
            with pytest.raises(OutcomeUnknown):
                client.make_payment(5)
            assert mocked.call_count == 2
            with pytest.raises(TransportError):
                client.get_client_invoices()
    assert server.operations == [LIST]


def test_a_cassette_that_is_put_in_later_gets_what_comes_then(tmp_path: Path) -> None:
    """It replaces the class of the connections; those that were kept are not used beside it."""
    cassette = str(tmp_path / "recorded.yaml")
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        client.get_client_invoices()
        with vcr.use_cassette(cassette, record_mode="once"):
            assert client.make_payment(5) == Status("ok", "Paid")
            assert len(client.get_client_invoices()) == 2
        recorded = ["api_make_payment", LIST]
        assert server.operations == [LIST, *recorded]
        with vcr.use_cassette(cassette, record_mode="none"):
            assert client.make_payment(5) == Status("ok", "Paid")
            assert len(client.get_client_invoices()) == 2
        assert server.operations == [LIST, *recorded]
        assert len(client.get_client_invoices()) == 2
    assert server.operations == [LIST, *recorded, LIST]


def test_a_recorder_over_which_nothing_comes_leaves_an_unknown_outcome(tmp_path: Path) -> None:
    with Faulty(hang_up) as server:
        client = make_client(server, session_id=SID, retries=3)
        with vcr.use_cassette(str(tmp_path / "recorded.yaml")), pytest.raises(OutcomeUnknown):
            client.make_payment(5)
    assert server.operations == ["api_make_payment"]


@pytest.mark.parametrize("content", [PAID, b"", None])
def test_a_mocked_response_may_have_its_content_alone(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = requests.Response()
    response.status_code = 200
    response._content = content
    monkeypatch.setattr(requests.Session, "send", lambda self, request, **options: response)
    client = make_client("http://127.0.0.1:9/", session_id=SID)
    if content:
        assert client.make_payment(5) == Status("ok", "Paid")
    else:
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("requests.Session.send", {}),
        ("requests.Session.send", {"return_value": None}),
        ("requests.Session.send", {"return_value": mock.Mock(status_code=200, content=PAID)}),
        ("requests.Session", {}),
        ("urllib3.connectionpool.HTTPConnectionPool.urlopen", {}),
    ],
)
def test_a_mock_that_returns_no_response_is_told(name: str, options: dict[str, Any]) -> None:
    with mock.patch(name, **options):
        client = make_client("http://127.0.0.1:9/", session_id=SID)
        with pytest.raises(TransportError, match="in place of a function of requests or urllib3"):
            client.get_client_invoices()


class Proxy:
    """A wrapper that looks like what it wraps, as those of wrapt do."""

    def __init__(self, wrapped: Any, calls: list[str]) -> None:
        self._wrapped = wrapped
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __get__(self, instance: object, owner: type) -> Proxy:
        return Proxy(self._wrapped.__get__(instance, owner), self._calls)

    def __call__(self, *args: Any, **options: Any) -> Any:
        self._calls.append(self._wrapped.__name__)
        return self._wrapped(*args, **options)


def test_a_proxy_of_a_function_gets_the_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for kind, name in ((requests.Session, "send"), (HTTPConnectionPool, "urlopen")):
        monkeypatch.setattr(kind, name, Proxy(vars(kind)[name], calls))
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        assert client.make_payment(5) == Status("ok", "Paid")
    assert calls == ["send", "urlopen"]
    assert server.operations == ["api_make_payment"]


@pytest.mark.parametrize("kind", [requests.Session, HTTPAdapter])
def test_a_patched_send_gets_the_payment(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    def send(self: object, request: Any, **options: Any) -> requests.Response:
        sent.append(options.get("allow_redirects", False))
        return make_response(request)

    monkeypatch.setattr(kind, "send", send)
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        assert client.make_payment(5) == Status("ok", "Paid")
        assert len(client.get_client_invoices()) == 2
    assert sent == [False, False]
    assert server.operations == []


def test_a_patched_urlopen_gets_the_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def urlopen(self: object, method: str, url: str, **options: Any) -> Any:
        calls.append(method)
        raise requests.ConnectionError("of the mock")

    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, retries=5)
        client.get_client_invoices()
        monkeypatch.setattr(HTTPConnectionPool, "urlopen", urlopen)
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)
    assert calls == ["POST"]
    assert server.operations == [LIST]


class Sender(requests.Session):
    """A session with a send of its own, as those that limit or repeat have."""

    def send(self, request: Any, **options: Any) -> requests.Response:
        return super().send(request, **options)


def test_a_session_with_a_send_of_its_own_reads_and_changes_nothing() -> None:
    patched = requests.Session()
    vars(patched)["send"] = lambda request, **options: make_response(request)
    with Faulty(respond) as server:
        for session, operations in ((patched, []), (Sender(), [LIST])):
            client = make_client(server, session=session, session_id=SID)
            assert len(client.get_client_invoices()) == 2
            assert server.operations == operations
            with pytest.raises(ValueError, match="^session: it has a send of its own"):
                client.make_payment(5)
            assert server.operations == operations
            session.close()


class Writer(HTTPConnection):
    """A connection that writes in a way of its own."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        self.connect()
        headers = "".join(f"{name}: {text}\r\n" for name, text in options["headers"].items())
        body = options.get("body") or args[0]
        self.sock.sendall(f"{method} {url} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body)
        if not self.sock.recv(1):
            raise ConnectionError("nothing came")


class WritingPool(HTTPConnectionPool):
    ConnectionCls = Writer


class MakingPool(HTTPConnectionPool):
    """A pool that makes its connections by itself."""

    def _new_conn(self) -> Any:
        return HTTPConnection(self.host, self.port)


@pytest.mark.parametrize("pool", [WritingPool, MakingPool])
def test_a_pool_of_its_own_is_used_once_and_never_believed(pool: type) -> None:
    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = {"http": pool, "https": pool}

    with requests.Session() as session, Faulty(hang_up) as server:
        session.mount("http://", Adapter(max_retries=5))
        client = make_client(server, session=session, session_id=SID, retries=3)
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)
    assert server.operations == ["api_make_payment"]


def test_a_connection_class_that_is_put_in_after_another_one_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of one recorder after another; none of the first one's connections is kept."""
    used: list[str] = []

    class First(HTTPConnection):
        def send(self, data: Any) -> None:
            used.append(type(self).__name__)
            super().send(data)

    class Second(First):
        pass

    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        for kind in (First, Second):
            monkeypatch.setattr(HTTPConnectionPool, "ConnectionCls", kind)
            assert len(client.get_client_invoices()) == 2
    assert list(dict.fromkeys(used)) == ["First", "Second"]


def test_verification_of_certificates_cannot_be_switched_off() -> None:
    """requests takes an empty text, as of a variable that is not set, for off."""
    for off in (False, "", None):
        with requests.Session() as session:
            session.verify = off
            with pytest.raises(ValueError, match="^session: its verify is off"):
                make_client("http://127.0.0.1:9/", session=session)
            session.verify = True
            client = make_client("http://127.0.0.1:9/", session=session, session_id=SID)
            session.verify = off
            with pytest.raises(ValueError, match="^session: its verify is off"):
                client.get_services()


def test_a_login_goes_the_way_of_the_mock_too() -> None:
    with requests_mock.Mocker() as mocked, Faulty(respond_after_login(respond)) as server:
        mocked.post(server.endpoint, exc=requests.Timeout("slow"))
        with pytest.raises(TransportError, match="api_login: timed out"):
            make_client(server, retries=0).make_payment(5)
    assert server.operations == []


def test_a_first_call_inside_a_cassette_keeps_nothing_of_it(tmp_path: Path) -> None:
    """It replaces the classes before soapmail looks at them for the first time."""
    program = """
import sys, vcr
from soapmail import Client
client = Client(session_id="x", endpoint=sys.argv[1])
with vcr.use_cassette(sys.argv[2]):
    print(len(client.get_client_invoices()))
print(len(client.get_client_invoices()))
"""
    with Faulty(respond) as server:
        arguments = [server.endpoint, str(tmp_path / "recorded.yaml")]
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.stdout, done.stderr) == ("2\n2\n", "")
    assert server.operations == [LIST, LIST]


def test_a_package_in_place_of_urllib3_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as urllib3-future, whose connections are none of http.client."""
    other = type("HTTPConnection", (), {})
    monkeypatch.setattr("urllib3.connection.HTTPConnection", other)
    monkeypatch.setattr("urllib3.__version__", "2.12.900")
    with pytest.raises(ImportError, match=r"in place of urllib3 \(2\.12\.900, in .*urllib3"):
        make_client("http://127.0.0.1:9/", session_id=SID).make_payment(5)
    monkeypatch.setattr("urllib3.connection.HTTPConnection", mock.MagicMock())
    with pytest.raises(ImportError, match="in place of urllib3"):
        make_client("http://127.0.0.1:9/", session_id=SID).make_payment(5)


def test_behind_a_wrapped_send_a_change_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spy calls the real one, which has the adapters and the hooks of the session."""

    class Twice(HTTPAdapter):
        def send(self, *args: Any, **options: Any) -> requests.Response:
            super().send(*args, **options)
            return super().send(*args, **options)

    wrap(monkeypatch, requests.Session, "send")
    retry = Retry(4, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
    by_kind = Retry(None, read=4, allowed_methods=None, backoff_factor=0)  # and no total
    refused: Any = (ValueError, [])
    unknown: Any = (OutcomeUnknown, ["api_make_payment"])
    for adapter, (error, operations) in (
        (Twice(), refused),
        (HTTPAdapter(max_retries=retry), unknown),
        (HTTPAdapter(max_retries=by_kind), unknown),
    ):
        with Faulty(hang_up) as server, requests.Session() as session:
            session.mount("http://", adapter)
            client = make_client(server, session=session, session_id=SID)
            with pytest.raises(error):
                client.make_payment(5)
        assert server.operations == operations

    with Faulty(hang_up) as server, requests.Session() as session:
        session.adapters.clear()
        with pytest.raises(TransportError):
            make_client(server, session=session, session_id=SID).make_payment(5)
    assert server.operations == []

    def ask_for_digest(request: Request) -> None:
        header = {"WWW-Authenticate": 'Digest realm="a", nonce="b", qop="auth"'}
        request.respond(b"who are you", 401, headers=header)

    with Faulty(ask_for_digest) as server, requests.Session() as session:
        session.auth = requests.auth.HTTPDigestAuth("a", "b")
        with pytest.raises(OutcomeUnknown):
            make_client(server, session=session, session_id=SID).make_payment(5)
    assert server.operations == ["api_make_payment"]


WRAPPED = [
    (requests.Session, "send"), (HTTPAdapter, "send"), (HTTPConnectionPool, "urlopen"),
    (HTTPConnectionPool, "_make_request"), (HTTPConnection, "request"), (HTTPConnection, "getresponse"),
]  # fmt: skip


def wrap(patch: pytest.MonkeyPatch, kind: type, name: str, times: int = 1) -> list[str]:
    """Wrap a function as tracers do, or as what repeats a request does; give what it was asked."""
    real = getattr(kind, name)
    calls: list[str] = []

    @functools.wraps(real)
    def call(*args: Any, **options: Any) -> Any:
        calls.append(name)
        for _ in range(times - 1):
            with suppress(Exception):
                real(*args, **options)
        return real(*args, **options)

    patch.setattr(kind, name, call)
    return calls


@pytest.mark.parametrize(("kind", "name"), WRAPPED)
def test_behind_a_tracer_all_is_read_and_bounded_as_without_it(
    kind: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"

    def drip(request: Request) -> None:
        for _ in range(100):
            request.raw(b"X: y\r\n")
            request.closing.wait(0.05)

    def respond(request: Request) -> None:
        request.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" + head)
        if len(server.operations) > 2:
            drip(request)
        request.raw(b"\r\n" + write_chunks(*cut_inside(BODIES[request.operation])))

    calls = wrap(monkeypatch, kind, name)
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, timeout=1, retries=0)
        assert client.make_payment(5) == Status("ok", "Paid")
        assert len(client.get_client_invoices()) == 2
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="timed out"):
            client.make_payment(6)
        assert time.monotonic() - started < 3  # the server would go on for five seconds
    assert len(calls) >= 3  # urllib3 1.26 asks for a response in two ways


@pytest.mark.parametrize(("kind", "name"), WRAPPED)
def test_a_wrapper_that_repeats_a_request_sends_a_payment_once(
    kind: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap(monkeypatch, kind, name, times=3)
    with Faulty(hang_up) as server:
        client = make_client(server, session_id=SID)
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)
    # None where the connection was closed before the server looked at it.
    assert server.operations in ([], ["api_make_payment"])


@pytest.mark.parametrize("kind", [requests.Session, HTTPAdapter])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_spy_may_read_the_content(
    kind: type, is_chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    spy_on(monkeypatch, kind, lambda received: seen.append(received.content))

    def respond(request: Request) -> None:
        body = gzip.compress(BODIES[request.operation])
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
        if is_chunked:
            request.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + write_chunks(body))
        else:
            request.raw(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        assert client.make_payment(5) == Status("ok", "Paid")
        assert len(client.get_client_invoices()) == 2
    assert seen == [PAID, ROWS]


def read_content(received: requests.Response) -> None:
    assert received.content


def read_pieces(received: requests.Response) -> None:
    assert list(received.iter_content(1000))


def spy_on(
    patch: pytest.MonkeyPatch, kind: Any, look: Callable[[requests.Response], object]
) -> None:
    """Let somebody look at each response before soapmail does."""
    real = vars(kind)["send"]

    def send(*args: Any, **options: Any) -> Any:
        received = real(*args, **options)
        look(received)
        return received

    patch.setattr(kind, "send", send)


def cut_inside(body: bytes) -> tuple[bytes, bytes]:
    """Cut a response inside of its first word."""
    half = body.index(b">ok<") + 2 if b">ok<" in body else len(body) // 2
    return body[:half], body[half:]


def write_response(header: bytes, body: bytes) -> bytes:
    """Return a response in two chunks."""
    return b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + write_chunks(*cut_inside(body))


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: xchunked", b"Transfer-Encoding:",
        b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked ", b"X-A : b\r\nTransfer-Encoding: chunked",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_read", [True, False])
def test_content_that_a_spy_has_read_is_judged_by_the_head_of_its_response(
    header: bytes, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:

    def respond(request: Request) -> None:
        request.raw(write_response(header, BODIES[request.operation]))
        raise Hangup

    if is_read:
        spy_on(monkeypatch, requests.Session, read_content)
    else:  # over connections that do not report
        wrap(monkeypatch, HTTPConnection, "connect")
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        if header.endswith(b" ") and not is_read:
            assert client.make_payment(5) == Status("ok", "Paid")
            return
        with pytest.raises(OutcomeUnknown, match="the transfer coding|headers behind a line"):
            client.make_payment(5)
        with pytest.raises(ResponseError, match="the transfer coding|headers behind a line"):
            client.get_client_invoices()


def test_what_a_spy_has_taken_away_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chunked = b"Transfer-Encoding: chunked"
    looks: list[Callable[[requests.Response], object]] = [read_pieces, requests.Response.close]

    def look(received: requests.Response) -> None:
        if looks:
            looks.pop()(received)

    spy_on(monkeypatch, requests.Session, look)
    with Faulty(lambda r: r.raw(write_response(chunked, BODIES[r.operation]))) as server:
        assert len(make_client(server, session_id=SID).get_client_invoices()) == 2
    assert server.operations == [LIST] * 3


@pytest.mark.parametrize("place", ["http://[bad", "/elsewhere"])
def test_behind_a_tracer_nobody_looks_where_a_redirect_leads(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def respond(request: Request) -> None:
        request.raw(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\n\r\n".encode())
        with suppress(OSError):
            for _ in range(100):
                request.raw(b"x" * 100_000)
        raise Hangup

    wrap(monkeypatch, requests.Session, "send")
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID, max_response_bytes=1_000_000)
        with pytest.raises(ResponseError, match=r"a response over 1000000 bytes"):
            client.get_client_invoices()
    assert server.operations == [LIST]


def test_a_tracer_may_ask_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that fetches a token."""
    real = vars(requests.Session)["send"]
    with Faulty(lambda request: request.respond(b"a token")) as other, Faulty(respond) as server:

        def send(self: requests.Session, request: Any, **options: Any) -> Any:
            if request.url == server.endpoint:
                request.headers["X-Token"] = self.get(other.endpoint).text
            return real(self, request, **options)

        monkeypatch.setattr(requests.Session, "send", send)
        client = make_client(server, session_id=SID)
        assert client.make_payment(5) == Status("ok", "Paid")
        assert server.requests[0].headers["x-token"] == "a token"


@pytest.mark.parametrize("name", ["request", "endheaders"])
def test_a_wrapper_inside_a_connection_sends_a_payment_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(HTTPConnection, name)

    def repeat(self: HTTPConnection, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        self.close()
        real(self, *args, **options)

    monkeypatch.setattr(HTTPConnection, name, repeat)
    with Faulty(respond) as server:
        client = make_client(server, session_id=SID)
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)
    assert server.operations in ([], ["api_make_payment"])


def test_a_function_that_is_bound_to_something_else_is_no_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mocked(HTTPAdapter):
        def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            return make_response(request)

    with Faulty(respond) as server, requests.Session() as other:
        other.mount("http://", Mocked())
        monkeypatch.setattr(requests.Session, "send", other.send)
        client = make_client(server, session_id=SID)
        assert client.make_payment(5) == Status("ok", "Paid")
    assert server.operations == []


def test_a_connection_that_is_changed_when_it_is_made_is_never_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real: Any = vars(HTTPConnection)["__init__"]

    def make(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        self.send = lambda data: (self.sock or self.connect(), self.sock.sendall(data))

    monkeypatch.setattr(HTTPConnection, "__init__", make)
    with Faulty(hang_up) as server:
        client = make_client(server, session_id=SID)
        with pytest.raises(OutcomeUnknown):
            client.make_payment(5)
    assert server.operations == ["api_make_payment"]


@pytest.mark.parametrize(("kind", "name"), WRAPPED)
def test_what_fails_in_place_of_a_function_may_have_sent_the_payment(
    kind: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise urllib3.exceptions.ProtocolError("of the mock")

    monkeypatch.setattr(kind, name, fail)
    client = make_client("http://127.0.0.1:9/", session_id=SID)
    with pytest.raises(OutcomeUnknown):
        client.make_payment(5)


def test_an_interim_response_over_a_connection_that_does_not_report_is_no_final_one() -> None:
    with Faulty(lambda request: request.raw(b"HTTP/1.1 103 Hints\r\n\r\n<x/>")) as server:
        client = make_client(server, session=Sender(), session_id=SID)
        with pytest.raises(ResponseError, match="the interim response 103 in place of a final one"):
            client.get_client_invoices()


@pytest.mark.parametrize("is_warm", [True, False])
@pytest.mark.parametrize("place", ["create_connection", "adapter", "manager", "class"])
def test_what_stands_in_the_place_of_a_way_to_the_connection_gets_the_payment(
    place: str, is_warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise requests.ConnectionError("of the mock")

    with Faulty(respond) as server, requests.Session() as session:
        client = make_client(server, session=session, session_id=SID, retries=0)
        if is_warm:
            client.get_client_invoices()
        adapter: Any = session.get_adapter(server.endpoint)
        owner: Any
        owner, name = {
            "create_connection": (urllib3.util.connection, "create_connection"),
            "adapter": (adapter, "get_connection_with_tls_context"),
            "manager": (adapter.poolmanager, "connection_from_host"),
            "class": (urllib3.PoolManager, "_new_pool"),
        }[place]
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            with pytest.raises(TransportError, match="of the mock"):
                client.make_payment(5)
        assert "api_make_payment" not in server.operations
        assert len(client.get_client_invoices()) == 2


def test_a_manager_that_is_put_in_later_is_used() -> None:
    """As of an adapter that gets another TLS context after the first call."""
    with Faulty(respond) as server, requests.Session() as session:
        client = make_client(server, session=session, session_id=SID)
        client.get_client_invoices()
        adapter: Any = session.get_adapter(server.endpoint)
        adapter.init_poolmanager(1, 1)
        client.get_client_invoices()
        assert server.connections == 2
