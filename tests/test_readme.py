"""What the README shows works."""

from __future__ import annotations

import ast
import csv
import inspect
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import soapmail
from soapmail import Client, models
from soapmail.billing import Finding, audit
from soapmail.billing.audit import KINDS
from soapmail.cli import help_texts
from soapmail.cli.command_table import Accounts
from soapmail.sandbox import Sandbox
from soapmail.sandbox.sandbox import _OPERATIONS

from .commands import BY_PATH, note_operations
from .faulty import Faulty, Hangup, Request, find_closed_port, respond_after_login
from .support import CHANGING, FIELDS, LIST, METHODS, ROOT, checkout, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable


README = (ROOT / "README.md").read_text()
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *(
        path
        for folder in ("soapmail", "templates", "tests")
        for path in (ROOT / folder).rglob("*.md")
    ),
]
TEXT = "\n".join(page.read_text() for page in PAGES)
LIBRARY = (ROOT / "soapmail" / "README.md").read_text()
COMMAND = (ROOT / "soapmail" / "cli" / "README.md").read_text()
BENCHMARK = (ROOT / "tests" / "benchmark" / "README.md").read_text()
UNPAID = read_recording("get_client_unpaid_invoices").body
SHELL = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


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


def run(words: str, *changes: tuple[str, str]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "recipe"}
    text = block(words)
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    exec(compile(text, "README.md", "exec"), names)
    return names


def test_all_blocks_are_tested() -> None:
    assert len(BLOCKS) == 16
    assert TEXT.count("```bash") == len(SHELL) == 13


def test_the_first_page_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_the_first_examples(capsys: pytest.CaptureFixture[str]) -> None:
    run("with Sandbox() as sandbox:\n    with Client")
    assert capsys.readouterr().out == find_marked("python output")
    run("if invoice.is_open:\n            print")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[0] == "7514880 2021-03-10 01:38:45 1.0 USD"


def test_the_first_command_shows_what_the_page_shows(shell: Callable[..., list[str]]) -> None:
    command = find_marked("first").rpartition("&& ")[2]
    assert shell(command) == find_marked("first output").splitlines()


def test_csv() -> None:
    run("csv.DictWriter")
    with open("invoices.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert list(rows[0]) == list(FIELDS)


def test_pandas(capsys: pytest.CaptureFixture[str]) -> None:
    run("import pandas")
    assert capsys.readouterr().out == "12 rows of 14\n"


def test_paying(capsys: pytest.CaptureFixture[str], sandbox: Sandbox) -> None:
    def refuse(self: Sandbox, module: str, invoice: int) -> Any:
        return real(self, module, 0 if invoice == 7514880 else invoice)

    real = Sandbox._make_payment
    operation = _OPERATIONS["api_make_payment"]._replace(method=refuse)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_OPERATIONS, "api_make_payment", operation)
        run("make_payment(invoice.invoices_id)")
    assert [one.invoices_id for one in sandbox.invoices if one.is_open] == [7514880]
    assert capsys.readouterr().out == (
        "7514880 was not paid: Invalid Invoice Number Passed or missing Module information.\n"
    )


def test_paying_stops_where_it_is_not_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    def response(request: Request) -> None:
        if request.operation == "api_make_payment":
            raise Hangup
        respond_after_login(lambda request: request.respond(UNPAID))(request)

    with Faulty(response) as server:
        monkeypatch.setenv("SOAPMAIL_ENDPOINT", server.endpoint)
        with pytest.raises(SystemExit, match="^look at 7514880 before this runs again: "):
            run("make_payment(invoice.invoices_id)")
    assert server.operations.count("api_make_payment") == 1


def test_many_accounts(capsys: pytest.CaptureFixture[str], sandbox: Sandbox) -> None:
    Path("accounts.json").write_text(json.dumps({sandbox.username: sandbox.password}))
    old, new = "accounts[username])", f"accounts[username], endpoint={sandbox.endpoint!r})"
    run("ThreadPoolExecutor", (old, new))
    assert capsys.readouterr().out == "user@example.com 12\n"


def test_reuse_of_a_session(capsys: pytest.CaptureFixture[str], sandbox: Sandbox) -> None:
    run("session-id")
    first = Path("session-id").read_text()
    run("session-id")
    assert Path("session-id").read_text() == first
    assert Path("session-id").stat().st_mode & 0o777 == 0o600
    assert sandbox._sessions == {first}
    sandbox.expire_sessions()
    run("session-id")
    assert Path("session-id").read_text() == first
    os.utime("session-id", (0, 0))
    run("session-id")
    second = Path("session-id").read_text()
    assert second in sandbox._sessions
    assert capsys.readouterr().out == "12\n" * 4


def test_a_session_of_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    run("session.proxies")
    assert "'mail'" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["sandbox.expire_sessions()", "responses.activate"])
def test_tests_of_ones_own(words: str) -> None:
    names = run(words)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()


def test_paying_by_a_plan(capsys: pytest.CaptureFixture[str], sandbox: Sandbox) -> None:
    run("pay_open(client, plan")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{one.invoices_id} of a service that has ended" for one in sandbox.invoices]
    sandbox.services[:] = [replace(one, mail_status="active") for one in sandbox.services]
    run("pay_open(client, plan")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "7514880 outcome paid Payment made"
    assert len(lines) == 12
    assert Path("payments.jsonl").stat().st_mode & 0o777 == 0o600
    assert not any(invoice.is_open for invoice in sandbox.invoices)


# As far as Dask goes; elsewhere the rest of the page is tested.
if sys.version_info < (3, 14) and sys.implementation.name == "cpython":

    @pytest.mark.slow
    def test_many_machines(
        monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        """Two processes of Dask; a wrong password fails alone, and arrives as what it is."""
        pytest.importorskip("distributed", reason="distributed is not installed (the extra peers)")
        response = sandbox.answer
        arrived: list[str] = []

        def watch(request: bytes) -> tuple[int, bytes]:
            arrived.extend(re.findall(r"<m:(\w+)", request.decode()))
            assert re.search(rb">(user@example\.com|second)<|<sid", request)
            return response(request)

        sandbox.answer = watch  # type: ignore[method-assign]
        recipe = tmp_path / "recipe.py"
        recipe.write_text(block("LocalCluster"))
        program = (
            "import warnings\n"
            "from recipe import main\n"
            "if __name__ == '__main__':\n"
            "    for name, found in main(['user@example.com', 'second']).items():\n"
            "        print(name, found if isinstance(found, list) else repr(found))\n"
        )
        (tmp_path / "program.py").write_text(program)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PASSWORD_OF_user@example.com": sandbox.password,
            "PASSWORD_OF_second": "wrong",
        }
        done = subprocess.run(
            [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )  # fmt: skip
        first, second = done.stdout.splitlines()
        assert first == f"user@example.com {[one.invoices_id for one in sandbox.invoices]}"
        assert second.startswith(
            "second AuthenticationError('api_login: the server does not accept"
        )
        assert sandbox.password not in done.stdout + done.stderr
        assert set(arrived) == {"api_login", "api_mail_get_client_invoices"}


@pytest.mark.parametrize("name", ["cron pass", "cron file", "cron env"])
def test_unattended(
    name: str, shell: Callable[..., list[str]], sandbox: Sandbox, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for variable in ("SOAPMAIL_USERNAME", "SOAPMAIL_PASSWORD"):
        monkeypatch.delenv(variable)
    secret = tmp_path / "secret"
    secret.write_text(f"{sandbox.password}\n")
    secret.chmod(0o600)
    program = tmp_path / "pass"
    program.write_text(f'#!/bin/sh\n[ "$*" = "show mail" ] && cat "{secret}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert sandbox.password == "p&ss<w>ord"
    lines = shell(find_marked(name).replace("/run/secrets/mail", str(secret)))
    if name == "cron pass":
        assert lines[-1] == "USD: 12 invoices, 12 open, 12.00 open"
    else:
        assert lines[0].startswith("MAIL INVOICES OK: nothing is due")


def test_the_method_table_names_all_methods_and_operations() -> None:
    rows = re.findall(r"^\| `(\w+)\(.*?\)` \| `(\w+)` \|.*\| (.+) \|$", README, re.MULTILINE)
    assert {method: operation for method, operation, _ in rows} == {
        method: operation for method, (operation, _) in METHODS.items()
    }
    assert {method for method, _, effect in rows if effect.startswith("**")} == CHANGING
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {*METHODS, "call", "close", "from_env", "get_invoice"}


def test_the_errors_are_all_there() -> None:
    for name in soapmail.__all__:
        if name.endswith(("Error", "Fault", "Failed", "Unknown", "Warning")):
            assert (
                re.search(rf"^( [ |]*\+- )?{name} ", LIBRARY, re.MULTILINE)
                or name == "SoapMailError"
            )
            assert f"`{name}`" in README or name == "SoapMailError"


def test_the_changelog_is_kept() -> None:
    """In the form of Keep a Changelog 1.1.0: the newest first, a line for each change."""
    text = (ROOT / "CHANGELOG.md").read_text()
    head, *versions = re.split(r"^## ", text, flags=re.MULTILINE)
    assert head.startswith("# Changelog\n")
    assert versions[0].startswith("[Unreleased]\n")
    assert versions[1].startswith(f"[{soapmail.__version__}] - ")
    for version in versions[1:]:
        name, *parts = re.split(r"^### ", version, flags=re.MULTILINE)
        assert re.match(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d\n", name)
        assert parts
        for kind, *lines in map(str.splitlines, parts):
            assert kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
            assert any(lines)
            assert all(line == "" or re.match(r"- \S.*\.$", line) for line in lines), kind


# --- the records -----------------------------------------------------------------------------------------


def summarize(thing: object) -> str:
    """Return the first paragraph of a docstring, as it stands behind a colon."""
    first = inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    return f"{first[:1].lower()}{first[1:]}"


def describe_method(method: Callable[..., Any]) -> str:
    signature = inspect.signature(method)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    plain = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    return f"- ``{method.__name__}{plain}``: {summarize(method)}"


def section(model: type[Any]) -> str:
    """Write what the docstrings of a record say as a part of a page."""
    head, _, rest = inspect.cleandoc(model.__doc__ or "").partition("\n")
    name = re.findall(r"``(\w+)``", head)
    lines = [f"### {model.__name__}", "", f"{head}", ""]
    lines += re.findall(r"^(?:- .*|  \S.*)$", rest, re.MULTILINE)
    for key, value in vars(model).items():
        if isinstance(value, property):
            lines.append(f"- ``{key}``, worked out: {summarize(value)}")
        elif inspect.isfunction(value) and not key.startswith("_"):
            lines.append(describe_method(value))
    assert name
    return "\n".join(lines).replace("``", "`")


@pytest.mark.parametrize("name", ["Invoice", "MailService", "Order", "Prepay", "Status"])
def test_the_records_are_described_as_in_their_docstrings(name: str) -> None:
    model = getattr(models, name)
    assert f"\n{section(model)}\n" in LIBRARY
    for field in fields(model):
        assert f"``{field.name}``" in (model.__doc__ or ""), field.name


# --- links, commands, modules ------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    checked = 0
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), (page, link)
            assert not anchor or anchor in anchors(target), (page, link)
            checked += 1
    assert checked > 20


def test_the_comparison_has_the_numbers_of_the_benchmark() -> None:
    row = next(line for line in BENCHMARK.splitlines() if line.startswith("| CPU for 12 rows"))
    numbers = [re.findall(r"\d+\.\d+", cell) for cell in row.split("|")[2:6]]
    for n, client in enumerate(("soapmail", "zeep", "suds", "PHP SoapClient")):
        measured = re.findall(
            rf"^\| {client} \|.* \| ([\d.]+) \([^|]+\) \|", BENCHMARK, re.MULTILINE
        )
        assert numbers[n] == measured
        assert len(measured) == 2


def find_marked(name: str) -> str:
    matches = re.findall(rf"^<!-- {name} -->\n```\w*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(matches) == 1
    return str(matches[0])


def find_part(name: str) -> str:
    """Return what stands between two marks of a page."""
    (part,) = re.findall(rf"^<!-- {name} -->\n(.*?)^<!-- end -->", TEXT, re.MULTILINE | re.DOTALL)
    return str(part)


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., list[str]]:
    """Run lines of bash where .venv/bin/soapmail is this checkout's command."""
    program = tmp_path / ".venv" / "bin" / "soapmail"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m soapmail "$@"\n')
    program.chmod(0o755)

    def run(lines: str, given: str = "") -> list[str]:
        command = ["bash", "-ec", lines]
        done = subprocess.run(
            command, input=given, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_commands_with_the_sandbox(shell: Callable[..., list[str]]) -> None:
    lines = [shell(line) for line in find_marked("sandbox").splitlines()]
    assert len(lines) == 6
    assert lines[0][0].startswith("usage: soapmail")
    assert lines[1][0].startswith("\ufeffinvoices_id,")
    assert len(lines[1]) == 3  # a head, and what is documented from March on
    assert lines[2][0].split() == ["mail_id", "8556"]
    assert lines[3][0].startswith("MAIL INVOICES WARNING: 1 due soon")
    assert lines[4][-1] == "12 invoices, 12.00 USD"
    assert lines[5][2].startswith("ok     api_login: ")


def test_the_audit_of_the_first_page(shell: Callable[..., list[str]]) -> None:
    (command,) = re.findall(r"`\.venv/bin/(soapmail --sandbox=varied audit .*?)`", README)
    first, last = find_marked("audit output").split("...\n")
    lines = shell(f".venv/bin/{command} || test $? = 1")
    assert lines[:6] == first.splitlines()
    assert lines[6:][-1:] == last.splitlines()


def test_the_kinds_of_findings_are_those_of_audit() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| \S.* \|$", find_part("kinds"), re.MULTILINE)
    assert [kind for kind, _ in rows] == list(KINDS)
    wrong = {kind for kind, level in rows if level == "wrong"}
    with Sandbox(example="varied") as varied:
        found = audit(varied.invoices, varied.services, today=date.today())
    assert {(one.kind, one.level) for one in found} == set(rows)
    assert wrong == {"charged-twice", "open-though-paid", "listed-twice", "paid-twice"}


def test_a_finding_is_described_as_in_its_docstring() -> None:
    rest = inspect.cleandoc(Finding.__doc__ or "").partition("\n\n")[2]
    assert find_part("finding") == rest.replace("``", "`") + "\n"
    for field in fields(Finding):
        assert f"``{field.name}``" in rest


def test_the_sandbox_is_described_as_in_its_docstrings() -> None:
    described = find_part("sandbox methods").splitlines()
    methods = {
        name: value
        for name, value in vars(Sandbox).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    lines = [describe_method(methods[name]).replace("``", "`") for name in sorted(methods)]
    assert described[1:] == lines
    with Sandbox() as running:
        for name in re.findall(r"`(\w+)`", described[0]):
            assert getattr(running, name) is not None


def test_the_tests_of_ones_own_for_each_error(tmp_path: Path) -> None:
    """They run as they stand, and there is one for each class."""
    text = block("def test_the_network_fails")
    (tmp_path / "test_mine.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
    raised = set(re.findall(r"pytest\.raises\((\w+)\)", text))
    classes = set(re.findall(r"^\| `(\w+)`", README.partition("## Errors")[2], re.MULTILINE))
    assert raised == {name for name in classes if name.endswith(("Error", "Fault", "Failed", "Unknown"))} - {"ValueError", "TypeError"}  # fmt: skip


def test_auditing(capsys: pytest.CaptureFixture[str]) -> None:
    run("from soapmail.billing import audit")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[0].startswith(
        "look open-of-ended-service (7514880,) Invoice 7514880 of 2021-02-24"
    )


def test_a_lambda_logs_in_once(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "handler.py").write_text(block("def handler("))
    asked = note_operations(sandbox)
    namespace = runpy.run_path(str(tmp_path / "handler.py"))
    for _ in range(2):
        assert len(namespace["handler"]({}, None)) == 12
    namespace["client"].close()
    assert asked == ["api_login", LIST, LIST]


@pytest.mark.slow
def test_the_bundle_of_a_lambda(sandbox: Sandbox, tmp_path: Path) -> None:
    """All but the download of requests and lxml, which come from here."""
    checkout(tmp_path / "copy")
    (tmp_path / "copy" / "handler.py").write_text(block("def handler("))
    pip, rest = find_marked("lambda").splitlines()
    options = "--no-index --no-deps --no-build-isolation"
    pip = pip.replace(".venv/bin/pip install", f"{sys.executable} -m pip install {options}")
    rest = rest.replace("python3", sys.executable)
    subprocess.run(["bash", "-ec", f"{pip}\n{rest}"], cwd=tmp_path / "copy", check=True)
    bundle = tmp_path / "copy" / "bundle.zip"
    program = (
        f"import sys; sys.path.insert(0, {str(bundle)!r})\n"
        "import handler, soapmail\n"
        "assert 'bundle.zip' in soapmail.__file__\n"
        "print(len(handler.handler({}, None)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("12\n", "")


def write_password(tmp_path: Path, sandbox: Sandbox) -> Path:
    secret = tmp_path / "mail"
    secret.write_text(f"{sandbox.password}\n")
    return secret


def test_the_container_reads_its_secret(
    shell: Callable[..., list[str]],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the Dockerfile sets and runs; Docker mounts a secret as /run/secrets/NAME."""
    monkeypatch.delenv("SOAPMAIL_PASSWORD")
    (text,) = re.findall(r"^```dockerfile\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    lines = dict(line.split(" ", 1) for line in text.splitlines())
    name, path = lines["ENV"].split("=")
    (compose,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert f"secrets: [{path.removeprefix('/run/secrets/')}]\n" in compose
    assert f"\nsecrets:\n  {path.removeprefix('/run/secrets/')}:\n" in compose
    assert ": ../" in compose.rpartition("file")[2]  # outside of what the image could copy
    monkeypatch.setenv(name, str(write_password(tmp_path, sandbox)))
    words = [*json.loads(lines["ENTRYPOINT"]), *json.loads(lines["CMD"])]
    (line,) = shell(f".venv/bin/{shlex.join(words)}")
    assert line.startswith("MAIL INVOICES OK: nothing is due")


def test_the_service_reads_its_credential(
    shell: Callable[..., list[str]],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the unit sets and runs; %d is the folder of the credentials (systemd.unit)."""
    monkeypatch.delenv("SOAPMAIL_PASSWORD")
    (text,) = re.findall(r"^```ini\n(\[Unit\].*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    settings = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    (credential,) = [value for name, value in settings if name == "LoadCredential"]
    assert credential.partition(":")[0] == write_password(tmp_path, sandbox).name
    for name, value in settings:
        if name == "Environment":
            monkeypatch.setenv(*value.replace("%d", str(tmp_path)).split("=", 1))
    (command,) = [value for name, value in settings if name == "ExecStart"]
    (line,) = shell(command.replace("/opt/soapmail/", ""))
    assert line.startswith("MAIL INVOICES OK: nothing is due")


def test_the_commands_with_an_account(shell: Callable[..., list[str]], sandbox: Sandbox) -> None:
    lines = shell(
        find_marked("account").replace("user@example.com", sandbox.username), sandbox.password
    )
    assert lines[-1] == "USD: 12 invoices, 12 open, 12.00 open"


def test_the_commands_that_serve_the_sandbox(shell: Callable[..., list[str]]) -> None:
    port = str(find_closed_port())
    serve = find_marked("serve").replace("8099", port).split()
    command = [sys.executable, "-m", "soapmail", *serve[1:]]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        printed = [server.stdout.readline() for _ in range(3)]
        lines = shell(find_marked("served").replace("8099", port))
        server.terminate()
    for line in printed:
        assert line in find_marked("served").replace("8099", port)
    assert lines[-1] == "USD: 12 invoices, 12 open, 12.00 open"


def test_the_commands_that_ci_runs_are_these() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    for name in ("first", "tests"):
        assert f"readme {name} | bash -e" in ci
        assert find_marked(name).startswith("python3 -m venv .venv && ")


def test_the_keys_of_a_check_are_these(shell: Callable[..., list[str]]) -> None:
    rows = re.findall("^[|] (`[^|]+) [|] ([^|]+) [|]$", find_part("check json"), re.MULTILINE)
    told = {key: text for keys, text in rows for key in re.findall("`([a-z_]+)`", keys)}

    def check(options: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(
            "".join(shell(f".venv/bin/soapmail check --format json {options} || true"))
        )
        assert set(report) == set(told)
        return report

    due = check("--all-services --today 2021-03-20")
    one = set(due["overdue"][0])
    assert one - set(FIELDS) == {"account", "days_left"}
    assert len(one & set(FIELDS)) == 6
    assert set(check("")["apart"][0]) == one
    assert set(check("--sandbox=varied")["wrong"][0]) == one | {"findings"}
    failed = check("--username nobody")
    for name, shown in (("prepaid", due), ("failed", failed)):
        assert set(re.findall("`([a-z_]+)`", told[name])) == set(shown[name][0])


OUTPUT_OPTIONS = {"--format", "--columns", "--sort", "--no-header"}


def test_the_table_of_commands_is_what_the_command_knows() -> None:
    """Each command with all its options, but for those of lists and of all commands."""
    section = COMMAND.partition("\n## Commands\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \| ", section, re.MULTILINE)
    documented: dict[str, set[str]] = {}
    commands = BY_PATH
    for text in [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]:
        first, second = [*text.split(), ""][:2]
        name = f"{first} {second}" if f"{first} {second}" in commands else first
        options = documented.setdefault(name, set())
        options.update(re.findall(r"--[a-z-]+", text))
    known = {}
    for name, command in commands.items():
        own = {option.name for option in command.options if option.name.startswith("-")}
        known[name] = own - {"--timeout"} - (OUTPUT_OPTIONS if own >= OUTPUT_OPTIONS else set())
    assert documented == known
    many = {name for name, command in commands.items() if command.accounts is Accounts.MANY}
    (sentence,) = re.findall(r"^(.*) take many accounts", COMMAND, re.MULTILINE)
    assert set(re.findall("`([a-z ]+)`", sentence)) == many


def test_the_table_of_exit_codes_is_that_of_the_command() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", COMMAND, re.MULTILINE)
    assert rows[:8] == re.findall(r"^  (\d+) +(.+)$", help_texts.EXIT_CODES, re.MULTILINE)


PACKAGE = ROOT / "soapmail"


def room_of(path: Path) -> str:
    """Return the folder of the package that a module is in, or the name of one at its top."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def find_imported_rooms(path: Path) -> set[str]:
    """Return the other rooms that a module imports from when it runs."""
    tree = ast.parse(path.read_text())
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    folders = path.relative_to(PACKAGE).parent.parts
    rooms = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node not in typing_only:
            outer = folders[: len(folders) - node.level + 1]
            inner = node.module.split(".") if node.module else [name.name for name in node.names]
            rooms |= {outer[0]} if outer else set(inner if node.module is None else inner[:1])
    return rooms - {room_of(path), "__version__"}


def test_the_picture_of_the_rooms_is_true_and_points_down() -> None:
    drawn: dict[str, set[str]] = {}
    for line in find_marked("rooms").splitlines():
        room, _, below = line.partition("->")
        drawn[room.strip()] = set(below.split())
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        found.setdefault(room_of(path), set()).update(find_imported_rooms(path))
    for outside in ("__init__", "__main__"):
        del found[outside]
    for room in sorted(found):
        print(f"{room:10} -> {' '.join(sorted(found[room]))}".removesuffix("-> ").rstrip())
    assert drawn == found
    above: set[str] = set()
    for room, below_it in drawn.items():
        above.add(room)
        assert not below_it & above, room
    jobs = re.findall(r"^\| `(\w+)/?` \| [^|]+ \|$", LIBRARY, re.MULTILINE)
    assert set(jobs) >= set(found)


# --- a new operation ---------------------------------------------------------------------------------


@pytest.fixture
def steps() -> list[str]:
    part = (ROOT / "templates" / "README.md").read_text()
    blocks = re.findall(r"^   ```\w+\n(.*?)^   ```", part, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    return [re.sub("^   ", "", block, flags=re.MULTILINE) for block in blocks]


def change_file(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)


NEW = """
from soapmail import Client, DnsDomain
from tests.faulty import Faulty, respond_after_login
from tests.support import wrap_in_envelope
row = "<id>5</id><name>example.com</name><master/><last_check/><type>NATIVE</type>"
response = wrap_in_envelope("api_get_dns_domain", f"<return>{row}</return>")
with Faulty(respond_after_login(lambda request: request.respond(response))) as server:
    with Client("u", "p", endpoint=server.endpoint) as client:
        print(client.get_dns_domain(5) == DnsDomain(5, "example.com", "", None, "NATIVE"))
        print(b"<domain_id xsi:type=\\"xsd:int\\">5</domain_id>" in server.requests[1].body)
        try:
            client.get_dns_domain(0)
        except ValueError as error:
            print(error)
from soapmail.sandbox import Sandbox
with Sandbox() as sandbox:
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
        print(client.get_dns_domain(5).name)
"""


@pytest.mark.slow
def test_an_operation_is_added_in_five_places(tmp_path: Path, steps: list[str]) -> None:
    copy = tmp_path / "copy"
    checkout(copy)
    template, record, method, struct, response, row = steps
    package = copy / "soapmail"
    (copy / "templates" / "api_get_dns_domain.xml").write_text(template)
    change_file(package / "models.py", ("__all__ = [", '__all__ = ["DnsDomain", '))
    with (package / "models.py").open("a") as models:
        models.write(f"\n\n{record}")
    place = "    def call(self"
    change_file(package / "client.py", (place, f"{method}\n{place}"))
    structs = "STRUCTS = {\n"
    change_file(package / "sandbox" / "nusoap.py", (structs, structs + struct))
    place = "    # The provider's WSDL says so of a list"
    change_file(package / "sandbox" / "sandbox.py", (place, f"{response}\n{place}"))
    last = "| `call(operation, /, **parameters)` |"
    change_file(copy / "README.md", (last, row + last))

    def python(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *options]
        return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)

    done = python("-c", NEW)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "True",
        "True",
        "domain_id: must be at least 1, got 0",
        "example.com",
    ]
    # In the copy of the copy this test itself would make another one.
    names = ("models", "client", "docs", "errors", "readme")
    tests = [
        "tests/soap/test_templates.py",
        "tests/sandbox",
        *(f"tests/test_{name}.py" for name in names),
    ]
    apart = "not (five_places or command or machines or unattended)"
    options = ("-p", "no:cacheprovider", "-k", apart)
    done = python("-m", "pytest", "-v", *options, *tests)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "[get_dns_domain" in done.stdout
    change_file(
        copy / "templates" / "api_get_dns_domain.xml",
        ('<domain_id xsi:type="xsd:int">', "<domain_id>"),
    )
    assert python("-m", "pytest", *options, "tests/soap/test_templates.py").returncode == 1
