"""The commands and their options; each names the function that does it, in a module of its own."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from .. import __version__
from ..operations import ENDPOINT
from ..patterns import is_count
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_EXIT_CODES_HELP = """\
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
_DUE_HELP = """\
Due dates have no time zone: whole days are compared with the date of this
machine, or with --today. What is due today is not overdue before tomorrow."""
_CHECK_HELP = f"""\
exit codes, those of a monitoring plugin:
  0    OK        nothing is due
  1    WARNING   due today, or within --due-within days
  2    CRITICAL  overdue
  3    UNKNOWN   no response, wrong login, wrong usage

Open invoices of services that are expired or canceled are counted apart, and
are no alarm, unless --all-services.

{_DUE_HELP}"""
# Not argparse defaults: a subparser's default would overwrite an option given before the command.
_DEFAULTS: dict[str, Any] = {
    "command_name": None,
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


def new_namespace() -> argparse.Namespace:
    """Return the options of every command as they are where nothing is given."""
    return argparse.Namespace(**_DEFAULTS)


def parse_into(args: argparse.Namespace, words: Sequence[str]) -> None:
    """Set the options, and under ``command`` the function that does it; UsageError.

    ``command_name`` is set as soon as it is known, also where the rest cannot be understood.
    """
    _make_parser().parse_args(_join_values(words), args)
    for value in vars(args).values():
        if isinstance(value, _Mistake):
            raise UsageError(f"{value.message} (see soapmail --help)")


def _join_values(words: Sequence[str]) -> list[str]:
    """Join an option and a value that argparse would not take for one."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--sort" and word.startswith("-"):
            joined[-1] = f"--sort={word}"
        else:
            joined.append("--sandbox=documented" if word == "--sandbox" else word)
    return joined


class _Mistake(NamedTuple):
    """A wrong value before the command, of which it is told when the command is known."""

    message: str


def _defer(option: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert_later(text: str) -> Any:
        try:
            return convert(text)
        except argparse.ArgumentTypeError as error:
            return _Mistake(f"argument {option}: {error}")

    return convert_later


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if not isinstance(action, _CommandAction):  # which does it itself
            super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        words = message.split()
        if words[0] == "unrecognized":  # what belongs to an option may be a secret
            names = [word.partition("=")[0] for word in words if word.startswith("-")]
            message = f"unrecognized arguments{': ' if names else ''}{' '.join(names)}"
        raise UsageError(f"{message} (see {self.prog} --help)")


def _suggest_command(name: str, commands: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, commands, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(commands)}"
    return f"no command {name!r}; {hint}"


def _positive_number(text: str) -> int:
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


def _example(text: str) -> str:
    if text not in ("documented", "varied"):
        raise argparse.ArgumentTypeError(f"{text!r} is not documented or varied")
    return text


def _amount(text: str) -> Decimal:
    with suppress(InvalidOperation):
        amount = Decimal(text)
        if amount.is_finite() and abs(amount) < 10**12:
            return amount
    raise argparse.ArgumentTypeError(f"{text!r} is not an amount")


def _parameter(text: str) -> tuple[str, str | int | float | bool]:
    match = _PARAMETER.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not name=value, or name:int=value with int, float or bool"
        )
    name, kind, value = match.groups()
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


class _CommandAction(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Chooses the command; behind a word that is none it may still come, and the error is its."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        names = list(self._name_parser_map)
        if values[0] not in names:
            namespace.command_name = next((word for word in values if word in names), None)
            parser.error(_suggest_command(values[0], names))
        super().__call__(parser, namespace, values, option)


class _Append(argparse.Action):
    """Collects in one list what stands before and behind the command."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        self.const.append(values)
        namespace.account = self.const


def _make_common_options(accounts: list[str], *, is_shown: bool) -> _Parser:
    """Return the options that stand before or after the command; the help tells of them once."""
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)

    def add(*names: str, help: str, **settings: Any) -> None:
        options.add_argument(*names, help=help if is_shown else argparse.SUPPRESS, **settings)

    add(
        "--sandbox",
        type=_defer("--sandbox", _example),
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
    add(
        "--jobs",
        type=_defer("--jobs", _positive_number),
        metavar="N",
        help="accounts at a time (default: 8)",
    )
    add(
        "--timeout",
        type=_defer("--timeout", _seconds),
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

    def __init__(
        self,
        parser: _Parser,
        common: _Parser,
        *,
        is_required: bool = True,
        dest: str = argparse.SUPPRESS,
    ) -> None:
        self._group: Any = parser.add_subparsers(
            metavar="COMMAND", required=is_required, dest=dest, action=_CommandAction
        )
        self.common = common

    def new(
        self, name: str, about: str, example: str, more: str = "", *, needs_account: bool = True
    ) -> _Parser:
        common = "options of every command: see soapmail --help" if needs_account else ""
        texts = (f"example:\n  soapmail {example}", more, common)
        parser: _Parser = self._group.add_parser(
            name,
            help=about,
            description=about,
            epilog="\n\n".join(filter(None, texts)),
            parents=[self.common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return parser

    def add(
        self,
        name: str,
        command: str,
        about: str,
        example: str,
        more: str = "",
        *,
        anonymous: bool = False,
        multi_account: bool = False,
        needs_account: bool = True,
        needs_username_only: bool = False,
    ) -> _Parser:
        """Add a command that the function ``command`` of a module in ``commands`` does."""
        example = f"--sandbox {example}" if needs_account else example
        parser = self.new(name, about, example, more, needs_account=needs_account)
        parser.set_defaults(
            command=command,
            anonymous=anonymous,
            multi_account=multi_account,
            needs_account=needs_account,
            needs_username_only=needs_username_only,
        )
        return parser


def _make_parser() -> _Parser:
    accounts: list[str] = []
    parser = _Parser(
        prog="soapmail",
        description="Work with the mail services of an InterServer account.",
        epilog=_EXIT_CODES_HELP,
        parents=[_make_common_options(accounts, is_shown=True)],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"soapmail {__version__}")
    common = _make_common_options(accounts, is_shown=False)
    commands = _Commands(parser, common, dest="command_name")
    _add_invoices(commands)
    _add_reports(commands)
    _add_services(commands)
    _add_changes(commands)
    _add_urls(commands)
    prepays = commands.new("prepay", "prepaid balances", "--sandbox prepay list")
    _add_prepays(_Commands(prepays, common))
    _add_others(commands)
    return parser


def _add_invoices(commands: _Commands) -> None:
    parser = commands.add(
        "invoices",
        "records.list_invoices",
        "list the invoices",
        "invoices --open --since 2021-03-01",
        f"--overdue and --due-within together list what is either.\n\n{_DUE_HELP}",
        multi_account=True,
    )
    parser.add_argument(
        "--unpaid", action="store_true", help="only what the server lists as unpaid"
    )
    parser.add_argument(
        "--open", action="store_true", help="only charges neither paid nor deleted, chosen here"
    )
    parser.add_argument("--overdue", action="store_true", help="open, and due before today")
    parser.add_argument(
        "--due-within", type=_days, metavar="DAYS", help="open, and due from today on within DAYS"
    )
    parser.add_argument("--since", type=_date, metavar="DATE", help="dated then or later")
    parser.add_argument("--until", type=_date, metavar="DATE", help="dated then or earlier")
    parser.add_argument("--service", type=_positive_number, metavar="ID", help="only this service")
    _add_output(parser)
    parser = commands.add(
        "invoice", "records.show_invoice", "show an invoice", "invoice 7514880", multi_account=True
    )
    parser.add_argument("id", type=_positive_number, help="its invoices_id")
    _add_output(parser, today=False)


def _add_today(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--today", type=_date, metavar="DATE", help="default: this machine's date")


def _add_reports(commands: _Commands) -> None:
    parser = commands.add(
        "check",
        "check.check_invoices",
        "tell what is overdue or due soon, for cron and monitoring",
        "check --due-within 7",
        _CHECK_HELP,
        multi_account=True,
    )
    parser.add_argument("--due-within", type=_days, default=0, metavar="DAYS", help="default: 0")
    parser.add_argument("--all-services", action="store_true", help="count those of ended services")
    _add_today(parser)
    parser.add_argument("--format", choices=("text", "json", "prometheus"), default="text")
    parser.add_argument("--output", metavar="FILE", help="write it there, beside and then renamed")
    parser = commands.add(
        "summary",
        "summary.print_summary",
        "count and add up the charges that are not deleted",
        "summary --by service",
        "Currencies are never added. --by status counts deleted charges and payments too.",
        multi_account=True,
    )
    parser.add_argument(
        "--by",
        choices=("month", "service", "currency", "status"),
        default="month",
        help="default: month",
    )
    _add_output(parser, today=False)


def _add_services(commands: _Commands) -> None:
    about = "list the mail services"
    parser = commands.add(
        "services", "records.list_services", about, "services --format csv", multi_account=True
    )
    _add_output(parser, today=False)
    about = "show a mail service"
    parser = commands.add(
        "service", "records.show_service", about, "service 8556", multi_account=True
    )
    parser.add_argument("id", type=_positive_number, help="the mail_id of the service")
    _add_output(parser, today=False)


def _add_changes(commands: _Commands) -> None:
    add = commands.add
    parser = add("cancel", "change.cancel_service", "cancel a mail service", "cancel 8556 --yes")
    parser.add_argument("id", type=_positive_number, help="the mail_id of the service")
    _add_yes(parser)
    parser = add("buy", "change.buy_mail", "order a mail service", "buy --yes")
    parser.add_argument("--coupon", default="", help="a discount code")
    _add_yes(parser)
    parser = add(
        "send",
        "change.send_mail",
        "send a mail; its body comes from stdin",
        "send --to a@example.com --from b@example.com --subject Hello --yes",
    )
    parser.add_argument("--to", required=True, metavar="ADDRESS")
    parser.add_argument("--from", required=True, dest="from_", metavar="ADDRESS")
    parser.add_argument("--subject", required=True, metavar="TEXT")
    parser.add_argument("--body-file", metavar="FILE", help="read the body from this file (UTF-8)")
    parser.add_argument(
        "--lossy", action="store_true", help="send though text outside ISO-8859-1 becomes '?'"
    )
    _add_yes(parser)
    _add_pay(commands)


_PAY_HELP = """\
pay --open first shows what it would pay, in the order of the due dates. Without
--yes it then asks on a terminal; without a terminal it pays nothing. --due-within
also takes what is overdue.

A journal keeps an invoice from being paid twice: each payment is on the disk
before its request leaves. There is one for each endpoint and user name, in the
folder soapmail of XDG_STATE_HOME or ~/.local/state. If a run ends with 5, look
at the account, then say what became of the payment: soapmail journal settle."""


def _add_pay(commands: _Commands) -> None:
    about = "pay an invoice, or what is open, from the account's funds"
    parser = commands.add("pay", "pay.pay", about, "pay 7514880 --yes", _PAY_HELP)
    parser.add_argument("invoice", type=_positive_number, nargs="?", help="its invoices_id")
    parser.add_argument("--open", action="store_true", help="pay what is open, by a plan")
    parser.add_argument("--currency", metavar="C", help="only this currency, such as USD")
    parser.add_argument("--service", type=_positive_number, metavar="ID", help="only this service")
    parser.add_argument("--due-within", type=_days, metavar="DAYS", help="due by then, or overdue")
    parser.add_argument(
        "--max-total",
        type=_amount,
        metavar="AMOUNT",
        help="never more in one run; required without a terminal",
    )
    parser.add_argument(
        "--max-each", type=_amount, metavar="AMOUNT", help="leave out invoices over this amount"
    )
    parser.add_argument("--dry-run", action="store_true", help="show it, and pay nothing")
    _add_journal(parser)
    _add_yes(parser)
    about = "show the journal of payments"
    parser = commands.add(
        "journal", "journal.show_journal", about, "journal", needs_username_only=True
    )
    _add_journal(parser)
    _add_output(parser, today=False)
    more = _Commands(parser, commands.common, is_required=False)
    about = "say what became of a payment whose outcome is unknown"
    example = "journal settle 7514880 unpaid --journal payments.jsonl"
    parser = more.add("settle", "journal.settle_payment", about, example, needs_username_only=True)
    parser.add_argument("invoice", type=_positive_number, help="its invoices_id")
    parser.add_argument("result", choices=("paid", "unpaid"))
    _add_journal(parser)


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
    parser = add("pay-url", "urls.print_pay_url", about, "pay-url 7514880", anonymous=True)
    parser.add_argument("invoice", type=_positive_number, help="its invoices_id")
    about = "print a login URL of a mail service"
    parser = add("login-url", "urls.print_login_url", about, "login-url 8556")
    parser.add_argument("id", type=_positive_number, help="the mail_id of the service")


def _add_prepays(commands: _Commands) -> None:
    add = commands.add
    about = "list the prepaid balances"
    parser = add("list", "records.list_prepays", about, "prepay list", multi_account=True)
    _add_output(parser, today=False)
    parser = add(
        "remaining", "urls.print_prepay_remaining", "print what is left", "prepay remaining"
    )
    parser.add_argument("--module", default="mail", help="default: mail")
    parser = add("add", "change.add_prepay", "add a prepaid balance", "prepay add 10.50 --yes")
    parser.add_argument("amount", type=_amount, help="in the account's currency")
    parser.add_argument("--module", default="mail", help="default: mail")
    _add_yes(parser)


def _add_others(commands: _Commands) -> None:
    add = commands.add
    parser = add("modules", "records.list_modules", "list the modules", "modules", anonymous=True)
    _add_output(parser, today=False)
    parser = add(
        "call",
        "change.call_operation",
        "do any operation of the API and print its result as JSON",
        "call api_mail_get_service id:int=8556",
    )
    parser.add_argument("operation", help="its name in the provider's documents")
    parser.add_argument(
        "parameters",
        nargs="*",
        type=_parameter,
        metavar="name[:type]=value",
        help="in the documented order; int, float, bool, or text if no type is given",
    )
    _add_yes(parser)
    about = "check that the server is as soapmail expects; changes nothing"
    parser = add("doctor", "doctor.run_doctor", about, "doctor")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    about = "serve the sandbox for other programs"
    parser = add(
        "sandbox", "serve.serve_sandbox", about, "sandbox --port 8099", needs_account=False
    )
    parser.add_argument("--port", type=_port, default=0, help="default: any free one")
    parser.add_argument(
        "--replay", metavar="DIR", help="answer with the responses that --dump wrote there"
    )
    about = "print what completes commands in a shell"
    parser = add(
        "completion", "serve.print_completion", about, "completion bash", needs_account=False
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


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


def make_completion(shell: str) -> str:
    """Return the script that completes commands; UsageError: the package for it is missing."""
    try:
        import shtab
    except ImportError:
        hint = f"pip install shtab ({sys.executable} -m pip install shtab)"
        raise UsageError(f"completion needs shtab; install it with: {hint}") from None
    return str(shtab.complete(_make_parser(), shell))
