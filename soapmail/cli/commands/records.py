"""The commands that list or show records."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ...billing.due import days_left, is_due_soon, is_overdue
from ...models import Invoice, MailService, Prepay
from ..exit_codes import OK, NotFound, counted
from ..output import Column, Listing, Output, documented
from ..terminal import cost, money, say, shown
from ..today import today_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ...client import Client
    from ..accounts import Reach


class _Listed(NamedTuple):
    """An invoice, and the status of its service where that was asked for."""

    one: Invoice
    mail_status: str | None = None


def invoices(args: argparse.Namespace, reach: Reach) -> int:
    """List the invoices."""
    today = _today(args)
    output = Output(args, _invoice_listing(args, today), named=reach.named)
    states = _wants_states(args)
    printed: list[Invoice] = []
    undated = 0

    def fetch(client: Client) -> tuple[list[Invoice], dict[int | None, str | None]]:
        get = client.get_client_unpaid_invoices if args.unpaid else client.get_client_invoices
        found = [one for one in get() if args.service in (None, one.invoices_service)]
        known = client.get_services() if states else []
        return _wanted(found, args, today), {one.mail_id: one.mail_status for one in known}

    for account, (found, statuses) in reach.each(fetch):
        kept = _between(found, "date", args.since, args.until)
        kept = _between(kept, "due_date", args.due_since, args.due_until)
        if args.format == "table":
            printed += kept
        undated += _undated(args, found)
        output.add(account, [_Listed(one, statuses.get(one.invoices_service)) for one in kept])
    output.end()
    if undated:
        say(f"{undated} without a date left out")
    if args.format == "table" and not args.no_header:
        print(totals(printed))
    return reach.code()


def invoice(args: argparse.Namespace, reach: Reach) -> int:
    """Show one invoice."""
    listing = _invoice_listing(args, _today(args))
    states = _wants_states(args)

    def fetch(client: Client) -> list[_Listed]:
        found = client.get_invoice(args.id)
        if found is None:
            return []
        service = found.invoices_service
        known = client.get_service(service) if states and service else None
        return [_Listed(found, None if known is None else known.mail_status)]

    return _single(args, reach, listing, fetch, f"no invoice {args.id}")


def _single(
    args: argparse.Namespace,
    reach: Reach,
    listing: Listing,
    fetch: Callable[[Client], Sequence[Any]],
    missing: str,
) -> int:
    """Show the record that there is, in whichever account."""
    output = Output(args, listing, named=reach.named, single=True)
    for account, records in reach.each(fetch):
        output.add(account, records)
    if not output.count and not reach.failures:
        raise NotFound(f"there is {missing}")
    output.end()
    return reach.code()


def _wanted(found: Sequence[Invoice], args: argparse.Namespace, today: date) -> list[Invoice]:
    """Keep what is open, overdue or due soon, where that was asked for."""
    kept = [one for one in found if one.is_open or not args.open]
    if not args.overdue and args.due_within is None:
        return kept
    within = -1 if args.due_within is None else args.due_within
    return [
        one
        for one in kept
        if (args.overdue and is_overdue(one, today)) or is_due_soon(one, today, within)
    ]


def _between(
    found: Sequence[Invoice], name: str, first: date | None, last: date | None
) -> list[Invoice]:
    """Keep what is dated from the first to the last day."""
    if first is None and last is None:
        return list(found)
    first, last = first or date.min, last or date.max
    moments = ((getattr(one, name), one) for one in found)
    return [one for moment, one in moments if moment and first <= moment.date() <= last]


def _undated(args: argparse.Namespace, found: Sequence[Invoice]) -> int:
    """Count what no date keeps or leaves out."""
    names = ["date"] if args.since or args.until else []
    names += ["due_date"] if args.due_since or args.due_until else []
    return sum(any(getattr(one, name) is None for name in names) for one in found)


def services(args: argparse.Namespace, reach: Reach) -> int:
    """List the mail services."""
    return _all(args, reach, _SERVICES, lambda client: client.get_services())


def service(args: argparse.Namespace, reach: Reach) -> int:
    """Show one mail service."""

    def fetch(client: Client) -> list[MailService]:
        found = client.get_service(args.id)
        return [] if found is None else [found]

    return _single(args, reach, _SERVICES, fetch, f"no mail service {args.id}")


def prepays(args: argparse.Namespace, reach: Reach) -> int:
    """List the prepaid balances."""
    return _all(args, reach, _PREPAYS, lambda client: client.get_prepay_list())


def _all(
    args: argparse.Namespace,
    reach: Reach,
    listing: Listing,
    fetch: Callable[[Client], Sequence[Any]],
) -> int:
    """List the records of every account, each as it comes."""
    output = Output(args, listing, named=reach.named)
    for account, records in reach.each(fetch):
        output.add(account, records)
    output.end()
    return reach.code()


def modules(args: argparse.Namespace, reach: Reach) -> int:
    """List the modules."""
    found = reach.client().get_modules()
    if args.format == "table" and args.columns is args.sort is None:
        print("\n".join(map(shown, found)))
        return OK
    column = Column("module", str)
    output = Output(args, Listing([column], 1, [column]), named=False)
    output.add(None, found)
    output.end()
    return OK


def totals(invoices: Sequence[Invoice]) -> str:
    """Say for each currency how many there are, how many open, and how much that is."""
    lines = []
    for currency in sorted({one.invoices_currency or "" for one in invoices}):
        own = [one for one in invoices if (one.invoices_currency or "") == currency]
        opened = [one for one in own if one.is_open]
        amounts = [one.amount for one in opened if one.amount is not None]
        many = counted(len(own), "invoice")
        line = f"{many}, {len(opened)} open, {money(sum(amounts, Decimal(0)))} open"
        missing = len(opened) - len(amounts)
        unknown = f" and {missing} of unknown amount" if missing else ""
        lines.append(f"{shown(currency) or 'no currency'}: {line}{unknown}")
    return "; ".join(lines) or "0 invoices"


# --- columns ---------------------------------------------------------------------------------


def _today(args: argparse.Namespace) -> date:
    """Give the day to compare with; a wrong clock is an error only where it would matter."""
    asked = {"overdue", "days_left"}.intersection(_named_columns(args))
    due = getattr(args, "overdue", False) or getattr(args, "due_within", None) is not None
    return today_of(args.today, needed=bool(due or asked))


def _named_columns(args: argparse.Namespace) -> list[str]:
    names = [name.strip() for name in (args.columns or "").split(",")]
    known = ["mail_status", "overdue", "days_left"] if names == ["all"] else names
    return [*known, (args.sort or "").removeprefix("-")]


def _wants_states(args: argparse.Namespace) -> bool:
    return args.services or "mail_status" in _named_columns(args)


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else str(moment.date())


def _invoice_listing(args: argparse.Namespace, today: date) -> Listing:
    fields = documented(Invoice, "one.")
    status = Column("mail_status", attrgetter("mail_status"))
    more = [
        Column("amount", attrgetter("one.amount"), number=True),
        Column("is_open", attrgetter("one.is_open")),
        Column("overdue", lambda row: is_overdue(row.one, today)),
        Column("days_left", lambda row: days_left(row.one, today), number=True),
    ]
    with_status = [status] if args.services else []
    table = [
        Column("id", attrgetter("one.invoices_id"), number=True),
        Column("date", lambda row: _day(row.one.date)),
        Column("due date", lambda row: _day(row.one.due_date)),
        Column("amount", lambda row: cost(row.one), number=True),
        Column("paid", attrgetter("one.is_paid")),
        Column("service", attrgetter("one.invoices_service"), number=True),
        *(Column("status", one.get) for one in with_status),
        Column("description", attrgetter("one.invoices_description")),
    ]
    return Listing(
        [*fields, *with_status, *more, *([] if with_status else [status])],
        len(fields) + len(with_status),
        table,
        lambda row: is_overdue(row.one, today),
        "overdue",
    )


_SERVICES = Listing(
    documented(MailService),
    len(documented(MailService)),
    [
        Column("id", attrgetter("mail_id"), number=True),
        Column("status", attrgetter("mail_status")),
        Column("ordered", lambda one: _day(one.order_date)),
        Column("invoice", attrgetter("mail_invoice"), number=True),
        Column("ip", attrgetter("mail_ip")),
        Column("username", attrgetter("mail_username")),
    ],
)
_PREPAYS = Listing(
    documented(Prepay),
    len(documented(Prepay)),
    [
        Column("id", attrgetter("prepay_id"), number=True),
        Column("created", attrgetter("prepay_created")),
        Column("amount", attrgetter("prepay_amount"), number=True),
        Column("remaining", attrgetter("prepay_remaining"), number=True),
        Column("automatic", lambda one: bool(one.prepay_automatic_use)),
        Column("module", attrgetter("prepay_module")),
    ],
)
