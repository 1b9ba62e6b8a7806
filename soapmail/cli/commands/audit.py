"""The command that lists what is wrong in the bills."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from ...billing import Finding, audit
from ...billing.money import format_money
from ..dates import resolve_today
from ..exit_codes import OK, REFUSED
from ..output import Column, RecordFormat
from ..tables import Kind
from ..terminal import pluralize, write_line
from .records import print_records

if TYPE_CHECKING:
    import argparse

    from ...client import Client
    from ...models import Invoice
    from ..accounts import AccountSelection

_NAMED_AT_MOST = 2  # in a table, so that it fits 80 columns


def audit_invoices(args: argparse.Namespace, selection: AccountSelection) -> int:
    """List what is wrong in the bills of each account, and what to look at."""
    today = resolve_today(args.today)
    counts = {"wrong": 0, "look": 0, "invoices": 0}

    def fetch(client: Client) -> tuple[list[Finding], list[Invoice]]:
        invoices = client.get_client_invoices()
        return audit(invoices, client.get_services(), today=today), invoices

    def choose(account: str | None, fetched: tuple[list[Finding], list[Invoice]]) -> list[Finding]:
        findings, invoices = fetched
        findings = [finding for finding in findings if finding.kind not in args.ignore]
        for finding in findings:
            counts[finding.level] += 1
        counts["invoices"] += len(invoices)
        return findings

    def finish() -> None:
        if args.format == "table" and not args.no_header:
            total = pluralize(counts["invoices"], "invoice")
            write_line(f"{counts['wrong']} wrong, {counts['look']} to look at, in {total}")

    code = print_records(args, selection, _FINDINGS, fetch, choose=choose, finish=finish)
    return max(code, REFUSED if counts["wrong"] else OK)


def _join_ids(finding: Finding) -> str:
    more = len(finding.invoices) - _NAMED_AT_MOST
    ids = ", ".join(map(str, finding.invoices[:_NAMED_AT_MOST]))
    return ids + (f" +{more}" if more > 0 else "")


def _format_amount(finding: Finding) -> str:
    return f"{format_money(finding.amount)} {finding.currency or ''}".strip()


_KIND, _LEVEL = Column("kind", attrgetter("kind")), Column("level", attrgetter("level"))
_SERVICE = Column("service", attrgetter("service"), Kind.ID)
_FINDINGS = RecordFormat(
    [
        _KIND,
        _LEVEL,
        Column("invoices", attrgetter("invoices")),
        _SERVICE,
        Column("amount", attrgetter("amount"), Kind.MONEY),
        Column("currency", attrgetter("currency")),
        Column("text", attrgetter("text"), Kind.TEXT),
    ],
    [
        _LEVEL,
        _KIND,
        Column("invoices", _join_ids, Kind.ID),
        _SERVICE,
        Column("amount", _format_amount, Kind.MONEY),
    ],
    lambda finding: finding.level == "wrong",
    "wrong",
)
