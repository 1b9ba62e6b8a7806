"""What each process has of its own: connections, locks, a session of HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .session import Login, Session
from .transport import Transport

if TYPE_CHECKING:
    from .exchange import Exchange


class Setup:
    """What all calls of one client have in common, in one process."""

    __slots__ = ("change", "credentials", "retries", "session", "timeout", "transport")

    def __init__(
        self,
        transport: Transport,
        session: Session,
        credentials: tuple[str, str] | None,
        timeout: float,
        retries: int,
    ) -> None:
        self.transport = transport
        self.session = session
        self.credentials = credentials
        self.timeout = timeout
        self.retries = retries
        # The last exchange of an operation that changes something.
        self.change: Exchange | None = None


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
    return Setup(transport, Session(login), **options["calls"])
