"""The table of commands: what each takes, which accounts, what does it, and how it fails."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..billing.audit import KINDS
from ..operations import ENDPOINT
from . import help_texts, values
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Option(NamedTuple):
    """An option or argument: ``--open``, ``--since DATE`` or ``id``, and what it means."""

    names: str
    help: str = ""
    convert: Callable[[str], Any] = str
    default: Any = None
    choices: Sequence[str] = ()
    nargs: str | None = None
    is_required: bool = False
    is_repeatable: bool = False
    # Only with one of these it is used.
    needs: Sequence[str] = ()
    # With any of these it is wrong.
    excludes: Sequence[str] = ()

    @property
    def name(self) -> str:
        """As it is typed, without its value."""
        return self.names.partition(" ")[0]

    @property
    def key(self) -> str:
        """Its attribute of the parsed arguments."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def is_flag(self) -> bool:
        """Whether nothing stands behind it."""
        return self.names.startswith("-") and " " not in self.names and not self.choices

    def read(self, texts: list[Any]) -> Any:
        """Return the value of what was given; UsageError."""
        if self.is_flag:
            return True
        is_option = self.name.startswith("-")
        what = f"argument {self.name}: " if is_option else f"{self.name}: "
        for text in texts:
            if not is_option and re.match("-[^0-9]", text):  # an unknown one, with a secret in it
                raise UsageError(f"{what}what begins with - is no value of it")
            if self.choices and text not in self.choices:
                raise UsageError(f"{what}{text!r} is none of: {', '.join(self.choices)}")
        try:
            converted = [self.convert(text) for text in texts]
        except ValueError as error:
            raise UsageError(f"{what}{error}") from None
        return converted if self.is_repeatable else converted[0]


class Accounts(Enum):
    """Which accounts a command works on; the value: the options of all commands that it uses."""

    NONE = ()
    # What it reads is a file of this machine, which is named by the account.
    LOCAL = ("--sandbox", "--username", "--endpoint", "--account")
    # No login is needed.
    ANONYMOUS = ("--sandbox", "--endpoint", "--account", "--timeout", "--dump")
    # It reads something else from stdin.
    WITHOUT_STDIN = (*ANONYMOUS, "--username")
    ONE = (*ANONYMOUS, "--username", "--password-stdin")
    MANY = (*ONE, "--all-accounts", "--jobs")


class Command(NamedTuple):
    """A command, the function in ``commands`` that does it, and what it takes."""

    name: str
    function: str
    about: str
    example: str
    options: Sequence[Option] = ()
    more: str = ""
    accounts: Accounts = Accounts.ONE
    # What ends it with any exception, in its own form; empty: a message on stderr.
    failure: str = ""
    # Commands below it; with no function of its own one of them is required.
    commands: Sequence[Any] = ()


_OUTPUT = (
    Option("--format", choices=("table", "json", "jsonl", "csv", "tsv"), default="table"),
    Option("--columns A,B", "these columns, by their names in JSON, or: all"),
    Option("--sort [-]COLUMN", "by this column; with - backwards"),
    Option("--no-header", "without names and totals"),
)
_YES = Option("--yes", "do it without asking")
_INVOICE_ID = Option("invoice", "its invoices_id", values.parse_positive_number)
_OPTIONAL_INVOICE_ID = _INVOICE_ID._replace(nargs="?")
_SERVICE_ID = Option("id", "the mail_id of the service", values.parse_positive_number)
_ONLY_SERVICE = Option("--service ID", "only this service", values.parse_positive_number)
_DUE_WITHIN = Option("--due-within DAYS", "overdue, or due within so many days", values.parse_days)
_MODULE = Option("module", "default: mail", default="mail", nargs="?")
_AMOUNT = Option("amount", "in the account's currency", values.parse_amount)
_JOURNAL = Option("--journal FILE", "use this file instead of the default")
_JOURNAL_ALONE = _JOURNAL._replace(excludes=Accounts.LOCAL.value)
_TODAY = Option("--today DATE", "default: this machine's date", values.parse_date)
_ALL_SERVICES = Option("--all-services", "count those of ended services too")
_TEXT_OR_JSON = Option("--format", choices=("text", "json"), default="text")
_MAX_TOTAL_HELP = "never more in one run; --open --yes without a terminal requires it"
_PARAMETERS = Option(
    "parameters name[:type]=value",
    "in the documented order; int, float, bool, or text if no type is given",
    values.parse_pair, default=(), nargs="*", is_repeatable=True,
)  # fmt: skip
_OF_FILE = ("--account", "--all-accounts")
_OF_ANOTHER_ACCOUNT = ("--sandbox", "--username", "--password-stdin", "--endpoint")
_SANDBOX = Option(
    "--sandbox =EXAMPLE",
    "use example data, and no endpoint or account; --sandbox=varied has more kinds",
    choices=("documented", "varied"),
)
_TIMEOUT = Option(
    "--timeout SECONDS", "limit of each call in all (default: 60)", values.parse_seconds, 60.0
)
# They stand before or after the command.
COMMON = (
    _SANDBOX._replace(excludes=(*_OF_ANOTHER_ACCOUNT[1:], *_OF_FILE)),
    Option("--username USERNAME", "instead of SOAPMAIL_USERNAME"),
    Option("--password-stdin", "read the password from the first line of stdin"),
    Option("--endpoint ENDPOINT", f"default: SOAPMAIL_ENDPOINT or {ENDPOINT}"),
    Option(
        "--account NAME", "an account of the accounts file; for some commands more than one",
        default=(), is_repeatable=True, excludes=("--all-accounts", *_OF_ANOTHER_ACCOUNT),
    ),
    Option("--all-accounts", "all accounts of that file", excludes=_OF_ANOTHER_ACCOUNT),
    Option(
        "--jobs N", "accounts at a time (default: 8)", values.parse_positive_number, 8,
        needs=_OF_FILE,
    ),
    _TIMEOUT,
    Option("--dump DIR", "write each request and response into this folder, without secrets"),
)  # fmt: skip


# fmt: off
COMMANDS = (
    Command(
        "invoices", "records.list_invoices", "list the invoices",
        "invoices --open --since 2021-03-01",
        [
            Option("--unpaid", "only what the server lists as unpaid"),
            Option("--open", "only charges neither paid nor deleted, chosen here"),
            Option("--overdue", "open, and due before today", excludes=["--due-within"]),
            _DUE_WITHIN._replace(help="open, and overdue or due within so many days"),
            Option("--since DATE", "dated then or later", values.parse_date),
            Option("--until DATE", "dated then or earlier", values.parse_date),
            _ONLY_SERVICE, _TODAY, *_OUTPUT,
        ],
        help_texts.DUE, Accounts.MANY,
    ),
    Command(
        "invoice", "records.show_invoice", "show an invoice", "invoice 7514880",
        [_INVOICE_ID._replace(names="id"), *_OUTPUT], accounts=Accounts.MANY,
    ),
    Command(
        "check", "check.check_invoices",
        "tell what is overdue or due soon, for cron and monitoring", "check --due-within 7",
        [
            _DUE_WITHIN._replace(help="tell of these days (default: 0)", default=0),
            _ALL_SERVICES, _TODAY,
            Option("--format", choices=("text", "json", "prometheus"), default="text"),
            Option("--output FILE", "write it there, beside and then renamed"),
        ],
        help_texts.CHECK, Accounts.MANY, failure="check.report_unknown",
    ),
    Command(
        "audit", "audit.audit_invoices", "list what is wrong in the bills", "audit",
        [
            Option(
                "--ignore KIND", "leave out this kind of finding; repeatable", choices=KINDS,
                default=(), is_repeatable=True,
            ),
            _TODAY, *_OUTPUT,
        ],
        help_texts.AUDIT, Accounts.MANY,
    ),
    Command(
        "summary", "summary.print_summary", "count and add up the charges that are not deleted",
        "summary service",
        [
            Option(
                "by", "default: month", nargs="?",
                choices=("month", "service", "currency", "status"), default="month",
            ),
            *_OUTPUT,
        ],
        help_texts.SUMMARY, Accounts.MANY,
    ),
    Command(
        "services", "records.list_services", "list the mail services", "services --format csv",
        _OUTPUT, accounts=Accounts.MANY,
    ),
    Command(
        "service", "records.show_service", "show a mail service", "service 8556",
        [_SERVICE_ID, *_OUTPUT], accounts=Accounts.MANY,
    ),
    Command(
        "cancel", "change.cancel_service", "cancel a mail service", "cancel 8556 --yes",
        [_SERVICE_ID, _YES],
    ),
    Command(
        "buy", "change.buy_mail", "order a mail service", "buy --yes",
        [Option("coupon", "a discount code", default="", nargs="?"), _YES],
    ),
    Command(
        "send", "change.send_mail", "send a mail; its body comes from stdin (UTF-8)",
        "send --to a@example.com --from b@example.com --subject Hello --yes",
        [
            Option("--to ADDRESS", is_required=True),
            Option("--from ADDRESS", is_required=True),
            Option("--subject TEXT", is_required=True),
            _YES,
        ],
        accounts=Accounts.WITHOUT_STDIN,
    ),
    Command(
        "pay", "pay.pay", "pay an invoice, or what is open, from the account's funds",
        "pay 7514880 --yes",
        [
            _OPTIONAL_INVOICE_ID._replace(excludes=["--open"]),
            Option("--open", "pay what is open, by a plan"),
            Option("--currency C", "only this currency, such as USD", needs=["--open"]),
            _ONLY_SERVICE._replace(needs=["--open"]),
            _DUE_WITHIN._replace(needs=["--open"]),
            Option("--max-total AMOUNT", _MAX_TOTAL_HELP, values.parse_limit, needs=["--open"]),
            Option(
                "--max-each AMOUNT", "leave out invoices over this amount", values.parse_limit,
                needs=["--open"],
            ),
            _ALL_SERVICES._replace(help="also pay those of ended services", needs=["--open"]),
            Option("--dry-run", "show it, and pay nothing", excludes=["--yes"]),
            _TEXT_OR_JSON, _JOURNAL, _YES,
        ],
        help_texts.PAY,
    ),
    Command(
        "journal", "journal.show_journal", "show the journal of payments", "journal",
        [_JOURNAL_ALONE, *_OUTPUT], help_texts.JOURNAL, Accounts.LOCAL,
        commands=[
            Command(
                "settle", "journal.settle_payment",
                "say what became of a payment whose outcome is unknown; without one, show them",
                "journal settle 7514880 unpaid --journal payments.jsonl",
                [
                    _OPTIONAL_INVOICE_ID,
                    Option("result", nargs="?", choices=("paid", "unpaid")),
                    _JOURNAL_ALONE, _TIMEOUT._replace(needs=["invoice"]),
                ],
                help_texts.JOURNAL, Accounts.LOCAL,
            ),
            Command(
                "reopen", "journal.reopen_payment",
                "make a recorded payment an open question again",
                "journal reopen 7514880 --yes --journal payments.jsonl",
                [_INVOICE_ID, _YES, _JOURNAL_ALONE, _TIMEOUT], help_texts.JOURNAL, Accounts.LOCAL,
            ),
        ],
    ),
    Command(
        "pay-url", "urls.print_pay_url", "print a PayPal URL for an invoice", "pay-url 7514880",
        [_INVOICE_ID], accounts=Accounts.ANONYMOUS,
    ),
    Command(
        "login-url", "urls.print_login_url", "print a login URL of a mail service",
        "login-url 8556", [_SERVICE_ID],
    ),
    Command(
        "prepay", "", "prepaid balances", "prepay list",
        commands=[
            Command(
                "list", "records.list_prepays", "list the prepaid balances", "prepay list",
                _OUTPUT, accounts=Accounts.MANY,
            ),
            Command(
                "remaining", "urls.print_prepay_remaining", "print what is left",
                "prepay remaining", [_MODULE],
            ),
            Command(
                "add", "change.add_prepay", "add a prepaid balance", "prepay add 10.50 --yes",
                [_AMOUNT, _MODULE, _YES],
            ),
            Command(
                "fill-url", "urls.print_fill_url", "print a PayPal URL that fills a balance",
                "prepay fill-url 66 10.50",
                [Option("id", "its prepay_id", values.parse_positive_number), _AMOUNT, _MODULE],
            ),
        ],
    ),
    Command(
        "modules", "records.list_modules", "list the modules", "modules", _OUTPUT,
        accounts=Accounts.ANONYMOUS,
    ),
    Command(
        "call", "change.call_operation",
        "do any operation of the API and print its result as JSON",
        "call api_mail_get_service id:int=8556",
        [Option("operation", "its name in the provider's documents"), _PARAMETERS, _YES],
    ),
    Command(
        "doctor", "doctor.run_doctor",
        "check that the server is as soapmail expects; changes nothing", "doctor",
        [_TEXT_OR_JSON],
    ),
    Command(
        "sandbox", "serve.serve_sandbox", "serve the sandbox for other programs",
        "sandbox --port 8099",
        [
            Option("--port PORT", "default: any free one", values.parse_port, 0),
            Option(
                "--replay DIR", "answer with the responses that --dump wrote there",
                excludes=["--sandbox"],
            ),
            _SANDBOX,
        ],
        accounts=Accounts.NONE,
    ),
    Command(
        "completion", "serve.print_completion", "print what completes commands in a shell",
        "completion bash", [Option("shell", choices=("bash", "zsh", "fish"))],
        accounts=Accounts.NONE,
    ),
)
# fmt: on


def _collect_options(commands: Sequence[Command]) -> Iterator[Option]:
    for command in commands:
        yield from command.options
        yield from _collect_options(command.commands)


# Of all commands, by what is typed.
OPTIONS = {
    option.name: option
    for option in [*_collect_options(COMMANDS), *COMMON]
    if option.name.startswith("-")
}
