"""One run of the command: arguments to an exit code, whatever stdout and stderr are."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import parser
from .exit_codes import INTERRUPTED, KNOWN, OK, Stopped, code_of, words_of
from .signals import end_by
from .terminal import say, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Those of a monitoring plugin, whose first line is on stdout.
_NO_ANSWER = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, which does not depend on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _output(), _messages() as log:
            args = parser.parsed(words)
            if args.verbose:
                log.setLevel(logging.DEBUG)
            return _run(args)
    except SystemExit as stop:  # of argparse, after --help and --version
        return int(stop.code or OK)
    except KeyboardInterrupt as error:
        return _failed(error, words) if _is_monitored(words) else INTERRUPTED
    except Stopped as stop:
        return end_by(stop.number)
    except BrokenPipeError:  # whoever reads has enough
        return _NO_ANSWER if _is_monitored(words) else OK
    except KNOWN as error:
        return _failed(error, words)
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)


def _run(args: Any) -> int:
    """Call the function of the command, whose module is loaded now."""
    name, _, function = args.command.partition(".")
    command = getattr(import_module(f".commands.{name}", __package__), function)
    if not args.reaches:
        return command(args)  # type: ignore[no-any-return]
    from .accounts import Reach

    with ExitStack() as stack:
        return command(args, Reach(args, stack))  # type: ignore[no-any-return]


def _is_monitored(words: Sequence[str]) -> bool:
    return parser.command_of(words) == "check"


def _failed(error: BaseException, words: Sequence[str]) -> int:
    if not _is_monitored(words):
        say(words_of(error))
        return code_of(error)
    told = words_of(error) or "interrupted"
    with suppress(OSError, ValueError):
        print(f"MAIL INVOICES UNKNOWN: {shown(told).replace('|', '/')}", flush=True)
    return _NO_ANSWER


def _let_go(stream: Any) -> None:
    """Write what is left, and nothing more at exit where that is not possible."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _output() -> Iterator[None]:
    """Write UTF-8 with the line ends as they are given, and all of it before the end."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started the command
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    yield
    sys.stdout.flush()


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # The threads of many accounts have their names.
        main_thread = record.thread == threading.main_thread().ident
        account = "" if main_thread else f"{record.threadName}: "
        return f"soapmail: {shown(account + record.getMessage())}"


@contextmanager
def _messages() -> Iterator[logging.Logger]:
    """Show log records and warnings as plain lines on stderr."""
    log = logging.getLogger("soapmail")
    level = log.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest: say(f"warning: {message}")
            yield log
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
