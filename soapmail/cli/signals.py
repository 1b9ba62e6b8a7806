"""Signals that come while something is being changed."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from .exit_codes import INTERRUPTED, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator


T = TypeVar("T")
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Stop:
    """Whether a signal came, also where the error that it became was swallowed."""

    came: Stopped | None = None

    def check(self) -> None:
        """Raise the signal that came."""
        if self.came is not None:
            raise self.came


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn the signals that would end the command into errors."""

    def stop(number: int, frame: object) -> None:
        for other in known:  # nothing may come between this one and what is said of it
            signal.signal(other, signal.SIG_IGN)
        known.clear()
        told.came = Stopped(signal.Signals(number).name, number)
        raise told.came

    told = Stop()
    known: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    known[number] = signal.signal(number, stop)
        yield told
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)


def end_by(number: int) -> int:
    """End as the signal would have ended the command."""
    if number == signal.SIGINT:
        return INTERRUPTED
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number  # where the signal waits
