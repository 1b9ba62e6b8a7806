"""What leaves where a call cannot even say what happened: an error that needs nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from soapmail import Client, OutcomeUnknown, Status, TransportError
from soapmail.call import Call

from . import needs_nothing
from .faults import count_descriptors, wait_for_descriptors
from .faulty import Faulty, hang_up, make_client, respond_normally
from .support import SID, make_status_response, run_module

LAST_RESORT = "api_make_payment: it may or may not have happened; check before repeating: the error cannot be shown"


@pytest.mark.parametrize("name", needs_nothing.RESPONSES)
def test_nothing_is_imported_or_opened_once_the_request_left(name: str) -> None:
    """There may be no file descriptor to do it with."""
    done = run_module("needs_nothing", name)
    assert done.returncode == 0, done.stderr
    outcome, *events = done.stdout.strip().splitlines()
    assert outcome.partition(":")[0] in ("Status", "OutcomeUnknown", "OperationFailed", "SoapFault")
    assert events == []


@pytest.mark.parametrize("place", ["_classify", "_to_outcome_unknown"])
@pytest.mark.parametrize("error", [MemoryError, RecursionError, UnicodeError, OSError])
def test_where_judging_fails_a_constant_leaves(
    place: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise error("hunter2")

    monkeypatch.setattr(Call, place, fail)
    with Faulty(hang_up) as server, pytest.raises(OutcomeUnknown) as caught:
        make_client(server, session_id=SID).make_payment(5)
    assert str(caught.value) == LAST_RESORT


def test_where_hiding_fails_everything_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("soapmail.redaction.redact_excerpt", fail)
    with Faulty(hang_up) as server:
        client = make_client(server, session_id=SID, retries=0)
        with pytest.raises(OutcomeUnknown) as unknown:
            client.make_payment(5)
        with pytest.raises(TransportError) as caught:
            client.get_client_invoices()
    assert str(unknown.value) == LAST_RESORT
    shown = "api_mail_get_client_invoices: failed, and the error cannot be shown"
    assert str(caught.value) == shown


@pytest.mark.parametrize("how", ["lost", "answered"])
def test_a_payment_near_the_limit_of_recursion_is_never_told_as_not_sent(how: str) -> None:
    """In a process of its own, as tools that trace find no depth either."""
    done = run_module("near_the_limit", how)
    assert done.returncode == 0, done.stdout + done.stderr
    kind = "OutcomeUnknown" if how == "lost" else "Status"
    assert set(done.stdout.split()) >= {kind, "RecursionError"}


@pytest.mark.parametrize("name", ["username", "password", "session_id"])
def test_half_of_a_surrogate_pair_is_refused_before_it_is_used(name: str) -> None:
    """It has no UTF-8; and a UnicodeEncodeError would hold the whole password."""
    values: dict[str, Any] = {"username": "u", "password": "hunter2", name: "hunter2\ud800"}
    with pytest.raises(ValueError, match=f"^{name}: a half of a surrogate pair") as caught:
        Client(**values)
    assert type(caught.value) is ValueError


def test_half_of_a_surrogate_pair_is_refused_in_a_call() -> None:
    client = make_client("http://127.0.0.1:9/", session_id=SID)
    for do in (
        lambda: client.send_mail("\udfff", "b", "a@b", "c@d"),
        lambda: client.get_prepay_remaining("mail\ud800"),
        lambda: client.call("api_x", a="\udc80"),
    ):
        with pytest.raises(ValueError, match="surrogate|U\\+"):
            do()


def test_an_observer_whose_error_has_no_text_disturbs_no_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise LookupError

    def fail(exchange: object) -> None:
        raise Mute

    paid = make_status_response("api_make_payment", "ok", "Paid")
    with Faulty(lambda request: request.respond(paid)) as server:
        client = make_client(server, session_id=SID, on_exchange=fail)
        assert client.make_payment(5) == Status("ok", "Paid")
    assert "on_exchange failed: Mute" in caplog.text


@pytest.mark.slow
def test_two_thousand_calls_leave_the_descriptors_as_they_were() -> None:
    """Also of clients that are dropped, and of those that another thread closes."""
    with Faulty(respond_normally) as server:
        make_client(server).get_client_invoices()
        before = count_descriptors()
        for number in range(200):
            client = make_client(server, session_id=SID)
            for _ in range(10):
                client.get_client_invoices()
            if number % 2:
                closing = threading.Thread(target=client.close)
                closing.start()
                closing.join()
            del client
    assert wait_for_descriptors(before) <= 0
