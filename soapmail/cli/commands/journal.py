"""The commands that show and settle the journal of payments."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...billing import (
    Entry,
    Journal,
    JournalError,
    PlanChanged,
    Unrecorded,
    Unsettled,
)
from ..accounts import own_folder
from ..exit_codes import OK, Doubtful, NotFound
from ..output import Column, Listing, Output
from ..terminal import (
    say,
    shown,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..accounts import Reach


@contextmanager
def _told_apart() -> Iterator[None]:
    """Turn what is in the way of a payment into what the command ends with."""
    try:
        yield
    except (Unsettled, Unrecorded) as error:
        problem: Exception = Doubtful(str(error))
    except (JournalError, PlanChanged) as error:
        problem = NotFound(str(error))
    else:
        return
    raise problem


def journal(args: argparse.Namespace, reach: Reach) -> int:
    """Show what the journal holds."""
    with ExitStack() as stack, _told_apart():
        kept = Journal(_path(args, reach, stack), args.timeout)
        if os.path.exists(kept.path):
            stack.enter_context(kept)
        output = Output(args, _LINES, named=False)
        output.add(None, kept.entries())
        output.end()
        _say_unsettled(kept)
    return OK


def _say_unsettled(kept: Journal) -> None:
    for one in kept.unsettled():
        say(f"invoice {shown(one.invoice)}: it is not known whether it was paid")


def settle(args: argparse.Namespace, reach: Reach) -> int:
    """Write down what became of a payment."""
    with ExitStack() as stack, _told_apart():
        kept = Journal(_path(args, reach, stack), args.timeout)
        if not os.path.exists(kept.path):
            raise NotFound(f"{kept.path}: there is no such journal")
        stack.enter_context(kept)
        entry = kept.settle(args.invoice, args.result, text="settled by hand")
    print(f"invoice {entry.invoice}: settled, {entry.result}")
    return OK


_LINES = Listing(
    [
        Column(one.name, attrgetter(one.name), one.name in ("invoice", "amount"))
        for one in fields(Entry)
    ],
    len(fields(Entry)),
    [
        Column("time", attrgetter("time")),
        Column("invoice", attrgetter("invoice"), number=True),
        Column("event", attrgetter("event")),
        Column("result", attrgetter("result")),
        Column("amount", attrgetter("amount"), number=True),
        Column("currency", attrgetter("currency")),
        Column("text", attrgetter("text")),
    ],
)


def _path(args: argparse.Namespace, reach: Reach, stack: ExitStack) -> str:
    """Give the journal's file; that of the sandbox ends with it."""
    if args.journal is not None:
        return str(args.journal)
    if args.sandbox:
        return os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "journal.jsonl")
    account = reach.one()
    readable = re.sub(r"[^\w.@-]", "_", account.username or "")[:60]
    whole = f"{_normal(account.endpoint)}\n{(account.username or '').strip().lower()}".encode()
    name = f"{readable}-{hashlib.sha256(whole).hexdigest()[:16]}.jsonl"
    return os.path.join(own_folder("XDG_STATE_HOME", "~/.local/state"), name)


def _normal(endpoint: str) -> str:
    """Write an endpoint in one way, however it was given."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}:{port}{parts.path or '/'}?{parts.query}"
