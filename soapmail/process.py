"""What each process has of its own: connections, locks, and the session id."""

from __future__ import annotations

import math
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import TransportError
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from .exchange import Deadline, Exchange
    from .observed import Observer

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
        from .observed import Observer

        observer = Observer(watched)
    return Setup(transport, Session(login), **options["calls"], observer=observer)
