"""The provider's session: its id and age, how threads share it, and what may mean a refused one."""

from __future__ import annotations

import copy
import math
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import (
    NO_FIELDS,
    AuthenticationError,
    OperationFailed,
    ResponseError,
    SoapFault,
    SoapMailError,
    TransportError,
)
from .patterns import is_ok
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .deadline import Deadline
    from .observe import ObservedExchange

# Ambiguous responses of a session younger than this are believed without a new login.
FRESH_SESSION_SECONDS = 600.0
# A login that the server refused is not tried again for so long, as some providers lock accounts.
REFUSED_LOGIN_SECONDS = 10.0
_REFUSALS = (AuthenticationError, SoapFault, OperationFailed)
_FORBIDDEN = {401, 403}  # RFC 9110 15.5.2, 15.5.4
_CLOCK_TOLERANCE_SECONDS = 1.0


class IssuedSession(NamedTuple):
    """A session id and when it was issued, by both clocks. One given by the caller counts as old.

    ``fault_confirmed``: this login was made to check an "unable to serialize" fault, and the fault
    came again.
    """

    sid: str
    monotonic: float = -math.inf
    wall: float = -math.inf
    fault_confirmed: bool = False
    # Which login of the store it is of: a server may issue the same id again.
    generation: int = 0

    def is_fresh(self) -> bool:
        """Return whether it was issued a short time ago.

        The monotonic clock of Linux stands still while the machine is suspended, so the larger
        difference counts; a wall clock that was set back tells nothing.
        """
        awake, passed = time.monotonic() - self.monotonic, time.time() - self.wall
        is_young = max(awake, passed) < FRESH_SESSION_SECONDS
        return is_young and passed >= awake - _CLOCK_TOLERANCE_SECONDS


def read_clocks() -> tuple[float, float]:
    """Return the monotonic and the wall clock."""
    return time.monotonic(), time.time()


class SessionStore:
    """The session that all calls of one client share, and what the last login came to."""

    def __init__(self, current: IssuedSession | None) -> None:
        self.current = current
        # The thread that holds it may take it again, in a signal's handler (test_process).
        self._lock = threading.RLock()
        self._generation = 0 if current is None else current.generation
        self._failure: SoapMailError | None = None
        self._refused_until = -math.inf  # by the monotonic clock

    def get(
        self,
        log_in: Callable[[], IssuedSession],
        read_status: Callable[[], int | None],
        deadline: Deadline,
        refused: IssuedSession | None = None,
        *,
        anew: bool = False,
    ) -> IssuedSession:
        """Return a session other than the refused one, or in any case a new one.

        Of the threads that wait here only the first one logs in, and all share what it came to.
        ``read_status`` tells the HTTP status of the last response.
        """
        generation = self._generation
        try:
            if not self._lock.acquire(timeout=max(0.0, deadline.remaining())):
                raise TransportError("api_login: timed out")
            current = self.current
            has_waited = self._generation != generation
            is_refused = anew or (refused and current and current.generation == refused.generation)
            if current is not None and not is_refused:
                return current
            if self._failure is not None and (has_waited or time.monotonic() < self._refused_until):
                raise copy.copy(self._failure)
            if anew and has_waited and current is not None:
                return current
            return self._log_in(log_in, read_status)
        finally:
            try:  # noqa: SIM105 - and nothing before it, where a signal could come in between
                self._lock.release()
            except RuntimeError:  # not taken: the wait was too long, or was interrupted
                pass

    def _log_in(
        self, log_in: Callable[[], IssuedSession], read_status: Callable[[], int | None]
    ) -> IssuedSession:
        try:
            session = log_in()
        except SoapMailError as error:
            self._generation += 1
            self._failure = copy.copy(error)
            # An error page of these may be unreadable, too.
            is_refusal = isinstance(error, _REFUSALS) or read_status() in _FORBIDDEN
            pause = REFUSED_LOGIN_SECONDS if is_refusal else -math.inf
            self._refused_until = time.monotonic() + pause
            raise
        self._generation += 1
        self._failure = None
        self.current = session._replace(generation=self._generation)
        return self.current


@dataclass(slots=True, repr=False, eq=False)
class ProcessState:
    """What all calls of one client have in common, in one process."""

    transport: Transport
    sessions: SessionStore
    credentials: tuple[str, str] | None
    timeout: float
    retries: int
    on_exchange: Callable[[ObservedExchange], object] | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What nothing that is told may hold: the password, where there is one."""
        return () if self.credentials is None else self.credentials[1:]


def identify_process() -> tuple[int, object]:
    """Return what no other process is known by: a child may have the pid of its parent."""
    return os.getpid(), _process


def _renew_process() -> None:
    global _process
    _process = object()


_process = object()
# Windows has no forks, and so nothing to register.
getattr(os, "register_at_fork", dict)(after_in_child=_renew_process)


def get_process_state(
    states: dict[object, ProcessState], options: dict[str, Any], sid: str | None
) -> ProcessState:
    """Return the state of this process; a fork takes over the session of its parent, no more."""
    process = identify_process()
    state = states.get(process)
    if state is None:
        state = states.setdefault(process, _make_state(options, find_session(states, sid)))
        for other in set(states) - {process}:
            states.pop(other, None)
    return state


def find_session(states: dict[object, ProcessState], sid: str | None) -> IssuedSession | None:
    """Return the session that there is, also the one from before a fork."""
    for state in list(states.values()):
        return state.sessions.current
    return None if sid is None else IssuedSession(sid)


def _make_state(options: dict[str, Any], session: IssuedSession | None) -> ProcessState:
    transport = Transport(**options["transport"])
    return ProcessState(transport, SessionStore(session), **options["calls"])


class AttemptResult(NamedTuple):
    """What one attempt came to: a value, or an error that says why there is none."""

    value: Any = None
    error: SoapMailError | None = None
    # Whether the same request may well work a moment later, and when the server asks for it.
    is_transient: bool = False
    retry_after: float | None = None
    # What had to be put right in a response that is believed.
    repairs: Sequence[str] = ()

    def is_refused(self) -> bool:
        """Return whether the response says in words that the session is not valid."""
        words: object = None
        if isinstance(self.error, SoapFault):
            words = self.error.text
        elif isinstance(self.error, OperationFailed):
            words = self.error.status_text
        elif isinstance(self.value, dict):
            status = self.value.get("status")
            if isinstance(status, str) and not is_ok(status):
                words = self.value.get("status_text")
        return isinstance(words, str) and "invalid session" in words.lower()

    def is_unserializable(self) -> bool:
        """Return whether it is the fault for a refused session, or for what does not exist."""
        fault = self.error
        return isinstance(fault, SoapFault) and "unable to serialize result" in fault.text.lower()

    def is_empty(self) -> bool:
        """Return whether it is a list of no rows, as of a refused session or an empty account."""
        return self.error is None and self.value == []

    def is_ambiguous(self) -> bool:
        """Return whether the response may mean a refused session, or just what it says."""
        if isinstance(self.error, ResponseError):
            return self.error.problem == NO_FIELDS
        is_blank = self.error is None and self.value == {}
        return is_blank or self.is_empty() or self.is_unserializable()
