"""The signals that stop a program: an error before a change, held back from its first byte on."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..deadline import Deadline
from .exit_codes import INTERRUPTED, Interrupted
from .terminal import print_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..call import Call

STOPPING_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
# For the response to a change, once somebody wants the command to stop.
_GRACE_SECONDS = 5.0
# Behind the limit of a check: for its calls, which end by themselves; and to tell of it.
_SPARE_SECONDS = 0.5
_TELLING_SECONDS = 2.0
_MAX_ALARM_SECONDS = 1e8  # setitimer(2) takes no more than the system's clock


def _take_over(numbers: Iterable[int], handler: Callable[..., None]) -> dict[int, Any]:
    """Set a handler where nobody else ignores or handles a signal; return what was there before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {
        number: signal.signal(number, handler)
        for number in numbers
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    }


class StoppingSignals:
    """What becomes of a signal that would end the command in the middle of a change.

    Before the first byte of a change it is an Interrupted. From then on it is held back until the
    outcome is known and told; the response is waited for some seconds, or until a second signal
    comes.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._running: Call[Any] | None = None
        # Whether something was changed, or may have been, and was not told yet.
        self._is_untold = False
        self._has_changed = False
        # While that is being printed, which may take for ever, a signal is an error once.
        self.is_telling = False
        self._held: Interrupted | None = None

    def watch(self) -> None:
        """Take the signals over, where nobody else ignores or handles them."""
        self._previous = self._previous or _take_over(STOPPING_SIGNALS, self._handle)

    @property
    def held(self) -> Interrupted | None:
        """The first signal that came."""
        return self._held

    def begin(self, call: Call[Any] | None) -> None:
        """Note which call is sent now; ``None``: a change that is made on this machine.

        Interrupted: a signal came before, and somebody swallowed the error that it was.
        """
        if self._held is not None and not self._is_untold:
            raise self._held
        self._running = call
        self._is_untold = self._is_untold or call is None

    def end(self) -> None:
        """Note that the call is over; what it changed is not told yet."""
        if self._running is not None and self._running.has_left:
            self._is_untold = True
        self._running = None
        self._set_alarm(0)

    def release(self) -> None:
        """Raise what was held back: what was changed is told."""
        self._has_changed = self._has_changed or self._is_untold
        self._is_untold = False
        if self._held is not None:
            raise self._held

    def finish(self, *, ends_process: bool) -> None:
        """Give the signals back; behind a change they are ignored until a process has ended."""
        self._set_alarm(0)
        is_over = ends_process and (self._has_changed or self._is_untold or bool(self._held))
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if is_over else handler)
        self._previous.clear()

    def _handle(self, number: int, frame: object) -> None:
        is_first = self._held is None
        if number != signal.SIGALRM and is_first:
            self._held = Interrupted(signal.Signals(number).name, number)
        if self.is_telling and self._held is not None:
            self.is_telling = False
            raise self._held
        if self._is_untold or self._held is None:
            return
        if self._running is None or not self._running.has_left:
            if is_first:
                raise self._held
            return
        if is_first and self._set_alarm(_GRACE_SECONDS):
            with suppress(RuntimeError):  # of a stream that is being written to
                print_error(
                    f"{self._held}: waiting for the response for {_GRACE_SECONDS:g} seconds at"
                    " most; a second signal ends that"
                )
            return
        self._is_untold = True  # one error is all that comes into a change
        raise self._held

    def _set_alarm(self, seconds: float) -> bool:
        if not (self._previous and hasattr(signal, "setitimer")):
            return False
        if seconds:
            self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return True


# What Python handles itself, what stops or goes on with a process, what nobody can take over, and
# faults of the machine, to which a handler would return for ever (signal(7), signal of Python).
_NOT_ENDING = (
    "SIGPIPE SIGXFSZ SIGCHLD SIGCLD SIGCONT SIGURG SIGWINCH SIGTSTP SIGTTIN SIGTTOU SIGSTOP SIGKILL"
    " SIGSEGV SIGBUS SIGFPE SIGILL"
)


class FirstSignal:
    """Makes a KeyboardInterrupt of the first signal that would end the process.

    For a command whose exit codes are its own, whatever happens to the process. Others are ignored;
    to tell of the first one takes some seconds at most, as a pipe may be full for ever.
    """

    def __init__(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._has_come = False
        self._limit = Deadline()
        self.is_over = False
        self._previous: dict[int, Any] = {}

    def watch(self, seconds: float) -> None:
        """Take over all such signals, and let one come when the seconds are over."""
        others = {getattr(signal, name, None) for name in _NOT_ENDING.split()}
        self._previous = _take_over(signal.valid_signals() - others, self._handle)
        self._limit = Deadline(seconds)
        self._set_alarm(min(seconds, _MAX_ALARM_SECONDS) + _SPARE_SECONDS)

    def _set_alarm(self, seconds: float) -> None:
        if getattr(signal, "SIGALRM", None) in self._previous:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def _handle(self, number: int, frame: object) -> None:
        if self.is_over:
            return
        if not self._has_come:
            self._has_come = True
            self._set_alarm(_TELLING_SECONDS)
            is_late = self._limit.remaining() <= 0
            late = "it did not end within the --timeout of the check"
            raise KeyboardInterrupt(late if is_late else f"stopped by {_name_signal(number)}")
        if number == signal.SIGALRM:
            os._exit(self._exit_code)

    def finish(self, *, ends_process: bool) -> None:
        """Give the signals back, or ignore them until the process has ended."""
        self.is_over = True
        self._set_alarm(0)
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if ends_process else handler)
        self._previous.clear()


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals between the first and the last
        return f"signal {number}"


def exit_by_signal(number: int) -> int:
    """End as the signal would have ended the command."""
    if number == signal.SIGINT:
        return INTERRUPTED
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number  # where the signal waits; as a shell reports it (POSIX 2.8.2)
