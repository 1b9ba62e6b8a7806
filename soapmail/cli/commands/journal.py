"""The commands that show and settle the journal of payments."""

from __future__ import annotations

import os
import shlex
import tempfile
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING

from ...billing import (
    Entry,
    History,
    Journal,
    JournalError,
    JournalWriteFailed,
    OutcomeUndetermined,
    PlanOutdated,
    read_history,
)
from ..accounts import find_own_folder
from ..exit_codes import OK, NotFound, OutcomeUncertain, UsageError
from ..output import Column, RecordFormat, RecordWriter, list_documented_columns
from ..tables import Kind
from ..terminal import confirm, print_error, write_line
from .change import tell_change

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from ..accounts import AccountSelection

_WHY = "on a disk that lasts: if the journal is lost, invoices could be paid again"


def show_journal(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Show what the journal holds."""
    with ExitStack() as stack, translate_billing_errors(args, selection):
        history = look_at_journal(args, selection, stack)
        writer = RecordWriter(args, _ENTRIES, is_named=False)
        writer.add(None, history.entries())
        writer.finish()
        for question in list_questions(args, history):
            print_error(question)
    return OK


def settle_payment(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Write down what became of a payment, or show which ones have an open outcome."""
    if args.invoice is not None and args.result is None:
        raise UsageError(f"journal settle {args.invoice}: say paid or unpaid")
    with ExitStack() as stack, translate_billing_errors(args, selection):
        if args.invoice is None:
            questions = list_questions(args, look_at_journal(args, selection, stack))
            write_line("\n".join(questions) or "no open questions")
            return OK
        journal = _enter_journal(args, selection, stack)
        if journal.is_paid(args.invoice) and not journal.unsettled_for(args.invoice):
            hint = f"to undo that: {format_command(args, 'reopen', args.invoice)}"
            if journal.may_be_unsettled(args.invoice):  # a cut line that names no invoice
                command = format_command(args, "settle", "INVOICE", "unpaid")
                hint = f"for the line that was cut off, name one that was not paid: {command}"
            raise NotFound(
                f"{journal.path}: invoice {args.invoice} is recorded as paid, so there is nothing"
                f" to settle of it; {hint}"
            )
        _write(selection, lambda: journal.settle(args.invoice, args.result, "settled by hand"))
    return OK


def reopen_payment(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Make a recorded payment an open question again; whoever is asked is shown the records."""
    with ExitStack() as stack, translate_billing_errors(args, selection):
        journal = _enter_journal(args, selection, stack)
        for entry in journal.entries_for(args.invoice):
            words = (entry.time, entry.event, entry.result, entry.text)
            print_error(f"invoice {args.invoice}: {', '.join(filter(None, words))}")
        confirm(args, f"make it an open question again whether invoice {args.invoice} was paid")
        _write(selection, lambda: journal.reopen(args.invoice, "reopened by hand"))
        for question in list_questions(args, journal):
            print_error(question)
    return OK


def _enter_journal(
    args: argparse.Namespace, selection: AccountSelection, stack: ExitStack
) -> Journal:
    path = find_journal(args, selection, stack)
    try:
        os.lstat(path)
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such journal") from None
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from None
    return stack.enter_context(Journal(path, args.timeout))


def _write(selection: AccountSelection, write: Callable[[], Entry]) -> None:
    """Write a record and tell it; a signal comes after both."""
    selection.signals.watch()
    selection.signals.begin(None)
    entry = write()
    tell_change(
        selection.signals, lambda: f"invoice {entry.invoice}: {entry.event}, {entry.result}"
    )
    selection.signals.release()


def list_questions(args: argparse.Namespace, history: History) -> list[str]:
    """Return which payments have an open outcome, and what settles each."""
    questions = []
    for invoice in dict.fromkeys(entry.invoice for entry in history.unsettled()):
        name = f"invoice {invoice}: it is not known whether it was paid"
        if invoice is None:
            name = "a line was cut off that may have been about any invoice"
        questions.append(f"{name}: {_format_settling(args, invoice)}")
    return questions


def format_command(args: argparse.Namespace, *words: object) -> str:
    """Return the command that works on the same journal of the same account."""
    line = ["soapmail"]
    if args.journal is None:
        for name in args.account:
            line += _format_option("--account", name)
        line += _format_option("--username", args.username)
        line += _format_option("--endpoint", args.endpoint)
    line += ["journal", *map(str, words), *_format_option("--journal", args.journal)]
    return shlex.join(line)


def _format_option(option: str, value: str | None) -> list[str]:
    if not value:
        return []
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


def _format_settling(args: argparse.Namespace, invoice: int | None) -> str:
    return f"{format_command(args, 'settle', invoice or 'INVOICE', 'paid')} (or unpaid)"


def list_advice(args: argparse.Namespace, invoices: Iterable[int | None]) -> list[str]:
    """Return a line for each open question, with the command that settles it."""
    return [f"to say what became of it: {_format_settling(args, id)}" for id in invoices]


@contextmanager
def translate_billing_errors(
    args: argparse.Namespace, selection: AccountSelection
) -> Iterator[None]:
    """Turn what is in the way of a payment into what the command ends with."""
    try:
        yield
    except OutcomeUndetermined as error:
        message = f"{error} (account {selection.account().identity})"
        problem: Exception = OutcomeUncertain(message, list_advice(args, error.invoices))
    except JournalWriteFailed as error:
        problem = OutcomeUncertain(str(error), list_advice(args, [error.invoice]))
    except (JournalError, PlanOutdated) as error:
        problem = NotFound(str(error))
    else:
        return
    raise problem


def look_at_journal(
    args: argparse.Namespace, selection: AccountSelection, stack: ExitStack
) -> History:
    """Return what the journal holds; it is neither locked nor made."""
    path = find_journal(args, selection, stack)
    is_first = args.journal is None and not _list_folder(os.path.dirname(path))
    return History(path) if is_first else read_history(path)


def _list_folder(folder: str) -> list[str]:
    """Return the names in a folder; one that is not there has none."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotFound(f"{folder}: {error.strerror}") from None


def find_journal(args: argparse.Namespace, selection: AccountSelection, stack: ExitStack) -> str:
    """Return the journal's file; that of the sandbox ends with it.

    NotFound: the account has more than one, under other spellings. UsageError: there is no place.
    """
    if args.journal is not None:
        return str(args.journal)
    if args.sandbox:
        return os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "journal.jsonl")
    identity = selection.account().identity
    try:
        folder = find_own_folder("XDG_STATE_HOME", ".local/state")
    except UsageError as error:
        raise UsageError(f"{error}, or give --journal FILE {_WHY}") from None
    ending = f"-{identity.key}.jsonl"
    names = [name for name in _list_folder(folder) if name.endswith(ending)]
    paths = [os.path.join(folder, name) for name in names]
    if len(paths) > 1:
        raise NotFound(
            f"{identity} has {len(paths)} journals: {' and '.join(paths)}; put the lines of all"
            " into one of them, and remove the others"
        )
    return paths[0] if paths else os.path.join(folder, f"{identity.file_stem}.jsonl")


def make_default_folder(args: argparse.Namespace, path: str) -> None:
    """Make the folder of the default journal; that of ``--journal`` is never made."""
    if args.journal is not None:
        return
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
    except OSError as error:
        raise NotFound(f"{folder}: {error.strerror}; give --journal FILE {_WHY}") from None


_ENTRIES = RecordFormat(
    list_documented_columns(Entry),
    [
        Column("time", attrgetter("time"), Kind.DAY),
        Column("invoice", attrgetter("invoice"), Kind.ID),
        Column("event", attrgetter("event")),
        Column("result", attrgetter("result")),
        Column("amount", attrgetter("amount"), Kind.MONEY),
        Column("currency", attrgetter("currency")),
        Column("text", attrgetter("text"), Kind.TEXT),
    ],
)
