"""What is known of one request: whether a byte of it left, what time remains, and what came."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import http.client
    from collections.abc import Mapping, Sequence

    from ..deadline import Deadline
    from .connection import CountingReader


class Stage(IntEnum):
    """How far a request came; it only goes forward."""

    LOCAL = 0  # no connection was asked for: an error is one of this machine, as a missing CA file
    CONNECTING = 1
    MAYBE_SENT = 2
    SENT = 3


class NetworkTimeout(TimeoutError):
    """There is no time left to wait for the network."""


class Tls(NamedTuple):
    """The version of TLS, and the server's certificate in the form of ``SSLSocket.getpeercert``."""

    version: str
    certificate: Mapping[str, Any]


class Response(NamedTuple):
    """What came of one request; ``problem`` says why there is no body that could be read."""

    status: int = 0  # none came
    charset: str | None = None
    data: bytes = b""
    retry_after: float | None = None  # seconds
    problem: str | None = None
    # Whether the same request may well work a moment later.
    is_transient: bool = False
    # How the connection ended before its time, though something came.
    ended_early: str | None = None
    # What is wrong with a body that did come.
    unusable: str | None = None
    version: str = ""
    reason: str = ""
    headers: Sequence[tuple[str, str]] = ()
    tls: Tls | None = None


class Delivery:
    """One request on its way; whoever has it reports here what becomes of it."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._stage = Stage.LOCAL
        # Whether who has the request reports here; else nobody knows whether a byte left.
        self.is_reported = True
        # A timeout that somebody else raised while a connection waited; urllib3 may swallow it.
        self.callers_timeout: TimeoutError | None = None
        self.reader: CountingReader | None = None
        self.source: http.client.HTTPResponse | None = None
        self.tls: Tls | None = None
        self._patience: Deadline | None = None

    @property
    def stage(self) -> Stage:
        """How far the request came, or may have come."""
        return self._stage if self.is_reported else max(self._stage, Stage.MAYBE_SENT)

    @property
    def may_have_left(self) -> bool:
        """Whether a byte of the request may have left."""
        return self.stage >= Stage.MAYBE_SENT

    def to_adapter(self) -> None:
        """Note that an adapter has the request; it may be mocked, and never report."""
        self.is_reported = False

    def to_foreign_connection(self) -> None:
        """Note that a connection which does not report has the request: it counts as sent."""
        self.is_reported = False
        self._stage = Stage.SENT

    def to_own_connection(self) -> None:
        """Note that none but connections that report can send the request."""
        self.is_reported = True

    def connecting(self) -> None:
        """Note that a connection is being made, over which nothing has left."""
        self.is_reported = True
        self._stage = max(self._stage, Stage.CONNECTING)

    def sending(self) -> None:
        """Note that a byte of the request leaves."""
        self._stage = Stage.SENT

    def limit_reads(self, patience: Deadline | None) -> None:
        """Also limit the next reads to this deadline, whichever of the two is earlier."""
        self._patience = patience

    def timeout(self) -> float:
        """Return how long to wait for the network; NetworkTimeout: no longer."""
        seconds = self._remaining()
        if seconds <= 0:
            raise NetworkTimeout
        return seconds

    def _remaining(self) -> float:
        remaining = self.deadline.remaining()
        return remaining if self._patience is None else min(remaining, self._patience.remaining())

    def attribute_timeout(self, error: TimeoutError) -> TimeoutError:
        """Return a NetworkTimeout, or a timeout that somebody else raised while time remained."""
        if error.errno is None and self._remaining() <= 0:
            return NetworkTimeout()
        if is_callers_timeout(error):
            self.callers_timeout = error
        return error


def is_callers_timeout(error: BaseException) -> bool:
    """Return whether somebody else raised a timeout, such as a signal's handler of the caller.

    One of the operating system has an errno (PEP 3151).
    """
    return (
        isinstance(error, TimeoutError)
        and error.errno is None
        and type(error) is not NetworkTimeout
    )
