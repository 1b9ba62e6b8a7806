"""The commands that show and settle the journal of payments."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...billing import (
    Entry,
    Journal,
    JournalError,
    JournalWriteFailed,
    OutcomeUndetermined,
    PlanOutdated,
)
from ..accounts import find_own_folder
from ..exit_codes import OK, NotFound, OutcomeUncertain
from ..output import Column, RecordFormat, RecordWriter, list_documented_columns
from ..terminal import print_error, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..accounts import AccountSelection


def show_journal(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Show what the journal holds."""
    with ExitStack() as stack, translate_billing_errors():
        journal = Journal(find_journal(args, selection, stack), args.timeout)
        if os.path.exists(journal.path):
            stack.enter_context(journal)
        writer = RecordWriter(args, _ENTRIES, is_named=False)
        writer.add(None, journal.entries())
        writer.finish()
        print_unsettled(journal)
    return OK


def settle_payment(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Write down what became of a payment."""
    with ExitStack() as stack, translate_billing_errors():
        journal = Journal(find_journal(args, selection, stack), args.timeout)
        if not os.path.exists(journal.path):
            raise NotFound(f"{journal.path}: there is no such journal")
        stack.enter_context(journal)
        entry = journal.settle(args.invoice, args.result, text="settled by hand")
    print(f"invoice {entry.invoice}: settled, {entry.result}")
    return OK


def print_unsettled(journal: Journal) -> None:
    """Print which payments have an unknown outcome."""
    for entry in journal.unsettled():
        invoice = printable(entry.invoice)
        print_error(f"invoice {invoice}: it is not known whether it was paid")


@contextmanager
def translate_billing_errors() -> Iterator[None]:
    """Turn what is in the way of a payment into what the command ends with."""
    try:
        yield
    except OutcomeUndetermined as error:
        invoice = "INVOICE" if len(error.choices) > 1 else str(error.invoices[0])
        choices = " (or ".join(error.choices) + ")" * (len(error.choices) > 1)
        hint = f"soapmail journal settle {invoice} {choices}"
        problem: Exception = OutcomeUncertain(f"{error}: {hint}")
    except JournalWriteFailed as error:
        problem = OutcomeUncertain(str(error))
    except (JournalError, PlanOutdated) as error:
        problem = NotFound(str(error))
    else:
        return
    raise problem


def find_journal(args: argparse.Namespace, selection: AccountSelection, stack: ExitStack) -> str:
    """Return the journal's file; that of the sandbox ends with it."""
    if args.journal is not None:
        return str(args.journal)
    if args.sandbox:
        return os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "journal.jsonl")
    account = selection.account()
    username = account.username or ""
    readable = re.sub(r"[^\w.@-]", "_", username)[:60]
    identity = f"{_normalize(account.endpoint)}\n{username.strip().lower()}".encode()
    name = f"{readable}-{hashlib.sha256(identity).hexdigest()[:16]}.jsonl"
    return os.path.join(find_own_folder("XDG_STATE_HOME", "~/.local/state"), name)


def _normalize(endpoint: str) -> str:
    """Return an endpoint in one form, however it was given (RFC 3986 6.2)."""
    parts = urlsplit(endpoint)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path or '/'}?{parts.query}"


_ENTRIES = RecordFormat(
    list_documented_columns(Entry),
    [
        Column("time", attrgetter("time")),
        Column("invoice", attrgetter("invoice"), is_number=True),
        Column("event", attrgetter("event")),
        Column("result", attrgetter("result")),
        Column("amount", attrgetter("amount"), is_number=True),
        Column("currency", attrgetter("currency")),
        Column("text", attrgetter("text")),
    ],
)
