"""Which accounts a command works on, and where their passwords come from."""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..arguments import password_from
from ..client import Client
from ..operations import ENDPOINT, takes_session
from .exit_codes import KNOWN, OK, UsageError, code_of, counted, words_of
from .parallel import Result, _of_each
from .password_command import _printed
from .terminal import asked, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack


T = TypeVar("T")
_KEYS = ("username", "endpoint", "password_command")


class Account(NamedTuple):
    """One account: its name, if it has one, and how a client of it is made."""

    name: str | None
    client: Callable[..., Client]
    endpoint: str
    username: str | None


class Reach:
    """The accounts that a command works on, and which of them failed."""

    def __init__(self, args: argparse.Namespace, stack: ExitStack) -> None:
        self.named = bool(args.account or args.all_accounts)
        self.failures: list[tuple[str, BaseException]] = []
        self._stack = stack
        self._jobs: int = args.jobs
        self.dump = None
        if args.dump is not None:
            from .dump import Dump

            self.dump = Dump(args.dump)
        self._accounts = _of_file(args) if self.named else [_single(args, stack)]

    def client(self) -> Client:
        """Give the client of the one account."""
        return self._stack.enter_context(self._made(self.one()))

    def one(self) -> Account:
        """Give the one account."""
        (account,) = self._accounts
        return account

    def each(self, do: Callable[[Client], T]) -> Iterator[tuple[str | None, T]]:
        """Do something with each account, and give what came of it in the order of the file.

        Errors of accounts that have a name are kept for ``code``.
        """

        def done(account: Account) -> Result[T]:
            try:
                with self._made(account) as client:
                    return Result(account, do(client))
            except Exception as error:
                return Result(account, error=error)

        for account, value, error in _of_each(self._accounts, done, self._jobs):
            if error is None:
                yield account.name, value  # type: ignore[misc]
            elif account.name is None or not isinstance(error, KNOWN):
                raise error
            else:
                self.failures.append((account.name, error))

    def _made(self, account: Account) -> Client:
        return account.client(on_exchange=self.dump)

    def code(self) -> int:
        """Say which accounts failed, and give the largest of their exit codes."""
        for name, error in self.failures:
            say(f"{name}: {words_of(error)}")
        if self.failures:
            say(f"{counted(len(self.failures), 'account')} of {len(self._accounts)} failed")
        return max((code_of(error) for _, error in self.failures), default=OK)


def _single(args: argparse.Namespace, stack: ExitStack) -> Account:
    """Give the account of the environment, or that of a sandbox of its own."""
    options: dict[str, Any] = {"timeout": args.timeout}
    if args.sandbox:
        from ..sandbox import sandbox

        if getattr(args, "operation", None) and args.operation not in sandbox.imitated():
            raise UsageError(f"the sandbox does not imitate {args.operation}")
        served = stack.enter_context(sandbox.Sandbox(example=args.sandbox))
        options |= {
            "username": served.username,
            "password": served.password,
            "endpoint": served.endpoint,
        }
    else:
        options |= {"endpoint": _endpoint(args), **_credentials(args)}
    return Account(
        None, lambda **more: Client(**options, **more), options["endpoint"], options.get("username")
    )


def _endpoint(args: argparse.Namespace) -> str:
    return args.endpoint or os.environ.get("SOAPMAIL_ENDPOINT") or ENDPOINT


def _credentials(args: argparse.Namespace) -> dict[str, str]:
    operation = getattr(args, "operation", None)
    if args.anonymous or (operation and not takes_session(operation)):
        return {}
    username = args.username or os.environ.get("SOAPMAIL_USERNAME") or asked("Username: ")
    if username and args.nameonly:  # what follows reads a file of this machine, and no account
        return {"username": username, "password": "none"}
    if args.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = password_from(os.environ) or asked("Password: ", hidden=True)
    if not username or not password:
        missing = "SOAPMAIL_PASSWORD, or --password-stdin" if username else "SOAPMAIL_USERNAME"
        raise UsageError(f"username and password are needed: set {missing}")
    return {"username": username, "password": password}


def _of_file(args: argparse.Namespace) -> list[Account]:
    for name in ("sandbox", "username", "password_stdin"):
        if getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} cannot be combined with --account or --all-accounts")
    path = _accounts_file()
    sections = _sections(path)
    twice = [name for name in args.account if args.account.count(name) > 1]
    if twice:
        raise UsageError(f"--account {twice[0]}: a duplicate account")
    for name in args.account:
        if name not in sections:
            raise UsageError(f"{path}: no account {name!r}; there are: {', '.join(sections)}")
    chosen = [name for name in sections if args.all_accounts or name in args.account]
    if len(chosen) > 1 and not args.many:
        raise UsageError("this command works on one account at a time")
    return [_account(name, sections[name], path, args) for name in chosen]


def own_folder(variable: str, default: str) -> str:
    """Give soapmail's folder in that of a variable, which counts if it is absolute; UsageError."""
    home = os.environ.get(variable, "")
    if not os.path.isabs(home):
        home = os.path.expanduser(default)
    if not os.path.isabs(home):
        raise UsageError(f"there is no home folder: set {variable} to an absolute path")
    return os.path.join(home, "soapmail")


def _accounts_file() -> str:
    named = os.environ.get("SOAPMAIL_CONFIG")
    return named or os.path.join(own_folder("XDG_CONFIG_HOME", "~/.config"), "accounts.ini")


def _sections(path: str) -> dict[str, Any]:
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


def _account(name: str, section: Any, path: str, args: argparse.Namespace) -> Account:
    where = f"{path}: [{name}]"
    for key in section:
        if key == "password":
            raise UsageError(
                f"{where} password: a file in plain text is no place for it; name a program that"
                " prints it, as in password_command = pass show mail"
            )
        if key not in _KEYS:
            raise UsageError(f"{where} {key}: not known; there are: {', '.join(_KEYS)}")
    for key in ("username", "password_command"):
        if not section.get(key, "").strip():
            raise UsageError(f"{where} {key}: missing")
    try:
        command = shlex.split(section["password_command"])
    except ValueError as error:
        raise UsageError(f"{where} password_command: {error}") from None
    username, endpoint = section["username"], section.get("endpoint") or _endpoint(args)
    try:
        Client(session_id="checked", endpoint=endpoint, timeout=args.timeout)
    except ValueError as error:
        raise UsageError(f"{where} {error}") from None

    def client(**more: Any) -> Client:
        password = _printed(f"{where} password_command", command, args.timeout)
        return Client(username, password, endpoint=endpoint, timeout=args.timeout, **more)

    return Account(name, client, endpoint, username)
