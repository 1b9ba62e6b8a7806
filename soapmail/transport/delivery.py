"""What is known of one request: whether a byte of it left, what time remains, and what came."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..deadline import is_of_handler

if TYPE_CHECKING:
    import http.client
    from collections.abc import Mapping, Sequence

    from ..deadline import Deadline
    from .connection import CountingReader


class Stage(IntEnum):
    """How far a request came, or may have come."""

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
        self.stage = Stage.LOCAL
        self._is_plain = True
        # What a signal's handler raised while a connection waited.
        self.callers_error: OSError | None = None
        # Whether the last wait was to end before the call does.
        self.is_only_patience = False
        self.reader: CountingReader | None = None
        self.source: http.client.HTTPResponse | None = None
        self.tls: Tls | None = None
        self.status = 0  # of the final response, once its line came
        self._patience: Deadline | None = None

    @property
    def may_have_left(self) -> bool:
        """Whether a byte of the request may have left."""
        return self.stage >= Stage.MAYBE_SENT

    def to_adapter(self, *, is_plain: bool) -> None:
        """Note that an adapter has the request: what it does is not known, until it reports.

        One that is not requests' own, or whose connections do not report, is never believed to
        have sent nothing.
        """
        self._is_plain = self._is_plain and is_plain
        self.stage = max(self.stage, Stage.MAYBE_SENT)

    def to_own_connection(self) -> None:
        """Note that none but connections that report can send the request."""
        self._believe(Stage.LOCAL)

    def connecting(self) -> None:
        """Note that a connection is being made, over which nothing has left."""
        self._believe(Stage.CONNECTING)

    def sending(self) -> None:
        """Note that a byte of the request leaves."""
        self.stage = Stage.SENT

    def _believe(self, stage: Stage) -> None:
        if self._is_plain and self.stage is not Stage.SENT:
            self.stage = stage

    def limit_reads(self, patience: Deadline | None) -> None:
        """Also limit the next reads to this deadline, whichever of the two is earlier."""
        self._patience = patience

    def timeout(self) -> float:
        """Return how long to wait for the network; NetworkTimeout: no longer."""
        seconds = self.deadline.remaining()
        patience = seconds if self._patience is None else self._patience.remaining()
        self.is_only_patience = patience < seconds
        if min(seconds, patience) <= 0:
            raise NetworkTimeout
        return min(seconds, patience)

    def mark(self, error: OSError) -> OSError:
        """Return what an operation of a socket raised: a timeout as such, whatever the clock says.

        What a signal's handler raised meanwhile is noted, as urllib3 may swallow it.
        """
        if is_of_handler(error):
            self.callers_error = error
        elif isinstance(error, TimeoutError):
            return NetworkTimeout()
        return error
