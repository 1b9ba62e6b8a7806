"""What the README shows works."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import soapmail
from soapmail import Client

from .support import FIELDS, METHODS

if TYPE_CHECKING:
    from soapmail.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOAPMAIL_USERNAME", sandbox.username)
    monkeypatch.setenv("SOAPMAIL_PASSWORD", sandbox.password)
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", sandbox.endpoint)
    monkeypatch.chdir(tmp_path)
    frames = SimpleNamespace(DataFrame=lambda rows: f"{len(rows)} rows of {len(rows[0])}")
    monkeypatch.setitem(sys.modules, "pandas", frames)


def block(words: str) -> str:
    found: list[str] = [text for text in BLOCKS if words in text]
    assert len(found) == 1
    return found[0]


def run(words: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(block(words), "README.md", "exec"), names)
    return names


def test_all_blocks_are_tested() -> None:
    assert len(BLOCKS) == 8


def test_the_first_example(capsys: pytest.CaptureFixture[str]) -> None:
    run("invoice.due_date")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[0] == "7514880 2021-03-10 01:38:45 1.0 USD"


def test_csv() -> None:
    run("csv.DictWriter")
    with open("invoices.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert list(rows[0]) == list(FIELDS)


def test_pandas(capsys: pytest.CaptureFixture[str]) -> None:
    run("import pandas")
    assert capsys.readouterr().out == "12 rows of 14\n"


def test_many_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    run("ThreadPoolExecutor")
    assert capsys.readouterr().out == "user@example.com 12\n" * 3


def test_reuse_of_a_session(capsys: pytest.CaptureFixture[str], sandbox: Sandbox) -> None:
    run("session-id")
    first = Path("session-id").read_text()
    run("session-id")
    assert Path("session-id").read_text() == first
    assert Path("session-id").stat().st_mode & 0o777 == 0o600
    assert sandbox._sessions == {first}
    sandbox.expire_sessions()
    run("session-id")
    assert capsys.readouterr().out == "12\n" * 3


def test_a_session_of_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    run("session.proxies")
    assert "'mail'" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["sandbox.expire_sessions()", "responses.activate"])
def test_tests_of_ones_own(words: str) -> None:
    names = run(words)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()


def test_the_method_table_names_all_methods_and_operations() -> None:
    rows = re.findall(r"^\| `(\w+)\(.*?\)`(?: \*)? \| `(\w+)` \|", README, re.MULTILINE)
    assert dict(rows) == {method: operation for method, (operation, _) in METHODS.items()}
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {*METHODS, "call", "close", "from_env"}


def test_the_errors_are_all_there() -> None:
    for name in soapmail.__all__:
        if name.endswith(("Error", "Fault", "Failed", "Unknown", "Warning")):
            assert (
                re.search(rf"^( [ |]*\+- )?{name} ", README + " ", re.MULTILINE)
                or name == "SoapMailError"
            )


def test_the_changelog_knows_the_version() -> None:
    assert f"## {soapmail.__version__} (" in (ROOT / "CHANGELOG.md").read_text()
