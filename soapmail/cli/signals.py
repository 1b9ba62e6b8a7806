"""Signals that come while something is being changed."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..billing.journal import STOPPING_SIGNALS
from .exit_codes import INTERRUPTED, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator


class SignalFlag:
    """Whether a signal came, also where the error that it became was swallowed."""

    interruption: Interrupted | None = None

    def check(self) -> None:
        """Raise the signal that came."""
        if self.interruption is not None:
            raise self.interruption


@contextmanager
def raise_on_signals() -> Iterator[SignalFlag]:
    """Turn the signals that would end the command into errors."""

    def interrupt(number: int, frame: object) -> None:
        for other in handlers:  # nothing may come between this one and what is said of it
            signal.signal(other, signal.SIG_IGN)
        handlers.clear()
        flag.interruption = Interrupted(signal.Signals(number).name, number)
        raise flag.interruption

    flag = SignalFlag()
    handlers: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING_SIGNALS:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    handlers[number] = signal.signal(number, interrupt)
        yield flag
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def exit_by_signal(number: int) -> int:
    """End as the signal would have ended the command."""
    if number == signal.SIGINT:
        return INTERRUPTED
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number  # where the signal waits; as a shell reports it (POSIX 2.8.2)
