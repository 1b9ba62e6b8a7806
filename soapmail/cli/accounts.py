"""Which accounts a command works on, and where their passwords come from."""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..arguments import read_secret
from ..billing.identity import Identity, identify_account
from ..client import Client
from ..operations import ENDPOINT, takes_session
from .exit_codes import EXPECTED_ERRORS, OK, UsageError, error_message, exit_code_of
from .parallel import AccountResult, iter_account_results
from .password_command import read_password
from .signals import StoppingSignals
from .terminal import pluralize, print_error, prompt

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from ..call import Call


T = TypeVar("T")
_SECTION_KEYS = ("username", "endpoint", "password_command")


class TrackingClient(Client):
    """A client that keeps its last call, and holds back signals while something is changed."""

    last_call: Call[Any] | None = None

    def __init__(self, *args: Any, signals: StoppingSignals | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.signals = signals or StoppingSignals()

    def _run(self, call: Call[T]) -> T:
        self.last_call = call
        self.signals.begin(call)
        try:
            return super()._run(call)
        finally:
            self.signals.end()


class Account(NamedTuple):
    """One account: its name, if it has one, and how a client of it is made."""

    name: str | None
    client: Callable[..., TrackingClient]
    endpoint: str
    username: str | None

    @property
    def identity(self) -> Identity:
        """Which account it is, however it is spelled."""
        return identify_account(self.endpoint, self.username or "")


class AccountSelection:
    """The accounts that a command works on, and which of them failed."""

    def __init__(
        self, args: argparse.Namespace, stack: ExitStack, signals: StoppingSignals
    ) -> None:
        self.signals = signals
        self.is_named = bool(args.account or args.all_accounts)
        self.failures: list[tuple[str, BaseException]] = []
        self._stack = stack
        self._jobs: int = args.jobs
        self.dump = None
        if args.dump is not None:
            from .dump import Dump

            self.dump = Dump(args.dump)
        self._accounts = (
            _read_accounts(args) if self.is_named else [_make_default_account(args, stack)]
        )

    def client(self) -> TrackingClient:
        """Return the client of the one account."""
        return self._stack.enter_context(self._make_client(self.account(), signals=self.signals))

    def account(self) -> Account:
        """Return the one account."""
        (account,) = self._accounts
        return account

    def iter_results(self, do: Callable[[Client], T]) -> Iterator[tuple[str | None, T]]:
        """Work on each account, and yield its name and what came of it, in the file's order.

        Errors of accounts that have a name are kept for ``report_failures``.
        """

        def work(account: Account) -> AccountResult[T]:
            try:
                with self._make_client(account) as client:
                    return AccountResult(account, do(client))
            except Exception as error:
                return AccountResult(account, error=error)

        for account, value, error in iter_account_results(self._accounts, work, self._jobs):
            if error is None:
                yield account.name, value  # type: ignore[misc]
            elif account.name is None or not isinstance(error, EXPECTED_ERRORS):
                raise error
            else:
                self.failures.append((account.name, error))

    def _make_client(self, account: Account, **options: Any) -> TrackingClient:
        notify = None if self.dump is None else partial(self.dump, account=account.identity)
        return account.client(on_exchange=notify, **options)

    def report_failures(self) -> int:
        """Print which accounts failed, and return the largest of their exit codes."""
        for name, error in self.failures:
            print_error(f"{name}: {error_message(error)}")
        if self.failures:
            accounts = pluralize(len(self.failures), "account")
            print_error(f"{accounts} of {len(self._accounts)} failed")
        return max((exit_code_of(error) for _, error in self.failures), default=OK)


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
        lambda **more: TrackingClient(**options, **more),
        options["endpoint"],
        options.get("username"),
    )


def _choose_endpoint(args: argparse.Namespace) -> str:
    return args.endpoint or os.environ.get("SOAPMAIL_ENDPOINT") or ENDPOINT


def _read_credentials(args: argparse.Namespace) -> dict[str, str]:
    operation = getattr(args, "operation", None)
    if args.anonymous or (operation and not takes_session(operation)):
        return {}
    if args.needs_username_only and args.journal is not None:
        return {}
    username = args.username or os.environ.get("SOAPMAIL_USERNAME") or prompt("Username: ")
    if username and args.needs_username_only:  # it reads a file of this machine, and no account
        return {"username": username, "password": "none"}
    if args.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = read_secret(os.environ) or prompt("Password: ", hidden=True)
    if not username or not password:
        missing = "SOAPMAIL_PASSWORD, or --password-stdin" if username else "SOAPMAIL_USERNAME"
        raise UsageError(f"username and password are needed: set {missing}")
    return {"username": username, "password": password}


def _read_accounts(args: argparse.Namespace) -> list[Account]:
    for name in ("sandbox", "username", "password_stdin"):
        if getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} cannot be combined with --account or --all-accounts")
    path = _find_accounts_file()
    sections = _read_sections(path)
    for name in args.account:
        if args.account.count(name) > 1:
            raise UsageError(f"--account {name}: a duplicate account")
        if name not in sections:
            raise UsageError(f"{path}: no account {name!r}; there are: {', '.join(sections)}")
    names = [name for name in sections if args.all_accounts or name in args.account]
    if len(names) > 1 and not args.multi_account:
        raise UsageError("this command works on one account at a time")
    return [_make_account(name, sections[name], path, args) for name in names]


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
        return {name: parser[name] for name in parser.sections()}
    raise UsageError(f"{path}: {problem}")


def _make_account(name: str, section: Any, path: str, args: argparse.Namespace) -> Account:
    where = f"{path}: [{name}]"
    for key in section:
        if key == "password":
            raise UsageError(
                f"{where} password: a file in plain text is no place for it; name a program that"
                " prints it, as in password_command = pass show mail"
            )
        if key not in _SECTION_KEYS:
            raise UsageError(f"{where} {key}: not known; there are: {', '.join(_SECTION_KEYS)}")
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

    def client(**more: Any) -> TrackingClient:
        password = read_password(f"{where} password_command", command, args.timeout)
        return TrackingClient(username, password, endpoint=endpoint, timeout=args.timeout, **more)

    return Account(name, client, endpoint, username)
