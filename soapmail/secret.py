"""The one reader of a password: the first line of a variable, a file, stdin, or a program."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # as in arguments.py
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SECRET_BYTES = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_FILE = "SOAPMAIL_PASSWORD_FILE"


def read_credentials(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return username and password; ValueError names the variables that are missing."""
    pair = environ.get("SOAPMAIL_USERNAME", ""), read_password(environ)
    if all(pair):
        return pair
    names = ("SOAPMAIL_USERNAME", "SOAPMAIL_PASSWORD")
    missing = ", ".join(name for name, value in zip(names, pair, strict=True) if not value)
    del pair  # which a traceback would show
    raise ValueError(f"not set in the environment: {missing}")


def read_password(environ: Mapping[str, str]) -> str:
    """Return the password that the environment holds, or names a file of; empty: neither.

    ValueError: the first line is empty, too long or not UTF-8.
    """
    if environ.get("SOAPMAIL_PASSWORD"):
        return decode_first_line(os.fsencode(environ["SOAPMAIL_PASSWORD"]), "SOAPMAIL_PASSWORD")
    path = environ.get(_FILE)
    return decode_first_line(_read_file(path, environ), f"{_FILE}: {path}") if path else ""


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


def _read_file(path: str, environ: Mapping[str, str]) -> bytes:
    with open(path, "rb", buffering=0) as file:
        mode = os.fstat(file.fileno()).st_mode
        # systemd.exec(5), and Docker: into their folders nobody else is let.
        folders = (f"{environ.get('CREDENTIALS_DIRECTORY') or '/run/secrets'}/", "/run/secrets/")
        is_kept = os.path.abspath(path).startswith(folders)
        if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o006 and not is_kept:
            from logging import getLogger

            problem = "%s: %s has the mode %04o: others may read or write it; chmod 600 ends that"
            getLogger("soapmail").warning(problem, _FILE, path, stat.S_IMODE(mode))
        return read_descriptor(file.fileno())
