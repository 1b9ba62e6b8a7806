"""The commands that change something."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, TypeVar

from ...errors import LossyTextWarning, OutcomeUnknown
from ...operations import may_change
from ..exit_codes import OK, REFUSED, NotFound, Stopped, UsageError
from ..output import json_text
from ..signals import stoppable
from ..terminal import confirm, day, has_terminal, put, say, shown, told, unshown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ...client import Client
    from ...models import Order
    from ..accounts import Reach


T = TypeVar("T")


def change(client: Client, do: Callable[[], T], show: Callable[[T], str]) -> T:
    """Do what changes something, and print it; say what is known of it, whatever comes between."""
    with stoppable():
        try:
            result = do()
        except Stopped as stop:
            if not client._may_have_changed():
                raise
            problem = f"it may or may not have happened; check before repeating: {stop}"
            raise OutcomeUnknown(problem) from None
        try:  # here and not in a function, at whose start a signal could come in between
            text = show(result)
            put(f"{text}\n" if text else "")
        except Exception as error:
            raise unshown(error) from None
        return result


def cancel(args: argparse.Namespace, reach: Reach) -> int:
    """Cancel a mail service; whoever is asked is told what it is."""
    client = reach.client()
    what = f"mail service {args.id}"
    confirm(args, f"cancel {what}{_of_service(client, args)}")
    done = change(
        client,
        lambda: client.cancel_service(args.id),
        lambda done: f"{what} is canceled" if done else "",
    )
    if not done:
        say(f"the server did not cancel {what}")
    return OK if done else REFUSED


def _of_service(client: Client, args: argparse.Namespace) -> str:
    if args.yes or not has_terminal():
        return ""
    service = client.get_service(args.id)
    if service is None:
        raise NotFound(f"there is no mail service {args.id}")
    known = (service.mail_username, service.mail_status, service.mail_comment)
    return told(*known, day("ordered", service.order_date))


def buy(args: argparse.Namespace, reach: Reach) -> int:
    """Order a mail service."""
    client = reach.client()
    coupon = f" with the coupon {args.coupon}" if args.coupon else ""
    confirm(args, f"order a mail service{coupon}, which makes an invoice")
    change(client, lambda: client.buy_mail(args.coupon), _order)
    return OK


def _order(order: Order) -> str:
    ids = ", ".join(map(str, order.invoice_ids)) or "none"
    return f"{shown(order.status_text)}: invoices {ids}, cost {shown(order.cost)}"


def send(args: argparse.Namespace, reach: Reach) -> int:
    """Send a mail, unless the server would not keep its text."""
    if args.password_stdin and args.body_file is None:
        raise UsageError("--password-stdin and a body from stdin cannot be combined")
    client = reach.client()
    body = _body(args)
    what = f"send {args.subject!r} ({len(body)} characters) from {args.from_} to {args.to}"
    confirm(args, what)
    with warnings.catch_warnings():
        warnings.simplefilter("always" if args.lossy else "error", LossyTextWarning)
        try:
            change(
                client,
                lambda: client.send_mail(args.subject, body, args.to, args.from_),
                lambda sent: shown(sent.status_text),
            )
        except LossyTextWarning as warning:
            raise UsageError(f"{warning}; --lossy sends it all the same") from None
    return OK


def _body(args: argparse.Namespace) -> str:
    if args.body_file is None:
        if has_terminal():
            say("type the mail, and end it with Ctrl-D")
        data = getattr(sys.stdin, "buffer", None)
        return sys.stdin.read() if data is None else _decoded(data.read(), "stdin")
    with open(args.body_file, "rb") as file:
        return _decoded(file.read(), args.body_file)


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        problem = f"{name}: the body is not UTF-8 (byte {error.start + 1})"
    raise UsageError(problem)


def prepay_add(args: argparse.Namespace, reach: Reach) -> int:
    """Add a prepaid balance."""
    client = reach.client()
    confirm(args, f"add a prepaid balance of {args.amount} for {args.module}")
    change(
        client,
        lambda: client.add_prepay(args.amount, args.module),
        lambda made: f"prepay {made} is added",
    )
    return OK


def call(args: argparse.Namespace, reach: Reach) -> int:
    """Do any operation of the API."""
    client = reach.client()
    parameters = dict(args.parameters)
    if len(parameters) < len(args.parameters):
        raise UsageError("call: duplicate parameter")
    names = ", ".join(parameters) or "no parameters"
    if not may_change(args.operation):
        print(json_text(client.call(args.operation, **parameters)))
        return OK
    confirm(args, f"call {args.operation} with {names}, which may change something")
    change(client, lambda: client.call(args.operation, **parameters), json_text)
    return OK
