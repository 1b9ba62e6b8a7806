"""The commands that change something."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, TypeVar

from ...errors import LossyTextWarning, OutcomeUnknown
from ...operations import may_change
from ..dates import format_day
from ..exit_codes import OK, REFUSED, Interrupted, NotFound, UsageError
from ..output import format_json
from ..terminal import (
    confirm,
    has_terminal,
    output_failed,
    parenthesize,
    print_error,
    print_or_raise,
    printable,
    write_line,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ...client import Client
    from ...models import Order
    from ..accounts import AccountSelection, TrackingClient
    from ..signals import StoppingSignals

T = TypeVar("T")


def run_change(
    client: TrackingClient, change: Callable[[], T], format_result: Callable[[T], str]
) -> T:
    """Do what changes something, and print its result.

    Whatever comes between, it is told what is known: OutcomeUnknown, or OutputFailed.
    """
    client.signals.watch()
    try:
        result = change()
    except Interrupted as interruption:
        if client.last_call is None or not client.last_call.may_have_happened:
            raise
        problem = f"it may or may not have happened; check before repeating: {interruption}"
        raise OutcomeUnknown(problem) from None
    tell_change(client.signals, lambda: format_result(result))
    client.signals.release()
    return result


def tell_change(
    signals: StoppingSignals, format_result: Callable[[], str], name: str = "", rest: str = ""
) -> None:
    """Print what was changed.

    OutputFailed: it cannot be printed, or a signal came meanwhile; it names what was changed, and
    says the rest.
    """
    try:
        signals.is_telling = True
        text = format_result()
        print_or_raise(f"{text}\n" if text else "")
        signals.is_telling = False
    except Exception as error:
        signals.is_telling = False
        raise output_failed(error, name, rest) from None


def cancel_service(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Cancel a mail service; whoever is asked is told what it is."""
    client = selection.client()
    what = f"mail service {args.id}"
    confirm(args, f"cancel {what}{_describe_service(client, args)}")
    is_canceled = run_change(
        client,
        lambda: client.cancel_service(args.id),
        lambda is_canceled: f"{what} is canceled" if is_canceled else "",
    )
    if not is_canceled:
        print_error(f"the server did not cancel {what}")
    return OK if is_canceled else REFUSED


def _describe_service(client: Client, args: argparse.Namespace) -> str:
    if args.yes or not has_terminal():
        return ""
    service = client.get_service(args.id)
    if service is None:
        raise NotFound(f"there is no mail service {args.id}")
    texts = (service.mail_username, service.mail_status, service.mail_comment)
    return parenthesize(*texts, format_day(service, "order_date", "ordered"))


def buy_mail(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Order a mail service."""
    client = selection.client()
    coupon = f" with the coupon {args.coupon}" if args.coupon else ""
    confirm(args, f"order a mail service{coupon}, which makes an invoice")
    run_change(client, lambda: client.buy_mail(args.coupon), _format_order)
    return OK


def _format_order(order: Order) -> str:
    ids = ", ".join(map(str, order.invoice_ids)) or "none"
    return f"{printable(order.status_text)}: invoices {ids}, cost {printable(order.cost)}"


def send_mail(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Send a mail, unless the server would not keep its text."""
    client = selection.client()
    sender = getattr(args, "from")
    body = _read_body()
    confirm(args, f"send {args.subject!r} ({len(body)} characters) from {sender} to {args.to}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LossyTextWarning)
        try:
            run_change(
                client,
                lambda: client.send_mail(args.subject, body, args.to, sender),
                lambda status: printable(status.status_text),
            )
        except LossyTextWarning as warning:
            raise UsageError(f"{warning}; it is not sent") from None
    return OK


def _read_body() -> str:
    if has_terminal():
        print_error("type the mail, and end it with Ctrl-D")
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return sys.stdin.read()
    try:
        return stream.read().decode("utf-8").replace("\r\n", "\n")  # type: ignore[no-any-return]
    except UnicodeDecodeError as error:
        problem = f"stdin: the body is not UTF-8 (byte {error.start + 1})"
    raise UsageError(problem)


def add_prepay(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Add a prepaid balance."""
    client = selection.client()
    confirm(args, f"add a prepaid balance of {args.amount} for {args.module}")
    run_change(
        client,
        lambda: client.add_prepay(args.amount, args.module),
        lambda prepay_id: f"prepay {prepay_id} is added",
    )
    return OK


def call_operation(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Do any operation of the API."""
    client = selection.client()
    parameters = dict(args.parameters)
    if len(parameters) < len(args.parameters):
        raise UsageError("call: duplicate parameter")
    names = ", ".join(parameters) or "no parameters"
    if not may_change(args.operation):
        write_line(format_json(client.call(args.operation, **parameters)))
        return OK
    confirm(args, f"call {args.operation} with {names}, which may change something")
    run_change(client, lambda: client.call(args.operation, **parameters), format_json)
    return OK
