"""The command that pays one invoice, or what is open by a plan."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

from ...billing import Journal, JournalWriteFailed, Plan, Reason, make_plan
from ...billing.audit import find_unpayable
from ...billing.due import find_ended_services
from ...billing.money import format_cost
from ...billing.pay import (
    check_customer,
    find_open,
    has_to_look,
    is_answered,
    pay_planned,
    pay_unseen,
    require_answers,
    take_answers,
)
from ...billing.plan import SeveralCurrencies, find_reason
from ...models import Invoice
from ..dates import format_day, resolve_today
from ..exit_codes import OK, REFUSED, UsageError
from ..terminal import confirm, has_terminal, parenthesize, print_error, printable, prompt
from .journal import (
    find_journal,
    look_at_journal,
    make_default_folder,
    translate_billing_errors,
)
from .payments import PaymentReport, format_totals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from ...billing import Entry, History
    from ...client import Client
    from ..accounts import AccountSelection

# Of these an invoice is left out as it should be; others are for somebody to look at.
_ORDINARY = (
    Reason.OF_ENDED_SERVICE,
    Reason.OVER_EACH,
    Reason.OVER_TOTAL,
    Reason.PAID_BEFORE,
    Reason.UNSETTLED,  # which has an exit code of its own
)


def pay(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Pay one invoice, or what is open, and write down each step of it."""
    _check_options(args)
    if args.invoice is not None and not (args.dry_run or has_terminal()):
        confirm(args, f"pay invoice {args.invoice} from the account's funds")
    client = selection.client()
    report = PaymentReport(args, selection.signals)
    with ExitStack() as stack, translate_billing_errors(args, selection):
        if args.dry_run or not (args.yes or has_terminal()):
            history = look_at_journal(args, selection, stack)
            stack.enter_context(report.open())
            return _show_what_would_be_paid(args, client, history, report)
        selection.signals.watch()
        path = find_journal(args, selection, stack)
        make_default_folder(args, path)
        journal = stack.enter_context(Journal(path, args.timeout))
        stack.enter_context(report.open())
        if args.invoice is not None and args.yes and not has_to_look(args.invoice, journal):
            unseen = pay_unseen(client, Invoice(invoices_id=args.invoice), journal)
            return _pay_each(unseen, report, OK)
        listed = client.get_client_invoices()
        for entry in take_answers(listed, journal):
            report.tell(entry)
            if entry.invoice == args.invoice:
                require_answers(journal)
                return OK
        plan = _plan_payment(args, client, listed, journal)
        report.show_plan(plan, is_final=False)
        if plan.invoices:
            confirm(args, _make_question(args, plan))
        entries = pay_planned(client, plan, journal)
        return _pay_each(entries, report, _exit_code_of_plan(plan))


def _check_options(args: argparse.Namespace) -> None:
    if args.invoice is None and not args.open:
        raise UsageError("pay: give an invoice, or --open")
    if args.open and args.yes and args.max_total is None and not has_terminal():
        raise UsageError("pay --open --yes: --max-total is required without a terminal")


def _show_what_would_be_paid(
    args: argparse.Namespace, client: Client, history: History, report: PaymentReport
) -> int:
    listed = client.get_client_invoices()
    check_customer(listed, history)
    if args.invoice and history.unsettled_for(args.invoice) and is_answered(args.invoice, listed):
        report.show_answer(args.invoice)
        return OK
    plan = _plan_payment(args, client, listed, history)
    report.show_plan(plan, is_final=True)
    require_answers(history, listed)
    return _exit_code_of_plan(plan)


def _pay_each(entries: Iterator[Entry], report: PaymentReport, code: int) -> int:
    """Tell of each payment as soon as it is made."""
    try:
        for entry in entries:
            report.tell(entry)
            code = max(code, REFUSED if entry.result == "refused" else OK)
    except JournalWriteFailed as error:
        report.tell_unrecorded(error)
        raise
    return code


def _plan_payment(
    args: argparse.Namespace, client: Client, listed: Sequence[Invoice], history: History
) -> Plan:
    if not args.open:
        invoice = find_open(args.invoice, listed)
        reason = find_reason(invoice, 1, history)
        left_out = [] if reason is None else [(invoice, reason)]
        return Plan([] if left_out else [invoice], left_out, find_unpayable(listed))
    until = None
    if args.due_within is not None:
        until = resolve_today(None) + timedelta(args.due_within)
    has_open = any(invoice.is_open for invoice in listed)
    services = client.get_services() if has_open and not args.all_services else []

    def plan(currency: str | None) -> Plan:
        return make_plan(
            listed,
            currency=currency,
            service=args.service,
            due_until=until,
            max_total=args.max_total,
            max_each=args.max_each,
            ended=find_ended_services(services),
            history=history,
        )

    try:
        planned = _choose_currency(args, plan)
    except SeveralCurrencies as error:
        raise UsageError(f"{error} (--currency)") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    if has_open and not (planned.invoices or planned.left_out):
        print_error(_say_that_nothing_matches(args))
    return planned


def _choose_currency(args: argparse.Namespace, plan: Callable[[str | None], Plan]) -> Plan:
    try:
        return plan("" if args.currency == "none" else args.currency)
    except SeveralCurrencies as error:
        if args.yes or args.dry_run or not has_terminal():
            raise
        names = ", ".join(printable(name) or "none" for name in error.currencies)
    answer = prompt(f"Currency ({names}): ").strip()
    return plan("" if answer == "none" else answer)


def _say_that_nothing_matches(args: argparse.Namespace) -> str:
    options = [
        f"--{name.replace('_', '-')} {getattr(args, name)}"
        for name in ("currency", "service", "due_within")
        if getattr(args, name) is not None
    ]
    return f"no open invoice matches {' '.join(options)}"


def _exit_code_of_plan(plan: Plan) -> int:
    has_faults = any(reason not in _ORDINARY for _, reason in plan.left_out)
    return REFUSED if has_faults else OK


def _make_question(args: argparse.Namespace, plan: Plan) -> str:
    if args.open:
        return f"pay {format_totals(plan)} from the account's funds"
    (invoice,) = plan.invoices
    due = format_day(invoice, "due_date", "due")
    about = parenthesize(format_cost(invoice), due, invoice.invoices_description)
    return f"pay invoice {invoice.invoices_id}{about} from the account's funds"
