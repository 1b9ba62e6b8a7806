"""Words of a command line: read once, and no option is taken that is not used."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from soapmail.cli.command_table import Accounts
from soapmail.cli.parser import find_given, make_parser, new_namespace, parse_into

from ..commands import BY_PATH, Result, format_section, note_operations, start_process
from ..commands import Accounts as File
from ..faulty import find_closed_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soapmail.sandbox import Sandbox


main_module: Any = sys.modules["soapmail.cli.main"]


# --- one rule for all --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("send --to a --to b --from c --subject s --yes", "--to is given twice"),
        ("invoices --open --open", "--open is given twice"),
        ("--timeout 5 invoices --timeout 6", "--timeout is given twice"),
        ("prepay --sandbox list --sandbox", "--sandbox is given twice"),
        ("invoices --dump ''", "--dump is empty"),
        ("invoices --columns ' '", "--columns is empty"),
        ("pay 5 --yes --journal=", "--journal is empty"),
        ("invoices --account ''", "--account is empty"),
        ("pay 5 --yes --all-accounts", "pay does not use --all-accounts"),
        ("invoices --account a --all-accounts", "--account cannot be combined with --all-accounts"),
        ("invoices --account a --endpoint https://x/", "--account cannot be combined with --endpoint"),
        ("invoices --sandbox --username u", "--sandbox cannot be combined with --username"),
        ("invoices --jobs 3", "--jobs is used only with --account or --all-accounts"),
        ("cancel 5 --jobs 3", "cancel does not use --jobs"),
        ("--format json cancel 5", "unrecognized arguments: --format"),
        ("cancel 5 --format json", "unrecognized arguments: --format"),
        ("modules --username u", "modules does not use --username"),
        ("completion bash --timeout 5", "completion does not use --timeout"),
        ("sandbox --replay d --sandbox", "--replay cannot be combined with --sandbox"),
        ("journal --journal j --username u", "--journal cannot be combined with --username"),
        ("journal --format json settle", "journal settle does not use --format"),
        ("journal settle --timeout 5", "--timeout is used only with invoice"),
        ("call get_modules --username u", "get_modules needs no login, and does not use --username"),
        ("invoices --today 2021-01-01 --format csv", "--today is used only with --overdue, --due-within, or the"),
        ("pay 5 --dry-run --yes", "--dry-run cannot be combined with --yes"),
        ("check --due-within x --bogus", "unrecognized arguments: --bogus"),
    ],
)  # fmt: skip
def test_what_is_given_and_not_used_is_wrong_usage(
    run: Callable[..., Result], sandbox: Sandbox, line: str, problem: str
) -> None:
    sent = note_operations(sandbox)
    code, out, err = run(*shlex.split(line))
    is_check = line.startswith("check")
    assert code == (3 if is_check else 2)
    assert problem in (out if is_check else err)
    assert sent == []


def test_a_mail_to_two_is_sent_to_neither(run: Callable[..., Result], sandbox: Sandbox) -> None:
    assert run("send", "--to", "a", "--to", "b", "--from", "c", "--subject", "s", "--yes").code == 2
    assert sandbox.sent == []


@pytest.mark.parametrize(
    "line",
    [
        "--dump check pay {} --yes", "--username check pay {} --yes", "pay {} --yes --username check",
        "--account check pay {} --yes", "--endpoint check pay {} --yes",
    ],
)  # fmt: skip
def test_the_value_of_an_option_is_no_command(run: Callable[..., Result], line: str) -> None:
    code, out, _ = run(*line.format(7514880).split())
    assert code in (1, 2, 3)
    assert out == ""


@pytest.mark.parametrize("line", ["--account services check", "--username invoices check --bogus"])
def test_a_check_is_one_whatever_its_options_are_called(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("SOAPMAIL_CONFIG", "/nowhere/accounts.ini")
    code, out, err = run(*line.split())
    assert (code, err) == (3, "")
    assert out.startswith("MAIL INVOICES UNKNOWN: ")


def test_what_was_given_is_known_behind_a_mistake() -> None:
    args = new_namespace()
    with pytest.raises(Exception, match="--bogus"):
        parse_into(args, ["check", "--format", "json", "--output", "x", "--bogus"])
    assert (find_given(args, "--format"), find_given(args, "--output")) == ("json", "x")
    assert find_given(args, "--today") is None
    args = new_namespace()
    with pytest.raises(Exception, match="'xml' is none of: text, json, prom"):
        parse_into(args, ["check", "--format", "xml"])
    assert find_given(args, "--format") is None
    assert find_given(new_namespace(), "--format") is None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--since services check", 3), ("--password invoices check", 3), ("--password check invoices", 2),
        ("--columns check invoices", 2), ("--due-within 7 --format json check", 3), ("--bogus check", 3),
        ("--username me --port 5 check", 3), ("--password x check", 3), ("--sandbox varied check", 3),
        ("--open check", 3), ("--bogus", 2), ("--since check", 2), ("--bogus=check invoices", 2), ("--open invoices check", 2),
    ],
)  # fmt: skip
def test_a_mistake_before_the_command_is_told_in_its_form(
    run: Callable[..., Result], line: str, code: int
) -> None:
    result = run(*line.split())
    assert result.code == code
    if code == 3 and "json" not in line:
        assert result.out.startswith("MAIL INVOICES UNKNOWN: ")
    elif code == 3:
        assert json.loads(result.out)["status"] == "UNKNOWN"
    else:
        assert (result.out, result.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    "line",
    [
        "--bogus check --format json", "check --bogus --format json", "check --timeout --format json",
        "check --format=json --due-within", "--format json check", "check x --format json", "check --format json --format json",
    ],
)  # fmt: skip
def test_the_form_is_known_wherever_the_mistake_stands(
    run: Callable[..., Result], line: str
) -> None:
    result = run(*line.split())
    assert (result.code, json.loads(result.out)["status"]) == (3, "UNKNOWN")
    other = run(*line.replace("check", "invoices").split())
    assert (other.code, other.out, json.loads(other.err)["code"]) == (2, "", 2)


@pytest.mark.arrives(9)
@pytest.mark.parametrize(
    "line",
    [
        "prepay add 10.50 --yes vps", "prepay add --yes 10.50 vps", "prepay --sandbox add 10.50 vps --yes",
        "buy --yes COUPON", "call api_send_mail --yes a=x b=y", "call --yes api_mail_get_service id:int=8556",
        "summary --no-header service", "summary --sort -count service", "prepay remaining --timeout 20 vps",
    ],
)  # fmt: skip
def test_options_and_arguments_stand_in_any_order(run: Callable[..., Result], line: str) -> None:
    result = run(*line.split())
    assert (result.code, result.err) == (0, "")
    assert run("prepay", "add", "--yes", "--", "-5").code == 2


# --- errors as JSON ----------------------------------------------------------------------------------


def test_with_format_json_an_error_is_one_object(
    run: Callable[..., Result], sandbox: Sandbox, accounts: File
) -> None:
    code, out, err = run("invoices", "--format", "json", "--columns", "x")
    assert (code, out) == (2, "")
    error = json.loads(err)
    assert list(error) == ["code", "kind", "message", "operation"]
    assert (error["code"], error["kind"], error["operation"]) == (2, "UsageError", None)
    code, _, err = run("service", "5", "--format", "json", "--bogus")
    assert (code, json.loads(err)["kind"]) == (2, "UsageError")
    nowhere = f"http://127.0.0.1:{find_closed_port()}/"
    code, out, err = run("services", "--format", "json", "--endpoint", nowhere)
    error = json.loads(err)
    assert (code, out) == (4, "")
    assert error["message"].startswith("api_login: ")
    assert (error["code"], error["kind"]) == (4, "TransportError")
    assert error["operation"] == "api_mail_get_services"
    one, _, three = accounts.sandboxes
    accounts.write(
        format_section("first", one.endpoint)
        + format_section("second", nowhere)
        + format_section("third", three.endpoint)
    )
    code, out, err = run("invoices", "--all-accounts", "--format", "json")
    error = json.loads(err)
    assert (code, error["code"], error["message"]) == (4, 4, "1 account of 3 failed")
    assert [row["account"] for row in json.loads(out)] == ["first", "third", "third", "third"]
    (failure,) = error["accounts"]
    assert (failure["account"], failure["code"], failure["kind"]) == ("second", 4, "TransportError")


def test_the_json_of_an_unknown_outcome_names_the_operation_and_what_to_do(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.break_next(after=True)
    path = str(tmp_path / "journal.jsonl")
    code, _, err = run("pay", "7514880", "--yes", "--format", "json", "--journal", path)
    error = json.loads(err)
    assert (code, error["code"], error["kind"]) == (5, 5, "OutcomeUncertain")
    assert error["operation"] == "api_make_payment"
    settling = f"soapmail journal settle 7514880 paid --journal {path} (or unpaid)"
    assert error["advice"] == [f"to say what became of it: {settling}"]


# --- completion --------------------------------------------------------------------------------------

SHELLS = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)]


def test_options_of_files_and_folders_complete_their_names(run: Callable[..., Result]) -> None:
    script = run("completion", "bash").out
    for option, kind in (("__dump", "dir"), ("pay___journal", "file"), ("check___output", "file")):
        assert re.search(rf"{option}_COMPGEN=_shtab_compgen_{kind}", script), option


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_the_script(run: Callable[..., Result], tmp_path: Path, shell: str) -> None:
    script = tmp_path / "script"
    script.write_text(run("completion", shell).out)
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_commands_options_and_files(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "soapmail.bash").write_text(run("completion", "bash").out)
    (tmp_path / "a file.jsonl").touch()

    def complete(*words: str) -> set[str]:
        line = " ".join(f'"{word}"' for word in ("soapmail", *words))
        script = (
            f"source ./soapmail.bash; COMP_WORDS=({line}); COMP_CWORD={len(words)};"
            "f=$(complete -p soapmail); f=${f##*-F }; f=${f%% *}; $f 2>/dev/null;"
            r'printf "%s\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return set(done.stdout.splitlines())

    assert {"summary"} == complete("summ")
    assert {"--due-within"} == complete("invoices", "--due-w")
    assert "a file.jsonl" in complete("pay", "--journal", "a")


# --- the parser itself -------------------------------------------------------------------------------


def test_every_function_of_the_table_is_there() -> None:
    for command in BY_PATH.values():
        for path in filter(None, (command.function, command.failure)):
            assert callable(main_module._load(path))


def test_a_process_without_arguments_shows_help(tmp_path: Path) -> None:
    done = start_process(stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": "80"})
    out, _ = done.communicate()
    assert done.returncode == 2
    assert out.startswith(b"usage: soapmail ")
    assert make_parser(new_namespace()).format_help().startswith("usage: soapmail ")
    assert Accounts.MANY in {command.accounts for command in BY_PATH.values()}
