"""A journal of payments on the disk, which one run at a time may use."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# For each event, the results that it may have.
_RESULTS = {
    "intent": (None,),
    "outcome": ("paid", "refused", "unknown"),
    "settled": ("paid", "unpaid"),
}
_ALWAYS_WRITTEN = ("invoice", "event", "amount", "currency", "time")
_POLL_SECONDS = 0.05
_FIRST_FIELD = r'\{"invoice": ([0-9]{1,18}),'
_DISK_FULL = OSError(errno.ENOSPC, "No space left on device")
# Those by which somebody stops a program.
STOPPING_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class JournalError(Exception):
    """The journal cannot be locked, read or written; nothing was sent."""


@dataclass(frozen=True)
class Entry:
    """One line of a journal.

    - ``event``: ``intent`` (about to be paid), ``outcome`` (with a ``result`` of ``paid``,
      ``refused`` or ``unknown``), ``settled`` (``paid`` or ``unpaid``, as was found out later)
    - ``amount``, ``currency``: what it costs; ``None``: not known
    - ``time``: UTC, in the form of ISO 8601
    - ``text``: what the server or the error said
    """

    invoice: int | None
    event: str
    amount: float | None
    currency: str | None
    time: str
    result: str | None = None
    text: str | None = None

    def follow_up(self, event: str, result: str | None, text: str | None) -> Entry:
        """Return what happens now to the same invoice."""
        return replace(self, event=event, time=_format_now(), result=result, text=text)


def make_intent(invoice: int | None, amount: float | None, currency: str | None) -> Entry:
    """Return the line of a payment that is about to be made."""
    return Entry(invoice, "intent", amount, currency, _format_now())


def _format_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class Journal:
    """A file of JSON lines, only ever added to, which one run at a time may use.

    It is a context manager, which waits ``seconds`` for the lock of another run. Inside, it belongs
    to one thread of one process. Each line is on the disk before the next step. ``path`` is made if
    it is not there, for its owner alone. JournalError: it cannot be used.
    """

    def __init__(self, path: str, seconds: float = 60.0) -> None:
        self.path = path
        self._seconds = seconds
        self._real_path = os.path.realpath(path)  # of a link, what it points to
        self._thread_lock = threading.Lock()
        self._owner: tuple[int, int] | None = None
        self._depth = 0
        self._file = -1
        self._entries: list[Entry] = []
        self._end = 0
        # What was cut off behind it, by a power cut or a full disk.
        self._torn_tail = b""

    def __enter__(self) -> Journal:
        if self._owner != _current_owner():
            if not self._thread_lock.acquire(blocking=False):
                raise JournalError(f"{self.path}: in use by another thread or process")
            try:
                self._open()
            except BaseException:
                self._thread_lock.release()
                raise
            self._owner = _current_owner()
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            os.close(self._file)
            self._thread_lock.release()

    def entries(self) -> list[Entry]:
        """Return all lines; the last one may be an intent of which only a part was written."""
        return [*self._entries, *self._make_torn_entry()]

    def entries_for(self, invoice: int) -> list[Entry]:
        """Return the lines of one invoice."""
        return [entry for entry in self.entries() if entry.invoice == invoice]

    def unsettled(self) -> list[Entry]:
        """Return the intents whose outcome is unknown; ``None`` as the invoice: of any invoice."""
        last: dict[int | None, Entry] = {}
        intents: dict[int | None, Entry] = {}
        for entry in self.entries():
            last[entry.invoice] = entry
            if entry.event == "intent":
                intents[entry.invoice] = entry
        return [
            intents.get(invoice, entry)
            for invoice, entry in last.items()
            if entry.event == "intent" or entry.result == "unknown"
        ]

    def is_paid(self, invoice: int) -> bool:
        """Return whether the last line of an invoice says that it was paid."""
        return [entry.result for entry in self.entries_for(invoice)][-1:] == ["paid"]

    def settle(self, invoice: int, result: str, text: str | None = None) -> Entry:
        """Write down what became of a payment; JournalError: it holds none of this invoice."""
        intents = [entry for entry in self.entries_for(invoice) if entry.event == "intent"]
        is_nameless = any(entry.invoice is None for entry in self.unsettled())
        if not (intents or is_nameless):
            raise JournalError(f"{self.path}: holds no payment of invoice {invoice}")
        intent = intents[-1] if intents else make_intent(invoice, None, None)
        # A whole intent takes the place of what was cut off.
        whole = [intent.follow_up("intent", None, "cut off")] if self._torn_tail else []
        entry = intent.follow_up("settled", result, text)
        self._write([*whole, entry])
        return entry

    def append(self, entry: Entry) -> None:
        """Write a line, and wait until it is on the disk; JournalError: it is not there."""
        if self._torn_tail:
            raise JournalError(f"{self.path}: its last line is broken")
        self._write([entry])

    # --- the file ----------------------------------------------------------------------------

    def _write(self, entries: list[Entry]) -> None:
        if self._owner != _current_owner():
            raise JournalError(f"{self.path}: not entered by this thread and process")
        data = b"".join(map(_format_line, entries))
        with _block_signals():
            try:
                self._check_path()
                self._append_bytes(data)
            except OSError as error:
                raise JournalError(f"{self.path}: {error.strerror}") from None
            self._entries += entries
            self._end += len(data)
            self._torn_tail = b""

    def _append_bytes(self, data: bytes) -> None:
        try:
            if os.pwrite(self._file, data, self._end) < len(data):
                raise _DISK_FULL
            os.ftruncate(self._file, self._end + len(data))
            os.fsync(self._file)
            if self._end == 0:
                _sync_folder(os.path.dirname(self._real_path))
        except OSError:
            with suppress(OSError):  # else the beginning of a line stays, which is seen later
                os.pwrite(self._file, self._torn_tail, self._end)
                os.ftruncate(self._file, self._end + len(self._torn_tail))
            raise

    def _check_path(self) -> None:
        if not _is_same(self._file, self._real_path):
            raise OSError(errno.ENOENT, "was removed or replaced meanwhile")

    def _open(self) -> None:
        end = time.monotonic() + self._seconds
        try:
            os.makedirs(os.path.dirname(self._real_path), 0o700, exist_ok=True)
            while True:
                self._file = os.open(self._real_path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
                try:
                    self._lock(end)
                    if _is_same(self._file, self._real_path):
                        self._read()
                        return
                    os.close(self._file)
                except BaseException:
                    os.close(self._file)
                    raise
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from None

    def _lock(self, end: float) -> None:
        try:
            import fcntl
        except ImportError:
            raise JournalError(f"{self.path}: this system has no locks for it") from None
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise JournalError(f"{self.path}: not a regular file")
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    holder = _find_holder(self._file)
                    raise JournalError(f"{self.path}: held by {holder}; nothing was paid") from None
            time.sleep(_POLL_SECONDS)

    def _read(self) -> None:
        with open(self._file, "rb", closefd=False) as file:
            data = file.read()
        self._entries, self._end, self._torn_tail = [], 0, b""
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            entry = _parse_entry(line) if line.endswith(b"\n") else None
            if entry is not None or line == b"\n":
                self._entries += [entry] if entry else []
                self._end += len(line)
            elif number == len(lines):
                self._torn_tail = line
            else:
                raise JournalError(f"{self.path}: line {number} is broken; nothing is paid by it")

    def _make_torn_entry(self) -> list[Entry]:
        """Return what the beginning of a line says; an unfinished line is an intent."""
        if not self._torn_tail:
            return []
        id = re.match(_FIRST_FIELD, self._torn_tail.decode("utf-8", "replace"))
        return [Entry(int(id[1]) if id else None, "intent", None, None, "", text="cut off")]


def _current_owner() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def _is_same(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _find_holder(file: int) -> str:
    """Return the process that holds the lock, where the system tells (Linux, proc(5))."""
    inode = os.fstat(file).st_ino
    locks = ""
    with suppress(OSError), open("/proc/locks", encoding="ascii") as table:
        locks = table.read()
    lock = re.search(rf"(?m)^\d+: FLOCK .* (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", locks)
    return f"process {lock[1]}" if lock else "another process"


@contextmanager
def _block_signals() -> Iterator[None]:
    """Let no signal come between the steps of one line."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _format_line(entry: Entry) -> bytes:
    # The invoice first: a line may be cut at any byte (test_pay).
    values = {
        name: value
        for name, value in asdict(entry).items()
        if value is not None or name in _ALWAYS_WRITTEN
    }
    return json.dumps(values).encode() + b"\n"


def _parse_entry(line: bytes) -> Entry | None:
    try:
        fields: Any = json.loads(line)
        entry = Entry(**fields)
        checks = (
            type(entry.invoice) is int,
            entry.result in _RESULTS[entry.event],
            entry.amount is None or type(entry.amount) in (int, float),
            isinstance(entry.time, str),
        )
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return entry if all(checks) else None


def _sync_folder(folder: str) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
