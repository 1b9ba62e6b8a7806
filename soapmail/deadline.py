"""The end of one call, by the monotonic clock, and whose errors come meanwhile."""

from __future__ import annotations

import math
import signal
import time
import traceback
from types import FunctionType, MethodType
from typing import Any


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

    def limit(self, other: Deadline) -> None:
        """End no later than another one."""
        self._end = min(self._end, other._end)

    def check(self) -> None:
        """Raise DeadlineExceeded where no time remains."""
        if self.remaining() <= 0:
            raise DeadlineExceeded


def is_of_handler(error: BaseException) -> bool:
    """Return whether a signal's handler raised it: then it came through the handler's frame."""
    codes = {_find_code(signal.getsignal(number)) for number in signal.valid_signals()}
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code in codes for frame, _ in frames)


def _find_code(handler: Any) -> object:
    function = getattr(handler, "func", handler)  # of functools.partial
    if not isinstance(function, (FunctionType, MethodType)):
        function = getattr(type(function), "__call__", None)  # noqa: B004 - of an object's class
    return getattr(function, "__code__", 0)
