"""The command that pays one invoice, or what is open by a plan."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from ...billing import (
    Entry,
    Journal,
    Plan,
    pay_invoice,
    pay_open,
    plan_of,
)
from ...billing import settle as looked_up
from ...models import Invoice
from ..exit_codes import OK, REFUSED, Doubtful, NotFound, Stopped, UsageError, counted
from ..output import aligned
from ..signals import stoppable
from ..terminal import (
    asked,
    confirm,
    cost,
    day,
    has_terminal,
    money,
    put,
    say,
    shown,
    told,
    unshown,
)
from ..today import today_of
from .journal import _path, _say_unsettled, _told_apart

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ..accounts import Reach


def pay(args: argparse.Namespace, reach: Reach) -> int:
    """Pay one invoice, or what is open, and write down each step of it."""
    _check_options(args)
    if args.invoice is not None and not (args.yes or args.dry_run or has_terminal()):
        confirm(args, f"pay invoice {args.invoice} from the account's funds")
    client = reach.client()
    with ExitStack() as stack, _told_apart():
        kept = Journal(_path(args, reach, stack), args.timeout)
        if args.invoice is not None and args.yes and not args.dry_run:
            plan = Plan([Invoice(invoices_id=args.invoice)])
            return _pay(args, pay_invoice(client, plan.invoices[0], kept), plan, kept)
        if args.dry_run or not (args.yes or has_terminal()):
            return _dry_run(_plan(args, client.get_client_invoices()), kept)
        stack.enter_context(kept)
        listed = client.get_client_invoices()
        for entry in looked_up(listed, kept):
            _tell(args, entry)
        plan = _plan(args, listed)
        if args.open:
            _show_before(plan)
        if not plan.invoices:
            return _code(plan)
        confirm(args, _question(args, plan))
        return _pay(args, pay_open(client, plan, kept), plan, kept)


def _check_options(args: argparse.Namespace) -> None:
    if (args.invoice is None) != args.open:
        raise UsageError("pay: give an invoice, or --open")
    for name in ("currency", "service", "due_within", "max_total", "max_each"):
        if args.invoice is not None and getattr(args, name) is not None:
            raise UsageError(f"pay: --{name.replace('_', '-')} goes with --open")
    if args.open and args.yes and args.max_total is None and not (has_terminal() or args.dry_run):
        raise UsageError("pay --open --yes: --max-total is required without a terminal")


def _dry_run(plan: Plan, kept: Journal) -> int:
    _show(plan)
    if os.path.exists(kept.path):
        with kept:
            _say_unsettled(kept)
    return OK


def _show_before(plan: Plan) -> None:
    """Show what is about to be paid; where nobody can see it, nothing is."""
    try:
        _show(plan)
    except OSError as error:
        raise NotFound(f"the plan cannot be shown ({error.strerror}); nothing was paid") from None


def _pay(args: argparse.Namespace, entries: Iterator[Entry], plan: Plan, journal: Journal) -> int:
    code = _code(plan)
    entry: Entry | None = None
    with stoppable() as stop:
        try:
            while True:
                stop.check()
                entry = next(entries, None)
                if entry is None:
                    return code
                _tell(args, entry)
                code = max(code, REFUSED if entry.result == "refused" else OK)
        except Stopped as stopped:
            _say_what_was_stopped(journal, entry, stopped)
            raise


def _say_what_was_stopped(journal: Journal, told: Entry | None, stopped: Stopped) -> None:
    """Name the payment that a signal came into; Doubtful: its outcome is unknown."""
    for last in journal.entries()[-1:]:
        if last.event == "intent" or last.result == "unknown":
            words = "it may or may not have happened; check before repeating"
            raise Doubtful(f"invoice {last.invoice}: {words}: {stopped}") from None
        if last.result == "paid" and last is not told:
            say(f"invoice {last.invoice}: it was paid")


def _tell(args: argparse.Namespace, entry: Entry) -> None:
    """Say what became of one; Doubtful: that is not known. Unshown: it was paid all the same."""
    name, rest = "", ""
    if args.open:
        name, rest = f"invoice {entry.invoice}: ", "; nothing was paid after it"
    if entry.event == "settled":
        say(f"invoice {entry.invoice}: settled, {entry.text}")
        return
    if entry.result == "unknown":
        raise Doubtful(f"{name}{entry.text}{rest}")
    if entry.result != "paid":
        say(f"{name}{entry.text}")
        return
    try:
        put(f"{name}{shown(entry.text)}\n")
    except Exception as error:
        raise unshown(error, name, rest) from None


def _plan(args: argparse.Namespace, listed: Sequence[Invoice]) -> Plan:
    return _planned(args, listed) if args.open else _of_one(args.invoice, listed)


def _planned(args: argparse.Namespace, listed: Sequence[Invoice]) -> Plan:
    until = None
    if args.due_within is not None:
        until = today_of(None) + timedelta(args.due_within)
    currency = args.currency
    if currency is None and has_terminal() and not args.yes:
        currencies = sorted({one.invoices_currency or "" for one in listed if one.is_open})
        if len(currencies) > 1:
            currency = asked(f"Currency ({', '.join(map(shown, currencies))}): ").strip()
    try:
        return plan_of(
            listed,
            currency=currency,
            service=args.service,
            due_until=until,
            max_total=args.max_total,
            max_each=args.max_each,
        )
    except ValueError as error:
        hint = " (--currency)" if "currency" in str(error) else ""
        raise UsageError(f"{error}{hint}") from None


def _of_one(id: int, listed: Sequence[Invoice]) -> Plan:
    found = [one for one in listed if one.invoices_id == id]
    if not found:
        raise NotFound(f"there is no invoice {id}")
    if not found[0].is_open:
        state = "paid already" if found[0].is_paid else "not open"
        raise NotFound(f"invoice {id} is {state}; nothing was sent")
    return Plan(found[:1])


def _code(plan: Plan) -> int:
    wrong = any(not reason.startswith("over ") for _, reason in plan.left_out)
    return REFUSED if wrong else OK


def _question(args: argparse.Namespace, plan: Plan) -> str:
    if args.open:
        return f"pay {_sums(plan)} from the account's funds"
    (one,) = plan.invoices
    about = told(cost(one), day("due", one.due_date), one.invoices_description)
    return f"pay invoice {one.invoices_id}{about} from the account's funds"


def _show(plan: Plan) -> None:
    """Print what would be paid, with totals, and say what is left out."""
    rows = [["id", "due date", "amount", "service", "description"]]
    rows += [
        [
            shown(one.invoices_id),
            day("", one.due_date).strip() or "-",
            cost(one),
            shown(one.invoices_service),
            shown(one.invoices_description),
        ]
        for one in plan.invoices
    ]
    limit = os.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in aligned(rows, [True, False, True, True, False], limit):
        print(line)
    print(_sums(plan), flush=True)
    for one, reason in plan.left_out:
        say(f"invoice {one.invoices_id} left out: {reason}")


def _sums(plan: Plan) -> str:
    sums = " and ".join(
        f"{money(sum_)} {currency}".strip() for currency, sum_ in plan.totals.items()
    )
    return f"{counted(len(plan.invoices), 'invoice')}, {sums or 'nothing'}"
