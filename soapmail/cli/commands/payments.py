"""What is told of a plan and of each payment: for a person, or as JSON."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ...billing import Reason
from ...billing.due import sum_by_currency
from ..dates import UnreadableDates, format_day
from ..exit_codes import NotFound, OutcomeUncertain, OutputFailed
from ..output import align, format_json
from ..terminal import (
    format_cost,
    format_sums,
    measure_terminal,
    pluralize,
    print_error,
    print_or_raise,
    printable,
)
from .change import tell_change

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ...billing import Entry, Plan
    from ...models import Invoice
    from ..signals import StoppingSignals


class PaymentReport:
    """Tells what is planned, and what becomes of each invoice, as soon as it is known."""

    def __init__(self, args: argparse.Namespace, signals: StoppingSignals) -> None:
        self._is_json = args.format == "json"
        self._is_plan = args.open
        self._signals = signals
        self._planned: dict[int | None, Invoice] = {}
        self._is_first = True
        self._has_told = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Begin, and at the end tell of what was not reached."""
        if not self._is_json:
            yield
            return
        try:
            yield
        except BaseException:
            with suppress(OutputFailed):  # what is told of the error is what counts
                tell_change(self._signals, self._end_json)
            raise
        if self._has_told:
            tell_change(self._signals, self._end_json)
        else:
            print_or_raise(f"{self._end_json()}\n")

    def _end_json(self) -> str:
        for invoice in self._planned.values():
            self._print_json(_describe_invoice(invoice, "not paid", None))
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
            problem = f"the plan cannot be shown ({error.strerror}); nothing was paid"
        else:
            return
        raise NotFound(problem)

    def _show_plan(self, plan: Plan, *, is_final: bool) -> None:
        if self._is_json:
            for invoice, reason in plan.left_out:
                self._print_json(_describe_invoice(invoice, "left out", reason.value))
            if is_final:
                for invoice in plan.invoices:
                    self._print_json(_describe_invoice(invoice, "planned", None))
            else:
                self._planned = {invoice.invoices_id: invoice for invoice in plan.invoices}
            return
        if self._is_plan or is_final:
            _print_plan(plan)
        unreadable = UnreadableDates("due_date")
        unreadable.check(None, [*plan.invoices, *(invoice for invoice, _ in plan.left_out)])
        unreadable.warn()
        ended = [invoice for invoice, reason in plan.left_out if reason is Reason.OF_ENDED_SERVICE]
        if ended:
            words = f"{pluralize(len(ended), 'invoice')} of ended services left out"
            print_error(f"{words}, {_format_cost(ended)} (--all-services pays them too)")
        for invoice, reason in plan.left_out:
            if reason is Reason.NO_ID:
                print_error(f"an invoice without an id left out ({format_cost(invoice)})")
            elif reason is not Reason.OF_ENDED_SERVICE:
                print_error(f"invoice {invoice.invoices_id} left out: {reason.value}")

    def tell(self, entry: Entry) -> None:
        """Tell what became of an invoice, and let a signal come that was held back for it.

        OutcomeUncertain: that is not known. OutputFailed: it cannot be told.
        """
        self._has_told = True
        name = f"invoice {entry.invoice}: " if self._is_plan else ""
        rest = "; nothing was paid after it" if self._is_plan else ""
        if self._is_json:
            self._planned.pop(entry.invoice, None)
            tell_change(self._signals, lambda: self._format_json(entry), name, rest)
        elif entry.event == "settled":
            print_error(f"invoice {entry.invoice}: settled, {entry.text}")
        elif entry.result == "paid":
            words = f"{name}{printable(entry.text)}"
            tell_change(self._signals, lambda: words, name, rest)
        if entry.result == "unknown":
            raise OutcomeUncertain(f"{name}{entry.text}{rest}")
        if entry.result == "refused":
            print_error(f"{name}{entry.text}")
        self._signals.release()

    # --- JSON: a list, an object a line as soon as it is known --------------------------------

    def _format_json(self, entry: Entry) -> str:
        text = entry.text if entry.event == "outcome" else f"settled: {entry.text}"
        return self._place(
            {
                "invoice": entry.invoice,
                "amount": entry.amount,
                "currency": entry.currency,
                "result": entry.result,
                "text": text,
            }
        )

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


def _print_plan(plan: Plan) -> None:
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
    print(format_totals(plan), flush=True)


def format_totals(plan: Plan) -> str:
    """Return how many invoices are planned, and what they cost."""
    return f"{pluralize(len(plan.invoices), 'invoice')}, {_format_cost(plan.invoices)}"


def _format_cost(invoices: Sequence[Invoice]) -> str:
    return format_sums(sum_by_currency(invoices)) or "nothing"
