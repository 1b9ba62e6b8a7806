"""What holds when the process around a call misbehaves: signals, forks, clocks, and other code."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from lxml import etree
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.util import Retry

import soapmail
from soapmail import (
    Client,
    Invoice,
    LossyTextWarning,
    OutcomeUnknown,
    ResponseError,
    SoapFault,
    SoapMailError,
    TransportError,
)
from soapmail.deadline import DeadlineExceeded
from soapmail.extract import rows
from soapmail.sandbox import PASSWORD
from soapmail.session import _renew_process, identify_process
from soapmail.soap import repair as decoding

from .faulty import (
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
from .support import (
    DATA,
    LIST,
    LOGIN,
    SID,
    make_fault_response,
    make_many_rows,
    make_status_response,
    make_text_response,
    raise_alarm_after,
    read_recording,
    run_in_child,
    wrap_in_envelope,
    write_chunks,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

PAID = make_status_response("api_make_payment", "ok", "Paid")
FULL = make_many_rows(12)


def respond_paid(request: Request) -> None:
    request.respond(PAID)


def begin_response(request: Request) -> None:
    """Begin to respond, and stop."""
    request.respond(FULL[:500], count=len(FULL))
    stay_silent(request)


def respond_with_service(request: Request) -> None:
    """Respond with the service that was asked for."""
    id = etree.fromstring(request.body).findtext(".//id")
    request.respond(
        wrap_in_envelope("api_mail_get_service", f"<return><mail_id>{id}</mail_id></return>")
    )


def alarm(after: float, work: Callable[[], object]) -> AbstractContextManager[None]:
    """Let a signal's handler do something in the middle of what is tried."""
    return raise_alarm_after(after, lambda number, frame: work())


def throw(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work


# --- once only -----------------------------------------------------------------------------------


def test_what_the_caller_is_handling_is_no_proof_that_nothing_left() -> None:
    """A payment in an ``except`` block of a refused connection, whose response is lost."""
    with Faulty(hang_up) as server:
        client = make_client(server, session_id="x", retries=5)
        try:
            requests.post(f"http://127.0.0.1:{find_closed_port()}/", timeout=5)
        except requests.ConnectionError:
            with pytest.raises(OutcomeUnknown):
                client.make_payment(5)
    assert server.operations == ["api_make_payment"]


def test_a_handler_that_makes_a_call_of_its_own_changes_nothing_of_the_one_it_interrupts() -> None:
    """The inner call ends without a connection, and the outer one with a lost response."""
    inner: list[object] = []
    refused = make_client(f"http://127.0.0.1:{find_closed_port()}/", session_id="x", retries=0)

    def handler() -> None:
        try:
            refused.make_payment(6)
        except TransportError as error:
            inner.append(type(error))

    def late(request: Request) -> None:
        request.closing.wait(0.6)
        raise Hangup

    with Faulty(late) as server, alarm(0.2, handler), pytest.raises(OutcomeUnknown):
        make_client(server, session_id="x", retries=5).make_payment(5)
    assert server.operations == ["api_make_payment"]
    assert inner == [TransportError]


def test_a_handler_may_use_the_same_client() -> None:
    found: list[object] = []

    def late(request: Request) -> None:
        if request.operation == "api_make_payment":
            request.closing.wait(0.6)
            request.respond(PAID)
        else:
            respond_with_service(request)

    with Faulty(respond_after_login(late)) as server, make_client(server) as client:
        with alarm(0.2, lambda: found.append(client.get_service(7))):
            assert client.make_payment(5).status_text == "Paid"
    assert [getattr(each, "mail_id", None) for each in found] == [7]
    assert sorted(server.operations) == ["api_login", "api_mail_get_service", "api_make_payment"]


def test_a_handler_may_log_in_while_a_login_is_under_way() -> None:
    found: list[object] = []

    def late(request: Request) -> None:
        if request.operation == "api_login" and len(server.requests) == 1:
            request.closing.wait(0.6)
        respond_normally(request)

    with Faulty(late) as server, make_client(server) as client:
        with alarm(0.2, lambda: found.append(len(client.get_client_invoices()))):
            assert len(client.get_client_invoices()) == 12
    assert found == [12]


class Stubborn(HTTPAdapter):
    """Sends again whatever fails, as many people's adapters do."""

    tries = 0

    def send(self, *args: Any, **options: Any) -> requests.Response:
        for _ in range(3):
            self.tries += 1
            with contextlib.suppress(requests.RequestException):
                return super().send(*args, **options)
        return super().send(*args, **options)


RETRYING: dict[str, Callable[[], HTTPAdapter]] = {
    "a number": lambda: HTTPAdapter(max_retries=3),
    "everything": lambda: HTTPAdapter(
        max_retries=Retry(4, allowed_methods=None, status_forcelist=[500, 503], backoff_factor=0)
    ),
}
TROUBLES: dict[str, Callable[[Request], None]] = {
    "lost": hang_up,
    "reset": Request.reset,
    "500": lambda request: request.respond(b"<html>x</html>", 500),
    "503": lambda request: request.respond(b"", 503, headers={"Retry-After": "30"}),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("kind", RETRYING)
def test_an_adapter_that_retries_sends_a_payment_once(kind: str, trouble: str) -> None:
    started = time.monotonic()
    with Faulty(TROUBLES[trouble]) as server, requests.Session() as session:
        adapter = RETRYING[kind]()
        retries = adapter.max_retries
        session.mount("http://", adapter)
        with pytest.raises(OutcomeUnknown):
            make_client(server, session_id="x", session=session, retries=5).make_payment(5)
        assert adapter.max_retries is retries
        assert session.get_adapter(server.endpoint) is adapter
    assert server.operations == ["api_make_payment"]
    assert time.monotonic() - started < 20  # and not what Retry-After asks for


def test_a_callers_adapter_still_does_what_it_adds() -> None:
    class Signing(HTTPAdapter):
        def add_headers(self, request: Any, **options: Any) -> None:
            request.headers["X-Signed"] = "yes"

    with Faulty(respond_normally) as server, requests.Session() as session:
        session.mount("http://", Signing(max_retries=3))
        assert len(make_client(server, session=session).get_client_invoices()) == 12
    assert [request.headers.get("x-signed") for request in server.requests] == ["yes"] * 2
    assert server.connections == 1


def test_an_adapter_mounted_later_is_used_from_then_on() -> None:
    class Signing(HTTPAdapter):
        def add_headers(self, request: Any, **options: Any) -> None:
            request.headers["X-Signed"] = "yes"

    with Faulty(respond_normally) as server, requests.Session() as session, make_client(server, session=session) as client:  # fmt: skip
        client.get_client_invoices()
        session.mount("http://", Signing())
        client.get_client_invoices()
    assert [request.headers.get("x-signed") for request in server.requests] == [None, None, "yes"]


class Foreign(BaseAdapter):
    """Whether it repeats what it sends cannot be known."""

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.raw = __import__("io").BytesIO(LOGIN if b"login" in request.body else FULL)
        return response

    def close(self) -> None:
        pass


def test_an_adapter_of_a_kind_of_its_own_reads_and_does_not_change() -> None:
    with requests.Session() as session:
        session.mount("http://", Foreign())
        client = make_client("http://127.0.0.1:9/", session=session)
        assert len(client.get_client_invoices()) == 12
        with pytest.raises(
            ValueError, match=r"^session: its adapter \(Foreign\) has a send of its own"
        ):
            client.make_payment(5)


class Delegating(HTTPAdapter):
    """Hands what it is to send to another adapter, which retries."""

    def send(self, *args: Any, **options: Any) -> requests.Response:
        return HTTPAdapter(max_retries=Retry(3, allowed_methods=None)).send(*args, **options)


def wrap_adapter() -> HTTPAdapter:
    """Make an adapter whose ``send`` was wrapped by one that tries again."""
    adapter = HTTPAdapter()
    send = adapter.send

    def again(*args: Any, **options: Any) -> requests.Response:
        try:
            return send(*args, **options)
        except requests.RequestException:
            return send(*args, **options)

    adapter.send = again  # type: ignore[method-assign]
    return adapter


@pytest.mark.parametrize("make", [Stubborn, Delegating, wrap_adapter])
def test_an_adapter_that_may_send_again_by_itself_is_refused_before_anything_is_sent(
    make: Callable[[], HTTPAdapter],
) -> None:
    with Faulty(respond_normally) as server, requests.Session() as session:
        session.mount("http://", make())
        client = make_client(server, session=session)
        with pytest.raises(ValueError, match="might repeat a request that must be sent once"):
            client.make_payment(5)
        assert server.requests == []
        assert len(client.get_client_invoices()) == 12


def test_an_adapter_that_brings_pools_of_its_own_is_never_believed_to_have_sent_nothing() -> None:
    from urllib3 import HTTPConnectionPool

    class Own(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            return HTTPConnectionPool("127.0.0.1", find_closed_port())

    with requests.Session() as session:
        session.mount("http://", Own())
        with pytest.raises(OutcomeUnknown):
            make_client("http://127.0.0.1:9/", session=session, session_id="x").make_payment(5)


def test_threads_send_each_payment_once() -> None:
    def now_and_then(request: Request) -> None:
        if request.number % 3 == 0:
            raise Hangup
        respond_paid(request)

    with (
        Faulty(respond_after_login(now_and_then)) as server,
        make_client(server, retries=5) as client,
    ):
        told: list[str] = []

        def pay(invoice: int) -> None:
            try:
                client.make_payment(invoice)
                told.append("paid")
            except OutcomeUnknown:
                told.append("unknown")

        threads = [threading.Thread(target=pay, args=(n,)) for n in range(1, 41)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sent = [re_invoice(request) for request in server.requests if request.operation == "api_make_payment"]  # fmt: skip
    assert sorted(sent) == list(range(1, 41))
    assert len(told) == 40


def re_invoice(request: Request) -> int:
    return int(etree.fromstring(request.body).findtext(".//invoice") or 0)


# --- whatever comes after a byte left --------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [MemoryError(), AttributeError("x"), etree.XPathError("x"), RecursionError(), OSError(5, "x")]
)  # fmt: skip
def test_any_exception_after_a_byte_left_is_an_unknown_outcome(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Faulty(respond_after_login(respond_paid)) as server, make_client(server) as client:
        client.login()
        monkeypatch.setattr("soapmail.soap.repair.decode", lambda *args: throw(error)())
        with pytest.raises(OutcomeUnknown, match=f"check before repeating: {type(error).__name__}"):
            client.make_payment(5)
        with pytest.raises(type(error)):
            client.get_services()
    assert server.operations.count("api_make_payment") == 1


@pytest.mark.arrives(2)
def test_a_content_type_of_any_form_is_no_reason_to_fail() -> None:
    for written in (
        "text/xml; charset",
        "text/xml; charset;",
        ";",
        "charset=",
        "x" * 9000,
        "\xe9;=;",
    ):
        step = lambda r, w=written: r.raw(  # noqa: E731
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (w.encode("latin-1"), len(PAID), PAID)
        )
        with Faulty(respond_after_login(step)) as server, requests.Session() as session:
            for given in (None, session):
                assert make_client(server, session=given).make_payment(5).status == "ok"


def test_a_log_that_fails_after_a_payment_does_not_hide_it() -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ValueError("the filter")

    log = logging.getLogger("soapmail")
    broken = Broken()
    noted = PAID.replace(b">Paid<", b">Pa\x01id<")
    log.addFilter(broken)
    try:
        with Faulty(respond_after_login(lambda r: r.respond(noted))) as server:
            with pytest.raises(OutcomeUnknown, match="ValueError: the filter"):
                make_client(server).make_payment(5)
    finally:
        log.removeFilter(broken)


class SoftLimit(BaseException):
    """As some task queues raise it."""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SoftLimit(), SystemExit(3)])
def test_what_is_no_exception_passes_with_a_note(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    words = f"api_make_payment: it may or may not have happened; check before repeating: {type(error).__name__}"  # fmt: skip
    with Faulty(respond_after_login(lambda r: stay_silent(r) if r.operation == "api_make_payment" else respond_with_service(r))) as server:  # fmt: skip
        with make_client(server) as client:
            with alarm(0.2, throw(error)), pytest.raises(type(error)) as caught:
                client.make_payment(5)
            assert caught.value is error
            assert caplog.messages == [words]
            if sys.version_info >= (3, 11):
                assert error.__notes__ == [words]
            # No lock is taken, and the connection is not used again.
            assert getattr(client.get_service(7), "mail_id", None) == 7
    assert server.operations.count("api_make_payment") == 1
    assert [request.number for request in server.requests] == [1, 2, 3]


def test_what_interrupts_a_call_before_its_request_left_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Faulty(stay_silent) as server, make_client(server) as client:
        with alarm(0.2, throw(KeyboardInterrupt())), pytest.raises(KeyboardInterrupt) as caught:
            client.make_payment(5)
        assert not hasattr(caught.value, "__notes__")
    assert server.operations == ["api_login"]
    assert caplog.messages == []


def test_an_interrupted_login_leaves_no_lock_taken() -> None:
    with Faulty(
        lambda r: stay_silent(r) if len(server.requests) == 1 else respond_normally(r)
    ) as server:
        with make_client(server) as client:
            with alarm(0.2, throw(KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
                client.get_client_invoices()
            found: list[int] = []
            thread = threading.Thread(
                target=lambda: found.append(len(client.get_client_invoices()))
            )
            thread.start()
            thread.join()
            assert found == [12]


@pytest.mark.parametrize("where", ["answer", "pause", "login", "body"])
def test_a_timeout_of_the_callers_own_ends_a_reading_call_as_it_is(where: str) -> None:
    error = TimeoutError("mine")
    steps: dict[str, Callable[[Request], None]] = {
        "answer": respond_after_login(stay_silent),
        "pause": respond_after_login(lambda r: r.respond(b"", 503, headers={"Retry-After": "5"})),
        "login": stay_silent,
        "body": respond_after_login(begin_response),
    }
    started = time.monotonic()
    with Faulty(steps[where]) as server, make_client(server, retries=5) as client:
        with alarm(0.3, throw(error)), pytest.raises(TimeoutError) as caught:
            client.get_client_invoices()
    assert caught.value is error
    assert time.monotonic() - started < 4
    assert len(server.requests) == (1 if where == "login" else 2)


@pytest.mark.parametrize("own", [True, False])
def test_a_timeout_of_the_callers_own_is_the_cause_of_an_unknown_outcome(own: bool) -> None:
    error = TimeoutError("mine")
    with Faulty(respond_after_login(stay_silent)) as server, requests.Session() as session:
        client = make_client(server, session=None if own else session)
        with alarm(0.3, throw(error)), pytest.raises(OutcomeUnknown) as caught:
            client.make_payment(5)
    assert caught.value.__cause__ is error
    assert "TimeoutError: mine" in str(caught.value)


def test_a_timeout_of_the_callers_own_while_connecting_is_his() -> None:
    error = TimeoutError("mine")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        full = [socket.socket() for _ in range(3)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for do in (Client.get_client_invoices, lambda c: c.make_payment(5)):
            with alarm(0.3, throw(error)), pytest.raises(TimeoutError) as caught:
                do(make_client(endpoint, session_id="x"))
            assert caught.value is error
        for one in full:
            one.close()


def test_closing_while_a_call_is_under_way_keeps_no_connection() -> None:
    def handler(request: Request) -> None:
        client.close()
        respond_with_service(request)

    with Faulty(handler) as server:
        client = make_client(server, session_id="x")
        transport = client._state().transport
        assert client.get_service(8556) is not None
    assert transport._idle == []


def test_a_connection_that_broke_is_not_kept() -> None:
    with Faulty(hang_up) as server, make_client(server, session_id="x", retries=0) as client:
        for count in (1, 2):
            with pytest.raises(TransportError):
                client.get_client_invoices()
            assert server.connections == count


def test_closing_in_a_handler_takes_no_lock() -> None:
    """Whatever the interrupted call was doing: the handler runs at each line of it."""
    with Faulty(respond_after_login(respond_with_service)) as server:
        client = make_client(server)
        client.login()
        with alarm(0.0005, client.close):
            for n in range(1, 2000):
                try:
                    client.get_service(n)
                except RuntimeError as error:
                    assert str(error) == "a closed client cannot be used again"
                    break
                except TransportError:  # its connection was closed under it
                    continue
        with pytest.raises(RuntimeError, match="closed"):
            client.get_service(1)


# --- forks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("own", [True, False])
def test_after_a_fork_each_process_has_connections_of_its_own(
    tls: bool, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "tls" / "ca.pem"))
    with Faulty(
        respond_after_login(respond_with_service), make_tls_context() if tls else None
    ) as server:
        session = requests.Session()
        client = make_client(server, session=None if own else session)
        assert getattr(client.get_service(1), "mail_id", None) == 1

        def work() -> list[int | None]:
            return [getattr(client.get_service(n), "mail_id", None) for n in range(2, 12)]

        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(run_in_child(work)))
        thread.start()
        mine = [getattr(client.get_service(n), "mail_id", None) for n in range(12, 22)]
        thread.join()
        assert mine == list(range(12, 22))
        assert found == [list(range(2, 12))]
        session.close()
    # The session id is shared, and nothing else.
    assert server.operations.count("api_login") == 1
    assert server.connections == 2


def test_a_child_uses_no_connection_of_its_parent() -> None:
    with Faulty(respond_normally) as server, make_client(server) as client:
        client.get_client_invoices()
        assert run_in_child(lambda: len(client.get_client_invoices())) == 12
        client.get_client_invoices()
        assert server.operations == ["api_login", LIST, LIST, LIST]
        assert [request.number for request in server.requests] == [1, 1, 2, 1]


def test_a_fork_while_another_thread_reads_leaves_the_child_no_lock() -> None:
    """lxml locks an expression while it is evaluated; a child that waits for it is ended."""
    body = make_many_rows(200)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            rows(body, Invoice)

    def read_once() -> int:
        signal.setitimer(signal.ITIMER_REAL, 20)
        return len(rows(body, Invoice))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert [run_in_child(read_once) for _ in range(30)] == [200] * 30
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_fork_while_another_thread_logs_in_leaves_the_child_no_lock() -> None:
    first = threading.Event()

    def slow_login(request: Request) -> None:
        if request.operation == "api_login" and not first.is_set():
            first.set()
            request.closing.wait(1)
        respond_normally(request)

    with Faulty(slow_login) as server, make_client(server) as client:
        thread = threading.Thread(target=client.get_client_invoices)
        thread.start()
        assert first.wait(10)
        assert run_in_child(lambda: len(client.get_client_invoices())) == 12
        thread.join()


def test_a_fork_in_the_middle_of_a_payment_pays_once() -> None:
    arrived = threading.Event()

    def late(request: Request) -> None:
        arrived.set()
        request.closing.wait(0.5)
        respond_paid(request)

    with Faulty(respond_after_login(late)) as server, make_client(server) as client:
        told: list[object] = []
        thread = threading.Thread(target=lambda: told.append(client.make_payment(5).status))
        thread.start()
        assert arrived.wait(10)
        assert run_in_child(lambda: "the child goes its own way") == "the child goes its own way"
        thread.join()
    assert told == ["ok"]
    assert server.operations == ["api_login", "api_make_payment"]


def test_the_record_that_came_is_the_one_that_was_asked_for() -> None:
    other = wrap_in_envelope("api_mail_get_service", "<return><mail_id>1</mail_id></return>")
    with Faulty(respond_after_login(lambda r: r.respond(other))) as server:
        with pytest.raises(ResponseError) as caught:
            make_client(server).get_service(2)
    assert caught.value == ResponseError(
        "the record of another id, not 2", "api_mail_get_service", "mail_id", "1"
    )


# --- clocks --------------------------------------------------------------------------------------


class Clocks:
    """Both clocks, at the will of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.awake, self.wall = 5000.0, 1.7e9
        monkeypatch.setattr("soapmail.session.time", self)

    def monotonic(self) -> float:
        return self.awake

    def time(self) -> float:
        return self.wall


@pytest.mark.parametrize(
    ("awake", "wall", "fresh"),
    [
        (10, 10, True), (599, 599, True), (600, 600, False), (601, 599.5, False),
        (1, 600, False), (0, 40_000, False),  # a night in which the machine was suspended
        (60, -10, False), (0, -5, False), (60, 30, False), (60, 59, True),  # a clock that was set back
        (60, 59.5, True),  # one that is being slewed
    ],
)  # fmt: skip
def test_the_age_of_a_session_goes_by_both_clocks(
    awake: float, wall: float, fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks(monkeypatch)
    empty = read_recording("get_client_invoices_empty").body
    with Faulty(respond_after_login(lambda r: r.respond(empty))) as server:
        client = make_client(server)
        client.login()
        clocks.awake += awake
        clocks.wall += wall
        assert client.get_client_invoices() == []
    assert server.operations.count("api_login") == (1 if fresh else 2)


def test_a_missing_service_does_not_cost_a_login_for_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocks = Clocks(monkeypatch)
    doubt = read_recording("fault_unserializable_result")
    step = respond_after_login(lambda r: r.respond(doubt.body, 500))
    with Faulty(step) as server:
        client = make_client(server)
        for n in range(10):
            with pytest.raises(SoapFault, match="unable to serialize result"):
                client.get_service(n + 1)
        assert server.operations.count("api_login") == 2  # the second one checked the first fault
        clocks.awake += 600
        with pytest.raises(SoapFault):
            client.get_service(1)
        assert server.operations.count("api_login") == 3


# --- time ----------------------------------------------------------------------------------------


def make_wide_response(operation: str, count: int) -> bytes:
    """Give a response that takes long to read."""
    return wrap_in_envelope(operation, "<return>" + "<item><a>1</a></item>" * count + "</return>")


def test_the_time_limit_bounds_the_work_on_what_came_too() -> None:
    bodies = {name: make_wide_response(name, 100_000) for name in ("api_get_x", "api_x")}
    with Faulty(respond_after_login(lambda r: r.respond(bodies[r.operation]))) as server:
        client = make_client(server, timeout=60, session_id="given")
        started = time.monotonic()
        client.call("api_get_x")
        takes = time.monotonic() - started
        for method in ("api_get_x", "api_x"):
            client = make_client(server, timeout=takes / 3, session_id="given", retries=0)
            started = time.monotonic()
            error = OutcomeUnknown if method == "api_x" else TransportError
            with pytest.raises(error, match="timed out$"):
                client.call(method)
            assert time.monotonic() - started < takes


@pytest.mark.parametrize(
    ("step", "status", "problem"),
    [("decode", 200, "timed out$"), ("has_envelope", 500, "HTTP status 500 .* without a SOAP")],
)
def test_time_that_is_up_while_reading_is_told(
    step: str, status: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same at whatever speed of the machine: the deadline itself says so."""

    def late(data: bytes, *rest: object) -> str:
        raise DeadlineExceeded

    monkeypatch.setattr(decoding, step, late)
    with (
        Faulty(lambda r: r.respond(read_recording("get_client_invoices").body, status)) as server,
        pytest.raises(TransportError, match=problem),
    ):
        make_client(server, session_id="given", retries=0).get_client_invoices()
    assert len(server.requests) == 1


def test_handshake_and_connection_share_one_time() -> None:
    """The server accepts late, and never shakes hands."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        started = time.monotonic()
        with pytest.raises(TransportError, match="timed out$") as caught:
            make_client(endpoint, timeout=0.6, session_id="x").make_payment(5)
        assert 0.5 < time.monotonic() - started < 6
        assert type(caught.value) is TransportError


def test_sending_is_bounded_too() -> None:
    """A reader that takes a little now and then, so that no single write waits for long."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        stop = threading.Event()

        def sip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not stop.wait(0.1):
                    connection.recv(4096)

        thread = threading.Thread(target=sip, daemon=True)
        thread.start()
        client = make_client(
            f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=1, session_id="x"
        )
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="timed out$"):
            client.send_mail("s", "x" * 20_000_000, "a@b", "c@d")
        assert time.monotonic() - started < 5
        stop.set()
        thread.join()


@pytest.mark.parametrize("status", [204, 304])
def test_no_body_belongs_to_some_statuses(status: int) -> None:
    started = time.monotonic()
    step = lambda r: r.raw(f"HTTP/1.1 {status} X\r\n\r\n".encode())  # noqa: E731
    with Faulty(step) as server:
        error = TransportError if status == 304 else ResponseError
        with pytest.raises(error):
            make_client(server, session_id="x", retries=0).get_client_invoices()
    assert time.monotonic() - started < 5


# --- responses stay with their calls ---------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", FULL])
@pytest.mark.parametrize("form", ["counted", "chunked"])
def test_a_connection_that_holds_a_byte_too_many_is_not_used_again(
    tls: bool, surplus: bytes, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "tls" / "ca.pem"))
    head = b"HTTP/1.1 200 OK\r\n"

    def step(request: Request) -> None:
        id = etree.fromstring(request.body).findtext(".//id")
        body = wrap_in_envelope("api_mail_get_service", f"<return><mail_id>{id}</mail_id></return>")
        counted = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        chunked = b"Transfer-Encoding: chunked\r\n\r\n" + write_chunks(body)
        request.raw(head + (counted if form == "counted" else chunked) + surplus)

    with Faulty(step, make_tls_context() if tls else None) as server:
        client = make_client(server, session_id="x")
        for n in range(1, 6):
            assert getattr(client.get_service(n), "mail_id", None) == n
    assert server.connections == 5


def test_nothing_behind_a_counted_page_is_read_as_a_response() -> None:
    page = b"<html>an Envelope, in words</html>"

    def step(request: Request) -> None:
        request.respond(page + PAID, count=len(page))

    with Faulty(respond_after_login(step)) as server:
        with pytest.raises(OutcomeUnknown, match="no SOAP envelope"):
            make_client(server).make_payment(5)


# --- secrets -------------------------------------------------------------------------------------


def show_everything(error: BaseException) -> str:
    """Write all that a traceback with variables would show of an error and of what hangs on it."""
    package = str(Path(soapmail.__file__).parent)
    parts = [str(error), repr(error), repr(vars(error))]
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    waiting: list[Any] = [whole]
    while waiting:
        trace = waiting.pop()
        if trace is None:
            continue
        parts += ["".join(map(str, (f.locals or {}).values())) for f in trace.stack if f.filename.startswith(package)]  # fmt: skip
        parts += [str(trace), *trace.format_exception_only()]
        waiting += [trace.__cause__, trace.__context__]
    return "\n".join(parts)


def causes() -> dict[str, tuple[Callable[[Client], object], type[BaseException]]]:
    def interrupt(client: Client) -> None:
        with alarm(0.2, throw(KeyboardInterrupt())):
            client.get_client_invoices()

    def lossy(client: Client) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            client.call("api_x", rootpass="hunter2日本")

    return {
        "interrupt": (interrupt, KeyboardInterrupt),
        "warning": (lossy, LossyTextWarning),
        "value": (lambda client: client.call("api_x", rootpass="hunter2\x00"), ValueError),
        "type": (lambda client: client.call("api_x", rootpass="hunter2", x=None), TypeError),  # type: ignore[arg-type]
    }


@pytest.mark.parametrize("cause", causes())
def test_frames_with_secrets_are_cut_whatever_leaves(cause: str) -> None:
    work, kind = causes()[cause]
    with (
        Faulty(stay_silent) as server,
        make_client(server) as client,
        pytest.raises(kind) as caught,
    ):
        work(client)
    text = show_everything(caught.value)
    assert PASSWORD not in text
    assert "hunter2" not in text


def test_what_was_handled_below_is_cut_too() -> None:
    """An interruption that came while an adapter handled an error of its own."""

    class Handling(requests.adapters.HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            try:
                raise ZeroDivisionError(PASSWORD)
            except ZeroDivisionError:
                raise KeyboardInterrupt  # noqa: B904 - its context is what is tried

    with requests.Session() as session:
        session.mount("https://", Handling())
        client = make_client("https://127.0.0.1:9/", session=session)
        with pytest.raises(KeyboardInterrupt) as caught:
            client.login()
    assert caught.value.__context__ is None
    assert PASSWORD not in show_everything(caught.value)


def test_frames_of_a_constructor_that_fails_hold_no_secret() -> None:
    for options in ({"timeout": 0}, {"endpoint": "ftp://x"}, {"retries": -1}, {"session_id": " "}):
        with pytest.raises(ValueError) as caught:
            Client("u", PASSWORD, **options)
        assert PASSWORD not in show_everything(caught.value)


def test_frames_of_from_env_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOAPMAIL_USERNAME", "u")
    monkeypatch.setenv("SOAPMAIL_PASSWORD", PASSWORD)
    wrong_options: list[dict[str, Any]] = [{"timeout": 0}, {"endpoint": f"https://u:{PASSWORD}@x/"}]
    for options in wrong_options:
        with pytest.raises(ValueError) as caught:
            Client.from_env(**options)
        assert PASSWORD not in show_everything(caught.value).replace(repr(options), "")
    for arguments in (("u", PASSWORD.encode()), (5, PASSWORD)):
        with pytest.raises(TypeError) as wrong:
            Client(*arguments)
        assert PASSWORD not in show_everything(wrong.value)


def test_a_client_whose_constructor_failed_can_be_shown() -> None:
    client = Client.__new__(Client)
    with contextlib.suppress(ValueError):
        client.__init__("u", "p", timeout=0)  # type: ignore[misc]
    assert repr(client) == "Client('u', endpoint='https://my.interserver.net/api.php')"
    assert repr(Client.__new__(Client)).startswith("Client(None, ")


def test_what_happened_at_the_caller_is_not_cut() -> None:
    with Faulty(hang_up) as server:
        try:
            raise KeyError("the caller's")
        except KeyError as outer:
            with pytest.raises(OutcomeUnknown) as caught:
                make_client(server, session_id="x").make_payment(5)
            assert caught.value.__context__ is outer
            assert outer.__traceback__ is not None


def test_the_place_of_an_error_is_searched_too() -> None:
    body = wrap_in_envelope("api_x", f"<return><{SID}x><b><c/></b>x</{SID}x></return>")
    with Faulty(respond_after_login(lambda r: r.respond(body))) as server:
        with pytest.raises(OutcomeUnknown) as caught:
            make_client(server).call("api_x")
        assert SID not in show_everything(caught.value)
        with pytest.raises(SoapMailError) as wrong:
            make_client(server).call("api_get_x")
        assert SID not in show_everything(wrong.value)


def test_http_client_prints_nothing_of_a_request(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("http.client.HTTPConnection.debuglevel", 1)
    with Faulty(respond_normally) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    out, err = capfd.readouterr()
    assert "ss&lt;w" not in out + err
    assert out == ""


PROXIES = [
    "http://user:{}@127.0.0.1:9", "http://user:{}@", "user:{}@127.0.0.1:9", "http//user:{}@host:1",
    "http:/user:{}@host:1", "http://user:{}@[::1", "http://user:{}@host:99999", "http://user:{}@ho st:1",
    "http://us er:{}@host", "ftp://user:{}@host:1", "socks5://user:{}@127.0.0.1:9", "http://{}@127.0.0.1:9",
    "socks9://user:{}@host:1", "://user:{}@host", "http://user:{}@127.0.0.1:x", "{}", "http://user:{}",
    "socks5://user:{}@host:x",
]  # fmt: skip
PROXY_PASSWORDS = [
    "hunter2x",
    "hun@ter2x",
    "hun/ter2x",
    "hun#ter2x",
    "hun?ter2x",
    "hun:ter2x",
    "hunter2x\u043f",
]


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("password", PROXY_PASSWORDS)
def test_a_password_of_a_proxy_is_in_no_error_however_broken_the_url(
    proxy: str, password: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "soapmail")
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(password))
    client = make_client("https://soapmail.invalid/", session_id="x", retries=0, timeout=5)
    with pytest.raises(TransportError) as caught:
        client.make_payment(5)
    assert type(caught.value) is TransportError  # nothing can have left
    seen = show_everything(caught.value) + caplog.text
    for piece in ("hunter2x", "ter2x", "hun@", "hun#"):
        assert piece not in seen


def test_old_session_ids_are_forgotten() -> None:
    count = iter(range(10**9))

    def step(request: Request) -> None:
        if request.operation == "api_login":
            request.respond(make_text_response("api_login", f"{next(count):032}"))
        else:
            request.respond(make_fault_response("x" * 1000), 500)

    def takes(client: Client) -> float:
        best = []
        for _ in range(20):
            started = time.process_time()
            with pytest.raises(SoapFault):
                client.get_services()
            best.append(time.process_time() - started)
        return min(best)

    with Faulty(step) as server, make_client(server) as client:
        client.login()
        first = takes(client)
        for _ in range(1000):
            client.login()
        assert takes(client) < 3 * first


# --- what else there is ----------------------------------------------------------------------------


def test_a_missing_ca_file_is_no_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    client = make_client("https://127.0.0.1:9/", session_id="x", retries=5)
    with pytest.raises(TransportError) as caught:
        client.make_payment(5)
    assert type(caught.value) is TransportError
    assert str(caught.value) == (
        "api_make_payment: the request could not be sent (Could not find a suitable TLS CA "
        "certificate bundle, invalid path: /nowhere/ca.pem)"
    )


def test_connections_that_were_dropped_are_closed() -> None:
    """Interrupted calls leave no socket behind."""

    def count_connections(port: int) -> int:
        gc.collect()
        count = 0
        for one in gc.get_objects():
            if isinstance(one, socket.socket) and one.fileno() >= 0:
                with contextlib.suppress(OSError):
                    count += one.getpeername()[1:2] == (port,)
        return count

    with Faulty(respond_after_login(stay_silent)) as server:
        port = urlsplit(server.endpoint).port or 0
        with make_client(server) as client:
            client.login()
            assert count_connections(port) == 1
            for _ in range(3):
                with alarm(0.1, throw(KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
                    client.get_services()
            assert count_connections(port) == 0


def test_tls_that_breaks_after_the_request_left_is_a_broken_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "tls" / "ca.pem"))
    steps: list[Callable[[Request], None]] = [Request.reset, lambda r: r.respond(FULL)]
    with Faulty(lambda r: steps.pop(0)(r), make_tls_context()) as server:
        assert len(make_client(server, session_id="x").get_client_invoices()) == 12
    assert server.operations == [LIST, LIST]


def test_an_error_that_is_interrupted_on_its_way_out_is_judged_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from soapmail.call import Call

    classify = Call._classify
    steps: list[BaseException] = [KeyboardInterrupt()]

    def interrupt(self: Call[object], error: BaseException) -> BaseException:
        classified = classify(self, error)
        if steps:
            raise steps.pop()
        return classified

    monkeypatch.setattr(Call, "_classify", interrupt)
    with Faulty(hang_up) as server, pytest.raises(KeyboardInterrupt) as caught:
        make_client(server, session_id="x").make_payment(5)
    if sys.version_info >= (3, 11):
        assert "may or may not have happened" in caught.value.__notes__[0]


def test_a_child_with_the_pid_of_its_parent_has_connections_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a new PID namespace, where the child of process 1 is process 1."""
    monkeypatch.setattr("soapmail.session.os.getpid", lambda: 1)
    with Faulty(respond_normally) as server, make_client(server) as client:
        client.login()
        with warnings.catch_warnings():  # of threads, which the child does not use
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                client.get_client_invoices()
            os._exit(0)
        os.waitpid(child, 0)
    assert [request.number for request in server.requests] == [1, 2]


def test_a_child_is_another_process_and_closes_nothing_of_its_parent() -> None:
    with Faulty(respond_normally) as server, make_client(server) as client:
        client.login()
        (parent,) = client._states.values()
        before = identify_process()
        _renew_process()
        assert identify_process() != before
        client.close()
        assert list(client._states.values()) == [parent]
        parent.transport.close()


def test_what_a_parent_left_is_dropped_in_a_child() -> None:
    with Faulty(respond_normally) as server, make_client(server) as client:
        sid = client.login()
        mine = client._states.pop(identify_process())
        client._states[0] = mine  # as after a fork
        assert len(client.get_client_invoices()) == 12
        assert list(client._states) == [identify_process()]
        assert client._states[identify_process()].sessions.current == mine.sessions.current
        assert sid == SID
        mine.transport.close()
    assert server.connections == 2


def test_a_session_without_an_adapter_sends_nothing_and_says_so() -> None:
    with requests.Session() as session:
        session.adapters.clear()
        for do in (Client.get_services, lambda client: client.make_payment(5)):
            with pytest.raises(TransportError, match="the request could not be sent") as caught:
                do(make_client("http://127.0.0.1:9/", session=session, session_id="x"))
            assert type(caught.value) is TransportError


def test_a_signal_while_the_error_is_made_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known of the payment is not lost with the error that was to say it."""
    from soapmail.call import Call

    to_public_error = Call.to_public_error
    steps: list[BaseException] = [TimeoutError("mine")]

    def interrupt(self: Call[object], error: BaseException) -> BaseException:
        if steps:
            raise steps.pop()
        return to_public_error(self, error)

    monkeypatch.setattr(Call, "to_public_error", interrupt)
    with Faulty(hang_up) as server, pytest.raises(OutcomeUnknown) as caught:
        make_client(server, session_id="x").make_payment(5)
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_a_stubborn_adapter_reads_with_one_request_for_each_attempt() -> None:
    with Faulty(hang_up) as server, requests.Session() as session:
        session.mount("http://", Stubborn())
        client = make_client(server, session=session, session_id="x", retries=1, timeout=5)
        with pytest.raises(TransportError):
            client.get_services()
    assert server.operations == ["api_mail_get_services"] * 2


def test_what_an_adapter_of_the_callers_own_raises_passes() -> None:
    class Wrong(Foreign):
        def send(self, *args: Any, **options: Any) -> requests.Response:
            raise LookupError("of the adapter")

    with requests.Session() as session:
        session.mount("http://", Wrong())
        with pytest.raises(LookupError, match="of the adapter"):
            make_client("http://127.0.0.1:9/", session=session, session_id="x").get_services()


def test_an_error_of_a_handler_that_urllib3_wrapped_is_unwrapped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two lines of urllib3, which takes it for an error of its connection."""
    error = TimeoutError("mine")
    before = signal.signal(signal.SIGUSR1, lambda number, frame: throw(error)())

    def interrupt(self: HTTPConnection, *args: Any, **options: Any) -> None:
        signal.raise_signal(signal.SIGUSR1)

    # As if it were urllib3's own.
    names = {**vars(urllib3.connection), "signal": signal}
    plain = FunctionType(interrupt.__code__, names)
    monkeypatch.setattr(HTTPConnection, "putrequest", plain)
    with Faulty(respond_normally) as server, pytest.raises(TimeoutError) as caught:
        make_client(server, session_id="x").get_services()
    signal.signal(signal.SIGUSR1, before)
    assert caught.value is error


def test_a_timeout_of_the_callers_own_between_two_waits_is_his_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal may come while requests is at work, and not while a connection waits."""
    error = TimeoutError("mine")
    before = signal.signal(signal.SIGUSR1, lambda number, frame: throw(error)())
    monkeypatch.setattr(
        HTTPAdapter, "request_url", lambda *args: signal.raise_signal(signal.SIGUSR1)
    )
    with Faulty(respond_normally) as server:
        for do in (Client.get_services, lambda client: client.make_payment(5)):
            with pytest.raises(TimeoutError) as caught:
                do(make_client(server, session_id="x"))
            assert caught.value is error
    signal.signal(signal.SIGUSR1, before)
    assert server.requests == []
