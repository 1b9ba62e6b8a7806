"""What is told of a plan and of each payment: for a person, or as JSON."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ...billing import Reason
from ...billing.money import format_cost, format_sums, sum_by_currency
from ...billing.plan import describe_findings
from ...models import Invoice
from ..dates import UnreadableDates, format_day
from ..exit_codes import NotFound, OutcomeUncertain, OutputFailed, error_message
from ..output import format_json, report_left_out
from ..tables import Kind, make_table
from ..terminal import measure_terminal, pluralize, print_error, print_or_raise, printable
from .change import tell_change
from .journal import list_advice

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ...billing import Entry, JournalWriteFailed, Plan
    from ..signals import StoppingSignals

# What is left out for one of these reasons is told in one line: in these words, with this hint.
_TOLD_TOGETHER = {
    Reason.OF_ENDED_SERVICE: ("of ended services", " (--all-services pays them too)"),
    Reason.NO_ID: ("without an id", ""),
}


class PaymentReport:
    """Tells what is planned, and what becomes of each invoice, as soon as it is known."""

    def __init__(self, args: argparse.Namespace, signals: StoppingSignals) -> None:
        self._args = args
        self._is_json = args.format == "json"
        self._is_plan = args.open
        self._signals = signals
        # What is not told of yet.
        self._planned: dict[int | None, Invoice] = {}
        if args.invoice is not None:
            self._planned[args.invoice] = Invoice(invoices_id=args.invoice)
        self._is_first = True
        self._has_paid = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Begin, and at the end tell of what was not reached, and why."""
        if not self._is_json:
            yield
            return
        try:
            yield
        except OutputFailed:
            raise
        except BaseException as error:
            reason = error_message(error)
            with suppress(OutputFailed):  # what is told of the error is what counts
                tell_change(self._signals, lambda: self._end_json(reason))
            raise
        if self._has_paid:
            tell_change(self._signals, self._end_json)
        else:
            print_or_raise(f"{self._end_json()}\n")

    def _end_json(self, reason: str | None = None) -> str:
        for invoice in self._planned.values():
            self._print_json(_describe_invoice(invoice, "not paid", reason))
        return "[]" if self._is_first else "]"

    def show_plan(self, plan: Plan, *, is_final: bool) -> None:
        """Tell what is planned, which is all where it is final, and what is left out, and why.

        NotFound: it cannot be shown, so that nothing may be paid by it.
        """
        try:
            self._show_plan(plan, is_final=is_final)
        except OSError as error:
            if is_final:
                raise
            problem = f"the plan cannot be shown ({error.strerror or error}); nothing was paid"
        else:
            return
        raise NotFound(problem)

    def _show_plan(self, plan: Plan, *, is_final: bool) -> None:
        for invoice in plan.invoices:  # one that was named is paid, whatever is wrong
            if invoice.invoices_id in plan.findings:
                print_error(describe_findings(plan.findings[invoice.invoices_id]))
        if self._is_json:
            self._planned.clear()
            for invoice, reason in plan.left_out:
                self._print_json(
                    _describe_invoice(invoice, "left out", plan.explain(invoice, reason))
                )
            for invoice in plan.invoices:
                if is_final:
                    self._print_json(_describe_invoice(invoice, "planned", None))
                else:
                    self._planned[invoice.invoices_id] = invoice
            return
        if self._is_plan or (is_final and plan.invoices):
            _print_plan(plan)
        unreadable = UnreadableDates("due_date")
        unreadable.check(None, [*plan.invoices, *(invoice for invoice, _ in plan.left_out)])
        unreadable.warn()
        for reason, (words, hint) in _TOLD_TOGETHER.items():
            invoices = list(dict.fromkeys(one for one, why in plan.left_out if why is reason))
            if invoices:
                count = pluralize(len(invoices), "invoice")
                print_error(f"{count} {words} left out, {_format_cost(invoices)}{hint}")
        for line in dict.fromkeys(_describe_left_out(plan)):  # one is listed in two rows
            print_error(line)

    def show_answer(self, invoice: int) -> None:
        """Tell that a run would settle an invoice, as the server lists it as paid."""
        if self._is_json:
            paid = self._planned.pop(invoice)
            self._print_json(_describe_invoice(paid, "paid", "the server lists it as paid"))
        else:
            print_error(f"invoice {invoice}: the server lists it as paid")

    def tell(self, entry: Entry) -> None:
        """Tell what became of an invoice, and let a signal come that was held back for it.

        OutcomeUncertain: that is not known. OutputFailed: it was paid, and that cannot be told.
        """
        self._has_paid = self._has_paid or entry.result == "paid"
        name = f"invoice {entry.invoice}: " if self._is_plan else ""
        rest = "; nothing was paid after it" if self._is_plan else ""
        if self._is_json:
            self._planned.pop(entry.invoice, None)
            self._tell_json(_describe_entry(entry), name, rest)
        elif entry.event == "settled":
            print_error(f"invoice {entry.invoice}: settled, {entry.text}")
        elif entry.result == "paid":
            words = f"{name}{printable(entry.text)}"
            tell_change(self._signals, lambda: words, name, rest)
        if entry.result == "unknown":
            advice = list_advice(self._args, [entry.invoice])
            raise OutcomeUncertain(f"{name}{entry.text}{rest}", advice)
        if entry.result == "refused":
            print_error(f"{name}{entry.text}")
        self._signals.release()

    def tell_unrecorded(self, error: JournalWriteFailed) -> None:
        """Tell as JSON what became of an invoice that the journal does not hold."""
        invoice = self._planned.pop(error.invoice, Invoice(invoices_id=error.invoice))
        if self._is_json:
            self._tell_json(_describe_invoice(invoice, error.result, str(error)), "", "")

    def _tell_json(self, fields: dict[str, Any], name: str, rest: str) -> None:
        try:
            tell_change(self._signals, lambda: self._place(fields), name, rest)
        except OutputFailed:
            if fields["result"] == "paid":
                raise

    # --- JSON: a list, an object a line as soon as it is known --------------------------------

    def _print_json(self, fields: dict[str, Any]) -> None:
        print_or_raise(f"{self._place(fields)}\n")

    def _place(self, fields: dict[str, Any]) -> str:
        begin = "[\n " if self._is_first else ","
        self._is_first = False
        return begin + format_json(fields, indent=None)


def _describe_invoice(invoice: Invoice, result: str, text: str | None) -> dict[str, Any]:
    return {
        "invoice": invoice.invoices_id,
        "amount": invoice.invoices_amount,
        "currency": invoice.invoices_currency,
        "result": result,
        "text": text,
    }


def _describe_entry(entry: Entry) -> dict[str, Any]:
    return {
        "invoice": entry.invoice,
        "amount": entry.amount,
        "currency": entry.currency,
        "result": entry.result,
        "text": entry.text if entry.event == "outcome" else f"settled: {entry.text}",
    }


def _describe_left_out(plan: Plan) -> Iterator[str]:
    for invoice, reason in plan.left_out:
        if reason not in _TOLD_TOGETHER:
            yield f"invoice {invoice.invoices_id} left out: {plan.explain(invoice, reason)}"


def _print_plan(plan: Plan) -> None:
    rows = [
        [
            printable(invoice.invoices_id),
            printable(format_day(invoice, "due_date")),
            format_cost(invoice),
            printable(invoice.invoices_service),
            printable(invoice.invoices_description),
        ]
        for invoice in plan.invoices
    ]
    table = make_table(
        ["id", "due date", "amount", "service", "description"],
        [Kind.ID, Kind.DAY, Kind.MONEY, Kind.ID, Kind.TEXT],
        rows,
        limit=measure_terminal(),
    )
    print_or_raise("".join(f"{line}\n" for line in [*table.lines, format_totals(plan)]))
    report_left_out(table.left_out)


def format_totals(plan: Plan) -> str:
    """Return how many invoices are planned, and what they cost."""
    return f"{pluralize(len(plan.invoices), 'invoice')}, {_format_cost(plan.invoices)}"


def _format_cost(invoices: Sequence[Invoice]) -> str:
    return format_sums(sum_by_currency(invoices)) or "nothing"
