"""The end of one call, by the monotonic clock."""

from __future__ import annotations

import math
import time


class DeadlineExceeded(Exception):
    """The time of a call is up while a response is being read."""


class Deadline:
    """The end of one call, by the monotonic clock; without seconds there is none."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float = math.inf) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that remain; zero or less: none."""
        return self._end - time.monotonic()

    def check(self) -> None:
        """Raise DeadlineExceeded where no time remains."""
        if self.remaining() <= 0:
            raise DeadlineExceeded
