"""A payment, with a fault at each system call that the journal makes, and a SIGKILL there.

After each, somebody goes on as a person would: settles truthfully what is asked, and runs again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from soapmail import cli
from soapmail.billing import journal as journal_module
from soapmail.billing import read_history

from .. import walk
from ..support import run_in_child
from .journals import ID, OTHER

if TYPE_CHECKING:
    from collections.abc import Callable

    from soapmail.sandbox import Sandbox

    from ..commands import Result

PLAN = ("pay", "--open", "--yes", "--max-total", "2")
CALLS = {"open": os, "write": os, "fsync": os, "flock": fcntl}
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.EACCES, errno.ENOLCK)


class Fault(NamedTuple):
    """What happens at the n-th call of a name: an error, half a write, or a SIGKILL."""

    name: str
    number: int
    what: str | int


class _Injector:
    """Stands in the place of the system's calls, as the journal sees them."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.counts: Counter[str] = Counter()
        self._real = {name: getattr(module, name) for name, module in CALLS.items()}

    def __enter__(self) -> _Injector:
        for name, module in CALLS.items():
            setattr(module, name, self._make(name))
        return self

    def __exit__(self, *error: object) -> None:
        for name, module in CALLS.items():
            setattr(module, name, self._real[name])

    def _make(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            # A caller in C has no frame: that of `open` is the one that makes the file.
            if sys._getframe(1).f_code.co_filename != journal_module.__file__:
                return self._real[name](*arguments, **options)
            self.counts[name] += 1
            if (name, self.counts[name]) != self.fault[:2]:
                return self._real[name](*arguments, **options)
            return self._fail(name, *arguments, **options)

        return call

    def _fail(self, name: str, *arguments: Any, **options: Any) -> Any:
        what = self.fault.what
        if isinstance(what, int):
            raise OSError(what, os.strerror(what))
        if what == "half":
            file, data = arguments
            return self._real[name](file, data[: len(data) // 2])
        if what == "killed behind":
            self._real[name](*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def count_calls(sandbox: Sandbox, path: str) -> Counter[str]:
    with _Injector(Fault("", 0, "")) as injector:
        assert cli.main([*PLAN, "--journal", path]) == 0
    Path(path).unlink()
    return injector.counts


@pytest.mark.slow
def test_a_payment_survives_a_fault_at_each_system_call(
    run: Callable[..., Result], path: str
) -> None:
    tried: Counter[str] = Counter()
    with walk.LaggingJudge() as first:
        counts = use(first, path, lambda: count_calls(first, path))
    assert counts["write"] == 4
    assert min(counts[name] for name in CALLS) > 0
    for name, count in counts.items():
        kinds: list[str | int] = [*ERRORS, "killed", "killed behind"]
        kinds += ["half"] if name == "write" else []
        for number in range(1, count + 1):
            for what in kinds:
                fault = Fault(name, number, what)
                try_fault(run, path, fault)
                tried[name] += 1
    assert sum(tried.values()) >= 100


def use(judge: walk.LaggingJudge, path: str, work: Callable[[], Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOAPMAIL_ENDPOINT", judge.endpoint)
        return work()


def try_fault(run: Callable[..., Result], path: str, fault: Fault) -> None:
    Path(path).unlink(missing_ok=True)
    with walk.LaggingJudge() as judge:
        use(judge, path, lambda: _try_fault(run, judge, path, fault))


def _try_fault(
    run: Callable[..., Result], judge: walk.LaggingJudge, path: str, fault: Fault
) -> None:
    words = [*PLAN, "--journal", path]

    def pay() -> int:
        with _Injector(fault):
            return cli.main(words)

    if isinstance(fault.what, str) and fault.what.startswith("killed"):
        with pytest.raises(EOFError):  # of the pipe that it would have written to
            run_in_child(pay)
    else:
        assert pay() in (1, 5), fault
    # The list may lag behind, and shows nothing of what was paid.
    judge.lag = 1
    for _ in range(4):
        paid = {one.invoices_id for one in judge.invoices if one.is_paid}
        for asked in dict.fromkeys(one.invoice for one in read_history(path).unsettled()):
            id = asked or next(one for one in (ID, OTHER) if one not in paid)
            result = "paid" if id in paid else "unpaid"
            assert run("journal", "settle", str(id), result, "--journal", path).code == 0, fault
        left = 2 - len(paid)
        if not left:
            break
        code = run(*words[:4], str(left), *words[5:]).code
        assert code in (0, 5), fault
    assert judge.twice == [], fault
    assert judge.done == {ID: 1, OTHER: 1}, fault
    assert threading.active_count() < 50
