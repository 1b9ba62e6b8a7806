"""Calls, lost responses, forks, interrupts, suspends, expiries and closes, in any order.

The server counts what arrived, and that count is the judge, not what the client says of itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import re
import socket
import threading
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import soapmail
from soapmail import AuthenticationError, Client, OutcomeUnknown, SoapMailError, TransportError
from soapmail.sandbox import PASSWORD, USERNAME

from .faulty import Faulty, Hangup, Request
from .support import (
    make_fault_response,
    make_many_rows,
    make_status_response,
    make_text_response,
    raise_alarm_after,
    wrap_in_envelope,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PACKAGE = str(Path(soapmail.__file__).parent)
FULL = make_many_rows(12)
WAYS = ("answers", "hangs up", "resets", "cuts", "is busy", "adds a byte", "is slow")


class Server:
    """Counts payments by invoice, and treats what comes in the way that was last asked for."""

    def __init__(self) -> None:
        self.arrived: Counter[int] = Counter()
        self.sessions: set[str] = set()
        self.way = "answers"
        self._made = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> None:
        way = "answers" if request.operation == "api_login" else self.way
        body = self._response(request)
        if way == "hangs up":
            raise Hangup
        if way == "resets":
            request.reset()
        if way == "cuts":
            request.respond(body[: len(body) // 2], count=len(body), close=True)
        if way == "is busy":
            request.respond(b"", 503)
            return
        if way == "is slow":
            request.closing.wait(0.03)
        request.respond(body + (b"x" if way == "adds a byte" else b""), count=len(body))

    def _response(self, request: Request) -> bytes:
        with self._lock:
            if request.operation == "api_login":
                self._made += 1
                self.sessions.add(f"session{self._made}")
                return make_text_response("api_login", f"session{self._made}")
            given = re.search(rb"<sid[^>]*>([^<]*)<", request.body)
            refused = given is None or given[1].decode() not in self.sessions
            number = re.search(rb"<(?:id|invoice) [^>]*>(\d+)<", request.body)
            if request.operation == "api_make_payment" and not refused:
                assert number is not None
                self.arrived[int(number[1])] += 1
        if refused:
            return make_fault_response("Invalid Session ID")
        if request.operation == "api_make_payment":
            return make_status_response("api_make_payment", "ok", "Paid")
        if number is not None:
            id = number[1].decode()
            return wrap_in_envelope(
                "api_mail_get_service", f"<return><mail_id>{id}</mail_id></return>"
            )
        return FULL


class Interrupted(BaseException):
    """What no part of the library expects."""


def interrupt_after(after: float, error: BaseException) -> AbstractContextManager[None]:
    """Raise an error from a signal's handler, if the library is at work then."""

    def handler(number: int, frame: Any) -> None:
        while frame is not None and "coverage" not in frame.f_code.co_filename:  # its lock
            if frame.f_code.co_filename.startswith(PACKAGE):
                raise error
            frame = frame.f_back

    return raise_alarm_after(after, handler)


def open_sockets() -> set[socket.socket]:
    """Also those that wait for the garbage collector, or that an exception's frames hold."""
    found = {one for one in gc.get_objects() if issubclass(type(one), socket.socket)}
    return {one for one in found if one.fileno() >= 0}


AFTER = st.floats(0.0002, 0.02)


class Calls(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.before = open_sockets()
        self.server = Server()
        self.faulty = Faulty(self.server)
        self.faulty.__enter__()
        self.numbers = iter(range(1, 10**9))
        self.paid: set[int] = set()
        self.unknown: set[int] = set()
        self.unsent: set[int] = set()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("soapmail.call.time.sleep", lambda seconds: None)
        self.open()

    def open(self) -> None:
        self.client = Client(USERNAME, PASSWORD, endpoint=self.faulty.endpoint, timeout=10)

    def teardown(self) -> None:
        self.client.close()
        self.patch.undo()
        self.faulty.__exit__()
        for left in open_sockets() - self.before:  # by an interrupt; a later test would see it
            with contextlib.suppress(OSError):
                if left.getsockname()[1] != self.faulty.port:
                    os.close(left.detach())

    # --- what is done --------------------------------------------------------------------------

    def pay(self, client: Client, number: int) -> str:
        """Pay, and say what was told; an interrupt tells by its note, where there are notes."""
        try:
            client.make_payment(number)
        except OutcomeUnknown:
            return "unknown"
        except (TransportError, AuthenticationError):
            return "unsent"
        except Interrupted as error:
            if not hasattr(error, "add_note"):
                return "unknown"
            return "unknown" if getattr(error, "__notes__", None) else "unsent"
        except TimeoutError:
            return "unsent"
        return "paid"

    def note(self, number: int, told: str) -> None:
        {"paid": self.paid, "unknown": self.unknown, "unsent": self.unsent}[told].add(number)

    @rule(way=st.sampled_from(WAYS))
    def the_server_changes_its_way(self, way: str) -> None:
        self.server.way = way

    @rule()
    def a_payment(self) -> None:
        number = next(self.numbers)
        self.note(number, self.pay(self.client, number))

    @rule(after=AFTER, kind=st.sampled_from([Interrupted, TimeoutError]))
    def a_payment_is_interrupted(self, after: float, kind: type[BaseException]) -> None:
        number = next(self.numbers)
        told = "unsent"
        with interrupt_after(after, kind()):
            told = self.pay(self.client, number)
        self.note(number, told)

    @rule()
    def a_service(self) -> None:
        number = next(self.numbers)
        with contextlib.suppress(SoapMailError):
            record = self.client.get_service(number)
            assert record is not None
            assert record.mail_id == number

    @rule(after=AFTER, kind=st.sampled_from([Interrupted, TimeoutError]))
    def a_list_is_interrupted(self, after: float, kind: type[BaseException]) -> None:
        with interrupt_after(after, kind()), contextlib.suppress(SoapMailError, kind):
            assert len(self.client.get_client_invoices()) == 12

    @rule(after=AFTER)
    def a_handler_makes_a_call(self, after: float) -> None:
        inner, outer = next(self.numbers), next(self.numbers)
        told: list[str] = []
        with raise_alarm_after(after, lambda *args: told.append(self.pay(self.client, inner))):
            self.note(outer, self.pay(self.client, outer))
        if told:
            self.note(inner, told[0])

    @rule()
    def a_fork_calls_while_its_parent_does(self) -> None:
        mine, other, service = (next(self.numbers) for _ in range(3))
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            try:
                told: Any = self.pay(self.client, other)
                with contextlib.suppress(SoapMailError):
                    record = self.client.get_service(service)
                    told = told if record and record.mail_id == service else f"wrong: {record}"
            except BaseException as error:
                told = repr(error)
            os.write(writing, pickle.dumps(told))
            os._exit(0)
        os.close(writing)
        self.note(mine, self.pay(self.client, mine))
        with os.fdopen(reading, "rb") as pipe:
            self.note(other, pickle.loads(pipe.read()))
        os.waitpid(process, 0)

    @rule()
    def the_machine_sleeps(self) -> None:
        import time

        wall = time.time
        self.patch.setattr("soapmail.session.time.time", lambda: wall() + 40_000)

    @rule()
    def the_sessions_expire(self) -> None:
        self.server.sessions.clear()

    @rule()
    def the_client_is_closed(self) -> None:
        self.client.close()
        with pytest.raises(RuntimeError):
            self.client.make_payment(next(self.numbers))
        self.open()

    # --- what holds ----------------------------------------------------------------------------

    @invariant()
    def no_payment_arrived_twice(self) -> None:
        assert set(self.server.arrived.values()) <= {1}

    @invariant()
    def what_arrived_is_not_told_to_be_unsent(self) -> None:
        assert not self.unsent & set(self.server.arrived)

    @invariant()
    def what_is_told_to_be_paid_arrived(self) -> None:
        assert self.paid <= set(self.server.arrived)


class TestCalls(Calls.TestCase):  # type: ignore[misc, valid-type]
    """An interrupt may fall where Python itself can only warn of it, or a socket is half made."""

    pytestmark = [
        pytest.mark.slow,
        pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
    ]


TestCalls.settings = settings(
    max_examples=int(os.environ.get("STATES", "12")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
