"""The one reader of a password: the first line of a variable, a file, stdin, or a program."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # as in arguments.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

MAX_SECRET_BYTES = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_FILE = "SOAPMAIL_PASSWORD_FILE"


def read_password(environ: Mapping[str, str], seconds: float) -> str:
    """Return the password that the environment holds, or names a file of; empty: neither.

    ValueError: the first line is empty, too long or not UTF-8, or did not come within the seconds.
    """
    if environ.get("SOAPMAIL_PASSWORD"):
        return decode_first_line(_encode(environ["SOAPMAIL_PASSWORD"]), "SOAPMAIL_PASSWORD")
    path = environ.get(_FILE)
    if not path:
        return ""
    where = f"{_FILE}: {path}"
    if os.path.isfile(path):
        return decode_first_line(_read_file(path, environ), where)
    # A pipe, which may be waited for.
    return decode_first_line(call_within(lambda: _read_file(path, environ), seconds, where), where)


def decode_first_line(data: bytes, where: str) -> str:
    """Return the first line, of UTF-8 with or without a mark; ValueError names where it is."""
    line = data.removeprefix(_BOM).partition(b"\n")[0].removesuffix(b"\r")
    problem = "is empty"
    if len(line) > MAX_SECRET_BYTES:
        problem = f"is longer than {MAX_SECRET_BYTES} bytes"
    elif line.strip():
        try:
            return line.decode()
        except UnicodeDecodeError:
            problem = "is not UTF-8"
    del data, line  # which a traceback would show
    raise ValueError(f"{where}: the first line {problem}")


def read_descriptor(descriptor: int) -> bytes:
    """Return what can be read up to the end of the first line, or more than is allowed."""
    data = b""
    while b"\n" not in data and len(data) <= MAX_SECRET_BYTES + len(_BOM):
        piece = os.read(descriptor, MAX_SECRET_BYTES)
        if not piece:
            break
        data += piece
    return data


def call_within(read: Callable[[], T], seconds: float, where: str) -> T:
    """Return what is read in a thread of its own; ValueError: that takes longer."""
    from queue import Empty, SimpleQueue
    from threading import Thread

    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            results.put((read(), None))
        except BaseException as error:
            results.put((None, error))

    try:
        Thread(target=work, daemon=True).start()
    except RuntimeError as error:  # the system has no more threads
        raise OSError(str(error)) from None
    try:
        value, problem = results.get(timeout=max(0, seconds))
    except Empty:
        raise ValueError(f"{where}: did not end within {seconds:g} seconds") from None
    if problem is not None:
        raise problem
    return value  # type: ignore[return-value]


def _encode(text: str) -> bytes:
    """Return the bytes of a variable; those that the locale could not read are as they were."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return b"\xff"


def _read_file(path: str, environ: Mapping[str, str]) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        mode = os.fstat(descriptor).st_mode
        if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o006:
            _warn_of_others(path, stat.S_IMODE(mode), environ.get("CREDENTIALS_DIRECTORY"))
        return read_descriptor(descriptor)
    finally:
        os.close(descriptor)


def _warn_of_others(path: str, mode: int, credentials: str | None) -> None:
    """Warn of a file that is not the owner's and the group's alone.

    Not of those of systemd (systemd.exec(5), CREDENTIALS_DIRECTORY) and Docker, whose folders keep
    others out.
    """
    place = os.path.abspath(path)
    if not any(
        place.startswith(f"{folder}/") for folder in (credentials, "/run/secrets") if folder
    ):
        from logging import getLogger

        problem = (
            f"{_FILE}: %s has the mode %04o, so any user may %s it; chmod 600 keeps others out"
        )
        verbs = {2: "write", 4: "read", 6: "read and write"}
        getLogger("soapmail").warning(problem, path, mode, verbs[mode & 6])
