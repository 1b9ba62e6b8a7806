"""A journal of payments on the disk, which one run at a time may use."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    About = tuple[int | None, float | None, str | None]

EVENTS = {
    "intent": (None,),
    "outcome": ("paid", "refused", "unknown"),
    "settled": ("paid", "unpaid"),
}
_ALWAYS = ("invoice", "event", "amount", "currency", "time")
_POLL = 0.05
_NAMED = r'\{"invoice": ([0-9]{1,18}),'
_FULL = OSError(28, "No space left on device")
_SIGNALS = {
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
}


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


def entry_of(event: str, about: About, result: str | None = None, text: str | None = None) -> Entry:
    """Make an entry of this moment, about an invoice, its amount and its currency."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Entry(about[0], event, about[1], about[2], now, result, text)


class Journal:
    """A file of JSON lines, only ever added to, which one run at a time may use.

    It is a context manager, which waits ``seconds`` for the lock of another run. Inside, it belongs
    to one thread of one process. Each line is on the disk before the next step. ``path`` is made if
    it is not there, for its owner alone. JournalError: it cannot be used.
    """

    def __init__(self, path: str, seconds: float = 60.0) -> None:
        self.path = path
        self._seconds = seconds
        self._place = os.path.realpath(path)  # of a link, what it points to
        self._free = threading.Lock()
        self._owner: tuple[int, int] | None = None
        self._depth = 0
        self._file = -1
        self._entries: list[Entry] = []
        self._end = 0
        # What was cut off behind it, by a power cut or a full disk.
        self._torn = b""

    def __enter__(self) -> Journal:
        if self._owner != _here():
            if not self._free.acquire(blocking=False):
                raise JournalError(f"{self.path}: in use by another thread or process")
            try:
                self._open()
            except BaseException:
                self._free.release()
                raise
            self._owner = _here()
        self._depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            os.close(self._file)
            self._free.release()

    def entries(self) -> list[Entry]:
        """Give all lines; the last one may be an intent of which only a part was written."""
        return [*self._entries, *self._cut()]

    def of(self, invoice: int) -> list[Entry]:
        """Give the lines of one invoice."""
        return [one for one in self.entries() if one.invoice == invoice]

    def unsettled(self) -> list[Entry]:
        """Give the intents whose outcome is unknown; ``None`` as the invoice: of any invoice."""
        last: dict[int | None, Entry] = {}
        intents: dict[int | None, Entry] = {}
        for one in self.entries():
            last[one.invoice] = one
            if one.event == "intent":
                intents[one.invoice] = one
        return [
            intents.get(invoice, one)
            for invoice, one in last.items()
            if one.event == "intent" or one.result == "unknown"
        ]

    def is_paid(self, invoice: int) -> bool:
        """Tell whether the last line of an invoice says that it was paid."""
        return [one.result for one in self.of(invoice)][-1:] == ["paid"]

    def settle(self, invoice: int, result: str, text: str | None = None) -> Entry:
        """Write down what became of a payment; JournalError: it holds none of this invoice."""
        intents = [one for one in self.of(invoice) if one.event == "intent"]
        nameless = any(one.invoice is None for one in self.unsettled())
        if not (intents or nameless):
            raise JournalError(f"{self.path}: holds no payment of invoice {invoice}")
        amount, currency = (intents[-1].amount, intents[-1].currency) if intents else (None, None)
        about = (invoice, amount, currency)
        # A whole intent takes the place of what was cut off.
        whole = [entry_of("intent", about, None, "cut off")] if self._torn else []
        entry = entry_of("settled", about, result, text)
        self._write([*whole, entry])
        return entry

    def append(self, entry: Entry) -> None:
        """Write a line, and wait until it is on the disk; JournalError: it is not there."""
        if self._torn:
            raise JournalError(f"{self.path}: its last line is broken")
        self._write([entry])

    # --- the file ----------------------------------------------------------------------------

    def _write(self, entries: list[Entry]) -> None:
        if self._owner != _here():
            raise JournalError(f"{self.path}: not entered by this thread and process")
        data = b"".join(map(_line, entries))
        with _unbroken():
            try:
                self._check_place()
                self._put(data)
            except OSError as error:
                raise JournalError(f"{self.path}: {error.strerror or error}") from None
            self._entries += entries
            self._end += len(data)
            self._torn = b""

    def _put(self, data: bytes) -> None:
        try:
            if os.pwrite(self._file, data, self._end) < len(data):
                raise _FULL
            os.ftruncate(self._file, self._end + len(data))
            os.fsync(self._file)
            if self._end == 0:
                _sync_folder(os.path.dirname(self._place))
        except OSError:
            with suppress(OSError):  # else the beginning of a line stays, which is seen later
                os.pwrite(self._file, self._torn, self._end)
                os.ftruncate(self._file, self._end + len(self._torn))
            raise

    def _check_place(self) -> None:
        """Refuse to write into a file that is not the one of this path any more."""
        if not _is_same(self._file, self._place):
            raise OSError(2, "was removed or replaced meanwhile")

    def _open(self) -> None:
        """Open the file, lock it, and read it."""
        end = time.monotonic() + self._seconds
        try:
            os.makedirs(os.path.dirname(self._place), 0o700, exist_ok=True)
            while True:
                self._file = os.open(self._place, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
                try:
                    self._lock(end)
                    if _is_same(self._file, self._place):
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
                    held = f"held by {_holder(self._file)}"
                    raise JournalError(f"{self.path}: {held}; nothing was paid") from None
            time.sleep(_POLL)

    def _read(self) -> None:
        with open(self._file, "rb", closefd=False) as file:
            data = file.read()
        self._entries, self._end, self._torn = [], 0, b""
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            entry = _entry_in(line) if line.endswith(b"\n") else None
            if entry is not None or line == b"\n":
                self._entries += [entry] if entry else []
                self._end += len(line)
            elif number == len(lines):
                self._torn = line
            else:
                raise JournalError(f"{self.path}: line {number} is broken; nothing is paid by it")

    def _cut(self) -> list[Entry]:
        """Give what the beginning of a line says; an unfinished line is an intent."""
        if not self._torn:
            return []
        found = re.match(_NAMED, self._torn.decode("utf-8", "replace"))
        return [Entry(int(found[1]) if found else None, "intent", None, None, "", text="cut off")]


def _here() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def _is_same(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(locked: int) -> str:
    """Name the process that holds the lock, where the system tells."""
    inode = os.fstat(locked).st_ino
    locks = ""
    with suppress(OSError), open("/proc/locks", encoding="ascii") as file:
        locks = file.read()
    found = re.search(rf"(?m)^\d+: FLOCK .* (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", locks)
    return f"process {found[1]}" if found else "another process"


@contextmanager
def _unbroken() -> Iterator[None]:
    """Let no signal come between the steps of one line."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _line(entry: Entry) -> bytes:
    # The invoice first, so that even the beginning of a line names it.
    values = {
        name: value for name, value in asdict(entry).items() if value is not None or name in _ALWAYS
    }
    return json.dumps(values, ensure_ascii=True).encode() + b"\n"


def _entry_in(line: bytes) -> Entry | None:
    """Give what a line says; None where it says nothing that is known."""
    try:
        found: Any = json.loads(line)
        entry = Entry(**found)
        kinds = (
            type(entry.invoice) is int,
            entry.result in EVENTS[entry.event],
            entry.amount is None or type(entry.amount) in (int, float),
            isinstance(entry.time, str),
        )
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return entry if all(kinds) else None


def _sync_folder(folder: str) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
