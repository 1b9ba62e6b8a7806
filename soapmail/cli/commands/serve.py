"""The commands that serve the sandbox or a recording, and that help a shell."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from shlex import quote
from typing import TYPE_CHECKING

from ..exit_codes import OK, UsageError
from ..parser import make_parser, new_namespace
from ..terminal import write_line

if TYPE_CHECKING:
    from collections.abc import Iterator


def serve_sandbox(args: argparse.Namespace) -> int:
    """Serve the sandbox, or a dump, and print the lines by which a shell uses it."""
    from ...sandbox import PASSWORD, USERNAME, Replay, Sandbox

    try:
        service: Sandbox | Replay = (
            Sandbox(port=args.port, example=args.sandbox or "documented")
            if args.replay is None
            else Replay(args.replay, args.port)
        )
    except OSError as error:
        if error.filename is not None:
            raise
        raise UsageError(f"port {args.port}: {error.strerror}") from None
    write_line(f"export SOAPMAIL_ENDPOINT={quote(service.endpoint)}")
    write_line(f"export SOAPMAIL_USERNAME={quote(USERNAME)}")
    write_line(f"export SOAPMAIL_PASSWORD={quote(PASSWORD)}")
    sys.stdout.flush()
    service.serve()
    return OK


def print_completion(args: argparse.Namespace) -> int:
    """Print the script that completes commands in a shell."""
    write_line(make_completion(args.shell))
    return OK


def make_completion(shell: str) -> str:
    """Return the script that completes commands; UsageError: the package for it is missing."""
    try:
        shtab = import_module("shtab")  # types are checked where it is not installed, too
    except ImportError:
        hint = f"pip install shtab ({sys.executable} -m pip install shtab)"
        raise UsageError(f"completion needs shtab; install it with: {hint}") from None
    parser = make_parser(new_namespace())
    for action in list_actions(parser):
        if action.metavar in ("FILE", "DIR"):
            is_file = action.metavar == "FILE"
            action.complete = shtab.FILE if is_file else shtab.DIRECTORY  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def list_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options and arguments of a parser, and of the commands below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from list_actions(command)
