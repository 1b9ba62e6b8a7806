"""The commands and their options; each names the function that does it, in a module of its own."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from .. import __version__
from ..operations import ENDPOINT
from ..patterns import is_count
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_CODES = """\
exit codes:
  0    done
  1    refused by the server, a wrong response, no such id, or a file error
  2    wrong usage, missing credentials or packages included
  3    the server does not accept username and password
  4    no usable response from the network
  5    it may or may not have happened: check before repeating
  6    it happened, and only the output failed
  130  interrupted
check has exit codes of its own: see soapmail check --help

Username and password come from SOAPMAIL_USERNAME and SOAPMAIL_PASSWORD (or the
first line of the file SOAPMAIL_PASSWORD_FILE), --username, --password-stdin, or
a prompt on a terminal. SOAPMAIL_ENDPOINT is another endpoint. Accounts by name
stand in SOAPMAIL_CONFIG, else in soapmail/accounts.ini in XDG_CONFIG_HOME or
~/.config: a section an account, with username, endpoint and password_command."""
_DUE = """\
Due dates have no time zone: whole days are compared with the date of this
machine, or with --today. What is due today is not overdue before tomorrow."""
_CHECK = f"""\
exit codes, those of a monitoring plugin:
  0    OK        nothing is due
  1    WARNING   due today, or within --due-within days
  2    CRITICAL  overdue
  3    UNKNOWN   no response, wrong login, wrong usage

Open invoices of services that are expired or canceled are counted apart, and
are no alarm, unless --all-services.

{_DUE}"""
# Not of the parser: a subcommand, which has these options too, would set them back.
_DEFAULTS: dict[str, Any] = {
    "sandbox": None,
    "username": None,
    "password_stdin": False,
    "endpoint": None,
    "timeout": 60.0,
    "verbose": False,
    "account": (),
    "all_accounts": False,
    "jobs": 8,
    "journal": None,
    "dump": None,
}
_PARAMETER = re.compile(r"([^=:]+)(?::(int|float|bool))?=(.*)", re.DOTALL)


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Give the options of a command, and under ``command`` the function that does it."""
    return _parser().parse_args(_joined(words), argparse.Namespace(**_DEFAULTS))


def command_of(words: Sequence[str]) -> str:
    """Name the command that is meant, whether or not the rest can be understood."""
    known = _parser().commands
    return next((word for word in words if word in known), "")


def _joined(words: Sequence[str]) -> list[str]:
    """Join an option and a value that argparse would not take for one."""
    made: list[str] = []
    for word in words:
        if made and made[-1] == "--sort" and word.startswith("-"):
            made[-1] = f"--sort={word}"
        else:
            made.append("--sandbox=documented" if word == "--sandbox" else word)
    return made


class _Parser(argparse.ArgumentParser):
    commands: Mapping[str, argparse.ArgumentParser] = MappingProxyType({})

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        words = message.split()
        mistyped = re.match("argument COMMAND: invalid choice: '(.*?)'", message)
        if words[0] == "unrecognized":  # what belongs to an option may be a secret
            names = [word.partition("=")[0] for word in words if word.startswith("-")]
            message = f"unrecognized arguments{': ' if names else ''}{' '.join(names)}"
        elif mistyped:
            message = _unknown(mistyped[1], self.commands)
        raise UsageError(f"{message} (see {self.prog} --help)")


def _unknown(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    return f"no command {name!r}; {hint}"


def _number(text: str) -> int:
    if not (is_count(text) and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _days(text: str) -> int:
    if not is_count(text, 5):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
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
    with suppress(InvalidOperation):
        amount = Decimal(text)
        if amount.is_finite() and abs(amount) < 10**12:
            return amount
    raise argparse.ArgumentTypeError(f"{text!r} is not an amount")


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


class _Append(argparse.Action):
    """Collects in one list what stands before and behind the command."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        self.const.append(values)
        namespace.account = self.const


def _common(accounts: list[str], *, shown: bool) -> _Parser:
    """Make the options that stand before or after the command; the help tells of them once."""
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)

    def add(*names: str, help: str, **settings: Any) -> None:
        options.add_argument(*names, help=help if shown else argparse.SUPPRESS, **settings)

    add(
        "--sandbox",
        choices=("documented", "varied"),
        help="use example data, and no endpoint or account; --sandbox=varied has more kinds",
        metavar="=EXAMPLE",
    )
    add("--username", help="instead of SOAPMAIL_USERNAME")
    add(
        "--password-stdin",
        action="store_true",
        help="read the password from the first line of stdin",
    )
    add("--endpoint", help=f"default: SOAPMAIL_ENDPOINT or {ENDPOINT}")
    add(
        "--account",
        action=_Append,
        const=accounts,
        metavar="NAME",
        help="an account of the accounts file; lists take it more than once",
    )
    add("--all-accounts", action="store_true", help="all accounts of that file")
    add("--jobs", type=_number, metavar="N", help="accounts at a time (default: 8)")
    add(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="limit of each call in all (default: 60)",
    )
    add(
        "--dump",
        metavar="DIR",
        help="write each request and response into this folder, without secrets",
    )
    add("-v", "--verbose", action="store_true", help="log each exchange on stderr")
    return options


class _Commands:
    """The commands of one level, each with the common options and an example."""

    def __init__(self, parser: _Parser, common: _Parser, *, required: bool = True) -> None:
        self._group: Any = parser.add_subparsers(metavar="COMMAND", required=required)
        self.common = common
        parser.commands = self._group.choices  # which grow

    def new(
        self, name: str, about: str, example: str, more: str = "", *, reaches: bool = True
    ) -> _Parser:
        common = "options of every command: see soapmail --help" if reaches else ""
        texts = (f"example:\n  soapmail {example}", more, common)
        made: _Parser = self._group.add_parser(
            name,
            help=about,
            description=about,
            epilog="\n\n".join(filter(None, texts)),
            parents=[self.common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return made

    def add(
        self,
        name: str,
        command: str,
        about: str,
        example: str,
        more: str = "",
        *,
        anonymous: bool = False,
        many: bool = False,
        reaches: bool = True,
        nameonly: bool = False,
    ) -> _Parser:
        """Add one: without a login, for many accounts, without a server, without a password."""
        shown = f"--sandbox {example}" if reaches else example
        made = self.new(name, about, shown, more, reaches=reaches)
        made.set_defaults(
            command=command, anonymous=anonymous, many=many, reaches=reaches, nameonly=nameonly
        )
        return made


def _parser() -> _Parser:
    accounts: list[str] = []
    parser = _Parser(
        prog="soapmail",
        description="Work with the mail services of an InterServer account.",
        epilog=_CODES,
        parents=[_common(accounts, shown=True)],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"soapmail {__version__}")
    common = _common(accounts, shown=False)
    commands = _Commands(parser, common)
    _add_invoices(commands)
    _add_reports(commands)
    _add_services(commands)
    _add_changes(commands)
    _add_urls(commands)
    prepays = commands.new("prepay", "prepaid balances", "--sandbox prepay list")
    _add_prepays(_Commands(prepays, common))
    _add_rest(commands)
    return parser


def _add_invoices(commands: _Commands) -> None:
    one = commands.add(
        "invoices",
        "records.invoices",
        "list the invoices",
        "invoices --open --since 2021-03-01",
        f"--overdue and --due-within together list what is either.\n\n{_DUE}",
        many=True,
    )
    one.add_argument("--unpaid", action="store_true", help="only what the server lists as unpaid")
    one.add_argument(
        "--open", action="store_true", help="only charges neither paid nor deleted, chosen here"
    )
    one.add_argument("--overdue", action="store_true", help="open, and due before today")
    one.add_argument(
        "--due-within", type=_days, metavar="DAYS", help="open, and due from today on within DAYS"
    )
    for name, what in (("", "dated"), ("due-", "due")):
        one.add_argument(f"--{name}since", type=_date, metavar="DATE", help=f"{what} then or later")
        one.add_argument(
            f"--{name}until", type=_date, metavar="DATE", help=f"{what} then or earlier"
        )
    one.add_argument("--service", type=_number, metavar="ID", help="only this service")
    one.add_argument("--services", action="store_true", help="show the status of their services")
    _add_output(one)
    one = commands.add(
        "invoice", "records.invoice", "show an invoice", "invoice 7514880", many=True
    )
    one.add_argument("id", type=_number, help="its invoices_id")
    one.set_defaults(services=False)
    _add_output(one)


def _add_today(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--today", type=_date, metavar="DATE", help="default: this machine's date")


def _add_reports(commands: _Commands) -> None:
    one = commands.add(
        "check",
        "check.check",
        "tell what is overdue or due soon, for cron and monitoring",
        "check --due-within 7",
        _CHECK,
        many=True,
    )
    one.add_argument("--due-within", type=_days, default=0, metavar="DAYS", help="default: 0")
    one.add_argument("--all-services", action="store_true", help="count those of ended services")
    _add_today(one)
    one.add_argument("--format", choices=("text", "json", "prometheus"), default="text")
    one.add_argument("--output", metavar="FILE", help="write it there, beside and then renamed")
    one = commands.add(
        "summary",
        "summary.summary",
        "count and add up the charges that are not deleted",
        "summary --by service",
        "Currencies are never added. --by status counts deleted charges and payments too.",
        many=True,
    )
    one.add_argument(
        "--by",
        choices=("month", "service", "currency", "status"),
        default="month",
        help="default: month",
    )
    _add_output(one, today=False)


def _add_services(commands: _Commands) -> None:
    about = "list the mail services"
    one = commands.add("services", "records.services", about, "services --format csv", many=True)
    _add_output(one, today=False)
    about = "show a mail service"
    one = commands.add("service", "records.service", about, "service 8556", many=True)
    one.add_argument("id", type=_number, help="the mail_id of the service")
    _add_output(one, today=False)


def _add_changes(commands: _Commands) -> None:
    add = commands.add
    one = add("cancel", "change.cancel", "cancel a mail service", "cancel 8556 --yes")
    one.add_argument("id", type=_number, help="the mail_id of the service")
    _add_yes(one)
    one = add("buy", "change.buy", "order a mail service", "buy --yes")
    one.add_argument("--coupon", default="", help="a discount code")
    _add_yes(one)
    one = add(
        "send",
        "change.send",
        "send a mail; its body comes from stdin",
        "send --to a@example.com --from b@example.com --subject Hello --yes",
    )
    one.add_argument("--to", required=True, metavar="ADDRESS")
    one.add_argument("--from", required=True, dest="from_", metavar="ADDRESS")
    one.add_argument("--subject", required=True, metavar="TEXT")
    one.add_argument("--body-file", metavar="FILE", help="read the body from this file (UTF-8)")
    one.add_argument(
        "--lossy", action="store_true", help="send though text outside ISO-8859-1 becomes '?'"
    )
    _add_yes(one)
    _add_pay(commands)


_PAY = """\
pay --open first shows what it would pay, in the order of the due dates. Without
--yes it then asks on a terminal; without a terminal it pays nothing. --due-within
also takes what is overdue.

A journal keeps an invoice from being paid twice: each payment is on the disk
before its request leaves. There is one for each endpoint and user name, in the
folder soapmail of XDG_STATE_HOME or ~/.local/state. If a run ends with 5, look
at the account, then say what became of the payment: soapmail journal settle."""


def _add_pay(commands: _Commands) -> None:
    about = "pay an invoice, or what is open, from the account's funds"
    one = commands.add("pay", "pay.pay", about, "pay 7514880 --yes", _PAY)
    one.add_argument("invoice", type=_number, nargs="?", help="its invoices_id")
    one.add_argument("--open", action="store_true", help="pay what is open, by a plan")
    one.add_argument("--currency", metavar="C", help="only this currency, such as USD")
    one.add_argument("--service", type=_number, metavar="ID", help="only this service")
    one.add_argument("--due-within", type=_days, metavar="DAYS", help="due by then, or overdue")
    one.add_argument(
        "--max-total",
        type=_amount,
        metavar="AMOUNT",
        help="never more in one run; required without a terminal",
    )
    one.add_argument(
        "--max-each", type=_amount, metavar="AMOUNT", help="leave out invoices over this amount"
    )
    one.add_argument("--dry-run", action="store_true", help="show it, and pay nothing")
    _add_journal(one)
    _add_yes(one)
    about = "show the journal of payments"
    one = commands.add("journal", "journal.journal", about, "journal", nameonly=True)
    _add_journal(one)
    _add_output(one, today=False)
    more = _Commands(one, commands.common, required=False)
    about = "say what became of a payment whose outcome is unknown"
    example = "journal settle 7514880 unpaid --journal payments.jsonl"
    one = more.add("settle", "journal.settle", about, example, nameonly=True)
    one.add_argument("invoice", type=_number, help="its invoices_id")
    one.add_argument("result", choices=("paid", "unpaid"))
    _add_journal(one)


def _add_journal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--journal",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="use this file instead of the default",
    )


def _add_urls(commands: _Commands) -> None:
    add = commands.add
    about = "print a PayPal URL for an invoice"
    one = add("pay-url", "urls.pay_url", about, "pay-url 7514880", anonymous=True)
    one.add_argument("invoice", type=_number, help="its invoices_id")
    about = "print a login URL of a mail service"
    one = add("login-url", "urls.login_url", about, "login-url 8556")
    one.add_argument("id", type=_number, help="the mail_id of the service")


def _add_prepays(commands: _Commands) -> None:
    add = commands.add
    about = "list the prepaid balances"
    one = add("list", "records.prepays", about, "prepay list", many=True)
    _add_output(one, today=False)
    one = add("remaining", "urls.prepay_remaining", "print what is left", "prepay remaining")
    one.add_argument("--module", default="mail", help="default: mail")
    one = add("add", "change.prepay_add", "add a prepaid balance", "prepay add 10.50 --yes")
    one.add_argument("amount", type=_amount, help="in the account's currency")
    one.add_argument("--module", default="mail", help="default: mail")
    _add_yes(one)


def _add_rest(commands: _Commands) -> None:
    add = commands.add
    one = add("modules", "records.modules", "list the modules", "modules", anonymous=True)
    _add_output(one, today=False)
    one = add(
        "call",
        "change.call",
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
    about = "check that the server is as soapmail expects; changes nothing"
    one = add("doctor", "doctor.doctor", about, "doctor")
    one.add_argument("--format", choices=("text", "json"), default="text")
    about = "serve the sandbox for other programs"
    one = add("sandbox", "serve.sandbox", about, "sandbox --port 8099", reaches=False)
    one.add_argument("--port", type=_port, default=0, help="default: any free one")
    one.add_argument(
        "--replay", metavar="DIR", help="answer with the responses that --dump wrote there"
    )
    about = "print what completes commands in a shell"
    one = add("completion", "serve.completion", about, "completion bash", reaches=False)
    one.add_argument("shell", choices=("bash", "zsh", "fish"))


def _add_output(parser: argparse.ArgumentParser, *, today: bool = True) -> None:
    if today:
        _add_today(parser)
    else:
        parser.set_defaults(today=None)
    parser.add_argument(
        "--format", choices=("table", "json", "jsonl", "csv", "tsv"), default="table"
    )
    parser.add_argument("--columns", metavar="A,B", help="these columns, or: all")
    parser.add_argument("--sort", metavar="[-]COLUMN", help="by this column; with - backwards")
    parser.add_argument("--no-header", action="store_true", help="without names and totals")


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def completion_script(shell: str) -> str:
    """Give the script that completes commands; UsageError: the package for it is missing."""
    try:
        import shtab
    except ImportError:
        hint = f"pip install shtab ({sys.executable} -m pip install shtab)"
        raise UsageError(f"completion needs shtab; install it with: {hint}") from None
    return str(shtab.complete(_parser(), shell))
