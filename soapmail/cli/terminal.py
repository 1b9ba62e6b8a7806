"""Text for a person at a terminal: what is printed, and what is asked."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from .exit_codes import Cancelled, OutputFailed, UsageError

if TYPE_CHECKING:
    import argparse


def printable(value: object) -> str:
    """Return a value for a terminal: what could move its cursor is not passed on."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


def parenthesize(*texts: str | None) -> str:
    """Return the texts that there are in brackets."""
    words = ", ".join(filter(None, texts))
    return f" ({words})" if words else ""


def pluralize(count: int, noun: str) -> str:
    """Return a number and what it counts."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def print_error(text: str) -> None:
    """Print a line on stderr, if there is one."""
    print_raw_error(f"soapmail: {printable(text)}")


def print_raw_error(line: str) -> None:
    """Print a line that moves no cursor on stderr as it is, if there is one."""
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def write(text: str, *, is_red: bool = False) -> None:
    """Write to stdout; on a terminal, nothing of a text can move its cursor."""
    if sys.stdout.isatty():
        text = _clean(text)
    sys.stdout.write(_colour_red(text) if is_red else text)


def write_line(text: str) -> None:
    """Write a line to stdout."""
    write(f"{text}\n")


def print_or_raise(text: str) -> None:
    """Print a text, and know that it was written; OSError: it was not."""
    if sys.__stdout__ is None:
        raise OSError("stdout is closed")
    write(text)
    sys.stdout.flush()


def _clean(text: str) -> str:
    """Return a text without its byte order mark, and blanks for all that is no letter or line."""
    if text.replace("\n", "").isprintable():
        return text
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return "".join(letter if letter in "\n\t" else printable(letter) for letter in text)


def output_failed(error: Exception, name: str = "", rest: str = "") -> OutputFailed:
    """Return the error "{name}it was done, and only the output failed ({problem}){rest}"."""
    problem = getattr(error, "strerror", None) or str(error)
    return OutputFailed(f"{name}it was done, and only the output failed ({problem}){rest}")


def measure_terminal() -> int | None:
    """Return the columns of the terminal that stdout is, or ``None`` where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _colour_red(line: str) -> str:
    """Return a line in red, unless the environment says that it should not be (NO_COLOR)."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return line if is_plain else f"\x1b[31m{line}\x1b[0m"


def has_terminal() -> bool:
    """Return whether the caller can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def prompt(question: str, *, hidden: bool = False) -> str:
    """Ask the caller and return the answer; empty where there is no terminal."""
    if not has_terminal():
        return ""
    if hidden:
        from getpass import getpass

        return getpass(question)
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().rstrip("\r\n")


def confirm(args: argparse.Namespace, what: str) -> None:
    """Ask before anything is changed, or go by --yes."""
    if args.yes:
        return
    if not has_terminal():
        raise UsageError(f"{what}: say --yes to do this without a terminal")
    if prompt(f"{printable(what)}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Cancelled("nothing was done")
