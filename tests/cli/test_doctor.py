"""The doctor: what soapmail believes of a server, held against servers that differ from it."""

from __future__ import annotations

import json
import re
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from soapmail.cli.commands import doctor
from soapmail.sandbox import Sandbox, list_operations
from soapmail.soap.envelope import read_parameters
from soapmail.transport.delivery import Tls
from soapmail.transport.transport import Outgoing, Transport

from ..faulty import Faulty, Hangup, Request
from ..support import DATA, LIST, OPERATIONS, ROOT, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from soapmail.transport.delivery import Delivery, Response

    from ..commands import Result

WSDL = (DATA / "wire" / "api.wsdl").read_bytes()
TEMPLATES = sorted(path.stem for path in (ROOT / "templates").glob("*.xml"))


@pytest.fixture
def seen(run: Callable[..., Result]) -> Callable[..., tuple[int, dict[str, tuple[str, str]]]]:
    """Run the doctor, and give its findings by what was looked at."""

    def look(*options: str) -> tuple[int, dict[str, tuple[str, str]]]:
        code, out, err = run("doctor", "--format", "json", *options)
        for line in err.splitlines():  # what a log says of the responses too
            assert ": repaired: " in line or ": nothing came back, " in line
        rows = json.loads(out)
        assert [list(row) for row in rows] == [["what", "state", "seen"]] * len(rows)
        found = {row["what"]: (row["state"], row["seen"]) for row in rows}
        assert len(found) == len(rows)
        assert code == any(state == "WRONG" for state, _ in found.values())
        return code, found

    return look


def test_all_templates_are_looked_at() -> None:
    assert set(list_operations()) == set(TEMPLATES) - {"envelope", "call"}
    for operation in list_operations():
        expected = [(name, kind) for name, kind in OPERATIONS[operation]["params"].items()]
        assert [name for name, _ in read_parameters(operation)] == [name for name, _ in expected]


def test_the_sandbox_is_as_believed(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
) -> None:
    code, findings = seen()
    assert code == 0
    states = {what: state for what, (state, _) in findings.items()}
    assert {what for what, state in states.items() if state != "ok"} == {"TLS"}
    assert findings["TLS"] == ("note", "none: this is a loopback host")
    for operation in OPERATIONS:
        if operation in list_operations():
            assert findings[f"WSDL of {operation}"] == ("ok", "the same parameters")
    assert re.fullmatch(r"\d+ ms; 12 rows", findings["api_mail_get_client_invoices"][1])
    assert findings["a wrong session"] == ("ok", "is refused in words")
    reading = {name for name in list_operations() if "_get_" in name or name == "get_modules"}
    asked = {what for what in findings if what.split(" ")[0] in OPERATIONS}
    assert asked == {"api_login", "api_api_auto_zonemta_login"} | reading
    assert not any("attempts" in said for _, said in findings.values())


def test_the_wsdl_comes_over_a_connection_of_its_own(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is kept may be dead by then, and nothing repeats this request."""
    fresh = {}
    send = Transport.send

    def note(self: Transport, outgoing: Outgoing, delivery: Delivery, **options: bool) -> Response:
        fresh[outgoing.operation] = options["fresh"]
        return send(self, outgoing, delivery, **options)

    monkeypatch.setattr(Transport, "send", note)
    seen()
    assert fresh["wsdl"]
    assert not fresh[LIST]


def test_it_changes_nothing(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]], sandbox: Sandbox
) -> None:
    before = repr((sandbox.services, sandbox.invoices, sandbox.prepays, sandbox.sent))
    seen()
    assert repr((sandbox.services, sandbox.invoices, sandbox.prepays, sandbox.sent)) == before


def test_as_text_it_is_a_line_each(run: Callable[..., Result]) -> None:
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"ok     versions: {', '.join(run('--version').out.splitlines())}"
    assert lines[1] == "note   TLS: none: this is a loopback host"
    assert all(re.match(r"(ok   |note |WRONG)  \S", line) for line in lines)
    assert len(lines) > 25


def test_an_empty_account(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]], sandbox: Sandbox
) -> None:
    sandbox.invoices, sandbox.services, sandbox.prepays = [], [], []
    code, findings = seen()
    assert code == 0
    assert "api_mail_get_service" not in findings
    assert "0 rows" in findings["api_mail_get_client_invoices"][1]


# --- WSDLs that differ ------------------------------------------------------------------------------------


@pytest.fixture
def describe(sandbox: Sandbox) -> Callable[[bytes], None]:
    def use(wsdl: bytes) -> None:
        sandbox.wsdl = lambda: wsdl  # type: ignore[method-assign]

    return use


def change_wsdl(old: str, new: str) -> bytes:
    wsdl = WSDL.replace(old.encode(), new.encode(), 1)
    assert wsdl != WSDL
    return wsdl


SEND = '<message name="api_send_mailRequest">\n  <part name="sid" type="xsd:string" />'
CHANGES = {
    "as recorded": (WSDL, {}),
    "more": (
        change_wsdl(SEND, f'{SEND}\n  <part name="bcc" type="xsd:string" />'),
        {"api_send_mail": "other parameters; more: bcc"},
    ),
    "less": (change_wsdl(SEND, SEND.partition("\n")[0]), {"api_send_mail": "other parameters; gone: sid"}),
    "swapped": (
        change_wsdl(
            '<part name="subject" type="xsd:string" />\n  <part name="body" type="xsd:string" />',
            '<part name="body" type="xsd:string" />\n  <part name="subject" type="xsd:string" />',
        ),
        {"api_send_mail": "in another order: sid, body, subject, to, from"},
    ),
    "another type": (
        change_wsdl(f'{SEND}', SEND.replace("xsd:string", "xsd:int")),
        {"api_send_mail": "of another type: sid is int"},
    ),
    "renamed": (
        change_wsdl(f'{SEND}', SEND.replace('"sid"', '"session"')),
        {"api_send_mail": "other parameters; more: session, gone: sid"},
    ),
    "gone": (
        change_wsdl('<operation name="api_send_mail">', '<operation name="api_send_mail_new">'),
        {"api_send_mail": "the operation is gone"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_wsdl_is_wrong(
    name: str,
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    describe: Callable[[bytes], None],
) -> None:
    wsdl, expected = CHANGES[name]
    describe(wsdl)
    code, findings = seen()
    assert code == bool(expected)
    wrong = {what: text for what, (state, text) in findings.items() if state == "WRONG"}
    assert wrong == {f"WSDL of {operation}": text for operation, text in expected.items()}
    assert findings["WSDL"] == ("ok", "102 operations described")


@pytest.mark.parametrize(
    ("wsdl", "problem"),
    [
        (b"<html>", "no XML: "),
        (b"<a/>", "no WSDL: it describes no operation"),
        (b"<!DOCTYPE a><a/>", "a DOCTYPE, which is not read"),
    ],
)
def test_a_wsdl_of_no_use_is_wrong(
    wsdl: bytes, problem: str,
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    describe: Callable[[bytes], None],
) -> None:  # fmt: skip
    describe(wsdl)
    code, findings = seen()
    assert code == 1
    state, text = findings["WSDL"]
    assert (state, text.startswith(problem)) == ("WRONG", True)
    assert not any(what.startswith("WSDL of") for what in findings)


# --- servers that differ ----------------------------------------------------------------------------------


@pytest.fixture
def serve(sandbox: Sandbox) -> Iterator[Callable[[Callable[[Request, bytes], bytes | None]], str]]:
    """Serve what the sandbox says, changed by a function; None: nothing comes."""
    servers = []

    def start(change: Callable[[Request, bytes], bytes | None]) -> str:
        def handler(request: Request) -> None:
            if request.line.startswith("GET"):
                request.respond(sandbox.wsdl())
                return
            status, body = sandbox.answer(request.body)
            wsdl = change(request, body)
            if wsdl is not None:
                request.respond(wsdl, status)

        server = Faulty(handler)
        servers.append(server)
        return server.__enter__().endpoint

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def test_unknown_and_missing_fields_and_repairs_are_noted(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    serve: Callable[[Callable[[Request, bytes], bytes | None]], str],
) -> None:
    def change(request: Request, body: bytes) -> bytes:
        if request.operation == "api_mail_get_client_invoices":
            body = re.sub(
                rb"<invoices_group.*?</invoices_group>", b"<new_field>x\x01</new_field>", body
            )
        return body

    code, findings = seen("--endpoint", serve(change))
    assert code == 0
    state, text = findings["api_mail_get_client_invoices"]
    assert state == "note"
    assert "12 rows; repaired: characters that XML forbids, replaced by U+FFFD: 12" in text
    assert text.endswith("; unknown fields: new_field; missing fields: invoices_group")


def test_what_cannot_be_read_and_what_is_refused(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    serve: Callable[[Callable[[Request, bytes], bytes | None]], str],
) -> None:
    def change(request: Request, body: bytes) -> bytes:
        if request.operation == "get_modules":
            return b"<html>"
        if request.operation == "api_get_prepay_list":
            return read_recording("fault_unserializable_result").body
        return body

    code, findings = seen("--endpoint", serve(change))
    assert code == 1
    assert findings["get_modules"][0] == "WRONG"
    assert findings["api_get_prepay_list"] == (
        "note",
        "refused: SOAP fault SOAP-ENV:Server: unable to serialize result",
    )


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("get_client_invoices", ("WRONG", "is given 12 invoices")),
        ("get_client_invoices_empty", ("note", "is given an empty list")),
        ("fault_unserializable_result", ("note", "is refused by SOAP fault SOAP-ENV:Server: unable to serialize result")),
        (None, ("WRONG", "api_mail_get_client_invoices: HTTP status 500 (Internal Server Error) without a SOAP response")),
    ],
)  # fmt: skip
def test_how_a_wrong_session_is_refused(
    response: str | None, expected: tuple[str, str],
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    serve: Callable[[Callable[[Request, bytes], bytes | None]], str],
) -> None:  # fmt: skip
    def change(request: Request, body: bytes) -> bytes:
        if b">" + b"0" * 32 + b"<" in request.body:
            return b"no" if response is None else read_recording(response).body
        return body

    _, findings = seen("--endpoint", serve(change))
    assert findings["a wrong session"] == expected


def test_a_service_that_vanished_and_a_second_attempt_are_noted(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    serve: Callable[[Callable[[Request, bytes], bytes | None]], str],
) -> None:
    count = 0

    def change(request: Request, body: bytes) -> bytes | None:
        nonlocal count
        if request.operation == "api_mail_get_service":
            return read_recording("get_service_unknown_nil").body
        if request.operation == "get_modules":
            count += 1
            if count == 1:
                request.reset()
        return body

    code, findings = seen("--endpoint", serve(change))
    assert code == 0
    assert findings["api_mail_get_service"][1].endswith("there is none")
    assert findings["get_modules"][1].endswith("10 rows; 2 attempts")


def test_a_wrong_password_ends_the_reading(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
) -> None:
    code, findings = seen("--username", "wrong")
    assert code == 1
    assert findings["api_login"][0] == "WRONG"
    assert "api_mail_get_client_invoices" not in findings
    assert findings["WSDL"][0] == "ok"


def test_a_server_that_is_not_there(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
) -> None:
    code, findings = seen("--endpoint", "http://127.0.0.1:9/")
    assert code == 1
    assert findings["WSDL"][0] == "WRONG"
    with Faulty(lambda request: request.respond(b"x", 404)) as server:
        assert seen("--endpoint", server.endpoint)[1]["WSDL"] == (
            "WRONG",
            "HTTP status 404 (Not Found)",
        )


def test_with_a_dump(run: Callable[..., Result], tmp_path: Path) -> None:
    assert run("--dump", str(tmp_path), "doctor").code == 0
    assert len(list(tmp_path.glob("*.http"))) > 10


# --- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def secure() -> Iterator[Faulty]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "tls" / "loopback.pem")
    with Faulty(lambda request: request.respond(b"x", 404), tls=context) as server:
        yield server


def test_the_certificate_is_looked_at(
    secure: Faulty,
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, text = seen("--endpoint", secure.endpoint)[1]["TLS"]
    assert state == "WRONG"
    assert "CERTIFICATE_VERIFY_FAILED" in text
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "tls" / "ca.pem"))
    state, text = seen("--endpoint", secure.endpoint)[1]["TLS"]
    assert state == "ok"
    assert re.fullmatch(r"TLSv1\.[23], certificate valid until 2\d{3}-\d\d-\d\d \(\d+ days\)", text)


def test_a_proxy_that_is_not_there_is_named(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    state, text = seen("--endpoint", "https://example.com/", "--timeout", "5")[1]["TLS"]
    assert state == "WRONG"
    assert text.startswith("could not connect to example.com through the proxy")


def test_a_certificate_that_ends_soon_is_noted() -> None:
    written = {"notAfter": "Jan  5 09:34:43 2030 GMT"}
    end = ssl.cert_time_to_seconds(written["notAfter"])
    for days, state in ((13, "note"), (14, "ok")):
        finding = doctor._describe_tls(Tls("TLSv1.3", written), end - days * 86400 - 60)
        assert finding == (
            "TLS",
            state,
            f"TLSv1.3, certificate valid until 2030-01-05 ({days} days)",
        )
    assert doctor._describe_tls(Tls("x", written), time.time() + 10**9).state == "note"
    assert doctor._describe_tls(Tls("x", {}), time.time()).state == "note"


def test_unreadable_rows_have_no_fields() -> None:
    from soapmail import Invoice
    from soapmail.observe import ObservedExchange

    one = ObservedExchange("x", 1, b"", 200, "", "", [], b"no", 0.0, [], None)
    assert doctor._compare_fields(one, Invoice) == []
    body = read_recording("get_client_invoices").body
    assert doctor._compare_fields(replace(one, response=body), Invoice) == []


# --- what an attack found ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        (b"not compressed", {"Content-Encoding": "gzip"}, "a broken compressed response"),
        (b'<?xml version="1.0" encoding="none"?><a/>', {}, "no XML: "),
        (b"<a/>", {"Content-Length": "99"}, "the connection closed after 4 of 99 bytes"),
    ],
)
def test_a_wsdl_that_comes_broken_is_wrong(
    body: bytes, headers: dict[str, str], problem: str,
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
) -> None:  # fmt: skip
    def response(request: Request) -> None:
        if not request.line.startswith("GET"):
            request.respond(b"x", 404)
            return
        lines = {"Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
        request.raw(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)
        raise Hangup

    with Faulty(response) as server:
        state, text = seen("--endpoint", server.endpoint)[1]["WSDL"]
    assert state == "WRONG"
    assert problem in text


def test_a_wsdl_that_drips_is_given_up_in_time(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
) -> None:
    def response(request: Request) -> None:
        if not request.line.startswith("GET"):
            request.respond(b"x", 404)
            return
        request.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not request.closing.wait(0.2):
            request.raw(b"<")

    with Faulty(response) as server:
        started = time.monotonic()
        findings = seen("--endpoint", server.endpoint, "--timeout", "1")[1]
        assert time.monotonic() - started < 20
    assert findings["WSDL"] == ("WRONG", "timed out")


def test_a_record_of_an_odd_id_ends_nothing(
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]], sandbox: Sandbox
) -> None:
    sandbox.services[0] = replace(sandbox.services[0], mail_id=-1)
    code, findings = seen()
    assert code == 1
    assert findings["api_mail_get_service"] == ("WRONG", "id: must be at least 1, got -1")
    assert findings["WSDL"][0] == "ok"


def test_the_trusted_certificates_may_be_a_folder_and_may_be_missing(
    secure: Faulty,
    seen: Callable[..., tuple[int, dict[str, tuple[str, str]]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for place, problem in (
        (tmp_path, "CERTIFICATE_VERIFY_FAILED"),
        (tmp_path / "none", "Could not find a suitable TLS CA certificate bundle"),
    ):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place))
        state, text = seen("--endpoint", secure.endpoint)[1]["TLS"]
        assert state == "WRONG"
        assert problem in text
