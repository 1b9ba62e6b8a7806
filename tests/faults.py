"""Break a payment, a login and a list at each line and at each system call; the server counts.

``python -m tests.faults [--gevent] [--short]``: each kind of error at each line, and each errno of
POSIX at each call of a socket; the short form tries one of forty lines, and one errno of a call.
Whatever happens, a payment arrives once at most, and one that arrived is never told as not sent;
the client can be used again, no lock is taken and no descriptor is lost.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import itertools
import linecache
import logging
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soapmail import Client, OutcomeUnknown, SoapMailError, Status

from .faulty import Faulty, Hangup, Request, make_client, respond_after_login
from .support import make_invoices_response, make_status_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

PACKAGE = str(Path(sys.modules["soapmail"].__file__ or "").parent) + os.sep
# Where urllib3 swallows an error of the system, the wait for the response lasts so long.
OPTIONS: dict[str, Any] = {"retries": 0, "session_id": "x" * 32, "timeout": 1}
KINDS: list[type[BaseException]] = [MemoryError, OSError, RecursionError, KeyboardInterrupt]
# Lines before which CPython looks for no signal, so that nothing can be raised there: those that
# give a lock back.
UNREACHABLE = ("nothing before it, where a signal", "self._lock.release()")
# The errors that POSIX.1-2017 names for connect, send, recv and socket.
_ALWAYS = ["EBADF", "EINTR", "EIO", "ENOBUFS", "ENOMEM", "ENOTSOCK", "EACCES"]
CALLS = {
    "connect": [
        *_ALWAYS, "EADDRINUSE", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EALREADY", "ECONNREFUSED",
        "ECONNRESET", "EHOSTUNREACH", "EINPROGRESS", "EINVAL", "EISCONN", "ENETDOWN",
        "ENETUNREACH", "EOPNOTSUPP", "EPROTOTYPE", "ETIMEDOUT",
    ],
    "sendall": [
        *_ALWAYS, "EAGAIN", "ECONNRESET", "EDESTADDRREQ", "EMSGSIZE", "ENETDOWN", "ENETUNREACH",
        "ENOTCONN", "EOPNOTSUPP", "EPIPE", "EPROTOTYPE", "ETIMEDOUT",
    ],
    "recv_into": [
        *_ALWAYS, "EAGAIN", "ECONNRESET", "EINVAL", "ENOTCONN", "EOPNOTSUPP", "ETIMEDOUT",
    ],
    "setsockopt": [*_ALWAYS, "EDOM", "EINVAL", "EISCONN", "ENOPROTOOPT"],
    "settimeout": ["EBADF", "EINVAL"],
    "__init__": ["EACCES", "EAFNOSUPPORT", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"],
}  # fmt: skip


# One of each type: each column is read by the same lines.
FIELDS_READ = {"invoices_id": 1, "invoices_amount": 12.5, "invoices_module": "mail"}


class Server:
    """Counts how often each invoice is paid."""

    def __init__(self) -> None:
        self.arrived: Counter[int] = Counter()

    def __call__(self, request: Request) -> None:
        if request.operation != "api_make_payment":
            request.respond(make_invoices_response([FIELDS_READ] * 2))
            return
        number = re.search(rb"<invoice [^>]*>(\d+)<", request.body)
        if number is None:
            raise Hangup  # its end did not come
        self.arrived[int(number[1])] += 1
        request.respond(make_status_response("api_make_payment", "ok", "Paid"))


@dataclass
class Trial:
    """One client and one server, which are broken again and again."""

    client: Client
    server: Server
    faults: list[str] = field(default_factory=list)
    count: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def try_all(self, name: str, place: str, inject: Callable[[], Any]) -> None:
        """Do an operation while a fault is injected, and judge what came of it."""
        number = next(self._numbers)
        work: dict[str, Callable[[], object]] = {
            "payment": lambda: self.client.make_payment(number),
            "list": lambda: len(self.client.get_client_invoices()),
            "login": self.client.login,
        }
        outcome: object
        try:
            with inject():
                outcome = work[name]()
        except BaseException as error:
            outcome = error
        self.count += 1
        problem = self._judge(number, outcome) or self._find_lock()
        if problem:
            self.faults.append(f"{name}, {place}: {problem}: {outcome!r}")

    def renew_client(self) -> None:
        """Begin with no connection."""
        endpoint = self.client._endpoint
        self.client.close()
        self.client = make_client(endpoint, **OPTIONS)

    def _judge(self, number: int, outcome: object) -> str | None:
        arrived = self.server.arrived.pop(number, 0)
        if arrived > 1:
            return f"arrived {arrived} times"
        if not arrived:
            return "told as paid" if isinstance(outcome, Status) else None
        if isinstance(outcome, (Status, OutcomeUnknown)):
            return None
        is_interrupt = isinstance(outcome, BaseException) and not isinstance(outcome, Exception)
        if is_interrupt and (getattr(outcome, "__notes__", None) or sys.version_info < (3, 11)):
            return None
        return "arrived, and is not told so"

    def _find_lock(self) -> str | None:
        """Use the client in another thread, which waits for a lock that this one still has."""
        results: list[object] = []

        def use() -> None:
            try:
                results.append(len(self.client.get_client_invoices()))
            except SoapMailError as error:
                results.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join(20)
        return None if results == [2] else f"the client is of no use after it ({results})"


@contextlib.contextmanager
def break_line(number: int, kind: type[BaseException], seen: list[str]) -> Iterator[None]:
    """Raise an error at the n-th line that soapmail runs."""

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            if any(mark in text for mark in UNREACHABLE):
                return trace
            seen.append(f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}")
            if len(seen) == number:
                sys.settrace(None)
                raise kind("injected")
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


@contextlib.contextmanager
def break_call(
    name: str, number: int, code: int, *, is_late: bool, seen: list[int]
) -> Iterator[None]:
    """Raise an error of the system at the n-th call of a method of sockets, or right after it."""
    real = getattr(socket.socket, name)
    thread = threading.get_ident()

    def call(self: socket.socket, *args: Any, **options: Any) -> Any:
        if threading.get_ident() != thread:
            return real(self, *args, **options)
        seen.append(1)
        if len(seen) != number:
            return real(self, *args, **options)
        if is_late:
            real(self, *args, **options)
        raise OSError(code, os.strerror(code))

    setattr(socket.socket, name, call)
    try:
        yield
    finally:
        setattr(socket.socket, name, real)


def break_lines(trial: Trial, name: str, every: int) -> None:
    for kind in KINDS:
        number = 1
        while True:
            seen: list[str] = []
            if name != "login":
                trial.renew_client()
            trial.try_all(name, kind.__name__, partial(break_line, number, kind, seen))
            if len(seen) < number:
                break
            if trial.faults and trial.faults[-1].startswith(f"{name}, {kind.__name__}:"):
                trial.faults[-1] = f"{seen[number - 1]}: {trial.faults[-1]}"
            number += every


def break_calls(trial: Trial, name: str, most: int) -> None:
    for method, names in CALLS.items():
        late = [False, True] if method == "sendall" else [False]
        for code, is_late in itertools.product(names[:most], late):
            for number in itertools.count(1):
                seen: list[int] = []
                trial.renew_client()
                place = f"{code} at call {number} of {method}{', after it' if is_late else ''}"
                fault = partial(
                    break_call, method, number, getattr(errno, code), is_late=is_late, seen=seen
                )
                trial.try_all(name, place, fault)
                if len(seen) < number:
                    break


def count_descriptors() -> int:
    """Return how many are open; 0 where the system does not say."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def wait_for_descriptors(count: int, seconds: float = 10) -> int:
    """Return how many there are more than before, once the server's threads have ended."""
    end = time.monotonic() + seconds
    while (more := count_descriptors() - count) > 0 and time.monotonic() < end:
        time.sleep(0.05)
    return more


def run(*, is_short: bool) -> tuple[int, list[str]]:
    """Return how many faults were injected, and what was wrong after them."""
    with Faulty(respond_after_login(Server())) as faulty, make_client(faulty) as client:
        client.get_client_invoices()  # and what is opened once is open
    wait_for_descriptors(0, seconds=0.5)
    before = count_descriptors()
    server = Server()
    with Faulty(respond_after_login(server)) as faulty:
        trial = Trial(make_client(faulty, **OPTIONS), server)
        for name in ("payment", "list", "login"):
            break_lines(trial, name, every=40 if is_short else 1)
            break_calls(trial, name, most=1 if is_short else 99)
        trial.client.close()
    lost = wait_for_descriptors(before)
    if lost > 0:
        trial.faults.append(f"{lost} descriptors are lost")
    return trial.count, trial.faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--gevent", action="store_true", help="with gevent's sockets and threads")
    parser.add_argument("--short", action="store_true", help="one line of forty, one errno a call")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    count, faults = run(is_short=options.short)
    for fault in faults:
        print(fault)
    print(f"{count} faults injected, {len(faults)} wrong, in {time.monotonic() - started:.0f} s")
    return bool(faults)


if __name__ == "__main__":
    if "--gevent" in sys.argv:
        import gevent.monkey  # type: ignore[import-untyped]

        gevent.monkey.patch_all()
    sys.exit(main())
