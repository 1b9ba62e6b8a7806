"""Many accounts at a time, in their order."""

from __future__ import annotations

import sys
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .accounts import Account


# Accounts that are done before it is their turn to be shown wait; so many for each job.
_AHEAD = 4


class Result(NamedTuple, Generic[T]):
    """What became of one account: a value, or the error why there is none."""

    account: Account
    value: T | None = None
    error: BaseException | None = None


def _of_each(
    accounts: Sequence[Account], do: Callable[[Account], Result[T]], jobs: int
) -> Iterator[Result[T]]:
    """Do it with so many accounts at a time, and give what came of it in their order."""
    if len(accounts) == 1:  # here, where signals arrive
        yield do(accounts[0])
        return
    progress = _Progress(len(accounts))
    free = threading.Semaphore(jobs)
    waiting: deque[Future[Result[T]]] = deque()

    def work(account: Account, future: Future[Result[T]]) -> None:
        result = do(account)
        free.release()
        future.set_result(result)

    for account in accounts:
        while len(waiting) >= _AHEAD * jobs or (waiting and waiting[0].done()):
            yield progress.without(waiting.popleft())
        progress.show(waiting)
        free.acquire()
        waiting.append(Future())
        # Daemons: after an interrupt the command ends, and does not wait for what they wait for.
        threading.Thread(
            target=work, args=(account, waiting[-1]), name=account.name, daemon=True
        ).start()
    while waiting:
        progress.show(waiting)
        yield progress.without(waiting.popleft())


class _Progress:
    """A line on stderr that says how far it went, where that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._given = 0
        self._seen = sys.stderr.isatty()

    def show(self, waiting: Sequence[Future[Any]]) -> None:
        if self._seen:
            done = self._given + sum(one.done() for one in waiting)
            self._write(f"\r{done} of {self._total} accounts")

    def without(self, future: Future[Result[T]]) -> Result[T]:
        """Wait for one, and take the line away for what may be printed of it."""
        result = future.result()
        self._given += 1
        if self._seen:
            self._write("\r\x1b[K")
        return result

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
