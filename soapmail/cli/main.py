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

from .exit_codes import (
    EXPECTED_ERRORS,
    INTERRUPTED,
    OK,
    OUTPUT_FAILED,
    UNKNOWN,
    Interrupted,
    error_message,
    exit_code_of,
)
from .parser import new_namespace, parse_into
from .signals import StoppingSignals, exit_by_signal
from .terminal import print_error, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

# UNKNOWN of a monitoring plugin, whose first line is on stdout.
_PLUGIN_UNKNOWN = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, which does not depend on stderr.

    Without arguments it is the process's own command, which ends with it.
    """
    args, signals = new_namespace(), StoppingSignals()
    try:
        with _write_utf8(), _print_messages() as log:
            parse_into(args, sys.argv[1:] if arguments is None else arguments)
            if args.verbose:
                log.setLevel(logging.DEBUG)
            return _run(args, signals)
    except SystemExit:  # of argparse, after --help and --version
        return OK
    except KeyboardInterrupt as error:
        return _report(error, args) if _is_monitored(args) else INTERRUPTED
    except Interrupted as interruption:
        return exit_by_signal(interruption.number)
    except BrokenPipeError:  # test_a_closed_pipe_ends_quietly
        return _PLUGIN_UNKNOWN if _is_monitored(args) else OK
    except EXPECTED_ERRORS as error:
        code = _report(error, args)
        if signals.held is None or code in (UNKNOWN, OUTPUT_FAILED):
            return code
        return exit_by_signal(signals.held.number)
    finally:
        signals.finish(ends_process=arguments is None)
        _flush(sys.stdout)
        _flush(sys.stderr)


def _run(args: argparse.Namespace, signals: StoppingSignals) -> int:
    name, _, function = args.command.partition(".")
    command = getattr(import_module(f".commands.{name}", __package__), function)
    if not args.needs_account:
        return command(args)  # type: ignore[no-any-return]
    from .accounts import AccountSelection

    with ExitStack() as stack:
        return command(args, AccountSelection(args, stack, signals))  # type: ignore[no-any-return]


def _is_monitored(args: argparse.Namespace) -> bool:
    return args.command_name == "check"  # type: ignore[no-any-return]


def _report(error: BaseException, args: argparse.Namespace) -> int:
    if not _is_monitored(args):
        for line in (error_message(error), *getattr(error, "advice", ())):
            print_error(line)
        return exit_code_of(error)
    message = error_message(error) or "interrupted"
    with suppress(OSError, ValueError):
        print(f"MAIL INVOICES UNKNOWN: {printable(message).replace('|', '/')}", flush=True)
    return _PLUGIN_UNKNOWN


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _write_utf8() -> Iterator[None]:
    """Write UTF-8 with the line ends as they are given, and all of it before the end."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started the command
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    yield
    sys.stdout.flush()


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # The threads of many accounts have their names.
        is_main = record.thread == threading.main_thread().ident
        account = "" if is_main else f"{record.threadName}: "
        return f"soapmail: {printable(account + record.getMessage())}"


@contextmanager
def _print_messages() -> Iterator[logging.Logger]:
    log = logging.getLogger("soapmail")
    level = log.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter())
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest: print_error(f"warning: {message}")
            yield log
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
