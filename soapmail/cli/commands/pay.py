"""The command that pays one invoice, or what is open by a plan."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from ...billing import Entry, Journal, Plan, iter_settled, make_plan, pay_invoice, pay_open
from ...billing.due import sum_by_currency
from ...billing.pay import find_open
from ...models import Invoice
from ..dates import UnreadableDates, format_day
from ..exit_codes import OK, REFUSED, Interrupted, NotFound, OutcomeUncertain, UsageError
from ..output import align
from ..parser import resolve_today
from ..signals import raise_on_signals
from ..terminal import (
    confirm,
    format_cost,
    format_sums,
    has_terminal,
    measure_terminal,
    output_failed,
    parenthesize,
    pluralize,
    print_error,
    print_or_raise,
    printable,
    prompt,
)
from .journal import find_journal, print_unsettled, translate_billing_errors

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ..accounts import AccountSelection


def pay(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Pay one invoice, or what is open, and write down each step of it."""
    _check_options(args)
    if args.invoice is not None and not (args.dry_run or has_terminal()):
        confirm(args, f"pay invoice {args.invoice} from the account's funds")
    client = selection.client()
    with ExitStack() as stack, translate_billing_errors():
        journal = Journal(find_journal(args, selection, stack), args.timeout)
        if args.invoice is not None and args.yes and not args.dry_run:
            plan = Plan([Invoice(invoices_id=args.invoice)])
            return _pay_plan(args, pay_invoice(client, plan.invoices[0], journal), plan, journal)
        if args.dry_run or not (args.yes or has_terminal()):
            return _show_dry_run(_plan_payment(args, client.get_client_invoices()), journal)
        stack.enter_context(journal)
        listed = client.get_client_invoices()
        for entry in iter_settled(listed, journal):
            _report_entry(args, entry)
        plan = _plan_payment(args, listed)
        if args.open:
            _show_before_payment(plan)
        if not plan.invoices:
            return _exit_code_of_plan(plan)
        confirm(args, _make_question(args, plan))
        return _pay_plan(args, pay_open(client, plan, journal), plan, journal)


def _check_options(args: argparse.Namespace) -> None:
    if (args.invoice is None) != args.open:
        raise UsageError("pay: give an invoice, or --open")
    for name in ("currency", "service", "due_within", "max_total", "max_each"):
        if args.invoice is not None and getattr(args, name) is not None:
            raise UsageError(f"pay: --{name.replace('_', '-')} goes with --open")
    if args.open and args.yes and args.max_total is None and not (has_terminal() or args.dry_run):
        raise UsageError("pay --open --yes: --max-total is required without a terminal")


def _show_dry_run(plan: Plan, journal: Journal) -> int:
    _show_plan(plan)
    if os.path.exists(journal.path):
        with journal:
            print_unsettled(journal)
    return OK


def _show_before_payment(plan: Plan) -> None:
    """Show what is about to be paid; where nobody can see it, nothing is."""
    try:
        _show_plan(plan)
    except OSError as error:
        raise NotFound(f"the plan cannot be shown ({error.strerror}); nothing was paid") from None


def _pay_plan(
    args: argparse.Namespace, entries: Iterator[Entry], plan: Plan, journal: Journal
) -> int:
    code = _exit_code_of_plan(plan)
    entry: Entry | None = None
    with raise_on_signals() as flag:
        try:
            while True:
                flag.check()
                entry = next(entries, None)
                if entry is None:
                    return code
                _report_entry(args, entry)
                code = max(code, REFUSED if entry.result == "refused" else OK)
        except Interrupted as interruption:
            _report_interruption(journal, entry, interruption)
            raise


def _report_interruption(
    journal: Journal, reported: Entry | None, interruption: Interrupted
) -> None:
    """Name the payment that a signal came into; OutcomeUncertain: its outcome is unknown."""
    for last in journal.entries()[-1:]:
        if last.event == "intent" or last.result == "unknown":
            words = "it may or may not have happened; check before repeating"
            raise OutcomeUncertain(f"invoice {last.invoice}: {words}: {interruption}") from None
        if last.result == "paid" and last is not reported:
            print_error(f"invoice {last.invoice}: it was paid")


def _report_entry(args: argparse.Namespace, entry: Entry) -> None:
    """Print what became of one invoice.

    OutcomeUncertain: that is not known. OutputFailed: it was paid all the same.
    """
    name, rest = "", ""
    if args.open:
        name, rest = f"invoice {entry.invoice}: ", "; nothing was paid after it"
    if entry.event == "settled":
        print_error(f"invoice {entry.invoice}: settled, {entry.text}")
        return
    if entry.result == "unknown":
        raise OutcomeUncertain(f"{name}{entry.text}{rest}")
    if entry.result != "paid":
        print_error(f"{name}{entry.text}")
        return
    try:
        print_or_raise(f"{name}{printable(entry.text)}\n")
    except Exception as error:
        raise output_failed(error, name, rest) from None


def _plan_payment(args: argparse.Namespace, listed: Sequence[Invoice]) -> Plan:
    if not args.open:
        return Plan([find_open(args.invoice, listed)])
    until = None
    if args.due_within is not None:
        until = resolve_today(None) + timedelta(args.due_within)
    currency = args.currency
    if currency is None and has_terminal() and not args.yes:
        currencies = list(sum_by_currency(invoice for invoice in listed if invoice.is_open))
        if len(currencies) > 1:
            currency = prompt(f"Currency ({', '.join(map(printable, currencies))}): ").strip()
    try:
        return make_plan(
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


def _exit_code_of_plan(plan: Plan) -> int:
    has_faults = any(not reason.startswith("over ") for _, reason in plan.left_out)
    return REFUSED if has_faults else OK


def _make_question(args: argparse.Namespace, plan: Plan) -> str:
    if args.open:
        return f"pay {_format_totals(plan)} from the account's funds"
    (invoice,) = plan.invoices
    due = format_day(invoice, "due_date", "due")
    about = parenthesize(format_cost(invoice), due, invoice.invoices_description)
    return f"pay invoice {invoice.invoices_id}{about} from the account's funds"


def _show_plan(plan: Plan) -> None:
    rows = [["id", "due date", "amount", "service", "description"]]
    rows += [
        [
            printable(invoice.invoices_id),
            printable(format_day(invoice, "due_date")),
            format_cost(invoice),
            printable(invoice.invoices_service),
            printable(invoice.invoices_description),
        ]
        for invoice in plan.invoices
    ]
    for line in align(rows, [True, False, True, True, False], measure_terminal()):
        print(line)
    print(_format_totals(plan), flush=True)
    unreadable = UnreadableDates("due_date")
    unreadable.check(None, [*plan.invoices, *(invoice for invoice, _ in plan.left_out)])
    unreadable.warn()
    for invoice, reason in plan.left_out:
        print_error(f"invoice {invoice.invoices_id} left out: {reason}")


def _format_totals(plan: Plan) -> str:
    sums = format_sums(sum_by_currency(plan.invoices))
    return f"{pluralize(len(plan.invoices), 'invoice')}, {sums or 'nothing'}"
