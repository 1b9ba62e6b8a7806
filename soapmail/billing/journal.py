"""A journal of payments on the disk: a file that only grows, and that one run at a time may use."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..arguments import positive_int, timeout
from ..deadline import is_of_handler
from .history import Entry, History, JournalError, check_result, format_record, read_records

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_POLL_SECONDS = 0.05


def read_history(path: str) -> History:
    """Return what a journal holds, without its lock; a file that is not there holds nothing.

    JournalError: it cannot be read, or its folder is not there.
    """
    _check_place(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
            if not data.endswith(b"\n"):  # a run may be in the middle of its last line
                time.sleep(_POLL_SECONDS)
                data += file.read()
    except FileNotFoundError:
        return History(path)
    except OSError as error:
        raise _journal_error(path, error) from None
    return read_records(data, path)


class Journal(History, io.FileIO):
    """A file of JSON lines, only ever added to, which one run at a time may use.

    It is a context manager, which waits ``seconds`` for the lock of another run; 0: it does not
    wait. Inside, it belongs to one thread of one process, and cannot be entered again. Each record
    is on the disk before the next step. A file that is not there is made, for its owner alone, but
    not its folder. JournalError: it cannot be used.

    It is left, and unlocked, by FileIO's ``__exit__``, in which no signal can come between two
    steps, as it is written in C (test_an_interrupt_anywhere_leaves_no_lock).
    """

    def __init__(self, path: str, seconds: float = 60.0) -> None:
        History.__init__(self, path)
        self._seconds = timeout(seconds) if seconds != 0 else 0.0
        self._real_path = os.path.realpath(path)  # of a link, what it points to
        self._entering = threading.RLock()
        self._owner = 0
        self._is_writing = False
        # Whether another program has written into the file since it was entered.
        self._is_shared = False
        # What the file held when it was last looked at.
        self._data = b""
        _journals.add(self)

    def __enter__(self) -> Journal:
        is_ours = False
        try:
            with self._entering:
                if not self.closed:
                    raise JournalError(f"{self.path}: in use already; it cannot be entered twice")
                is_ours = True
                self._open()
                self._read()
                self._parse()
                if not self._data:
                    _sync_folder(os.path.dirname(self._real_path))
                self._owner = threading.get_ident()
                self._is_writing = self._is_shared = False
                return self
        except BaseException as error:
            if is_ours:
                self.close()
            if isinstance(error, OSError) and not is_of_handler(error):
                raise _journal_error(self.path, error) from None
            raise

    def settle(self, invoice: int, result: str, text: str | None = None) -> Entry:
        """Write down what became of a payment: ``paid`` or ``unpaid``.

        JournalError: its outcome is not open. ValueError: another result. Where a line was cut off
        that names no invoice, any invoice that is not recorded as paid may be its.
        """
        positive_int("invoice", invoice)
        check_result(result)
        self._do(self._name_torn_lines)
        asked = self.unsettled_for(invoice)
        nameless = [entry for entry in self.unsettled() if entry.invoice is None]
        if asked:  # what was cut off behind its intent was its outcome
            asked += [entry for entry in nameless if self._find_cause(entry) == invoice]
        elif not self.is_paid(invoice):
            asked = nameless
        if not asked:
            known = self.entries_for(invoice)
            state = f"is recorded as {known[-1].result}" if known else "is not in it"
            raise JournalError(
                f"{self.path}: invoice {invoice} {state}: its outcome is not an open question"
            )
        questions = [replace(entry, invoice=invoice) for entry in asked]
        answers = [question.follow_up("settled", result, text) for question in questions]
        return [self.append(answer) for answer in answers][-1]

    def reopen(self, invoice: int, text: str | None = None) -> Entry:
        """Write down that it is not known after all whether an invoice was paid.

        JournalError: no known outcome of it is recorded.
        """
        positive_int("invoice", invoice)
        known = [entry for entry in self.entries_for(invoice) if entry.event != "torn"]
        if self.unsettled_for(invoice):
            raise JournalError(f"{self.path}: invoice {invoice} is an open question already")
        if not known:
            raise JournalError(f"{self.path}: holds no known outcome of invoice {invoice}")
        return self.append(replace(known[-1].follow_up("reopened", "unknown", text), answers=None))

    def append(self, entry: Entry) -> Entry:
        """Write a record, and return it with its number when it is on the disk.

        JournalError: it may not be there. Of an intent also: somebody else wrote into the file, so
        that the invoice may be paid elsewhere. ValueError: it is not a record of a journal.
        """
        format_record(entry)
        return self._do(partial(self._append, entry))

    def number(self, entry: Entry) -> Entry:
        """Return a record with a number that no other one has, nor one that has to come first."""
        return replace(entry, number=self._last_number() + len(self._torn) + 1)

    def refresh(self) -> None:
        """Read what the file holds now; JournalError: a line is not a record."""
        self._do(self._read)
        self._parse()

    def holds(self, entry: Entry) -> bool:
        """Return whether a record may be in the file, also where writing it did not end."""
        with suppress(JournalError):
            self.refresh()
        return entry in self._entries

    # --- the file ----------------------------------------------------------------------------

    def _do(self, write: Callable[[], T]) -> T:
        """Write, by the thread that entered, and one record at a time."""
        if self.closed or self._owner != threading.get_ident():
            raise JournalError(f"{self.path}: not entered by this thread and process")
        if self._is_writing:
            raise JournalError(f"{self.path}: a record is being written, which a signal came into")
        self._is_writing = True
        try:
            return write()
        except (OSError, ValueError) as error:
            if is_of_handler(error) or not (isinstance(error, OSError) or self.closed):
                raise
            raise _journal_error(self.path, error) from None
        finally:
            self._is_writing = False

    def _append(self, entry: Entry) -> Entry:
        if not _is_same(self.fileno(), self._real_path):
            raise OSError(errno.ENOENT, "was removed or replaced meanwhile")
        if self._read():
            self._is_shared = True
        if entry.event == "intent":
            self._parse()
            self._require_alone()
        else:  # it is written behind whatever there is
            with suppress(JournalError):
                self._parse()
        self._name_torn_lines()
        if entry.number is None:
            entry = self.number(entry)
        self._write(entry)
        return entry

    def _require_alone(self) -> None:
        if self._is_shared:
            raise JournalError(
                f"{self.path}: another program has written into it; this run pays nothing more"
            )

    def _name_torn_lines(self) -> None:
        """End what was cut off, and write down what it was about."""
        for torn in self._torn:
            self._write(replace(torn, number=self._last_number() + 1))

    def _last_number(self) -> int:
        return max((entry.number or 0 for entry in self._entries), default=0)

    def _write(self, entry: Entry) -> None:
        """Add one record by one call of the system, and see that nothing came between."""
        before = self._data
        record = format_record(entry)
        if before and not before.endswith(b"\n"):
            record = b"\n" + record
        count = os.write(self.fileno(), record)
        self._read()
        with suppress(JournalError):  # of a line of somebody else, which the next intent meets
            self._parse()
        if count < len(record):
            raise OSError(errno.ENOSPC, "No space left on device")
        os.fsync(self.fileno())
        added = self._data[len(before) :]
        if added != record:
            self._is_shared = True
        if record not in added:
            raise JournalError(f"{self.path}: another program has written over this record")
        if entry.event == "intent":
            self._require_alone()

    def _read(self) -> bool:
        """Read the file anew, and return whether it is not as it was."""
        before = self._data
        with open(self.fileno(), "rb", closefd=False) as file:
            file.seek(0)
            self._data = file.read()
        return self._data != before

    def _parse(self) -> None:
        history = read_records(self._data, self.path)
        self._entries, self._questions = history._entries, history._questions
        self._torn = history._torn

    def _open(self) -> None:
        end = time.monotonic() + self._seconds
        self._data = b""
        while True:
            _check_place(self.path)
            io.FileIO.__init__(self, self._real_path, "a+", opener=partial(os.open, mode=0o600))
            self._lock(end)
            if _is_same(self.fileno(), self._real_path):
                return
            self.close()

    def _lock(self, end: float) -> None:
        try:
            import fcntl
        except ImportError:
            raise JournalError(f"{self.path}: this system has no locks for it") from None
        while True:
            try:
                fcntl.flock(self.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    holder = _find_holder(self.fileno())
                    raise JournalError(f"{self.path}: held by {holder}; nothing was paid") from None
            time.sleep(_POLL_SECONDS)


_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Close the files of a child: the lock is its parent's, who may end before it."""
    for journal in list(_journals):
        journal.close()
        journal._entering = threading.RLock()


# Windows has neither forks nor the locks of a journal.
getattr(os, "register_at_fork", dict)(after_in_child=_leave_to_parent)


def _journal_error(path: str, error: Exception) -> JournalError:
    return JournalError(f"{path}: {getattr(error, 'strerror', None) or error}")


def _check_place(path: str) -> None:
    """Raise JournalError where no journal can be, and none be made."""
    folder = os.path.dirname(os.path.realpath(path))
    try:
        if not os.path.isdir(folder):
            os.stat(folder)
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory")
    except FileNotFoundError:
        raise JournalError(
            f"{path}: there is no folder {folder} (a disk that is not mounted?), and none is made"
        ) from None
    except OSError as error:
        raise _journal_error(path, error) from None
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            raise JournalError(f"{path}: a link to a file that is not there") from None
    except OSError as error:
        raise _journal_error(path, error) from None
    else:
        if not stat.S_ISREG(mode):
            kind = "Is a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise JournalError(f"{path}: {kind}")


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


def _sync_folder(folder: str) -> None:
    """Let a new file be found after a power cut; JournalError: the folder does not let us."""
    try:
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        if is_of_handler(error):
            raise
        raise _journal_error(folder, error) from None
