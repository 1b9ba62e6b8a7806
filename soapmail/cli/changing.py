"""Changing something: signals that come meanwhile, and output that fails afterwards."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import OutcomeUnknown
from .codes import INTERRUPTED, Stopped, Unshown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..client import Client

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


def change(client: Client, do: Callable[[], T], show: Callable[[T], str]) -> T:
    """Do what changes something, and print it; say what is known of it, whatever comes between."""
    with stoppable():
        try:
            result = do()
        except Stopped as stop:
            if not client._may_have_changed():
                raise
            problem = f"it may or may not have happened; check before repeating: {stop}"
            raise OutcomeUnknown(problem) from None
        try:  # here and not in a function, at whose start a signal could come in between
            text = show(result)
            put(f"{text}\n" if text else "")
        except Exception as error:
            raise unshown(error) from None
        return result


def put(text: str) -> None:
    """Print a text, and know that it was written."""
    if sys.__stdout__ is None:
        raise OSError("stdout is closed")
    print(text, end="", flush=True)


def unshown(error: Exception, name: str = "", rest: str = "") -> Unshown:
    """Say of what was done that only its output failed, between what names it and the rest."""
    problem = getattr(error, "strerror", None) or str(error)
    return Unshown(f"{name}it was done, and only the output failed ({problem}){rest}")


def end_by(number: int) -> int:
    """End as the signal would have ended the command."""
    if number == signal.SIGINT:
        return INTERRUPTED
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number  # where the signal waits
