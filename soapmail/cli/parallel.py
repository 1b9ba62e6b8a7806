"""Many accounts at a time, in their order."""

from __future__ import annotations

import sys
import threading
from collections import deque
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .accounts import Account

T = TypeVar("T")

# Finished accounts are buffered until their turn: start at most so many for each job ahead.
_AHEAD_PER_JOB = 4
# A signal that comes just before a wait without a limit is seen behind it (CPython, signal).
_LOOK_SECONDS = 0.5


class AccountResult(NamedTuple, Generic[T]):
    """What became of one account: a value, or the error why there is none."""

    account: Account
    value: T | None = None
    error: BaseException | None = None
    # The operation that failed, as far as it is known.
    operation: str | None = None


def iter_account_results(
    accounts: Sequence[Account], do: Callable[[Account], AccountResult[T]], jobs: int
) -> Iterator[AccountResult[T]]:
    """Work on so many accounts at a time, and yield what came of each in their order.

    Signals arrive in this thread, which waits for those of the accounts, one account's included.
    """
    progress = _Progress(len(accounts))
    free_jobs = threading.Semaphore(jobs)
    waiting: deque[Future[AccountResult[T]]] = deque()

    def work(account: Account, future: Future[AccountResult[T]]) -> None:
        result = do(account)
        free_jobs.release()
        future.set_result(result)

    for account in accounts:
        while len(waiting) >= _AHEAD_PER_JOB * jobs or (waiting and waiting[0].done()):
            yield progress.take(waiting.popleft())
        progress.show(waiting)
        while not free_jobs.acquire(timeout=_LOOK_SECONDS):
            pass
        waiting.append(Future())
        # Daemons: after an interrupt the command ends, and does not wait for what they wait for.
        name = account.name or threading.current_thread().name
        job = threading.Thread(target=work, args=(account, waiting[-1]), name=name, daemon=True)
        try:
            job.start()
        except RuntimeError:  # the system has no more threads
            work(account, waiting[-1])
    while waiting:
        progress.show(waiting)
        yield progress.take(waiting.popleft())


class _Progress:
    """A line on stderr that says how far it went, where that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._taken = 0
        self._is_visible = total > 1 and sys.stderr.isatty()

    def show(self, waiting: Sequence[Future[Any]]) -> None:
        if self._is_visible:
            done = self._taken + sum(future.done() for future in waiting)
            self._write(f"\r{done} of {self._total} accounts")

    def take(self, future: Future[AccountResult[T]]) -> AccountResult[T]:
        """Wait for a result, and take the line away for what may be printed of it."""
        while not future.done():
            wait([future], _LOOK_SECONDS)
        result = future.result()
        self._taken += 1
        if self._is_visible:
            self._write("\r\x1b[K")
        return result

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
