"""Each pair of options with each command: used, or wrong usage."""

from __future__ import annotations

import argparse
import shlex
import sys
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from soapmail.billing import Journal
from soapmail.billing.history import make_intent
from soapmail.billing.identity import identify_account
from soapmail.cli.command_table import COMMON
from soapmail.cli.parser import new_namespace, parse_into
from soapmail.sandbox import PASSWORD, Replay, Sandbox

from ..commands import ACCOUNT, BY_PATH, Result
from ..commands import Accounts as File

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soapmail.billing.identity import Identity
    from soapmail.cli.command_table import Option


main_module: Any = sys.modules["soapmail.cli.main"]


class Watched(argparse.Namespace):
    """Arguments that note which of them are read, once they are complete."""

    is_read: set[str] | None = None

    def __getattribute__(self, name: str) -> Any:
        noted = object.__getattribute__(self, "__dict__").get("noted")
        if noted is not None:
            noted.add(name)
        return super().__getattribute__(name)


VALUES = {
    "--username": ACCOUNT["SOAPMAIL_USERNAME"], "--account": "first", "--jobs": "2",
    "--timeout": "20", "--columns": "all", "--today": "2026-01-01",
    "--since": "2021-02-01", "--until": "2022-02-01", "--service": "8556", "--due-within": "3",
    "--to": "a@b", "--from": "c@d", "--subject": "s", "--currency": "USD", "--max-total": "50",
    "--max-each": "50", "--port": "0", "--ignore": "no-amount",
}  # fmt: skip
# A column of each list, and arguments of commands where their examples name options.
SORTED_BY = {"audit": "kind", "services": "mail_id", "service": "mail_id", "summary": "count", "prepay list": "prepay_id",
             "modules": "module", "journal": "time"}  # fmt: skip
ARGUMENTS = {"send": "", "journal settle": "7514880 paid", "journal reopen": "7514880", "pay": ""}


def write_option(option: Option, path: str, folder: Path, endpoint: str) -> list[str]:
    files = {
        "--dump": "dump", "--replay": "recording", "--journal": "journal.jsonl", "--output": "out",
    }  # fmt: skip
    if option.name == "--sandbox":
        return ["--sandbox=varied"]
    if option.is_flag:
        return [option.name]
    if option.name == "--endpoint":
        return [option.name, endpoint]
    if option.name == "--format":
        return [option.name, "csv" if "csv" in option.choices else "json"]
    if option.name == "--sort":
        return [option.name, SORTED_BY.get(path, "invoices_id")]
    if option.name in files:
        return [option.name, str(folder / files[option.name])]
    return [option.name, VALUES[option.name]]


def write_journals(path: str, folder: Path, identity: Identity) -> None:
    """Write what a command works on as the default journal and as one of its own."""
    (folder / "soapmail").mkdir(exist_ok=True)
    for file in (folder / "journal.jsonl", folder / "soapmail" / f"{identity.file_stem}.jsonl"):
        file.unlink(missing_ok=True)
        if path.startswith("journal"):
            with Journal(str(file)) as journal:
                journal.append(make_intent(7514880, 1.0, "USD"))
                if path == "journal reopen":
                    journal.settle(7514880, "paid", "")


FOREIGN = {
    option.name: option
    for command in BY_PATH.values()
    for option in command.options
    if option.name.startswith("-")
}


@pytest.mark.slow
@pytest.mark.arrives(500)
@pytest.mark.parametrize("path", BY_PATH)
def test_an_option_is_used_or_it_is_wrong_usage(
    run: Callable[..., Result],
    accounts: File,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    """With each pair of options: what was taken was read by the command, or nothing was sent."""
    command = BY_PATH[path]
    sandbox = accounts.sandboxes[0]
    identity = identify_account(sandbox.endpoint, ACCOUNT["SOAPMAIL_USERNAME"])
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", sandbox.endpoint)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(Sandbox, "serve", lambda self: self._server.close_all())
    monkeypatch.setattr(Replay, "serve", lambda self: self._server.close_all())
    (tmp_path / "dump").mkdir()
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "0001_get_modules.http").write_bytes(b"")
    seen: list[Watched] = []
    sent: list[bytes] = []
    answer = Sandbox.answer

    def note_request(self: Sandbox, request: bytes) -> tuple[int, bytes]:
        sent.append(request)
        return answer(self, request)

    monkeypatch.setattr(Sandbox, "answer", note_request)

    def watch() -> argparse.Namespace:
        seen.append(Watched(**vars(new_namespace())))
        return seen[-1]

    def parse(args: Any, words: Any) -> None:
        parse_into(args, words)
        args.noted = set()

    monkeypatch.setattr(main_module, "new_namespace", watch)
    monkeypatch.setattr(main_module, "parse_into", parse)
    options = [option for option in command.options if option.name.startswith("-")]
    own = {option.name for option in options}
    options += [option for option in COMMON if option.name not in own]
    names = {option.name for option in options}
    options += [option for name, option in FOREIGN.items() if name not in names][:3]
    arguments = ARGUMENTS.get(path, command.example.partition(" --")[0].removeprefix(path))
    required = [option for option in options if option.is_required]
    taken: set[str] = set()
    for pair in combinations(options, 2):
        given = [*(one for one in required if one not in pair), *pair]
        words = [*path.split(), *shlex.split(arguments)]
        if path == "pay" and not any(one.name == "--open" for one in pair):
            words.append("7514880")
        for option in given:
            words += write_option(option, path, tmp_path, sandbox.endpoint)
        write_journals(path, tmp_path, identity)
        sent.clear()
        code, out, err = run(*words, stdin=f"{PASSWORD}\n")
        args = seen[-1]
        noted = object.__getattribute__(args, "__dict__").get("noted")
        if noted is None:  # not understood
            assert sent == [], words
            assert code == (3 if path == "check" else 2), words
            told = (out if path == "check" else err).count("\n")
            assert told == 1 or {"--format", "--output"}.intersection(words), words
            continue
        if code in (1, 2) and not sent:  # what the command itself refuses, such as no journal
            continue
        for option in given:
            is_vacuous = (path, option.name) == ("call", "--yes")  # of what reads nobody is asked
            assert option.key in noted or is_vacuous, (words, option.name)
        taken |= {option.name for option in given}
    used = {option.name for option in options if option.name in (*own, *command.accounts.value)}
    # A sandbox begins with no journal.
    assert taken == used - (
        {"--sandbox"} if path in ("journal settle", "journal reopen") else set()
    )


def test_there_are_two_thousand_pairs_and_no_more_options_than_allowed() -> None:
    pairs = 0
    names = {"--help", "--version"} | {option.name for option in COMMON}
    for command in BY_PATH.values():
        own = {option.name for option in command.options if option.name.startswith("-")}
        count = len(own | {option.name for option in COMMON}) + 3
        pairs += count * (count - 1) // 2
        names |= own
    assert pairs >= 2000
    assert len(names) <= 37
