"""What each process has of its own: connections, locks, and the session id."""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import (
    NO_FIELDS,
    OperationFailed,
    ResponseError,
    SoapFault,
    SoapMailError,
    TransportError,
)
from .transport.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .deadline import Deadline
    from .observe import Observer
    from .transport.delivery import Exchange

# What a session of this age, in seconds, answers in doubt is meant as it stands.
_FRESH = 600.0
_SLEWED = 1.0


class Login(NamedTuple):
    """One session id, and by two clocks when it was made; one that was handed in is of any age."""

    sid: str
    monotonic: float = -math.inf
    wall: float = -math.inf
    # Whether it was made to check a fault that it then got as well.
    doubted: bool = False

    def is_fresh(self) -> bool:
        """Tell whether it was made a short time ago.

        A clock may stand still while the machine does, so the larger difference counts; one that
        was set back tells nothing.
        """
        awake, passed = time.monotonic() - self.monotonic, time.time() - self.wall
        return max(awake, passed) < _FRESH and passed >= awake - _SLEWED


def clocks() -> tuple[float, float]:
    """Read both clocks."""
    return time.monotonic(), time.time()


class Session:
    """The login that all calls of one client share."""

    def __init__(self, login: Login | None) -> None:
        self.login = login
        # A lock that the thread which holds it may take again: in a signal's handler.
        self._lock = threading.RLock()

    def get(
        self,
        log_in: Callable[[], Login],
        deadline: Deadline,
        refused: Login | None = None,
        *,
        anew: bool = False,
    ) -> Login:
        """Return a login other than the refused one, or in any case a new one.

        Of the threads that wait here, only the first one logs in.
        """
        try:
            if not self._lock.acquire(timeout=max(0.0, deadline.left())):
                raise TransportError("api_login: timed out")
            login = self.login
            if anew or login is None or (refused is not None and login.sid == refused.sid):
                login = self.login = log_in()
            return login
        finally:
            try:  # noqa: SIM105 - and nothing before it, where a signal could come in between
                self._lock.release()
            except RuntimeError:  # not taken: the wait was too long, or was interrupted
                pass


@dataclass(slots=True, repr=False, eq=False)
class Setup:
    """What all calls of one client have in common, in one process."""

    transport: Transport
    session: Session
    credentials: tuple[str, str] | None
    timeout: float
    retries: int
    observer: Observer | None = None
    # The last exchange of an operation that changes something.
    change: Exchange | None = None


def setup_of(setups: dict[int, Setup], options: dict[str, Any], sid: str | None) -> Setup:
    """Give this process its setup; a fork takes over the session id of its parent, and no more."""
    process = os.getpid()
    known = setups.get(process)
    if known is None:
        known = setups.setdefault(process, _made(options, known_login(setups, sid)))
        for other in set(setups) - {process}:
            setups.pop(other, None)
    return known


def known_login(setups: dict[int, Setup], sid: str | None) -> Login | None:
    """Give the session that there is, also the one from before a fork."""
    for setup in list(setups.values()):
        return setup.session.login
    return None if sid is None else Login(sid)


def _made(options: dict[str, Any], login: Login | None) -> Setup:
    transport = Transport(**options["transport"])
    watched = options["on_exchange"]
    observer = None
    if watched is not None:
        from .observe import Observer

        observer = Observer(watched)
    return Setup(transport, Session(login), **options["calls"], observer=observer)


class Outcome(NamedTuple):
    """What one attempt came to: a value, or an error that says why there is none."""

    value: Any = None
    error: SoapMailError | None = None
    # Whether the same request may well work a moment later, and when the server asks for it.
    transient: bool = False
    retry_after: float | None = None
    # What had to be put right in a response that is believed.
    repairs: Sequence[str] = ()

    def is_refused(self) -> bool:
        """Tell whether the response says in words that the session is not valid."""
        words: object = None
        if isinstance(self.error, SoapFault):
            words = self.error.text
        elif isinstance(self.error, OperationFailed):
            words = self.error.status_text
        elif isinstance(self.value, dict):
            status = self.value.get("status")
            if isinstance(status, str) and status.strip().encode().lower() != b"ok":
                words = self.value.get("status_text")
        return isinstance(words, str) and "invalid session" in words.lower()

    def is_unserializable(self) -> bool:
        """Tell whether it is the fault for a refused session, or for what does not exist."""
        fault = self.error
        return isinstance(fault, SoapFault) and "unable to serialize result" in fault.text.lower()

    def is_empty(self) -> bool:
        """Tell whether it is a list of no rows, as of a refused session or an empty account."""
        return self.error is None and self.value == []

    def is_doubtful(self) -> bool:
        """Tell whether the response may mean a refused session, or just what it says."""
        if isinstance(self.error, ResponseError):
            return self.error.problem == NO_FIELDS
        return self.is_unserializable() or (self.error is None and self.value in ([], {}))
