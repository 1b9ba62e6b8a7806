"""What is known of one request and its response: whether a byte left, and what time is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import http.client

    from ..deadline import Deadline
    from .connection import Stream


class Exchange:
    """What is known of one request and its response."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        # Whether a byte of the request may have left, and whether one surely did.
        self.sent = self.left = False
        # Whether no connection was asked for: what went wrong is on this machine.
        self.local = True
        # Whether connections of ours, and no others, are to send it.
        self.ours = False
        # A timeout that somebody else raised while a connection waited; urllib3 may swallow it.
        self.interruption: TimeoutError | None = None
        self.stream: Stream | None = None
        self.source: http.client.HTTPResponse | None = None
        self._patience: Deadline | None = None

    def handed_over(self) -> None:
        """Note that an adapter has the request: it is sent, until a connection of ours knows."""
        self.sent, self.local, self.ours = True, False, False

    def lent(self) -> None:
        """Note that connections of somebody else have the request, of which nothing is known."""
        self.handed_over()
        self.left = True

    def kept(self) -> None:
        """Note that none but connections of ours can send it, and none was asked yet."""
        self.ours = True
        if not self.left:
            self.sent, self.local = False, True

    def connecting(self) -> None:
        """Note that a connection is being made, over which nothing has left."""
        self.local = False
        if not self.left:
            self.sent = False

    def leaving(self) -> None:
        """Note that a byte of the request leaves."""
        self.local = False
        self.sent = self.left = True

    def wait_until(self, patience: Deadline | None) -> None:
        """Wait for the next bytes no longer than this, for all that the call may take."""
        self._patience = patience

    def seconds(self) -> float:
        """Give how long to wait for the network; TimeUp: no longer."""
        seconds = self._seconds()
        if seconds <= 0:
            raise TimeUp
        return seconds

    def _seconds(self) -> float:
        left = self.deadline.left()
        return left if self._patience is None else min(left, self._patience.left())

    def timed_out(self, error: TimeoutError) -> TimeoutError:
        """Tell a timeout of ours from one that somebody else raised while there was time left."""
        if error.errno is None and self._seconds() <= 0:
            return TimeUp()
        if is_foreign(error):
            self.interruption = error
        return error


class TimeUp(TimeoutError):
    """There is no time left to wait for the network."""


def is_foreign(error: BaseException) -> bool:
    """Tell whether somebody else raised a timeout, such as a signal's handler of the caller."""
    return isinstance(error, TimeoutError) and error.errno is None and type(error) is not TimeUp
