"""The session: when it is made, refused, doubted, and made anew."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import responses

from soapmail import (
    AuthenticationError,
    Client,
    Invoice,
    Order,
    OutcomeUnknown,
    ResponseError,
    SoapFault,
    SoapMailError,
    Status,
    TransportError,
)
from soapmail.deadline import Deadline
from soapmail.sandbox import PASSWORD, USERNAME
from soapmail.session import REFUSED_LOGIN_SECONDS, IssuedSession, SessionStore

from .faulty import Faulty, Request, respond_after_login
from .support import (
    CHANGING,
    LIST,
    LOGIN,
    METHODS,
    OPERATIONS,
    SID,
    make_fault_response,
    make_many_rows,
    make_status_response,
    make_text_response,
    read_recording,
    wrap_in_envelope,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from soapmail.sandbox import Sandbox
from .test_client import (
    ANSWERS,
    DOUBT,
    EMPTY,
    ENDPOINT,
    FULL,
    NO_STRUCT,
    REFUSED,
    add,
    make_client,
    second_login,
    sent,
)


def test_one_login_serves_all_calls(http: responses.RequestsMock) -> None:
    add(http, LOGIN, FULL, FULL, second_login(), FULL)
    client = make_client()
    client.get_client_invoices()
    client.get_client_invoices()
    assert client.login() == "second"
    client.get_client_invoices()
    assert [values[:1] for _, values in sent(http)] == [
        ["user@example.com"], [SID], [SID], ["user@example.com"], ["second"],
    ]  # fmt: skip


def test_a_session_id_is_used_until_it_is_refused(http: responses.RequestsMock) -> None:
    add(http, FULL, REFUSED, second_login(), FULL, FULL)
    client = make_client(session_id="handed")
    for _ in range(3):
        assert len(client.get_client_invoices()) == 12
    assert [values[0] for _, values in sent(http)] == [
        "handed", "handed", "user@example.com", "second", "second",
    ]  # fmt: skip


WITH_SESSION = [
    method for method, (operation, _) in METHODS.items() if "sid" in OPERATIONS[operation]["params"]
]


REFUSALS: list[tuple[str, Any]] = [
    *((method, REFUSED) for method in WITH_SESSION),
    *((method, make_fault_response("INVALID session id given")) for method in WITH_SESSION),
    *(
        (method, make_status_response(METHODS[method][0], "error", "Invalid Session ID"))
        for method in WITH_SESSION
        if isinstance(ANSWERS.get(method, (b"", None))[1], (Status, Order))
    ),
]


@pytest.mark.parametrize(("method", "response"), REFUSALS)
def test_a_session_refused_in_words_leads_to_one_login_and_one_repeat(
    http: responses.RequestsMock, method: str, response: Any
) -> None:
    _, arguments = METHODS[method]
    body, value = ANSWERS[method]
    add(http, LOGIN, response, second_login(), body)
    assert getattr(make_client(), method)(**arguments) == value
    assert [values[0] for _, values in sent(http)] == [
        "user@example.com", SID, "user@example.com", "second",
    ]  # fmt: skip
    assert sent(http)[1][1][1:] == sent(http)[3][1][1:]


def test_refused_again_right_after_a_login_is_an_authentication_error(
    http: responses.RequestsMock,
) -> None:
    add(http, LOGIN, REFUSED, second_login(), REFUSED)
    with pytest.raises(AuthenticationError) as caught:
        make_client().get_client_invoices()
    assert str(caught.value) == f"{LIST}: the session was refused right after a login"


def test_a_refused_session_id_without_a_password(http: responses.RequestsMock) -> None:
    add(http, REFUSED, read_recording("send_mail_invalid_session"))
    client = Client(session_id="handed")
    with pytest.raises(AuthenticationError, match="there is no password to log in with$"):
        client.get_client_invoices()
    with pytest.raises(AuthenticationError, match="there is no password to log in with$"):
        client.send_mail("s", "b", "a@b", "c@d")


def test_ok_with_those_words_is_no_refusal(http: responses.RequestsMock) -> None:
    text = "queued: about your invalid session"
    add(
        http,
        LOGIN,
        make_status_response("api_send_mail", "ok", text),
        make_status_response("api_send_mail", "ok", text),
    )
    client = make_client()
    assert client.send_mail("s", "b", "a@b", "c@d") == Status("ok", text)
    assert client.call("api_send_mail", s="s") == {"status": "ok", "status_text": text}


def test_call_knows_a_refusal_in_a_status(http: responses.RequestsMock) -> None:
    add(
        http,
        LOGIN,
        read_recording("send_mail_invalid_session"),
        second_login(),
        read_recording("send_mail_ok"),
    )
    assert make_client().call("api_send_mail", s="s")["status"] == "ok"


AMBIGUOUS: list[tuple[str, Any, Any]] = [
    ("get_client_invoices", DOUBT, SoapFault),
    ("get_service", DOUBT, SoapFault),
    ("get_service", NO_STRUCT, ResponseError),
    (
        "auto_zonemta_login",
        wrap_in_envelope("api_api_auto_zonemta_login", "<return/>"),
        ResponseError,
    ),
]


@pytest.mark.parametrize(("method", "response", "error"), AMBIGUOUS)
def test_an_ambiguous_sign_leads_to_one_login_and_one_repeat(
    http: responses.RequestsMock, method: str, response: Any, error: type[SoapMailError]
) -> None:
    _, arguments = METHODS[method]
    body, value = ANSWERS[method]
    add(http, LOGIN, response, second_login(), body)
    assert getattr(make_client(), method)(**arguments) == value
    add(http, LOGIN, response, second_login(), response)
    with pytest.raises(error) as caught:
        getattr(make_client(), method)(**arguments)
    if error is SoapFault:
        assert caught.value == SoapFault("SOAP-ENV:Server", "unable to serialize result")
    else:
        assert isinstance(caught.value, ResponseError)
        assert caught.value.problem == "a struct without fields"
    add(http, LOGIN, response, second_login(), REFUSED)
    with pytest.raises(AuthenticationError):
        getattr(make_client(), method)(**arguments)
    add(http, response)
    with pytest.raises(error):
        getattr(Client(session_id="handed"), method)(**arguments)


def test_an_empty_list_is_believed_from_a_fresh_session(http: responses.RequestsMock) -> None:
    add(http, LOGIN, EMPTY, EMPTY)
    client = make_client()
    assert client.get_client_invoices() == []
    assert client.get_client_invoices() == []


def test_an_empty_list_from_an_old_session_is_checked_with_a_new_one(
    http: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0  # whole numbers, so that differences are exact
    clock = [now]
    monkeypatch.setattr("soapmail.session.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("soapmail.session.time.time", lambda: clock[0] + 1e9)
    add(http, LOGIN, EMPTY)
    client = make_client(timeout=10_000)
    assert client.get_client_invoices() == []
    clock[0] = now + 599.9
    add(http, EMPTY)
    assert client.get_client_invoices() == []
    clock[0] = now + 600
    add(http, EMPTY, second_login(), FULL)
    assert len(client.get_client_invoices()) == 12
    clock[0] = now + 1200
    add(http, EMPTY, second_login("third"), EMPTY)
    assert client.get_client_invoices() == []


def test_an_empty_list_from_a_handed_session_is_checked_too(http: responses.RequestsMock) -> None:
    add(http, EMPTY, second_login(), FULL)
    assert len(make_client(session_id="handed").get_client_invoices()) == 12


def test_an_empty_list_that_cannot_be_checked_is_believed_with_a_warning(
    http: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    add(http, EMPTY)
    assert Client(session_id="handed").get_client_invoices() == []
    assert caplog.record_tuples == [
        (
            "soapmail",
            logging.WARNING,
            f"{LIST}: nothing came back, which may mean a refused session",
        )
    ]


def test_a_confirmed_fault_says_nothing_of_other_signs(http: responses.RequestsMock) -> None:
    """A struct without fields is looked into, though this login has confirmed a fault."""
    add(http, LOGIN, DOUBT, second_login(), DOUBT)
    client = make_client()
    with pytest.raises(SoapFault):
        client.get_service(1)
    add(http, NO_STRUCT, second_login("third"), read_recording("get_service"))
    service = client.get_service(8556)
    assert service is not None
    assert service.mail_id == 8556


@pytest.mark.parametrize("options", [{}, {"session_id": "handed"}])
def test_only_an_empty_response_that_cannot_be_checked_is_warned_of(
    http: responses.RequestsMock, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    if options:
        add(http, DOUBT)
        client = Client(**options)
    else:
        add(http, LOGIN, DOUBT, second_login(), DOUBT)
        client = make_client()
    with pytest.raises(SoapFault):
        client.get_service(1)
    with_password = make_client(session_id="old")
    add(http, EMPTY, second_login(), EMPTY)
    assert with_password.get_client_invoices() == []
    assert caplog.record_tuples == []


def test_call_knows_ambiguous_signs(http: responses.RequestsMock) -> None:
    add(http, LOGIN, NO_STRUCT, second_login(), read_recording("get_service"))
    assert make_client().call("api_mail_get_service", id=8556)["mail_id"] == 8556
    add(http, read_recording("get_modules").body.replace(b"[10]", b"[]"))
    assert len(Client().call("get_modules")) == 10


@pytest.mark.parametrize("method", sorted(CHANGING))
@pytest.mark.parametrize("sign", ["fault", "struct", "list"])
def test_an_ambiguous_sign_at_a_changing_operation_is_an_unknown_outcome(
    http: responses.RequestsMock, method: str, sign: str
) -> None:
    operation, arguments = METHODS[method]
    all_responses = {
        "fault": DOUBT,
        "struct": wrap_in_envelope(operation, '<return xsi:type="tns:result_status"></return>'),
        "list": wrap_in_envelope(operation, '<return xsi:type="SOAP-ENC:Array"/>'),
    }
    add(http, LOGIN, all_responses[sign])
    with pytest.raises(
        OutcomeUnknown, match=f"^{operation}: it may or may not have (happened|been sent); check"
    ) as caught:
        getattr(make_client(), method)(**arguments)
    if sign == "fault":
        assert "may mean a refused session (SOAP fault SOAP-ENV:Server: unable to" in str(
            caught.value
        )
    add(http, LOGIN, all_responses[sign])
    with pytest.raises(
        OutcomeUnknown, match=f"^{operation}: it may or may not have (happened|been sent); check"
    ):
        make_client().call(operation)


DOUBTFUL: dict[str, bytes] = {
    "fault": DOUBT.body,
    "struct": wrap_in_envelope("api_make_payment", '<return xsi:type="tns:x"></return>'),
    "list": wrap_in_envelope("api_make_payment", '<return xsi:type="SOAP-ENC:Array"/>'),
    "page": b"<html>oops</html>",
    "nothing": b"",
}


@pytest.mark.parametrize("age", [0.0, 10_000.0])
@pytest.mark.parametrize("sign", DOUBTFUL)
def test_a_payment_with_a_doubtful_response_arrives_once(
    sign: str, age: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server keeps sessions: a second login would work, and the second payment too."""

    def doubt(request: Request) -> None:
        request.respond(DOUBTFUL[sign], 500 if sign == "fault" else 200)

    with Faulty(respond_after_login(doubt)) as server:
        with Client(USERNAME, PASSWORD, endpoint=server.endpoint) as client:
            client.login()
            now = time.monotonic, time.time
            monkeypatch.setattr("soapmail.session.time.monotonic", lambda: now[0]() + age)
            monkeypatch.setattr("soapmail.session.time.time", lambda: now[1]() + age)
            with pytest.raises(OutcomeUnknown):
                client.make_payment(5)
            with pytest.raises(OutcomeUnknown):
                client.call("api_make_payment", module="mail", invoice=6)
    assert server.operations == ["api_login", "api_make_payment", "api_make_payment"]


def test_a_payment_that_an_expired_session_refused_is_sent_with_a_new_one_once() -> None:
    ok = make_status_response("api_make_payment", "ok", "Paid")
    with Faulty(respond_after_login(lambda request: request.respond(ok))) as server:
        with Client(USERNAME, PASSWORD, endpoint=server.endpoint) as client:
            client.login()
            server.expire_sessions()
            assert client.make_payment(5).status == "ok"
    assert server.operations == ["api_login", "api_make_payment"] * 2


def test_a_fault_at_a_changing_operation_is_a_response(http: responses.RequestsMock) -> None:
    add(http, LOGIN, make_fault_response("no such service", "Server"))
    with pytest.raises(SoapFault) as caught:
        make_client().cancel_service(5)
    assert caught.value == SoapFault("Server", "no such service")


@pytest.mark.parametrize(
    "response",
    [
        b"", b"<html>oops</html>", make_text_response("api_mail_cancel_service", "perhaps", "boolean"),
        make_text_response("api_mail_cancel_service", "", "boolean"), read_recording("send_mail_ok").body,
        read_recording("cancel_service_true").body[:-150], LOGIN,
    ],
)  # fmt: skip
def test_an_unclear_response_to_a_changing_operation_is_an_unknown_outcome(
    http: responses.RequestsMock, response: bytes
) -> None:
    add(http, LOGIN, response)
    with pytest.raises(OutcomeUnknown) as caught:
        make_client(retries=5).cancel_service(5)
    assert caught.value.status == 200
    assert len(http.calls) == 2


def test_a_login_that_fails_inside_a_changing_call_is_its_own_error(
    http: responses.RequestsMock,
) -> None:
    http.add(responses.POST, ENDPOINT, status=500, body="oops")
    with pytest.raises(TransportError) as caught:
        make_client().cancel_service(5)
    assert type(caught.value) is TransportError
    assert str(caught.value) == (
        "api_login: HTTP status 500 (Internal Server Error) without a SOAP response"
    )
    add(http, read_recording("login_wrong_password"))
    with pytest.raises(AuthenticationError):
        make_client().cancel_service(5)
    add(http, LOGIN, REFUSED, read_recording("login_wrong_password"))
    with pytest.raises(AuthenticationError):
        make_client().cancel_service(5)


def test_threads_that_meet_a_refused_session_log_in_once(sandbox: Sandbox) -> None:
    logins = []
    response = sandbox.answer
    waiting = threading.Barrier(8)

    def count_login(request: bytes) -> tuple[int, bytes]:
        if b"api_login" in request:
            logins.append(request)
        elif b"first" in request:
            waiting.wait(10)  # all eight meet the refusal of the same session
        return response(request)

    sandbox.answer = count_login  # type: ignore[method-assign]
    with Client(
        sandbox.username, sandbox.password, endpoint=sandbox.endpoint, session_id="first"
    ) as client:
        found: list[list[Invoice]] = []
        threads = [
            threading.Thread(target=lambda: found.append(client.get_client_invoices()))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [len(rows) for rows in found] == [12] * 8
    assert len(logins) == 1


def test_waiting_for_another_threads_login_ends_with_the_time_limit() -> None:
    session = SessionStore(None)
    held, done = threading.Event(), threading.Event()

    def log_in() -> IssuedSession:
        held.set()
        done.wait(20)
        return IssuedSession("made")

    thread = threading.Thread(target=session.get, args=(log_in, int, Deadline(20)))
    thread.start()
    assert held.wait(20)
    started = time.monotonic()
    with pytest.raises(TransportError, match="^api_login: timed out$"):
        session.get(log_in, int, Deadline(0.05))
    assert time.monotonic() - started < 3
    done.set()
    thread.join()
    assert session.get(log_in, int, Deadline(0.05)).sid == "made"


def run_at_once(count: int, work: Callable[[], object]) -> list[object]:
    """Return what each of several threads returned or raised; the lock decides who is first."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except SoapMailError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


class Slow:
    """Logs in once all that are to wait for it wait; then each refused session is refused."""

    def __init__(self, count: int, response: bytes) -> None:
        self._meeting = threading.Barrier(count)
        self._response = response

    def __call__(self, request: Request) -> None:
        if request.operation != "api_login":
            self._meeting.wait(20)
            request.respond(REFUSED.body, 500)
            return
        request.closing.wait(0.3)  # the others come to the lock meanwhile
        request.respond(self._response)


@pytest.mark.parametrize("body", [b"<html>busy", make_text_response("api_login", "")])
def test_all_that_wait_for_a_login_share_what_it_came_to(body: bytes) -> None:
    """Fifty threads with an expired session and a password that is wrong by now."""
    kind = AuthenticationError if b"<html>" not in body else ResponseError
    with Faulty(Slow(50, body)) as server, make_client(endpoint=server.endpoint, session_id="old", timeout=30) as client:  # fmt: skip
        results = run_at_once(50, client.get_client_invoices)
    assert [type(result) for result in results] == [kind] * 50
    assert len({id(result) for result in results}) == 50
    assert server.operations.count("api_login") == 1


def test_a_refused_login_is_not_tried_again_for_some_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("soapmail.session.time.monotonic", lambda: now[0])
    answers = [make_text_response("api_login", text) for text in ("", SID)]
    with Faulty(lambda request: request.respond(answers.pop(0))) as server:
        client = make_client(endpoint=server.endpoint)
        for seconds, count in ((0, 1), (REFUSED_LOGIN_SECONDS - 0.1, 1)):
            now[0] = 1000.0 + seconds
            for do in (client.login, client.get_client_invoices):
                with pytest.raises(AuthenticationError):
                    do()
            assert len(server.requests) == count
        now[0] = 1000.0 + REFUSED_LOGIN_SECONDS
        assert client.login() == SID


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (make_fault_response("Invalid Login"), 500, SoapFault),
        (b"Unauthorized", 401, TransportError),
        (b"Forbidden", 403, TransportError),
        (wrap_in_envelope("api_login", ""), 403, ResponseError),
    ],
)
def test_a_refusal_in_other_words_is_one_too(
    body: bytes, status: int, kind: type[SoapMailError]
) -> None:
    with Faulty(lambda request: request.respond(body, status)) as server:
        client = make_client(endpoint=server.endpoint)
        for do in (client.login, client.get_client_invoices, client.login):
            with pytest.raises(kind):
                do()
    assert server.operations == ["api_login"]


def test_a_login_that_failed_otherwise_is_tried_again_at_once() -> None:
    answers = [b"<html>busy", make_text_response("api_login", SID)]
    with Faulty(lambda request: request.respond(answers.pop(0))) as server:
        client = make_client(endpoint=server.endpoint)
        with pytest.raises(ResponseError):
            client.login()
        assert client.login() == SID


def test_logins_that_are_asked_for_at_once_are_one() -> None:
    def respond(request: Request) -> None:
        request.closing.wait(0.3)
        request.respond(make_text_response("api_login", SID))

    with Faulty(respond) as server, make_client(endpoint=server.endpoint, timeout=30) as client:
        assert run_at_once(20, client.login) == [SID] * 20
        assert server.operations == ["api_login"]
        assert client.login() == SID
    assert len(server.operations) == 2


def test_one_expiry_costs_one_login_though_the_server_repeats_its_session_id() -> None:
    meeting = threading.Barrier(20)
    has_logged_in = threading.Event()

    def respond(request: Request) -> None:
        if request.operation == "api_login":
            has_logged_in.set()
            request.closing.wait(0.3)
            request.respond(make_text_response("api_login", SID))
        elif has_logged_in.is_set():
            request.respond(make_many_rows(12))
        else:
            meeting.wait(20)
            request.respond(REFUSED.body, 500)

    with (
        Faulty(respond) as server,
        make_client(endpoint=server.endpoint, session_id=SID, timeout=30) as client,
    ):
        results = run_at_once(20, lambda: len(client.get_client_invoices()))
    assert results == [12] * 20
    assert server.operations.count("api_login") == 1
