"""What goes over the wire, told and written without secrets, and answered from again."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import stat
import struct
import subprocess
import threading
from contextlib import contextmanager, suppress
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from lxml import etree

from soapmail import Client, OutcomeUnknown, ResponseError, TransportError
from soapmail.billing.identity import identify_account
from soapmail.cli.command_table import Accounts
from soapmail.cli.dump import Dump
from soapmail.sandbox import PASSWORD, SESSION_ID, USERNAME

from ..commands import ACCOUNT, BY_PATH, Result, start_process
from ..faulty import Faulty, Hangup, Request, respond_after_login, respond_to_login
from ..support import (
    DATA,
    LIST,
    LOGIN,
    make_many_rows,
    make_status_response,
    make_text_response,
    read_recording,
    wrap_in_envelope,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from soapmail.observe import ObservedExchange
    from soapmail.sandbox import Sandbox

SECRETS = (PASSWORD, SESSION_ID)


@pytest.fixture
def seen() -> list[ObservedExchange]:
    return []


# --- on_exchange -----------------------------------------------------------------------------------------


def test_each_attempt_is_told_as_it_was_on_the_wire(
    sandbox: Sandbox, seen: list[ObservedExchange]
) -> None:
    with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint, on_exchange=seen.append) as client:
        client.get_client_invoices()
    login, listing = seen
    assert (login.operation, login.attempt, login.status, login.reason) == (
        "api_login",
        1,
        200,
        "OK",
    )
    assert (login.version, login.repairs, login.problem) == ("HTTP/1.1", [], None)
    assert b'<password xsi:type="xsd:string">***</password>' in login.request
    assert b">***</return>" in login.response
    assert listing.operation == LIST
    assert b'<sid xsi:type="xsd:string">***</sid>' in listing.request
    assert ("Content-Type", "text/xml; charset=ISO-8859-1") in listing.headers
    assert listing.response == read_recording("get_client_invoices").body
    assert 0 < listing.seconds < 20


def test_failed_attempts_are_told_too(seen: list[ObservedExchange]) -> None:
    def handler(request: Request) -> None:
        if len(seen) == 0:
            raise Hangup
        if len(seen) == 1:
            request.respond(b"<html>busy</html>", 503)
            return
        request.respond(make_text_response("api_x", "a\x01"))

    with (
        Faulty(handler) as server,
        Client(session_id="s" * 32, endpoint=server.endpoint, on_exchange=seen.append) as client,
    ):
        with pytest.raises(ResponseError):
            client.call("api_get_x")
    assert [(exchange.attempt, exchange.status) for exchange in seen] == [
        (1, None),
        (2, 503),
        (3, 200),
    ]
    assert seen[0].http == b""
    assert (seen[0].headers, seen[0].response) == ([], b"")
    assert "the connection broke" in str(seen[0].problem)
    assert "503" in str(seen[1].problem)
    assert "another operation" in str(seen[2].problem)


def test_what_was_repaired_is_told(seen: list[ObservedExchange]) -> None:
    with Faulty(lambda r: r.respond(make_text_response("get_x", "a\x01"))) as server:
        with Client(endpoint=server.endpoint, on_exchange=seen.append) as client:
            assert client.call("get_x") == "a\ufffd"
    assert seen[0].repairs == ["characters that XML forbids, replaced by U+FFFD: 1"]
    assert b"a\x01" in seen[0].response


def test_an_exception_of_the_callable_is_logged_and_disturbs_nothing(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(exchange: ObservedExchange) -> None:
        raise KeyError(PASSWORD)

    with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint, on_exchange=fail) as client:
        assert client.make_payment(7514880).status == "ok"
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        "api_login: on_exchange failed: KeyError: '***'",
        "api_make_payment: on_exchange failed: KeyError: '***'",
    ]


def test_an_interrupt_in_the_callable_passes(sandbox: Sandbox) -> None:
    def stop(exchange: ObservedExchange) -> None:
        if exchange.operation == "api_make_payment":
            raise KeyboardInterrupt

    with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint, on_exchange=stop) as client:
        with pytest.raises(KeyboardInterrupt):
            client.make_payment(7514880)


def test_only_what_can_be_called_is_taken() -> None:
    with pytest.raises(TypeError, match="^on_exchange: a callable expected, not str$"):
        Client(on_exchange="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 99_990, 150_000, 300_000])
@pytest.mark.parametrize(
    "written",
    ["p&ss<w>ord", "p&amp;ss&lt;w&gt;ord", "p%26ss%3Cw%3Eord", "p&#38;ss&#x3c;w>ord", "p&amp;amp;ss&amp;lt;w&amp;gt;ord"],
)  # fmt: skip
def test_a_secret_is_found_in_any_form_and_anywhere(
    written: str, size: int, seen: list[ObservedExchange]
) -> None:
    page = f"<html>{'x' * size}{written}{'y' * 50}</html>".encode()
    with Faulty(respond_after_login(lambda r: r.respond(page))) as server:
        with Client(
            USERNAME, PASSWORD, endpoint=server.endpoint, on_exchange=seen.append, retries=0
        ) as client:
            with pytest.raises(ResponseError):
                client.get_services()
    assert seen[-1].response == page.replace(written.encode(), b"***")


def test_a_secret_outside_ascii_is_found_in_both_encodings(seen: list[ObservedExchange]) -> None:
    secret = "gehéim€"
    page = "é gehéim€ é".encode() + b" geh\xe9im? "
    with Faulty(lambda r: r.respond(page)) as server:
        with Client(
            "u", secret, endpoint=server.endpoint, on_exchange=seen.append, retries=0
        ) as client:
            with pytest.raises(ResponseError):
                client.get_modules()
    assert seen[0].response == "é *** é".encode() + b" *** "


def test_a_session_id_that_cannot_be_read_is_not_told(seen: list[ObservedExchange]) -> None:
    body = wrap_in_envelope("api_login", "<return><x/>abcdef</return>")
    with Faulty(
        lambda r: r.respond(body.replace(b"<x/>", b"e720445786c7735aa64392f987db2fad<x/>"))
    ) as server:
        with Client(
            "u", "p", endpoint=server.endpoint, on_exchange=seen.append, retries=0
        ) as client:
            with pytest.raises(ResponseError):
                client.login()
    assert SESSION_ID.encode() not in seen[0].response


def test_cookies_and_login_urls_are_secrets_too(
    sandbox: Sandbox, seen: list[ObservedExchange]
) -> None:
    with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint, on_exchange=seen.append) as client:
        url = client.auto_zonemta_login(8556).url
        with pytest.raises(Exception, match="Invalid Service"):
            client.auto_zonemta_login(1)
    assert url
    assert b"mail.example.com" not in seen[1].response
    headers = {"Set-Cookie": "PHPSESSID=abc", "X-Other": f"is {PASSWORD}"}
    with Faulty(lambda r: r.respond(LOGIN, headers=headers)) as server:
        with Client(
            USERNAME, PASSWORD, endpoint=server.endpoint, on_exchange=seen.append
        ) as client:
            client.login()
    assert {("Set-Cookie", "***"), ("X-Other", "is ***")} <= set(seen[-1].headers)


def test_a_foreign_adapter_is_told_of_as_far_as_it_is_known(seen: list[ObservedExchange]) -> None:
    import responses

    with responses.RequestsMock() as mock:
        mock.post("https://example.com/", body=make_text_response("get_x", "a"), headers={"A": "b"})
        with Client(endpoint="https://example.com/", on_exchange=seen.append) as client:
            assert client.call("get_x") == "a"
    assert (seen[0].version, seen[0].status) == ("HTTP/1.1", 200)
    assert ("A", "b") in seen[0].headers


# --- the folder ------------------------------------------------------------------------------------------


def test_a_dump_is_for_its_owner_and_holds_no_secret(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    for _ in range(2):  # a second run adds to it
        assert run("--dump", str(tmp_path), "invoices", "--columns", "all").code == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    stems = [
        f"{n:04}_{name}"
        for n, name in enumerate(["api_login", LIST, "api_mail_get_services"] * 2, 1)
    ]
    assert names == sorted(
        name
        for stem in stems
        for name in (f"{stem}.http", f"{stem}.request.xml", f"{stem.partition('_')[0]}.json")
    )
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        data = path.read_bytes()
        assert not any(secret.encode() in data for secret in SECRETS)
        assert b"w&gt;ord" not in data
    facts = json.loads((tmp_path / "0002.json").read_text())
    assert re.fullmatch(rf"{USERNAME} at http://127.0.0.1:\d+/api.php", facts["account"])
    assert {**facts, "seconds": 0, "account": ""} == {
        "operation": LIST, "attempt": 1, "status": 200, "seconds": 0, "repairs": [], "problem": None, "account": "",
    }  # fmt: skip


def test_of_what_got_no_response_the_request_is_kept(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.break_next()
    assert run("--dump", str(tmp_path), "login-url", "8556").code == 0
    first = sorted(path.name for path in tmp_path.glob("0002*"))
    assert first == ["0002.json", "0002_api_api_auto_zonemta_login.request.xml"]
    facts = json.loads((tmp_path / first[0]).read_text())
    assert facts["status"] is None
    assert "the connection broke" in facts["problem"]
    assert (tmp_path / "0003_api_api_auto_zonemta_login.http").exists()


WIRE = sorted(path.stem for path in (DATA / "wire").glob("*.http"))


@pytest.mark.arrives(2)
@pytest.mark.parametrize("name", WIRE)
def test_a_dump_of_each_recorded_response_is_equal_to_it_but_for_the_secrets(
    name: str, tmp_path: Path, run: Callable[..., Result]
) -> None:
    whole = (DATA / "wire" / f"{name}.http").read_bytes()
    match = re.search(rb"<(?:\w+:)?(\w+)Response[\s>]", whole)
    operation = match[1].decode() if match else "api_x"

    def handler(request: Request) -> None:
        if request.operation == operation:
            request.raw(whole)
            raise Hangup
        respond_to_login(request)

    with Faulty(handler) as server:
        run("--dump", str(tmp_path), "--endpoint", server.endpoint, "call", operation, "--yes")
    paths = sorted(tmp_path.glob(f"*_{operation}.http"))
    expected = whole.replace(SESSION_ID.encode(), b"***")
    expected = re.sub(rb"https://mail\.example\.com[^<]*", b"***", expected)
    assert paths
    got = paths[-1].read_bytes()
    if name == "auto_zonemta_login_ok":
        got = re.sub(rb"(status_text[^>]*>)[^<]*", rb"\1***", got)
        expected = re.sub(rb"(status_text[^>]*>)[^<]*", rb"\1***", expected)
    if name == "login_wrong_password":
        got = got.replace(b">***</return>", b"></return>")
    assert got == expected


@pytest.mark.parametrize("folder", ["none", "file"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run("--dump", str(tmp_path / folder), "pay", "7514880", "--yes")
    assert (code, out) == (1, "")
    problem = {"none": "No such file or directory", "file": "Not a directory"}[folder]
    assert err == f"soapmail: {tmp_path / folder}: {problem}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert not sandbox.invoices[0].is_paid


def test_a_disk_that_is_full_later_disturbs_nothing(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, name: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("soapmail.cli.dump.Dump._write", full)
    code, out, err = run("--dump", str(tmp_path), "pay", "7514880", "--yes")
    assert (code, out) == (0, "Payment made\n")
    assert err.count("on_exchange failed: OSError: [Errno 28] No space left on device") == 2


def test_many_accounts_write_into_one_folder(
    run: Callable[..., Result], accounts: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    assert run("--dump", str(folder), "services", "--all-accounts").code == 0
    assert len(list(folder.glob("*.http"))) == 6


# --- replay ------------------------------------------------------------------------------------------------


@contextmanager
def replay(folder: Path) -> Iterator[Mapping[str, str]]:
    server = start_process("sandbox", "--replay", str(folder), stdout=subprocess.PIPE)
    assert server.stdout is not None
    lines = "".join(server.stdout.readline().decode() for _ in range(3))
    echo = 'printf "%s" "$SOAPMAIL_ENDPOINT"'
    result = subprocess.run(["sh", "-c", lines + echo], capture_output=True, text=True, check=True)
    try:
        yield {**ACCOUNT, "SOAPMAIL_ENDPOINT": result.stdout}
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate()
    assert server.returncode == 130


def test_a_dump_is_served_again(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("--dump", str(tmp_path), "invoices").code == 0
    first = run("invoices").out
    with replay(tmp_path) as environment:
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        assert run("invoices") == (0, first, "")
        assert run("invoices") == (0, first, "")
        code, _, err = run("services")
        assert code == 4
        assert "404" in err


EXAMPLES = [
    command.example
    for command in BY_PATH.values()
    if command.accounts not in (Accounts.NONE, Accounts.LOCAL)
]


@pytest.mark.parametrize("example", [*EXAMPLES, "pay --open --max-total 5 --all-services --yes"])
def test_the_dump_of_each_command_is_replayed(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str
) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    words = shlex.split(example)
    first = run("--dump", str(folder), *words, stdin="body")
    assert first.code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # another journal
    with replay(folder) as environment:
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        again = run(*words, stdin="body")
    assert (again.code, again.err) == (0, first.err)
    if words[0] == "login-url":
        assert again.out == f"{environment['SOAPMAIL_ENDPOINT']}?***\n"
    elif words[0] != "doctor":  # which tells times
        assert again.out == first.out


def test_responses_are_replayed_by_their_numbers(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, module in ((9999, "first"), (10000, "second")):
        body = wrap_in_envelope(
            "get_modules",
            f'<return xsi:type="SOAP-ENC:Array"><item xsi:type="xsd:string">{module}</item></return>',
        )
        data = b"HTTP/1.1 200 OK\r\n\r\n" + body
        (tmp_path / f"{number}_get_modules.http").write_bytes(data)
    with replay(tmp_path) as environment:
        monkeypatch.setenv("SOAPMAIL_ENDPOINT", environment["SOAPMAIL_ENDPOINT"])
        outs = [run("modules", "--no-header").out for _ in range(2)]
    assert outs == ["first\n", "second\n"]


def test_a_replay_of_the_doctor_refuses_no_list_behind_it(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("--dump", str(tmp_path), "doctor")
    assert first.code == 0
    with replay(tmp_path) as environment:
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        again = run("doctor")
        assert (again.code, "a wrong session: is refused" in again.out) == (0, True)
        assert run("invoices").code == 0


def test_recorded_responses_are_replayed_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Result]
) -> None:
    """Those of the server software, of which most miscount their bytes."""
    for n, name in enumerate(
        ["login", "get_client_invoices_one", "get_client_invoices_utf8_labelled_latin1"]
    ):
        data = (DATA / "wire" / f"{name}.http").read_bytes()
        (tmp_path / f"{n}{name}.http").write_bytes(data)
    (tmp_path / "x.http").write_bytes(
        (DATA / "wire" / "fault_unparsable_request.http").read_bytes()
    )
    with replay(tmp_path) as environment:
        with Client(USERNAME, PASSWORD, endpoint=environment["SOAPMAIL_ENDPOINT"]) as client:
            assert len(client.get_client_invoices()) == 1
            texts = {invoice.invoices_description for invoice in client.get_client_invoices()}
            assert any("é" in str(text) for text in texts)
            assert {
                invoice.invoices_description for invoice in client.get_client_invoices()
            } == texts


def test_a_folder_without_responses_is_refused(run: Callable[..., Result], tmp_path: Path) -> None:
    code, _, err = run("sandbox", "--replay", str(tmp_path))
    assert (code, err) == (
        2,
        f"soapmail: {tmp_path}: no *.http in it says which operation it answers\n",
    )
    code, _, err = run("sandbox", "--replay", str(tmp_path / "none"))
    assert (code, err) == (1, f"soapmail: {tmp_path / 'none'}: No such file or directory\n")


def test_a_large_response_is_told_in_time(seen: list[ObservedExchange]) -> None:
    data = make_many_rows(2000)
    with Faulty(respond_after_login(lambda r: r.respond(data))) as server:
        with Client(
            USERNAME, PASSWORD, endpoint=server.endpoint, on_exchange=seen.append
        ) as client:
            assert len(client.get_client_invoices()) == 2000
    assert seen[1].response == data


def test_an_unknown_outcome_is_told(sandbox: Sandbox, seen: list[ObservedExchange]) -> None:
    with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint, on_exchange=seen.append) as client:
        client.login()
        sandbox.break_next(after=True)
        with pytest.raises(OutcomeUnknown):
            client.make_payment(7514880)
        with pytest.raises((TransportError, OutcomeUnknown)):
            Client(
                session_id="x", endpoint="http://127.0.0.1:9/", retries=0, on_exchange=seen.append
            ).get_services()
    assert (seen[1].operation, seen[1].status) == ("api_make_payment", None)
    assert "could not connect" in str(seen[2].problem)


# --- what an attack found --------------------------------------------------------------------------------


def collect_texts(response: Callable[[Request], None], do: Callable[[Client], object]) -> list[Any]:
    """Give what an observer is told of a call that may fail."""
    seen: list[Any] = []
    with Faulty(response) as server:
        client = Client(USERNAME, PASSWORD, endpoint=server.endpoint, on_exchange=seen.append, retries=0)  # fmt: skip
        with client, suppress(Exception):
            do(client)
    return seen


@pytest.mark.parametrize(
    "value",
    [
        f"<![CDATA[{SESSION_ID}]]><x/>", f"<item>{SESSION_ID}</item>", f'<x href="#1">{SESSION_ID}</x>',
        f"{SESSION_ID}</return", f"<!--a-->{SESSION_ID}<x/>",
    ],
)  # fmt: skip
def test_a_session_id_in_a_broken_login_is_in_nothing_that_is_told(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = wrap_in_envelope("api_login", f'<return xsi:type="xsd:string">{value}</return>')
    problems: list[Exception] = []

    def log_in(client: Client) -> None:
        try:
            client.login()
        except Exception as error:
            problems.append(error)

    (seen,) = collect_texts(lambda r: r.respond(body), log_in)
    text = repr(seen) + repr(seen.http) + str(problems) + caplog.text
    assert problems
    assert SESSION_ID not in text
    assert SESSION_ID[:16] not in text


@pytest.mark.parametrize("data", [b"<\0\0\0", b"\xff\xfe\0\0", b"\0\0\0<"])
def test_a_response_of_no_characters_is_told_of(data: bytes) -> None:
    data += b"\xff\xff\xff\x7f" * 4  # above U+10FFFF in either order
    problems: list[ResponseError] = []

    def log_in(client: Client) -> None:
        with pytest.raises(ResponseError) as caught:
            client.login()
        problems.append(caught.value)

    (seen,) = collect_texts(lambda r: r.respond(data), log_in)
    assert seen.problem == str(problems[0])
    assert seen.response


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_secrets_in_wide_encodings_are_hidden(encoding: str) -> None:
    def respond(request: Request) -> None:
        page = f"<?xml?><html>{PASSWORD} {request.session_id}</html>"
        request.respond(page.encode(encoding) + b"x")

    seen = collect_texts(respond_after_login(respond), Client.get_services)[-1]
    # A last byte that is no whole character is kept as it is.
    assert seen.response == "<?xml?><html>*** ***</html>".encode(encoding) + b"x"


@pytest.mark.parametrize(
    "page",
    [
        b"Your session id is ABC123", b'{"sid":"ABC123"}', b"<b>a</b>sid=ABC123", b'<x sid="ABC123"/>', b"<!--ABC123-->",
        wrap_in_envelope("api_login", "<return>ABC123</return>")[:-60],
    ],
)  # fmt: skip
def test_of_a_login_that_failed_nothing_is_shown(page: bytes) -> None:
    (seen,) = collect_texts(lambda r: r.respond(page), Client.login)
    assert (seen.status, seen.response) == (200, b"***")


def test_a_secret_is_known_in_the_text_in_which_the_server_gets_it() -> None:
    class Secret(str, Enum):
        MAIN = "geheim"

    def respond(request: Request) -> None:
        request.respond(wrap_in_envelope("api_x", "<return>geheim 150000.0 150000</return>"))

    def call(client: Client) -> None:
        client.call("api_get_vps", id=5, rootpass=Secret.MAIN, api_key=Decimal("1.5E+5"))

    seen = collect_texts(respond_after_login(respond), call)[-1]
    assert b"<return>*** ***.0 ***</return>" in seen.response


def test_many_large_headers_are_searched_no_longer_than_the_call_may_take() -> None:
    from soapmail import observe
    from soapmail.deadline import Deadline
    from soapmail.session import AttemptResult
    from soapmail.transport import Outgoing, Response

    seen: list[Any] = []
    for count in (1, 9):
        response = Response(200, data=b"x", headers=[("X-Y", "%41" * 20_000)] * count)
        outgoing = Outgoing("api_x")
        observe.notify(
            seen.append, outgoing, response, 0.0, AttemptResult(), ["a secret"], Deadline(0)
        )
    assert [(len(one.headers), one.response) for one in seen] == [(1, b"x"), (0, b"***")]


def test_secrets_in_the_status_line_and_in_names_of_headers_are_hidden() -> None:
    def response(request: Request) -> None:
        if request.operation == "api_login":
            respond_to_login(request)
            return
        head = f"HTTP/1.1 200 {SESSION_ID}\r\nX-{SESSION_ID}: a\r\nContent-Length: 2\r\n\r\nno"
        request.raw(head.encode())
        raise Hangup

    seen = collect_texts(response, Client.get_services)[-1]
    assert seen.status == 200
    assert SESSION_ID not in repr(seen) + repr(seen.http)


def test_a_login_url_is_hidden_whoever_asks_for_it(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    code, out, _ = run("--dump", str(tmp_path), "call", "api_api_auto_zonemta_login", "id:int=8556", "--yes")  # fmt: skip
    assert code == 0
    assert "https://mail.example.com/login" in out
    assert not any(b"mail.example.com" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_url_that_lets_nobody_in_is_told(sandbox: Sandbox, seen: list[ObservedExchange]) -> None:
    with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint, on_exchange=seen.append) as client:
        client.get_paypal_url(7514880)
        client.call("api_get_paypal_url", module="mail", invoice=7514880)
    assert len(seen) == 2  # neither of them needs a session
    for exchange in seen:
        assert exchange.response == read_recording("get_paypal_url").body


def test_numbers_of_more_than_four_digits_go_on(run: Callable[..., Result], tmp_path: Path) -> None:
    for n in (9999, 10000):
        (tmp_path / f"{n}_x.http").write_text("")
    assert run("--dump", str(tmp_path), "modules").code == 0
    assert (tmp_path / "10001_get_modules.http").exists()


@pytest.mark.arrives(3)
def test_runs_at_a_time_lose_no_exchange_and_give_no_number_twice(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Dumps that have listed the folder before any of them wrote into it."""
    dumps = [Dump(str(tmp_path)) for _ in range(8)]
    exchanges: list[ObservedExchange] = []
    with Client(
        USERNAME, PASSWORD, endpoint=sandbox.endpoint, on_exchange=exchanges.append
    ) as client:
        client.get_services()
    identity = identify_account(sandbox.endpoint, USERNAME)
    start = threading.Barrier(len(dumps))

    def write(dump: Dump) -> None:
        start.wait(20)
        for n in range(25):
            dump(exchanges[n % 2], identity)

    threads = [threading.Thread(target=write, args=(dump,)) for dump in dumps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts = sorted(path.name for path in tmp_path.glob("*.json"))
    assert facts == [f"{n:04}.json" for n in range(1, 201)]
    requests = sorted(path.name[:4] for path in tmp_path.glob("*.request.xml"))
    assert requests == [f"{n:04}" for n in range(1, 201)]
    for path in tmp_path.glob("*.http"):
        operation = json.loads((tmp_path / f"{path.name[:4]}.json").read_text())["operation"]
        assert path.name[5:] == f"{operation}.http"


def test_an_empty_name_of_a_folder_is_wrong_usage(run: Callable[..., Result]) -> None:
    code, _, err = run("--dump", "", "invoices")
    assert (code, err) == (2, "soapmail: --dump is empty (see soapmail invoices --help)\n")


def test_a_client_that_hangs_up_on_a_replay_is_not_told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0001_get_modules.http").write_bytes(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2**20)
    with replay(tmp_path) as environment:
        parts = urlsplit(environment["SOAPMAIL_ENDPOINT"])
        for data in (b"POST", b"POST / HTTP/1.1\r\nSOAPAction: urn:myapi#get_modules\r\n\r\n"):
            with socket.create_connection(
                (str(parts.hostname), int(parts.port or 0))
            ) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(data)
    assert "Traceback" not in capfd.readouterr().err


def test_fields_that_hold_a_secret_are_hidden_in_what_an_observer_is_told() -> None:
    """By the names of the contract, also where the value was never known."""
    row = "<vps_rootpass>a1b2</vps_rootpass><ssl_private_key>-----BEGIN</ssl_private_key><x>y</x>"
    body = wrap_in_envelope("api_get_vps", f"<return>{row}</return>")

    def call(client: Client) -> None:
        client.call("api_get_vps", id=5, domain_password="c3d4", rootpass="e5")

    seen = collect_texts(respond_after_login(lambda r: r.respond(body)), call)[-1]
    assert b"<vps_rootpass>***</vps_rootpass><ssl_private_key>***</ssl_private_key><x>y</x>" in seen.response  # fmt: skip
    for secret in (b"a1b2", b"BEGIN", b"c3d4", b">e5<"):
        assert secret not in seen.request + seen.response


@pytest.mark.parametrize("password", ["xsd:string", "Envelope", "1", "amp", "a&b", "comment"])
def test_a_shown_request_is_made_with_stars_where_secrets_stood(password: str) -> None:
    """And so it is the same XML, whatever words the secrets are."""
    seen: list[Any] = []
    sent: list[Request] = []

    def respond(request: Request) -> None:
        sent.append(request)
        request.respond(make_status_response(request.operation, "ok", "Done"))

    texts = {"domain_password": "a < b", "comment": f"'{password}' & <more>", "note": "1 & amp"}
    with Faulty(respond_after_login(respond)) as server:
        client = Client(USERNAME, password, endpoint=server.endpoint, on_exchange=seen.append)
        client.call("api_get_vps", id=11, key=Decimal("5E+1"), **texts)
    shown = [etree.fromstring(one.request) for one in seen]
    assert [[part.text for part in one[0][0]] for one in shown] == [
        [USERNAME.replace(password, "***"), "***"],
        ["***", "11", "***", "***", texts["comment"].replace(password, "***"), texts["note"].replace(password, "***")],
    ]  # fmt: skip
    (request,) = sent
    assert shown[1][0][0][1].attrib == etree.fromstring(request.body)[0][0][1].attrib


def test_what_is_large_is_searched_no_longer_than_the_call_may_take() -> None:
    """What could not be searched for secrets is not shown."""
    from soapmail import observe
    from soapmail.deadline import Deadline
    from soapmail.session import AttemptResult
    from soapmail.transport import Outgoing, Response

    seen: list[Any] = []
    for size, deadline in ((50_000, Deadline(0)), (200_000, Deadline(0)), (200_000, Deadline(60))):
        response = Response(200, data=b"x" * size)
        observe.notify(
            seen.append,
            Outgoing("api_x", b"<x/>"),
            response,
            0.0,
            AttemptResult(),
            ["a secret"],
            deadline,
        )
    assert [len(one.response) for one in seen] == [50_000, 3, 200_000]
    assert seen[1].response == b"***"
