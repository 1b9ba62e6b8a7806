"""Which accounts a command works on, and where their passwords come from."""

from __future__ import annotations

import configparser
import os
import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..billing.identity import Identity, identify_account
from ..client import Client
from ..deadline import Deadline
from ..errors import TransportError
from ..operations import ENDPOINT, takes_session
from .command_table import Accounts
from .exit_codes import EXPECTED_ERRORS, UsageError
from .parallel import AccountResult, iter_account_results
from .passwords import Programs, read_environment, read_stdin
from .report import report_failures
from .signals import StoppingSignals
from .terminal import prompt

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from ..call import Call
    from ..observe import ObservedExchange


T = TypeVar("T")
_SECTION_KEYS = ("username", "endpoint", "password_command")
_DEFAULT_ACCOUNT = "SOAPMAIL_ACCOUNT"


class TrackingClient(Client):
    """A client that keeps its last call, and holds back signals while something is changed."""

    last_call: Call[Any] | None = None
    limit: Deadline | None = None

    def __init__(self, *args: Any, signals: StoppingSignals | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.signals = signals or StoppingSignals()

    def _run(self, call: Call[T]) -> T:
        self.last_call = call
        if self.limit is not None:
            call.limit(self.limit)
        self.signals.begin(call)
        try:
            return super()._run(call)
        finally:
            self.signals.end()

    @property
    def failed_operation(self) -> str | None:
        """The operation of the last call, where that failed."""
        call = self.last_call
        return call.operation if call is not None and call.failure is not None else None


class Account(NamedTuple):
    """One account: its name, if it was named, and how a client of it is made."""

    name: str | None
    client: Callable[..., TrackingClient]
    endpoint: str
    username: str | None

    @property
    def identity(self) -> Identity:
        """Which account it is, however it is spelled."""
        return identify_account(self.endpoint, self.username or "")


class AccountSelection:
    """The accounts that a command works on, one or many, and which of them failed."""

    def __init__(
        self, args: argparse.Namespace, stack: ExitStack, signals: StoppingSignals
    ) -> None:
        self.signals = signals
        self.is_named = bool(args.account or args.all_accounts)
        self.failures: list[tuple[str | None, BaseException, str | None]] = []
        self._args = args
        self._stack = stack
        programs = Programs()
        stack.callback(programs.end)
        self._client: TrackingClient | None = None
        # Monitoring waits for a check no longer than that, however many accounts there are.
        self._limit = Deadline(args.timeout) if args.command.failure else None
        self.dump = None
        if args.dump is not None:
            from .dump import Dump

            self.dump = Dump(args.dump)
        default = _find_default_account(args)
        if self.is_named or default:
            signals.watch()  # so that no program of an account is left behind
        if self.is_named:
            self._accounts = _read_accounts(args, args.account, programs)
        elif default:
            self._accounts = [_read_accounts(args, [default], programs)[0]._replace(name=None)]
        else:
            self._accounts = [_make_default_account(args, stack)]

    def client(self) -> TrackingClient:
        """Return the client of the one account."""
        client = self.make_client(self.account(), signals=self.signals)
        self._client = self._stack.enter_context(client)
        return self._client

    def account(self) -> Account:
        """Return the one account."""
        (account,) = self._accounts
        return account

    @property
    def failed_operation(self) -> str | None:
        """The operation of the one account that failed last."""
        return None if self._client is None else self._client.failed_operation

    def iter_results(
        self, do: Callable[[Client], T], expected: tuple[type[Exception], ...] = EXPECTED_ERRORS
    ) -> Iterator[tuple[str | None, T]]:
        """Work on each account, and yield its name and what came of it, in the file's order.

        Errors that are expected are kept for ``report_failures``.
        """

        def work(account: Account) -> AccountResult[T]:
            client = None
            try:
                if self._limit is not None and self._limit.remaining() <= 0:
                    raise TransportError("its turn did not come within the --timeout of the check")
                with self.make_client(account) as client:
                    return AccountResult(account, do(client))
            except Exception as error:
                operation = None if client is None else client.failed_operation
                return AccountResult(account, None, error, operation)

        for result in iter_account_results(self._accounts, work, self._args.jobs):
            if result.error is None:
                yield result.account.name, result.value  # type: ignore[misc]
            elif not isinstance(result.error, expected):
                raise result.error
            else:
                self.failures.append((result.account.name, result.error, result.operation))

    def make_client(self, account: Account, **options: Any) -> TrackingClient:
        """Return a client of an account, whose exchanges are dumped."""
        if self.dump is not None:
            options = {"on_exchange": self.make_observer(account), **options}
        seconds = self._args.timeout if self._limit is None else self._limit.remaining()
        client = account.client(seconds=seconds, **options)
        client.limit = self._limit
        return client

    def make_observer(
        self, account: Account, *others: Callable[[ObservedExchange], object]
    ) -> Callable[[ObservedExchange], None]:
        """Return what is told of each exchange of an account, and passes it on."""
        dump, identity = self.dump, account.identity

        def observe(exchange: ObservedExchange) -> None:
            for other in others:
                other(exchange)
            if dump is not None:
                dump(exchange, identity)

        return observe

    @property
    def has_failed(self) -> bool:
        """Whether there is nothing to show, as each account failed."""
        return len(self.failures) == len(self._accounts)

    def report_failures(self) -> int:
        """Tell which accounts failed, and return the largest of their exit codes."""
        as_json = self._args.format == "json"
        return report_failures(self.failures, len(self._accounts), as_json=as_json)


def _make_default_account(args: argparse.Namespace, stack: ExitStack) -> Account:
    options: dict[str, Any] = {"timeout": args.timeout}
    if args.sandbox:
        from ..sandbox import Sandbox, list_operations

        if getattr(args, "operation", None) and args.operation not in list_operations():
            raise UsageError(f"the sandbox does not imitate {args.operation}")
        sandbox = stack.enter_context(Sandbox(example=args.sandbox))
        options |= {
            "username": sandbox.username,
            "password": sandbox.password,
            "endpoint": sandbox.endpoint,
        }
    else:
        options |= {"endpoint": _choose_endpoint(args), **_read_credentials(args)}
    return Account(
        None,
        lambda seconds, **more: TrackingClient(**options, **more),
        options["endpoint"],
        options.get("username"),
    )


def _choose_endpoint(args: argparse.Namespace) -> str:
    return args.endpoint or os.environ.get("SOAPMAIL_ENDPOINT") or ENDPOINT


def _is_local(args: argparse.Namespace) -> bool:
    """Return whether a file of this machine is all that the command reads."""
    return args.command.accounts is Accounts.LOCAL


def _find_default_account(args: argparse.Namespace) -> str | None:
    """Return the account of the file that is meant where no option says otherwise."""
    name = os.environ.get(_DEFAULT_ACCOUNT, "").strip()
    if not name or args.sandbox or args.username or (_is_local(args) and args.journal):
        return None
    for option in ("--endpoint", "--password-stdin"):
        if option in args.given:
            raise UsageError(
                f"{option} cannot be combined with {_DEFAULT_ACCOUNT}, which names the account"
                f" {name}: unset it, or name an account with --username"
            )
    return name


def _read_credentials(args: argparse.Namespace) -> dict[str, str]:
    operation = getattr(args, "operation", None)
    if operation and not takes_session(operation):
        for option in ("--username", "--password-stdin"):
            if option in args.given:
                raise UsageError(f"{operation} needs no login, and does not use {option}")
        return {}
    if args.command.accounts is Accounts.ANONYMOUS or (_is_local(args) and args.journal):
        return {}
    username = args.username or os.environ.get("SOAPMAIL_USERNAME") or prompt("Username: ")
    if username and _is_local(args):
        return {"username": username, "password": "none"}
    if args.password_stdin:
        password = read_stdin(args.timeout)
    else:
        password = read_environment(args.timeout) or prompt("Password: ", hidden=True)
    if not username or not password:
        missing = "SOAPMAIL_PASSWORD, or --password-stdin" if username else "SOAPMAIL_USERNAME"
        raise UsageError(f"username and password are needed: set {missing}")
    return {"username": username, "password": password}


def _read_accounts(
    args: argparse.Namespace, chosen: list[str], programs: Programs
) -> list[Account]:
    """Return the accounts of the file that are chosen, or all of them, in the file's order."""
    path = _find_accounts_file()
    sections = _read_sections(path)
    for name in chosen:
        if chosen.count(name) > 1:
            raise UsageError(f"--account {name}: a duplicate account")
        if name not in sections:
            raise UsageError(f"{path}: no account {name!r}; there are: {', '.join(sections)}")
    names = [name for name in sections if args.all_accounts or name in chosen]
    if len(names) > 1 and args.command.accounts is not Accounts.MANY:
        raise UsageError("this command works on one account at a time")
    return [_make_account(name, sections[name], path, args, programs) for name in names]


def find_own_folder(variable: str, default: str) -> str:
    """Return soapmail's folder in that of a variable, or in a folder of the home folder.

    XDG: the variable counts if it is absolute. UsageError: there is no home folder.
    """
    folder = os.environ.get(variable, "")
    if not os.path.isabs(folder):
        home = os.path.expanduser("~")
        # A container's user may have "/", or a folder that is not there.
        if not os.path.isabs(home) or home.strip("/") == "" or not os.path.isdir(home):
            raise UsageError(f"there is no home folder: set {variable} to an absolute path")
        folder = os.path.join(home, default)
    return os.path.join(folder, "soapmail")


def _find_accounts_file() -> str:
    path = os.environ.get("SOAPMAIL_CONFIG")
    return path or os.path.join(find_own_folder("XDG_CONFIG_HOME", ".config"), "accounts.ini")


def _read_sections(path: str) -> dict[str, Any]:
    """Read the file; errors show no line of it, which may hold what does not belong there."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_file(file)
    except configparser.DuplicateSectionError as error:
        problem = f"line {error.lineno}: duplicate account [{error.section}]"
    except configparser.DuplicateOptionError as error:
        problem = f"line {error.lineno}: [{error.section}] duplicate key {error.option}"
    except configparser.MissingSectionHeaderError as error:
        problem = f"line {error.lineno}: before the first [account]"
    except configparser.ParsingError as error:
        problem = f"line {error.errors[0][0]}: not of the form key = value"
    except UnicodeDecodeError:
        problem = "not UTF-8"
    else:
        if not parser.sections():
            raise UsageError(f"{path}: holds no account")
        if configparser.DEFAULTSECT in parser:
            problem = "what holds for all accounts is not read from here: repeat it in each"
            raise UsageError(f"{path}: [{configparser.DEFAULTSECT}] {problem}")
        return {name: parser[name] for name in parser.sections()}
    raise UsageError(f"{path}: {problem}")


def _make_account(
    name: str, section: Any, path: str, args: argparse.Namespace, programs: Programs
) -> Account:
    where = f"{path}: [{name}]"
    for key in section:
        if key == "password":
            raise UsageError(
                f"{where} password: a file in plain text is no place for it; name a program that"
                " prints it, as in password_command = pass show mail"
            )
        if key not in _SECTION_KEYS:
            name = key if re.fullmatch("[a-z_-]+", key) else "a key"  # which may be a secret
            raise UsageError(f"{where} {name}: not known; there are: {', '.join(_SECTION_KEYS)}")
    for key in ("username", "password_command"):
        if not section.get(key, "").strip():
            raise UsageError(f"{where} {key}: missing")
    try:
        command = shlex.split(section["password_command"])
    except ValueError as error:
        raise UsageError(f"{where} password_command: {error}") from None
    username, endpoint = section["username"], section.get("endpoint") or _choose_endpoint(args)
    try:
        Client(session_id="checked", endpoint=endpoint, timeout=args.timeout)
    except ValueError as error:
        raise UsageError(f"{where} {error}") from None

    def client(seconds: float, **more: Any) -> TrackingClient:
        password = programs.read_first_line(f"{where} password_command", command, seconds)
        return TrackingClient(username, password, endpoint=endpoint, timeout=args.timeout, **more)

    return Account(name, client, endpoint, username)
