"""The command: everything a mail customer does, without writing Python."""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import os
import re
import shutil
import signal
import sys
import threading
import unicodedata
import warnings
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from . import __version__
from .client import Client
from .errors import (
    AuthenticationError,
    LossyTextWarning,
    OutcomeUnknown,
    SoapMailError,
    TransportError,
)
from .models import Invoice, MailService, Order, Prepay
from .operations import ENDPOINT, may_change, takes_session
from .patterns import is_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Command = Callable[[Client, argparse.Namespace], int]

T = TypeVar("T")

OK, REFUSED, USAGE, AUTHENTICATION, NETWORK, UNKNOWN, UNSHOWN, INTERRUPTED = *range(7), 130
_CODES = """\
exit codes:
  0    done
  1    the server refused, answered wrongly, or has no such thing; or a file failed
  2    wrong usage, missing credentials or packages included
  3    the server does not accept username and password
  4    no usable answer from the network
  5    it may or may not have happened: check before repeating
  6    it happened, and only the output failed
  130  interrupted

Username and password come from SOAPMAIL_USERNAME and SOAPMAIL_PASSWORD, --username,
--password-stdin, or a prompt on a terminal. SOAPMAIL_ENDPOINT is another endpoint."""
# Not of the parser: a subcommand, which has these options too, would set them back.
_DEFAULTS = {
    "sandbox": False,
    "username": None,
    "password_stdin": False,
    "endpoint": None,
    "timeout": 60.0,
    "verbose": False,
}
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
_PARAMETER = re.compile(r"([^=:]+)(?::(int|float|bool))?=(.*)", re.DOTALL)


class UsageError(Exception):
    """What the caller asked for cannot be done as asked."""


class Declined(Exception):
    """The caller was asked and said no."""


class Unshown(Exception):
    """It happened, and only what was to be printed of it could not be."""


class Stopped(Exception):
    """A signal came while something was being changed; as an error, so that a call can name it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, which does not depend on stderr."""
    try:
        with _output(), _messages() as log:
            args = _parser().parse_args(arguments, argparse.Namespace(**_DEFAULTS))
            if args.verbose:
                log.setLevel(logging.DEBUG)
            return _run(args)
    except SystemExit as stop:  # of argparse, after --help, --version and wrong usage
        return int(stop.code or OK)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Stopped as stop:
        return _end_by(stop.number)
    except BrokenPipeError:  # whoever reads has enough
        return OK
    except OSError as error:
        _say(f"cannot read or write ({error.strerror})" if error.strerror else str(error))
        return REFUSED
    except _KNOWN as error:
        _say(" ".join(str(error).split()))
        return _code(error)
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)


_KNOWN = (
    SoapMailError,
    LossyTextWarning,
    UsageError,
    Declined,
    Unshown,
    ValueError,
    ImportError,
)


def _code(error: Exception) -> int:
    if isinstance(error, OutcomeUnknown):
        return UNKNOWN
    if isinstance(error, Unshown):
        return UNSHOWN
    if isinstance(error, TransportError):
        return NETWORK
    if isinstance(error, AuthenticationError):
        return AUTHENTICATION
    return REFUSED if isinstance(error, (SoapMailError, Declined)) else USAGE


def _end_by(number: int) -> int:
    """End as the signal would have ended the command."""
    if number == signal.SIGINT:
        return INTERRUPTED
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number  # where the signal waits


def _say(text: str) -> None:
    """Tell the caller, if he can be told."""
    with suppress(OSError, ValueError):
        print(f"soapmail: {_shown(text)}", file=sys.stderr, flush=True)


def _let_go(stream: Any) -> None:
    """Write what is left, and nothing more at exit where that is not possible."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _output() -> Iterator[None]:
    """Write UTF-8 with the line ends as they are given, and all of it before the end."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started the command
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    yield
    sys.stdout.flush()


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"soapmail: {_shown(record.getMessage())}"


@contextmanager
def _messages() -> Iterator[logging.Logger]:
    """Show log records and warnings as plain lines on stderr."""
    log = logging.getLogger("soapmail")
    level = log.level
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest: _say(f"warning: {message}")
            yield log
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn the signals that would end the command into errors."""

    def stop(number: int, frame: object) -> None:
        for other in known:  # nothing may come between this one and what is said of it
            signal.signal(other, signal.SIG_IGN)
        known.clear()
        raise Stopped(number)

    known: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    known[number] = signal.signal(number, stop)
        yield
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)


def _change(client: Client, do: Callable[[], T], show: Callable[[T], str]) -> T:
    """Do what changes something, and print it; say what is known of it, whatever comes between."""
    with _stoppable():
        try:
            result = do()
        except Stopped as stop:
            if not client._may_have_changed():
                raise
            problem = f"it may or may not have happened; check before repeating: {stop}"
            raise OutcomeUnknown(problem) from None
        try:
            text = show(result)
            if sys.__stdout__ is None:
                raise OSError("stdout is closed")
            if text:
                print(text, flush=True)
        except Exception as error:
            problem = getattr(error, "strerror", None) or str(error)
            raise Unshown(f"it was done, and only the output failed ({problem})") from None
        return result


# --- arguments -------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        words = message.split()
        if words[0] == "unrecognized":  # what belongs to an option may be a secret
            names = [word.partition("=")[0] for word in words if word.startswith("-")]
            message = f"unrecognized arguments{': ' if names else ''}{' '.join(names)}"
        _say(f"{message} (see {self.prog} --help)")
        self.exit(USAGE)


def _number(text: str) -> int:
    if not (is_count(text) and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _port(text: str) -> int:
    if not (is_count(text, 5) and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _date(text: str) -> date:
    try:
        if len(text) == len("2021-02-24"):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a date of the form YYYY-MM-DD")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None


def _amount(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount") from None


def _parameter(text: str) -> tuple[str, str | int | float | bool]:
    found = _PARAMETER.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not name=value, or name:int=value with int, float or bool"
        )
    name, kind, value = found.groups()
    try:
        if kind == "int":
            return name, int(value)
        if kind == "float":
            return name, float(value)
        if kind == "bool":
            return name, {"true": True, "1": True, "false": False, "0": False}[value.lower()]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{value!r} is not of the type {kind}") from None
    return name, value


def _common() -> _Parser:
    """Make the options that stand before or after the command."""
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    options.add_argument(
        "--sandbox", action="store_true", help="use example data, and no endpoint or account"
    )
    options.add_argument("--username", help="instead of SOAPMAIL_USERNAME")
    options.add_argument(
        "--password-stdin", action="store_true", help="read the password from the first line"
    )
    options.add_argument("--endpoint", help=f"default: SOAPMAIL_ENDPOINT or {ENDPOINT}")
    options.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="limit of each call in all (default: 60)",
    )
    options.add_argument("-v", "--verbose", action="store_true", help="log each exchange on stderr")
    return options


class _Commands:
    """The commands of one level, each with the common options and an example."""

    def __init__(self, parser: argparse.ArgumentParser, common: _Parser) -> None:
        self._group: Any = parser.add_subparsers(metavar="COMMAND", required=True)
        self._common = common

    def new(self, name: str, about: str, example: str) -> _Parser:
        made: _Parser = self._group.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example:\n  soapmail --sandbox {example}",
            parents=[self._common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return made

    def add(
        self, name: str, command: Command, about: str, example: str, *, anonymous: bool = False
    ) -> _Parser:
        made = self.new(name, about, example)
        made.set_defaults(command=command, anonymous=anonymous)
        return made


def _parser() -> argparse.ArgumentParser:
    common = _common()
    parser = _Parser(
        prog="soapmail",
        description="Work with the mail services of an InterServer account.",
        epilog=_CODES,
        parents=[common],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"soapmail {__version__}")
    commands = _Commands(parser, common)
    _add_lists(commands)
    _add_changes(commands)
    _add_urls(commands)
    prepays = commands.new("prepay", "prepaid balances", "prepay list")
    _add_prepays(_Commands(prepays, common))
    _add_rest(commands)
    return parser


def _add_lists(commands: _Commands) -> None:
    add = commands.add
    one = add("invoices", _invoices, "list the invoices", "invoices --open --since 2021-03-01")
    one.add_argument("--unpaid", action="store_true", help="those the server lists as unpaid")
    one.add_argument("--open", action="store_true", help="charges neither paid nor deleted")
    one.add_argument("--since", type=_date, metavar="DATE", help="dated on this day or later")
    one.add_argument("--until", type=_date, metavar="DATE", help="dated on this day or earlier")
    one.add_argument("--service", type=_number, metavar="ID", help="of this service only")
    one.add_argument("--services", action="store_true", help="show the status of their services")
    _add_format(one)
    _add_format(add("services", _services, "list the mail services", "services --format csv"))
    one = add("service", _service, "show a mail service", "service 8556")
    one.add_argument("id", type=_number, help="the mail_id of the service")
    _add_format(one)


def _add_changes(commands: _Commands) -> None:
    add = commands.add
    one = add("cancel", _cancel, "cancel a mail service", "cancel 8556 --yes")
    one.add_argument("id", type=_number, help="the mail_id of the service")
    _add_yes(one)
    one = add("buy", _buy, "order a mail service", "buy --yes")
    one.add_argument("--coupon", default="", help="a code that makes it cheaper")
    _add_yes(one)
    one = add(
        "send",
        _send,
        "send a mail; its body comes from stdin",
        "send --to a@example.com --from b@example.com --subject Hello --yes",
    )
    one.add_argument("--to", required=True, metavar="ADDRESS")
    one.add_argument("--from", required=True, dest="from_", metavar="ADDRESS")
    one.add_argument("--subject", required=True, metavar="TEXT")
    one.add_argument("--body-file", metavar="FILE", help="read the body from this file (UTF-8)")
    _add_yes(one)
    one = add("pay", _pay, "pay an invoice from the account's funds", "pay 7514880 --yes")
    one.add_argument("invoice", type=_number, help="its invoices_id")
    _add_yes(one)


def _add_urls(commands: _Commands) -> None:
    add = commands.add
    one = add(
        "pay-url", _pay_url, "print a PayPal URL for an invoice", "pay-url 7514880", anonymous=True
    )
    one.add_argument("invoice", type=_number, help="its invoices_id")
    one = add("login-url", _login_url, "print a login URL of a mail service", "login-url 8556")
    one.add_argument("id", type=_number, help="the mail_id of the service")


def _add_prepays(commands: _Commands) -> None:
    add = commands.add
    one = add("list", _prepay_list, "list the prepaid balances", "prepay list")
    _add_format(one)
    one = add("remaining", _prepay_remaining, "print what is left", "prepay remaining")
    one.add_argument("--module", default="mail", help="default: mail")
    one = add("add", _prepay_add, "add a prepaid balance", "prepay add 10.50 --yes")
    one.add_argument("amount", type=_amount, help="in the account's currency")
    one.add_argument("--module", default="mail", help="default: mail")
    _add_yes(one)


def _add_rest(commands: _Commands) -> None:
    add = commands.add
    one = add("modules", _modules, "list the modules", "modules", anonymous=True)
    _add_format(one)
    one = add(
        "call",
        _call,
        "do any operation of the API and print its result as JSON",
        "call api_mail_get_service id:int=8556",
    )
    one.add_argument("operation", help="its name in the provider's documents")
    one.add_argument(
        "parameters",
        nargs="*",
        type=_parameter,
        metavar="name[:type]=value",
        help="in the documented order; int, float, bool, or text if no type is given",
    )
    _add_yes(one)
    one = add(
        "sandbox",
        _sandbox,
        "serve the sandbox for other programs",
        "sandbox --port 8099",
        anonymous=True,
    )
    one.add_argument("--port", type=_port, default=0, help="default: any free one")


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it without asking")


# --- running ---------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    if args.password_stdin and args.command is _send and args.body_file is None:
        raise UsageError("--password-stdin and a body from stdin do not go together")
    with ExitStack() as stack:
        options: dict[str, Any] = {"timeout": args.timeout}
        if args.sandbox:
            from .sandbox import Sandbox

            sandbox = stack.enter_context(Sandbox())
            options.update(
                username=sandbox.username, password=sandbox.password, endpoint=sandbox.endpoint
            )
        else:
            options.update(_account(args))
        return args.command(stack.enter_context(Client(**options)), args)  # type: ignore[no-any-return]


def _account(args: argparse.Namespace) -> dict[str, str]:
    options = {"endpoint": args.endpoint or os.environ.get("SOAPMAIL_ENDPOINT") or ENDPOINT}
    if args.anonymous or (args.command is _call and not takes_session(args.operation)):
        return options
    username = args.username or os.environ.get("SOAPMAIL_USERNAME") or _asked("Username: ")
    if args.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = os.environ.get("SOAPMAIL_PASSWORD") or _asked("Password: ", hidden=True)
    if not username or not password:
        missing = "SOAPMAIL_PASSWORD, or --password-stdin" if username else "SOAPMAIL_USERNAME"
        raise UsageError(f"username and password are needed: set {missing}")
    return {**options, "username": username, "password": password}


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(question: str, *, hidden: bool = False) -> str:
    if not _terminal():
        return ""
    if hidden:
        from getpass import getpass

        return getpass(question)
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().rstrip("\r\n")


def _confirm(args: argparse.Namespace, what: str) -> None:
    """Ask before anything is changed, or go by --yes."""
    if args.yes:
        return
    if not _terminal():
        raise UsageError(f"{what}: say --yes to do this without a terminal")
    if _asked(f"{_shown(what)}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Declined("nothing was done")


# --- commands --------------------------------------------------------------------------------


def _invoices(client: Client, args: argparse.Namespace) -> int:
    get = client.get_client_unpaid_invoices if args.unpaid else client.get_client_invoices
    invoices = [one for one in get() if args.service in (None, one.invoices_service)]
    invoices = [one for one in invoices if one.is_open or not args.open]
    if args.since or args.until:
        dated = [(one.date.date(), one) for one in invoices if one.date]
        if len(dated) < len(invoices):
            count = len(invoices) - len(dated)
            _say(f"{count} without a date left out")
        first, last = args.since or date.min, args.until or date.max
        invoices = [one for day, one in dated if first <= day <= last]
    records = [asdict(one) for one in invoices]
    names = [field.name for field in fields(Invoice)]
    if args.services:
        states = {one.mail_id: one.mail_status for one in client.get_services()}
        for record in records:
            record["mail_status"] = states.get(record["invoices_service"])
        names.append("mail_status")
    if args.format != "table":
        _print_records(args.format, names, records)
        return OK
    heads = ["id", "date", "due date", "amount", "paid", "service", "description"]
    rows = [_invoice_row(one) for one in invoices]
    if args.services:
        heads.insert(-1, "status")
        for row, record in zip(rows, records, strict=True):
            row.insert(-1, _shown(record["mail_status"]))
    _print_table(heads, rows, numbers={"id", "amount", "service"})
    print(_totals(invoices))
    return OK


def _invoice_row(one: Invoice) -> list[str]:
    return [
        _shown(one.invoices_id),
        _shown(one.invoices_date),
        _shown(one.invoices_due_date),
        _shown(f"{_money(one.amount)} {one.invoices_currency or ''}".strip()),
        "yes" if one.is_paid else "no",
        _shown(one.invoices_service),
        _shown(one.invoices_description),
    ]


def _money(amount: Decimal | None) -> str:
    """Write an amount with two places, or with more where it has more: nothing is rounded."""
    if amount is None:
        return "-"
    exponent = amount.as_tuple().exponent
    return f"{amount:.2f}" if isinstance(exponent, int) and exponent > -2 else f"{amount:f}"


def _totals(invoices: Sequence[Invoice]) -> str:
    """Say for each currency how many there are, how many open, and how much that is."""
    lines = []
    for currency in sorted({one.invoices_currency or "" for one in invoices}):
        own = [one for one in invoices if (one.invoices_currency or "") == currency]
        opened = [one for one in own if one.is_open]
        amounts = [one.amount for one in opened if one.amount is not None]
        line = f"{len(own)} invoices, {len(opened)} open, {_money(sum(amounts, Decimal(0)))} open"
        missing = len(opened) - len(amounts)
        unknown = f" and {missing} of unknown amount" if missing else ""
        lines.append(f"{_shown(currency) or 'no currency'}: {line}{unknown}")
    return "; ".join(lines) or "0 invoices"


def _services(client: Client, args: argparse.Namespace) -> int:
    services = client.get_services()
    _print_models(args.format, MailService, services, "mail_extra", "mail_comment")
    return OK


def _service(client: Client, args: argparse.Namespace) -> int:
    service = client.get_service(args.id)
    if service is None:
        _say(f"there is no mail service {args.id}")
        return REFUSED
    _print_models(args.format, MailService, [service])
    return OK


def _cancel(client: Client, args: argparse.Namespace) -> int:
    _confirm(args, f"cancel mail service {args.id}")
    what = f"mail service {args.id}"
    done = _change(
        client,
        lambda: client.cancel_service(args.id),
        lambda done: f"{what} is cancelled" if done else "",
    )
    if not done:
        _say(f"the server did not cancel {what}")
    return OK if done else REFUSED


def _buy(client: Client, args: argparse.Namespace) -> int:
    coupon = f" with the coupon {args.coupon}" if args.coupon else ""
    _confirm(args, f"order a mail service{coupon}, which makes an invoice")
    _change(client, lambda: client.buy_mail(args.coupon), _order)
    return OK


def _order(order: Order) -> str:
    ids = ", ".join(map(str, order.invoice_ids)) or "none"
    return f"{_shown(order.status_text)}: invoices {ids}, cost {_shown(order.cost)}"


def _send(client: Client, args: argparse.Namespace) -> int:
    if args.body_file is None:
        if _terminal():
            _say("type the mail, and end it with Ctrl-D")
        body = sys.stdin.read()
    else:
        try:
            with open(args.body_file, encoding="utf-8") as file:
                body = file.read()
        except OSError as error:
            raise UsageError(f"{args.body_file}: {error.strerror}") from None
    what = f"send {args.subject!r} ({len(body)} characters) from {args.from_} to {args.to}"
    _confirm(args, what)
    _change(
        client,
        lambda: client.send_mail(args.subject, body, args.to, args.from_),
        lambda sent: _shown(sent.status_text),
    )
    return OK


def _pay(client: Client, args: argparse.Namespace) -> int:
    _confirm(args, f"pay invoice {args.invoice} from the account's funds")
    _change(
        client, lambda: client.make_payment(args.invoice), lambda paid: _shown(paid.status_text)
    )
    return OK


def _pay_url(client: Client, args: argparse.Namespace) -> int:
    print(_shown(client.get_paypal_url(args.invoice)))
    return OK


def _login_url(client: Client, args: argparse.Namespace) -> int:
    print(_shown(client.auto_zonemta_login(args.id).status_text))
    return OK


def _prepay_list(client: Client, args: argparse.Namespace) -> int:
    _print_models(args.format, Prepay, client.get_prepay_list())
    return OK


def _prepay_remaining(client: Client, args: argparse.Namespace) -> int:
    print(_shown(client.get_prepay_remaining(args.module).status_text))
    return OK


def _prepay_add(client: Client, args: argparse.Namespace) -> int:
    _confirm(args, f"add a prepaid balance of {args.amount} for {args.module}")
    _change(
        client,
        lambda: client.add_prepay(args.amount, args.module),
        lambda made: f"prepay {made} is added",
    )
    return OK


def _modules(client: Client, args: argparse.Namespace) -> int:
    modules = client.get_modules()
    if args.format == "table":
        print("\n".join(map(_shown, modules)))
    else:
        _print_records(args.format, ["module"], [{"module": module} for module in modules])
    return OK


def _call(client: Client, args: argparse.Namespace) -> int:
    parameters = dict(args.parameters)
    if len(parameters) < len(args.parameters):
        raise UsageError("call: a parameter stands twice")
    shown = ", ".join(name for name in parameters) or "no parameters"
    if not may_change(args.operation):
        print(_json(client.call(args.operation, **parameters)))
        return OK
    _confirm(args, f"call {args.operation} with {shown}, which may change something")
    _change(client, lambda: client.call(args.operation, **parameters), _json)
    return OK


def _sandbox(client: Client, args: argparse.Namespace) -> int:
    from .sandbox import Sandbox

    try:
        sandbox = Sandbox(port=args.port)
    except OSError as error:
        raise UsageError(f"port {args.port}: {error.strerror}") from None
    print(f"endpoint {sandbox.endpoint}")
    print(f"username {sandbox.username}")
    print(f"password {sandbox.password}", flush=True)
    sandbox.serve()
    return OK


# --- output ----------------------------------------------------------------------------------


def _print_models(kind: str, model: type[Any], records: Sequence[Any], *hidden: str) -> None:
    names = [field.name for field in fields(model)]
    if kind != "table":
        _print_records(kind, names, [asdict(record) for record in records])
        return
    heads = [name for name in names if name not in hidden]
    rows = [[_shown(getattr(record, name)) for name in heads] for record in records]
    numbers = {field.name for field in fields(model) if not str(field.type).startswith("str")}
    _print_table(heads, rows, numbers)


def _print_records(kind: str, names: Sequence[str], records: Sequence[dict[str, Any]]) -> None:
    if kind == "json":
        print(_json(records))
        return
    sys.stdout.write("\ufeff")  # by which a spreadsheet knows UTF-8
    writer = csv.DictWriter(sys.stdout, names)
    writer.writeheader()
    writer.writerows(records)


def _json(value: object) -> str:
    """Write JSON in which what could move a terminal's cursor is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in text
    )


def _shown(value: object) -> str:
    """Write a value for a terminal: what could move its cursor is not passed on."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.15g}"
    return "".join(one if one.isprintable() else " " for one in str(value))


def _width(text: str) -> int:
    """Count the columns of a terminal that a text takes."""
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )


def _shortened(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    while text and _width(text) >= width:
        text = text[:-1]
    return f"{text}…"


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[str]) -> None:
    """Print aligned columns; on a terminal the last one is cut to what fits, if it is text."""
    table = [heads, *rows]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    if sys.stdout.isatty() and heads[-1] not in numbers:
        left = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(heads) - 1)
        widths[-1] = min(widths[-1], max(left, len(heads[-1])))
    for row in table:
        cells = []
        for head, text, width in zip(heads, row, widths, strict=True):
            text = _shortened(text, width) if head == heads[-1] else text
            gap = " " * (width - _width(text))
            cells.append(gap + text if head in numbers else text + gap)
        print("  ".join(cells).rstrip())
