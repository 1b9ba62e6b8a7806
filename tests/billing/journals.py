"""Journals as they stand in their files, and servers that lose or count payments."""

from __future__ import annotations

import errno
import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soapmail import Invoice
from soapmail.billing import Entry, Journal

if TYPE_CHECKING:
    import pytest

    from soapmail.sandbox import Sandbox

ID, OTHER = 7514880, 7529153


def lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a journal as its description says: one JSON object a line, the last one ended too."""
    text = Path(path).read_bytes().decode("ascii")
    assert text == "" or text.endswith("\n")
    records = [json.loads(line) for line in text.splitlines()]
    numbers = [record["number"] for record in records]
    assert numbers == sorted(set(numbers))
    for record in records:
        assert {"event", "invoice", "amount", "currency", "time"} <= set(record)
        moment = datetime.fromisoformat(record["time"])
        assert moment.utcoffset() == timezone.utc.utcoffset(None)
        results = {
            "outcome": ("paid", "refused", "unknown"),
            "settled": ("paid", "unpaid"),
            "reopened": ("unknown",),
        }
        assert record["event"] in ("intent", "torn", *results)
        assert record.get("result") in results.get(record["event"], (None,))
    return records


def brief(path: str | Path) -> list[tuple[int, str, str | None]]:
    return [(one["invoice"], one["event"], one.get("result")) for one in lines(path)]


def list_journals() -> list[Path]:
    return sorted(Path(os.environ["XDG_STATE_HOME"]).glob("soapmail/*.jsonl"))


def write_journal(path: str, *entries: Entry) -> bytes:
    with Journal(path) as journal:
        for one in entries:
            journal.append(one)
    return Path(path).read_bytes()


def entry(event: str, result: str | None = None, invoice: int = ID) -> Entry:
    return Entry(invoice, event, 1.0, "USD", "2026-03-10T00:00:00+00:00", result)


def fill_disk(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the disk be full from the n-th record on, in the middle of which it ends."""
    count: list[int] = []
    real = os.write

    def write(file: int, data: bytes) -> int:
        if not data.lstrip(b"\n").startswith(b'{"invoice"'):
            return real(file, data)
        count.append(len(data))
        if len(count) <= after:
            return real(file, data)
        if len(count) == after + 1:
            return real(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)


def charge(id: int, amount: float | None = 1.0, due: str = "2026-03-10", **fields: Any) -> Invoice:
    when = f"{due} 00:00:00"
    fields = {"invoices_currency": "USD", "invoices_service": 5, **fields}
    return Invoice(
        invoices_id=id, invoices_type=1, invoices_amount=amount, invoices_due_date=when, **fields
    )


def lose_payments(sandbox: Sandbox, *, after: bool) -> None:
    """Break the connection of each payment, before it is made or after."""
    respond = sandbox.respond

    def lose(request: bytes) -> tuple[int, bytes] | None:
        if b"api_make_payment" in request:
            sandbox.break_next(after=after)
        return respond(request)

    sandbox.respond = lose  # type: ignore[method-assign]


def collect_payments(sandbox: Sandbox) -> list[int]:
    """Collect the invoices of the payments that arrive from now on."""
    found: list[int] = []
    response = sandbox.answer

    def collect(request: bytes) -> tuple[int, bytes]:
        if b"api_make_payment" in request:
            found.append(int(re.findall(rb">(\d{7,})<", request)[-1]))
        return response(request)

    sandbox.answer = collect  # type: ignore[method-assign]
    return found
