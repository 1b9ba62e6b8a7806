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

from .command_table import Accounts
from .exit_codes import (
    EXPECTED_ERRORS,
    INTERRUPTED,
    OK,
    OUTPUT_FAILED,
    UNKNOWN,
    Interrupted,
)
from .parser import find_given, new_namespace, parse_into
from .signals import FirstSignal, StoppingSignals, exit_by_signal
from .terminal import print_error, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


# UNKNOWN of a monitoring plugin.
_PLUGIN_UNKNOWN = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, which does not depend on stderr.

    Without arguments it is the process's own command, which ends with it.
    """
    args, signals, first_signal = new_namespace(), StoppingSignals(), FirstSignal(_PLUGIN_UNKNOWN)
    try:
        try:
            with _write_utf8(), _print_messages():
                parse_into(args, sys.argv[1:] if arguments is None else arguments)
                if args.command.failure:
                    first_signal.watch(args.timeout)
                return _run(args, signals)
        except SystemExit as ending:  # after --help and --version
            return int(ending.code or OK)
        except BaseException as error:
            return _end_with(error, args, signals)
        finally:
            first_signal.is_over = True
    except KeyboardInterrupt as error:  # a signal that came just before that
        return _end_with(error, args, signals)
    finally:
        first_signal.finish(ends_process=arguments is None)
        signals.finish(ends_process=arguments is None)
        _flush(sys.stdout)
        _flush(sys.stderr)


def _run(args: argparse.Namespace, signals: StoppingSignals) -> int:
    command = _load(args.command.function)
    if args.command.accounts is Accounts.NONE:
        return command(args)  # type: ignore[no-any-return]
    from .accounts import AccountSelection

    with ExitStack() as stack:
        selection = AccountSelection(args, stack, signals)
        try:
            return command(args, selection)  # type: ignore[no-any-return]
        finally:
            args.failed_operation = selection.failed_operation


def _load(path: str) -> Any:
    """Return a function of a command."""
    name, _, function = path.partition(".")
    return getattr(import_module(f".commands.{name}", __package__), function)


def _end_with(error: BaseException, args: argparse.Namespace, signals: StoppingSignals) -> int:
    """Tell of the error that ended the command, and return the exit code that it means."""
    if args.command is not None and args.command.failure:
        return _load(args.command.failure)(args, error)  # type: ignore[no-any-return]
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, Interrupted):
        return exit_by_signal(error.number)
    if isinstance(error, BrokenPipeError):  # test_a_closed_pipe_ends_quietly
        return OK
    if not isinstance(error, EXPECTED_ERRORS):
        raise error
    from .report import report_error

    as_json = find_given(args, "--format") == "json"
    code = report_error(error, args.failed_operation, as_json=as_json)
    if signals.held is None or code in (UNKNOWN, OUTPUT_FAILED):
        return code
    return exit_by_signal(signals.held.number)


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
        is_main = record.threadName == threading.main_thread().name
        account = "" if is_main else f"{record.threadName}: "
        return f"soapmail: {printable(account + record.getMessage())}"


@contextmanager
def _print_messages() -> Iterator[None]:
    log = logging.getLogger("soapmail")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter())
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest: print_error(f"warning: {message}")
            yield
    finally:
        log.removeHandler(handler)
