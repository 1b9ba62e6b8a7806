"""The commands and their options; each names the function that does it, in a module of its own."""

from __future__ import annotations

import argparse
import math
import re
import sys
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from .. import __version__
from ..arguments import timeout
from ..operations import ENDPOINT
from ..patterns import is_count
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
machine, or with --today. What is due today is not overdue before tomorrow. An
open invoice whose due date cannot be read may be due, and is listed."""
_CHECK_HELP = f"""\
exit codes, those of a monitoring plugin:
  0    OK        nothing is due
  1    WARNING   due today, or within --due-within days, or on no known day
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
    "today": None,
    "all_accounts": False,
    "jobs": 8,
    "journal": None,
    "dump": None,
}
_EXAMPLES = ("documented", "varied")
# No account of this provider's mail services is older.
_FIRST_DAY = date(2015, 1, 1)
_MAX_TOTAL_HELP = "never more in one run; --yes without a terminal requires it"
_PARAMETERS_HELP = "in the documented order; int, float, bool, or text if no type is given"
_SUMMARY_KEYS = ("month", "service", "currency", "status")
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
        # The command's action does it itself; a mistake is told of later.
        if not isinstance(action, _CommandAction) and not isinstance(value, _Mistake):
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


def _parse_whole_number(text: str, what: str, *, least: int, most: float = math.inf) -> int:
    if is_count(text) and least <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not {what}")


_parse_positive_number = partial(_parse_whole_number, what="a positive number", least=1)
_parse_days = partial(_parse_whole_number, what="a number of days", least=0, most=99_999)
_parse_port = partial(_parse_whole_number, what="a port", least=0, most=65_535)


def _parse_date(text: str) -> date:
    try:
        if len(text) == len("2021-02-24"):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a date of the form YYYY-MM-DD")


def _parse_seconds(text: str) -> float:
    try:
        return timeout(float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None


def _parse_example(text: str) -> str:
    if text not in _EXAMPLES:
        raise argparse.ArgumentTypeError(f"{text!r} is not {' or '.join(_EXAMPLES)}")
    return text


def _parse_amount(text: str) -> Decimal:
    with suppress(InvalidOperation):
        amount = Decimal(text)
        if amount.is_finite() and abs(amount) < 10**12:
            return amount
    raise argparse.ArgumentTypeError(f"{text!r} is not an amount")


def _parse_limit(text: str) -> Decimal:
    amount = _parse_amount(text)
    if amount < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below zero")
    return amount


def _parse_pair(text: str) -> tuple[str, str | int | float | bool]:
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
    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        self.const.append(values)
        namespace.account = self.const


_PAY_HELP = """\
pay --open first shows what it would pay, in the order of the due dates. Without
--yes it then asks on a terminal; without a terminal it pays nothing. --due-within
also takes what is overdue. Invoices of services that are expired or canceled are
left out, unless --all-services.

A journal keeps an invoice from being paid twice: each payment is on the disk
before its request leaves. There is one for each endpoint and user name, in the
folder soapmail of XDG_STATE_HOME or ~/.local/state. If a run ends with 5, look
at the account, then say what became of the payment: soapmail journal settle."""


_JOURNAL_HELP = """\
A payment whose outcome is unknown is an open question. pay looks it up in the
server's list; where that does not help, look at the account, and settle it. A
line that was cut off and names no invoice stops all payments: settle the invoice
that it was about or, if it was about none, any unpaid one as unpaid. reopen makes
a recorded outcome an open question again."""


class _Option(NamedTuple):
    """An option or argument: ``--open``, ``--since DATE`` or ``id``, and what argparse takes."""

    names: str
    help: str | None = None
    settings: Mapping[str, Any] = MappingProxyType({})

    def add_to(self, parser: argparse.ArgumentParser, help: str | None) -> None:
        name, _, metavar = self.names.partition(" ")
        settings = dict(self.settings)
        if metavar:
            settings["metavar"] = metavar
        elif name.startswith("-") and not settings:
            settings["action"] = "store_true"
        parser.add_argument(*name.split(","), help=help, **settings)


def _option(names: str, help: str | None = None, **settings: Any) -> _Option:
    return _Option(names, help, settings)


_YES = _option("--yes", "do it without asking")
_INVOICE_ID = _option("invoice", "its invoices_id", type=_parse_positive_number)
_OPTIONAL_INVOICE_ID = _option("invoice", "its invoices_id", type=_parse_positive_number, nargs="?")
_SERVICE_ID = _option("id", "the mail_id of the service", type=_parse_positive_number)
_ONLY_SERVICE = _option("--service ID", "only this service", type=_parse_positive_number)
_MODULE = _option("--module MODULE", "default: mail", default="mail")
_JOURNAL = _option(
    "--journal FILE", "use this file instead of the default", default=argparse.SUPPRESS
)
_TODAY = _option("--today DATE", "default: this machine's date", type=_parse_date)
_OUTPUT = (
    _option("--format", choices=("table", "json", "jsonl", "csv", "tsv"), default="table"),
    _option("--columns A,B", "these columns, or: all"),
    _option("--sort [-]COLUMN", "by this column; with - backwards"),
    _option("--no-header", "without names and totals"),
)
# They stand before or after the command; wrong values are told of when the command is known.
_SANDBOX_HELP = "use example data, and no endpoint or account; --sandbox=varied has more kinds"
_ACCOUNT_HELP = "an account of the accounts file; lists take it more than once"
_TIMEOUT_HELP = f"limit of each call in all (default: {_DEFAULTS['timeout']:g})"
_COMMON = (
    _option(
        "--sandbox =EXAMPLE",
        _SANDBOX_HELP,
        type=_defer("--sandbox", _parse_example),
        choices=_EXAMPLES,
    ),
    _option("--username USERNAME", "instead of SOAPMAIL_USERNAME"),
    _option("--password-stdin", "read the password from the first line of stdin"),
    _option("--endpoint ENDPOINT", f"default: SOAPMAIL_ENDPOINT or {ENDPOINT}"),
    _option("--account NAME", _ACCOUNT_HELP, action=_Append),
    _option("--all-accounts", "all accounts of that file"),
    _option(
        "--jobs N",
        f"accounts at a time (default: {_DEFAULTS['jobs']})",
        type=_defer("--jobs", _parse_positive_number),
    ),
    _option("--timeout SECONDS", _TIMEOUT_HELP, type=_defer("--timeout", _parse_seconds)),
    _option("--dump DIR", "write each request and response into this folder, without secrets"),
    _option("-v,--verbose", "log each exchange on stderr"),
)


class _Command(NamedTuple):
    """A command, the function in ``commands`` that does it, and what it needs."""

    name: str
    function: str
    about: str
    example: str
    options: Sequence[_Option] = ()
    more: str = ""
    # It needs no login.
    anonymous: bool = False
    multi_account: bool = False
    needs_account: bool = True
    # What it reads is a file of this machine, which is named by the account.
    needs_username_only: bool = False
    # Commands below it; with no function of its own one of them is required.
    commands: Sequence[Any] = ()


# fmt: off
_COMMANDS = (
    _Command(
        "invoices", "records.list_invoices", "list the invoices",
        "invoices --open --since 2021-03-01",
        [
            _option("--unpaid", "only what the server lists as unpaid"),
            _option("--open", "only charges neither paid nor deleted, chosen here"),
            _option("--overdue", "open, and due before today"),
            _option("--due-within DAYS", "open, and due today or within DAYS", type=_parse_days),
            _option("--since DATE", "dated then or later", type=_parse_date),
            _option("--until DATE", "dated then or earlier", type=_parse_date),
            _ONLY_SERVICE, _TODAY, *_OUTPUT,
        ],
        f"--overdue and --due-within together list what is either.\n\n{_DUE_HELP}",
        multi_account=True,
    ),
    _Command(
        "invoice", "records.show_invoice", "show an invoice", "invoice 7514880",
        [_INVOICE_ID._replace(names="id"), *_OUTPUT], multi_account=True,
    ),
    _Command(
        "check", "check.check_invoices",
        "tell what is overdue or due soon, for cron and monitoring", "check --due-within 7",
        [
            _option("--due-within DAYS", "default: 0", type=_parse_days, default=0),
            _option("--all-services", "count those of ended services"),
            _TODAY,
            _option("--format", choices=("text", "json", "prometheus"), default="text"),
            _option("--output FILE", "write it there, beside and then renamed"),
        ],
        _CHECK_HELP, multi_account=True,
    ),
    _Command(
        "summary", "summary.print_summary", "count and add up the charges that are not deleted",
        "summary --by service",
        [_option("--by", "default: month", choices=_SUMMARY_KEYS, default="month"), *_OUTPUT],
        "Currencies are never added. --by status counts deleted charges and payments too.",
        multi_account=True,
    ),
    _Command(
        "services", "records.list_services", "list the mail services", "services --format csv",
        _OUTPUT, multi_account=True,
    ),
    _Command(
        "service", "records.show_service", "show a mail service", "service 8556",
        [_SERVICE_ID, *_OUTPUT], multi_account=True,
    ),
    _Command(
        "cancel", "change.cancel_service", "cancel a mail service", "cancel 8556 --yes",
        [_SERVICE_ID, _YES],
    ),
    _Command(
        "buy", "change.buy_mail", "order a mail service", "buy --yes",
        [_option("--coupon COUPON", "a discount code", default=""), _YES],
    ),
    _Command(
        "send", "change.send_mail", "send a mail; its body comes from stdin",
        "send --to a@example.com --from b@example.com --subject Hello --yes",
        [
            _option("--to ADDRESS", required=True),
            _option("--from ADDRESS", required=True, dest="from_"),
            _option("--subject TEXT", required=True),
            _option("--body-file FILE", "read the body from this file (UTF-8)"),
            _option("--lossy", "send though text outside ISO-8859-1 becomes '?'"),
            _YES,
        ],
    ),
    _Command(
        "pay", "pay.pay", "pay an invoice, or what is open, from the account's funds",
        "pay 7514880 --yes",
        [
            _OPTIONAL_INVOICE_ID,
            _option("--open", "pay what is open, by a plan"),
            _option("--currency C", "only this currency, such as USD"),
            _ONLY_SERVICE,
            _option("--due-within DAYS", "due by then, or overdue", type=_parse_days),
            _option("--max-total AMOUNT", _MAX_TOTAL_HELP, type=_parse_limit),
            _option("--max-each AMOUNT", "leave out invoices over this amount", type=_parse_limit),
            _option("--all-services", "also pay those of ended services"),
            _option("--dry-run", "show it, and pay nothing"),
            _option("--format", choices=("text", "json"), default="text"),
            _JOURNAL, _YES,
        ],
        _PAY_HELP,
    ),
    _Command(
        "journal", "journal.show_journal", "show the journal of payments", "journal",
        [_JOURNAL, *_OUTPUT], _JOURNAL_HELP, needs_username_only=True,
        commands=[
            _Command(
                "settle", "journal.settle_payment",
                "say what became of a payment whose outcome is unknown; without one, show them",
                "journal settle 7514880 unpaid --journal payments.jsonl",
                [
                    _OPTIONAL_INVOICE_ID,
                    _option("result", choices=("paid", "unpaid"), nargs="?"),
                    _JOURNAL,
                ],
                _JOURNAL_HELP, needs_username_only=True,
            ),
            _Command(
                "reopen", "journal.reopen_payment",
                "make a recorded payment an open question again",
                "journal reopen 7514880 --yes --journal payments.jsonl",
                [_INVOICE_ID, _YES, _JOURNAL], _JOURNAL_HELP, needs_username_only=True,
            ),
        ],
    ),
    _Command(
        "pay-url", "urls.print_pay_url", "print a PayPal URL for an invoice", "pay-url 7514880",
        [_INVOICE_ID], anonymous=True,
    ),
    _Command(
        "login-url", "urls.print_login_url", "print a login URL of a mail service",
        "login-url 8556", [_SERVICE_ID],
    ),
    _Command(
        "prepay", "", "prepaid balances", "prepay list",
        commands=[
            _Command(
                "list", "records.list_prepays", "list the prepaid balances", "prepay list",
                _OUTPUT, multi_account=True,
            ),
            _Command(
                "remaining", "urls.print_prepay_remaining", "print what is left",
                "prepay remaining", [_MODULE],
            ),
            _Command(
                "add", "change.add_prepay", "add a prepaid balance", "prepay add 10.50 --yes",
                [_option("amount", "in the account's currency", type=_parse_amount), _MODULE, _YES],
            ),
        ],
    ),
    _Command(
        "modules", "records.list_modules", "list the modules", "modules", _OUTPUT, anonymous=True,
    ),
    _Command(
        "call", "change.call_operation",
        "do any operation of the API and print its result as JSON",
        "call api_mail_get_service id:int=8556",
        [
            _option("operation", "its name in the provider's documents"),
            _option("parameters name[:type]=value", _PARAMETERS_HELP, nargs="*", type=_parse_pair),
            _YES,
        ],
    ),
    _Command(
        "doctor", "doctor.run_doctor",
        "check that the server is as soapmail expects; changes nothing", "doctor",
        [_option("--format", choices=("text", "json"), default="text")],
    ),
    _Command(
        "sandbox", "serve.serve_sandbox", "serve the sandbox for other programs",
        "sandbox --port 8099",
        [
            _option("--port PORT", "default: any free one", type=_parse_port, default=0),
            _option("--replay DIR", "answer with the responses that --dump wrote there"),
        ],
        needs_account=False,
    ),
    _Command(
        "completion", "serve.print_completion", "print what completes commands in a shell",
        "completion bash", [_option("shell", choices=("bash", "zsh", "fish"))],
        needs_account=False,
    ),
)
# fmt: on


def _make_parser() -> _Parser:
    parser = _Parser(
        prog="soapmail",
        description="Work with the mail services of an InterServer account.",
        epilog=_EXIT_CODES_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    accounts: list[str] = []
    _add_common(parser, accounts, is_shown=True)
    parser.add_argument("--version", action="version", version=f"soapmail {__version__}")
    _add_commands(parser, _COMMANDS, accounts, dest="command_name")
    return parser


def _add_common(parser: _Parser, accounts: list[str], *, is_shown: bool) -> None:
    for option in _COMMON:
        settings = {**option.settings, "default": argparse.SUPPRESS}
        if option.settings.get("action") is _Append:
            settings["const"] = accounts
        elif " " not in option.names:
            settings["action"] = "store_true"
        option = option._replace(settings=settings)
        option.add_to(parser, option.help if is_shown else argparse.SUPPRESS)


def _add_commands(
    parser: _Parser,
    commands: Sequence[_Command],
    accounts: list[str],
    *,
    dest: str = argparse.SUPPRESS,
    is_required: bool = True,
) -> None:
    group: Any = parser.add_subparsers(
        metavar="COMMAND", required=is_required, dest=dest, action=_CommandAction
    )
    for command in commands:
        example = f"--sandbox {command.example}" if command.needs_account else command.example
        common = "options of every command: see soapmail --help" if command.needs_account else ""
        texts = (f"example:\n  soapmail {example}", command.more, common)
        inner: _Parser = group.add_parser(
            command.name,
            help=command.about,
            description=command.about,
            epilog="\n\n".join(filter(None, texts)),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_common(inner, accounts, is_shown=False)
        for option in command.options:
            option.add_to(inner, option.help)
        if command.function:
            inner.set_defaults(
                command=command.function,
                anonymous=command.anonymous,
                multi_account=command.multi_account,
                needs_account=command.needs_account,
                needs_username_only=command.needs_username_only,
            )
        if command.commands:
            _add_commands(inner, command.commands, accounts, is_required=not command.function)


def resolve_today(today: date | None, *, is_needed: bool = True) -> date:
    """Return the date that was given, or that of this machine; UsageError: its clock is wrong."""
    if today is not None:
        return today
    machine_day = datetime.now().date()
    if machine_day < _FIRST_DAY and is_needed:
        raise UsageError(
            f"the clock of this machine says {machine_day}: set it, or give --today DATE"
        )
    return machine_day


def make_completion(shell: str) -> str:
    """Return the script that completes commands; UsageError: the package for it is missing."""
    try:
        import shtab
    except ImportError:
        hint = f"pip install shtab ({sys.executable} -m pip install shtab)"
        raise UsageError(f"completion needs shtab; install it with: {hint}") from None
    return str(shtab.complete(_make_parser(), shell))
