"""The command: output, exit codes, and what it changed in the sandbox."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import select
import shlex
import signal
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from lxml import etree

import soapmail
from soapmail import Invoice, cli
from soapmail.cli import exit_codes as codes
from soapmail.cli import signals as changing
from soapmail.cli import values
from soapmail.cli.accounts import TrackingClient
from soapmail.cli.command_table import COMMON
from soapmail.cli.commands import records as lists
from soapmail.cli.commands.change import run_change
from soapmail.cli.main import _flush
from soapmail.cli.terminal import has_terminal
from soapmail.sandbox import PASSWORD, USERNAME, Sandbox

from ..commands import (
    ACCOUNT,
    Result,
    Terminal,
    environment_without_coverage,
    note_operations,
    parse_csv,
    start_process,
)
from ..faulty import (
    Faulty,
    Request,
    find_closed_port,
    respond_after_login,
    respond_to_login,
    stay_silent,
)
from ..support import (
    FIELDS,
    LIST,
    SAMPLES,
    make_fault_response,
    make_status_response,
    make_text_response,
    wrap_in_envelope,
    write_array,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


def bare(row: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(float(value)) if FIELDS[name] == "float" else str(value)
        for name, value in row.items()
    }


# --- listing ---------------------------------------------------------------------------------------


def test_the_table_is_aligned_and_ends_with_totals(run: Callable[..., Result]) -> None:
    code, out, err = run("invoices")
    head, *rows, format_totals = out.splitlines()
    assert (code, err) == (0, "")
    assert head.split() == ["id", "date", "due", "date", "amount", "paid", "service", "description"]
    assert rows[0] == (
        " 7514880  2021-02-24  2021-03-10  1.00 USD  no       8556  "
        "(Repeat Invoice: 19156909) MailBaby Mail"
    )
    assert len(rows) == 12
    assert {row.index("  no  ") for row in rows} == {rows[0].index("  no  ")}
    assert {row.index("(Repeat") for row in rows} == {head.index("description")}
    assert format_totals == "USD: 12 invoices, 12 open, 12.00 open"


def test_totals_never_add_different_currencies(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    invoice = sandbox.invoices[0]
    sandbox.invoices = [
        replace(invoice, invoices_amount=0.1, invoices_currency="EUR"),
        replace(invoice, invoices_amount=0.2, invoices_currency="EUR"),
        replace(invoice, invoices_amount=5.0, invoices_paid=1),
        replace(invoice, invoices_amount=12.345),
        replace(invoice, invoices_amount=7.0, invoices_type=11),
        replace(invoice, invoices_amount=9.0, invoices_currency=""),
    ]
    _, out, _ = run("invoices")
    assert out.splitlines()[-1] == (
        "no currency: 1 invoice, 1 open, 9.00 open; "
        "EUR: 2 invoices, 2 open, 0.30 open; USD: 3 invoices, 1 open, 12.345 open"
    )
    assert "12.345 USD" in out
    assert "7.00 USD" in out


def test_an_open_invoice_without_an_amount_is_told() -> None:
    rows = [Invoice(invoices_type=1, invoices_currency="USD"), Invoice(invoices_currency="USD")]
    assert lists.format_totals(rows) == "USD: 2 invoices, 1 open, 0.00 open and 1 of unknown amount"


def test_no_invoices(run: Callable[..., Result], sandbox: Sandbox) -> None:
    sandbox.invoices = []
    code, out, _ = run("invoices")
    assert code == 0
    assert out.splitlines()[-1] == "0 invoices"
    assert run("invoices", "--format", "json").out == "[]\n"
    assert parse_csv(run("invoices", "--format", "csv").out) == []


def test_json_and_csv_hold_the_documented_fields_in_their_order(
    run: Callable[..., Result],
) -> None:
    _, out, _ = run("invoices", "--format", "json")
    data = json.loads(out)
    assert data == SAMPLES[LIST]
    assert [list(row) for row in data] == [list(FIELDS)] * 12
    _, out, _ = run("invoices", "--format", "csv")
    assert parse_csv(out) == [bare(row) for row in SAMPLES[LIST]]
    assert out.splitlines()[0] == "\ufeff" + ",".join(FIELDS)


def test_awkward_text_comes_out_whole(run: Callable[..., Result], sandbox: Sandbox) -> None:
    text = 'é 日本 "x", \n\t;😀'
    sandbox.invoices = [replace(sandbox.invoices[0], invoices_description=text)]
    (row,) = parse_csv(run("invoices", "--format", "csv").out)
    assert row["invoices_description"] == text
    (data,) = json.loads(run("invoices", "--format", "json").out)
    assert data["invoices_description"] == text
    assert 'é 日本 "x",   ;😀' in run("invoices").out


def test_none_is_empty_in_csv_null_in_json_and_a_dash_in_the_table(
    run: Callable[..., Result],
) -> None:
    empty = dict.fromkeys(FIELDS)
    with Faulty(respond_after_login(lambda r: r.respond(wrap_in_envelope(LIST, write_array(["<item><invoices_id>5</invoices_id></item>"]))))) as server:  # fmt: skip
        here = ("--endpoint", server.endpoint, "invoices")
        assert run(*here).out.splitlines()[1].split() == ["5", *"---", "no", *"--"]
        assert json.loads(run(*here, "--format", "json").out) == [{**empty, "invoices_id": 5}]
        assert parse_csv(run(*here, "--format", "csv").out) == [{**dict.fromkeys(FIELDS, ""), "invoices_id": "5"}]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--unpaid"], 11),
        (["--open"], 11),
        (["--service", "8556"], 1),
        (["--service", "1"], 0),
        (["--since", "2021-02-25"], 10),
        (["--until", "2021-02-25"], 10),
        (["--since", "2021-02-24", "--until", "2021-02-24"], 2),
        (["--since", "2021-02-25", "--open", "--service", "8640"], 1),
        ([], 12),
    ],
)
def test_filters(run: Callable[..., Result], arguments: list[str], count: int) -> None:
    assert run("pay", "7514880", "--yes").code == 0
    code, out, err = run("invoices", "--format", "json", *arguments)
    assert (code, err) == (0, "")
    assert len(json.loads(out)) == count


def test_days_that_leave_nothing_to_list_are_wrong_usage(run: Callable[..., Result]) -> None:
    result = run("invoices", "--since", "2021-02-25", "--until", "2021-02-24")
    assert result == (2, "", "soapmail: --since 2021-02-25 is after --until 2021-02-24\n")


def test_open_rows_without_a_date_are_listed_and_others_counted_out(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    for n, paid in ((0, 0), (1, 1), (2, 1)):
        sandbox.invoices[n] = replace(
            sandbox.invoices[n], invoices_date="0000-00-00 00:00:00", invoices_paid=paid
        )
    code, out, err = run("invoices", "--since", "2000-01-01", "--format", "json")
    assert (code, len(json.loads(out))) == (0, 10)
    assert json.loads(out)[0]["invoices_id"] == 7514880
    assert err == "soapmail: 2 without a date left out\n"


def test_a_wrong_date_of_the_server_is_shown_as_it_is(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.invoices[0] = replace(sandbox.invoices[0], invoices_date="tomorrow")
    shown = "? tomorrow"
    for options in ([], ["--until", "2100-01-01"], ["--since", "2100-01-01"]):
        code, out, err = run("invoices", *options)
        assert (code, out.count(shown)) == (0, 1)
        assert out.splitlines()[1].lstrip().startswith(f"7514880  {shown}")
        place = "invoice 7514880, invoices_date: not a date of the form YYYY-MM-DD HH:MM:SS"
        assert err == f"soapmail: {place}: 'tomorrow'; its day is not known\n"


def test_services_in_all_formats(run: Callable[..., Result]) -> None:
    samples = SAMPLES["api_mail_get_services"]
    assert json.loads(run("services", "--format", "json").out) == samples
    expected = [{name: str(value) for name, value in row.items()} for row in samples]
    assert parse_csv(run("services", "--format", "csv").out) == expected
    head, *rows = run("services").out.splitlines()
    assert len(rows) == 12
    assert head.split() == ["id", "status", "ordered", "invoice", "ip", "username"]
    assert rows[0].split()[0] == "8556"
    assert "expired" in rows[0]


def test_one_service(run: Callable[..., Result]) -> None:
    sample = SAMPLES["api_mail_get_services"][0]
    assert json.loads(run("service", "8556", "--format", "json").out) == [sample]
    lines = run("service", "8556").out.splitlines()
    assert [line.split()[0] for line in lines] == list(sample)
    assert lines[0] == "mail_id             8556"
    assert run("service", "1") == (1, "", "soapmail: there is no mail service 1\n")


def test_modules_in_all_formats(run: Callable[..., Result]) -> None:
    modules = SAMPLES["get_modules"]
    assert run("modules").out.split() == ["module", *modules]
    assert run("modules", "--no-header").out.split() == modules
    assert json.loads(run("modules", "--format", "json").out) == [
        {"module": module} for module in modules
    ]
    assert parse_csv(run("modules", "--format", "csv").out) == [
        {"module": module} for module in modules
    ]


def test_prepays_in_all_formats(run: Callable[..., Result]) -> None:
    samples = SAMPLES["api_get_prepay_list"]
    assert json.loads(run("prepay", "list", "--format", "json").out) == samples
    assert len(parse_csv(run("prepay", "list", "--format", "csv").out)) == 3
    _, *rows = run("prepay", "list").out.splitlines()
    assert [row.split()[0] for row in rows] == ["1116", "1117", "1118"]
    assert rows[0].split()[-4:] == ["10", "0", "yes", "domains"]
    assert run("prepay", "remaining").out == "0.00\n"


# --- changing --------------------------------------------------------------------------------------


@pytest.mark.arrives(2)
def test_cancel(run: Callable[..., Result], sandbox: Sandbox) -> None:
    assert run("cancel", "8556", "--yes") == (0, "mail service 8556 is canceled\n", "")
    assert sandbox.services[0].mail_status == "canceled"
    assert run("cancel", "8556", "--yes") == (
        1, "", "soapmail: the server did not cancel mail service 8556\n",
    )  # fmt: skip


def test_buy(run: Callable[..., Result], sandbox: Sandbox) -> None:
    assert run("buy", "C", "--yes") == (
        0, "Order placed: invoices 23785940, cost 1\n", "",
    )  # fmt: skip
    assert len(sandbox.invoices) == len(sandbox.services) == 13


def test_an_order_without_invoices_says_so(run: Callable[..., Result]) -> None:
    fields = {"status": "ok", "status_text": "Order placed", "invoices": "", "cost": "0"}
    cells = "".join(
        f'<{name} xsi:type="xsd:string">{text}</{name}>' for name, text in fields.items()
    )
    order = wrap_in_envelope("api_api_buy_mail", f"<return>{cells}</return>")
    with Faulty(respond_after_login(lambda request: request.respond(order))) as server:
        result = run("buy", "--yes", "--endpoint", server.endpoint)
    assert result == (0, "Order placed: invoices none, cost 0\n", "")


def test_send(run: Callable[..., Result], sandbox: Sandbox) -> None:
    address = ["--to", "a@b", "--from", "c@d", "--subject", "s é"]
    assert run("send", *address, "--yes", stdin="x\ny & é") == (0, "Mail queued\n", "")
    assert sandbox.sent == [{"subject": "s é", "body": "x\ny & é", "to": "a@b", "from": "c@d"}]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"caf\xc3\xa9\r\n", 0, ""),
        (b"caf\xe9", 2, "soapmail: stdin: the body is not UTF-8 (byte 4)\n"),
    ],
)
def test_the_body_of_a_mail_is_read_from_stdin_as_utf8(
    sandbox: Sandbox, body: bytes, code: int, said: str
) -> None:
    done = start_process(
        *SEND.split(), stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        env={**os.environ, **ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint},
    )  # fmt: skip
    _, err = done.communicate(body)
    assert (done.returncode, err.decode()) == (code, said)
    assert [mail["body"] for mail in sandbox.sent] == ["café\n"] * (code == 0)


def test_text_that_the_server_will_not_keep_is_not_sent(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    problem = "subject: the server keeps ISO-8859-1 only and turns other characters into '?'"
    lossy = ("send", "--to", "a@b", "--from", "c@d", "--subject", "日本", "--yes")
    assert run(*lossy) == (2, "", f"soapmail: {problem}; it is not sent\n")
    assert sandbox.sent == []


def test_pay(run: Callable[..., Result], sandbox: Sandbox) -> None:
    assert run("pay", "7514880", "--yes") == (0, "Payment made\n", "")
    assert sandbox.invoices[0].invoices_paid == 1
    code, out, err = run("pay", "7514880", "--yes")
    assert (code, out) == (1, "")
    assert err == "soapmail: invoice 7514880 is paid already; nothing was sent\n"


def test_urls(run: Callable[..., Result]) -> None:
    code, out, _ = run("pay-url", "7514880")
    assert (code, out.strip()) == (0, SAMPLES["api_get_paypal_url"].split('"')[1])
    assert run("login-url", "8556").out == "https://mail.example.com/login?a=1&b=2\n"
    assert run("login-url", "1").code == 1
    code, out, _ = run("prepay", "fill-url", "1117", "10.50")
    with soapmail.Client.from_env() as client:
        assert (code, out) == (0, f"{client.get_prepay_paypal_fill_url(1117, 10.5)}\n")


@pytest.mark.parametrize("text", ["see your mail", "", "<b>Warning</b>: session"])
@pytest.mark.parametrize("command", ["login-url 8556", "prepay remaining"])
def test_what_is_no_url_and_no_amount_is_an_error(
    run: Callable[..., Result], command: str, text: str
) -> None:
    def respond(request: Request) -> None:
        request.respond(make_status_response(request.operation, "ok", text))

    with Faulty(respond_after_login(respond)) as server:
        code, out, err = run(*command.split(), "--endpoint", server.endpoint)
    assert (code, out) == (1, "")
    assert "not a " in err if text else "the server sent an empty text where " in err


def test_prepay_add(run: Callable[..., Result], sandbox: Sandbox) -> None:
    assert run("prepay", "add", "10.50", "--yes") == (0, "prepay 1119 is added\n", "")
    assert sandbox.prepays[-1].prepay_amount == 10.5
    assert run("prepay", "add", "1", "vps", "--yes").code == 0
    assert run("prepay", "remaining").out == "10.50\n"
    assert run("prepay", "remaining", "vps").out == "1.00\n"


def test_call(run: Callable[..., Result], sandbox: Sandbox) -> None:
    _, out, _ = run("call", "api_mail_get_service", "id:int=8556")
    assert json.loads(out) == SAMPLES["api_mail_get_services"][0]
    _, out, _ = run("call", "get_modules")
    assert json.loads(out) == SAMPLES["get_modules"]
    _, out, _ = run("call", "api_add_prepay", "m=mail", "a:float=2.5", "u:bool=false", "--yes")
    assert json.loads(out) == 1119
    assert sandbox.prepays[-1].prepay_automatic_use == 0
    assert sandbox.prepays[-1].prepay_amount == 2.5
    run("call", "api_send_mail", "a=x=y", "b:int=5", "c=é", "d:bool=1", "--yes")
    assert sandbox.sent == [{"subject": "x=y", "body": 5, "to": "é", "from": True}]
    code, _, err = run("call", "api_get_nope")
    assert code == 1
    assert err.startswith("soapmail: SOAP fault SOAP-ENV:Client: Operation 'api_get_nope' is not")


CHANGES = [
    (["cancel", "8556"], "cancel mail service 8556"),
    (["buy"], "order a mail service, which makes an invoice"),
    (["buy", "C"], "order a mail service with the coupon C, which makes an invoice"),
    (
        ["send", "--to", "a@b", "--from", "c@d", "--subject", "s"],
        "send 's' (4 characters) from c@d to a@b",
    ),
    (["pay", "7514880"], "pay invoice 7514880 from the account's funds"),
    (["prepay", "add", "5"], "add a prepaid balance of 5 for mail"),
    (["call", "api_send_mail", "a=b"], "call api_send_mail with a, which may change something"),
    (["call", "api_x"], "call api_x with no parameters, which may change something"),
]


@pytest.mark.parametrize(("arguments", "what"), CHANGES)
def test_what_changes_something_needs_yes_without_a_terminal(
    run: Callable[..., Result], sandbox: Sandbox, arguments: list[str], what: str
) -> None:
    before = repr((sandbox.services, sandbox.invoices, sandbox.prepays, sandbox.sent))
    assert run(*arguments, stdin="body") == (
        2, "", f"soapmail: {what}: say --yes to do this without a terminal\n",
    )  # fmt: skip
    assert repr((sandbox.services, sandbox.invoices, sandbox.prepays, sandbox.sent)) == before


# --- usage, credentials and exit codes -----------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"], ["invoices", "--nope"], ["service"], ["service", "0"], ["service", "-1"],
        ["service", "1_0"], ["service", "٣"], ["service", "9" * 20], ["cancel", "x"],
        ["invoices", "--since", "yesterday"], ["invoices", "--since", "20210224"],
        ["invoices", "--since", "2021-02-30"], ["invoices", "--service", "x"],
        ["invoices", "--format", "xml"], ["prepay", "add", "x", "--yes"],
        ["prepay", "add", "0", "--yes"], ["prepay", "add", "NaN", "--yes"],
        ["send", "--to", "a", "--yes"], ["call"], ["call", "get_x", "novalue"],
        ["call", "get_x", "a:int=x"], ["call", "get_x", "a:float=x"], ["call", "get_x", "a:bool=x"],
        ["call", "get_x", "a=1", "a=2"], ["call", "get x"], ["call", "get_x", "1=2"],
        ["call", "api_get_x", "sid=2"], ["sandbox", "--port", "x"], ["sandbox", "--port", "65536"],
        ["invoices", "--timeout", "0"], ["invoices", "--timeout", "x"],
        ["invoices", "--endpoint", "http://example.com"],
        ["send", "--to", "", "--from", "c", "--subject", "s", "--yes"],
        ["send", "--to", "a\nb", "--from", "c", "--subject", "s", "--yes"],
        ["send", "--to", "a", "--from", "c", "--subject", "s", "--yes", "--password-stdin"],
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_code_2(
    run: Callable[..., Result], arguments: list[str]
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"soapmail: .+\n", err), err


def test_defaults_are_as_the_help_says(run: Callable[..., Result]) -> None:
    defaults = {option.name: option.default for option in COMMON}
    text = " ".join(run("--help").out.split())
    for words, name in (("at a time", "--jobs"), ("each call in all", "--timeout")):
        assert f"{words} (default: {defaults[name]:g})" in text
    assert (defaults["--jobs"], defaults["--timeout"]) == (8, 60)


@pytest.mark.parametrize("missing", ["to", "from", "subject"])
def test_a_mail_without_its_parts_is_not_sent(run: Callable[..., Result], missing: str) -> None:
    parts = [f"--{name}=x" for name in ("to", "from", "subject") if name != missing]
    code, out, err = run("send", *parts, "--yes", stdin="body")
    assert (code, out) == (2, "")
    assert f"required: --{missing}" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["service", "9223372036854775807"], 1),  # there is none
        (["service", "9223372036854775808"], 2),
        (["sandbox", "--port", "65536"], 2),
        (["invoices", "--due-within", "99999"], 0),
        (["invoices", "--due-within", "100000"], 2),
        (["prepay", "add", "999999999999.99", "--yes"], 0),
        (["prepay", "add", "-999999999999", "--yes"], 2),
        (["prepay", "add", "1000000000000", "--yes"], 2),
    ],
)  # fmt: skip
def test_numbers_have_an_end(run: Callable[..., Result], arguments: list[str], code: int) -> None:
    assert run(*arguments).code == code


def test_missing_credentials_are_wrong_usage(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, more in (("USERNAME", ""), ("PASSWORD", ", or --password-stdin")):
        with monkeypatch.context() as patch:
            patch.delenv(f"SOAPMAIL_{name}")
            code, out, err = run("invoices")
        assert (code, out) == (2, "")
        assert err == f"soapmail: username and password are needed: set SOAPMAIL_{name}{more}\n"


def test_on_a_terminal_the_mail_is_asked_for(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.cli.commands.change.has_terminal", lambda: True)
    code, out, err = run(*SEND.split(), stdin="body")
    assert (code, out) == (0, "Mail queued\n")
    assert err == "soapmail: type the mail, and end it with Ctrl-D\n"


def test_a_timeout_is_a_number(run: Callable[..., Result]) -> None:
    code, _, err = run("modules", "--timeout", "x")
    assert code == 2
    assert "argument --timeout: 'x' is not a number of seconds" in err


def test_commands_without_a_session_need_no_credentials(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOAPMAIL_USERNAME")
    monkeypatch.delenv("SOAPMAIL_PASSWORD")
    for arguments in (["modules"], ["pay-url", "5"], ["call", "get_modules"]):
        assert run(*arguments).code == 0


def test_password_from_stdin(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOAPMAIL_PASSWORD")
    assert run("modules", "--password-stdin", stdin="x").code == 2
    assert run("services", "--password-stdin", stdin=f"{PASSWORD}\r\nmore").code == 0
    assert run("services", "--password-stdin", stdin="").code == 2
    code, _, err = run("services", "--password-stdin", stdin="wrong\n")
    assert code == 3
    assert err == "soapmail: api_login: the server does not accept username and password\n"


def test_username_from_the_arguments(run: Callable[..., Result]) -> None:
    assert run("services", "--username", "other").code == 3
    assert run("--username", USERNAME, "services").code == 0


def test_network_errors_are_code_4(run: Callable[..., Result]) -> None:
    port = find_closed_port()
    code, out, err = run("services", "--endpoint", f"http://127.0.0.1:{port}/")
    assert (code, out) == (4, "")
    assert err == (
        f"soapmail: api_login: could not connect to 127.0.0.1:{port} (Connection refused)\n"
    )


def test_an_unknown_outcome_is_code_5_and_says_so(run: Callable[..., Result]) -> None:
    with Faulty(respond_after_login(lambda request: request.reset())) as server:
        code, out, err = run("--endpoint", server.endpoint, "pay", "5", "--yes")
    assert (code, out) == (5, "")
    assert err == (
        "soapmail: api_make_payment: it may or may not have happened; check before repeating: "
        "the connection broke (Connection reset by peer)\n"
        f"soapmail: to say what became of it: soapmail --endpoint {server.endpoint} journal settle 5 paid"
        " (or unpaid)\n"
    )
    with Faulty(respond_after_login(lambda request: request.reset())) as server:
        send = ["send", "--to", "a@b", "--from", "c@d", "--subject", "s", "--yes"]
        code, _, err = run("--endpoint", server.endpoint, *send)
    assert code == 5
    assert "it may or may not have been sent; check before repeating" in err


def test_a_fault_of_several_lines_is_one_line(run: Callable[..., Result]) -> None:
    response = make_fault_response("a\n  b")
    with Faulty(respond_after_login(lambda request: request.respond(response, 500))) as server:
        code, _, err = run("--endpoint", server.endpoint, "services")
    assert (code, err) == (1, "soapmail: SOAP fault Client: a b\n")


def test_a_wrong_response_is_code_1(run: Callable[..., Result]) -> None:
    with Faulty(respond_after_login(lambda request: request.respond(b"<html>"))) as server:
        code, _, err = run("--endpoint", server.endpoint, "services")
    assert (code, err) == (1, "soapmail: api_mail_get_services: no SOAP envelope: '<html>'\n")


def test_repairs_are_told(run: Callable[..., Result], sandbox: Sandbox) -> None:
    sandbox.invoices = [replace(sandbox.invoices[0], invoices_description="a\x01")]
    code, out, err = run("invoices")
    assert code == 0
    assert "a\ufffd" in out
    assert (
        err == f"soapmail: {LIST}: repaired: characters that XML forbids, replaced by U+FFFD: 1\n"
    )


def test_options_stand_before_or_after_the_command(run: Callable[..., Result]) -> None:
    for arguments in (["--sandbox", "services"], ["services", "--sandbox"]):
        assert run(*arguments).code == 0
    assert run("--timeout", "5", "services").code == 0
    assert run("--timeout", "1e-9", "services").code == 4


def test_version_and_help(run: Callable[..., Result]) -> None:
    code, out, err = run("--version")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"soapmail {soapmail.__version__}"
    python = ".".join(map(str, sys.version_info[:3]))
    libxml = ".".join(map(str, etree.LIBXML_VERSION))
    for version in (
        python,
        f"requests {requests.__version__}",
        f"libxml2 {libxml}",
        ssl.OPENSSL_VERSION,
    ):
        assert any(version in line for line in lines[1:])
    assert run("-h") == run("--help")
    code, out, _ = run("--help")
    assert code == 0
    for exit_code in (0, 1, 2, 3, 4, 5, 130):
        assert re.search(rf"^  {exit_code} +\w", out, re.MULTILINE)


def test_the_help_of_a_command_says_what_it_needs(run: Callable[..., Result]) -> None:
    common = "also takes, as in soapmail --help:"
    out = run("services", "--help").out
    assert "--all-accounts" in out.partition(common)[2]
    assert "--all-accounts" not in run("pay", "--help").out
    assert "(with --open)" in run("pay", "--help").out
    assert "soapmail --sandbox services " in out
    assert common in out
    for command in ("sandbox", "completion"):
        out = run(command, "--help").out
        assert "soapmail --sandbox" not in out
        assert common not in out


@pytest.mark.parametrize(
    ("words", "usage"), [([], "usage: soapmail "), (["--sandbox"], "usage: soapmail "), (["prepay"], "usage: soapmail prepay ")]
)  # fmt: skip
def test_where_no_command_is_given_its_help_is_shown(
    run: Callable[..., Result], words: list[str], usage: str
) -> None:
    code, out, err = run(*words)
    assert (code, err) == (2, "")
    assert out.startswith(usage)
    assert out == run(*words, "--help").out


def test_versions_of_what_is_missing_are_told(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("requests", "lxml", "lxml.etree"):
        monkeypatch.setitem(sys.modules, name, None)
    out = run("--version").out
    for name in ("requests", "lxml", "libxml2"):
        assert f"\n{name} is not installed\n" in out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a:bool=true", True), ("a:bool=TRUE", True), ("a:bool=1", True), ("a:bool=false", False),
        ("a:bool=0", False), ("a:int=0", 0), ("a:float=1.5", 1.5), ("a=true", "true"),
    ],
)  # fmt: skip
def test_a_parameter_has_the_type_that_is_named(text: str, value: object) -> None:
    name, found = values.parse_pair(text)
    assert (name, found, type(found)) == ("a", value, type(value))


HELP = subprocess.run(
    [sys.executable, "-c", "from soapmail.cli import main; main(['--help'])"],
    capture_output=True, text=True, check=True,
).stdout  # fmt: skip
NAMES = re.findall(r"^    ([a-z-]+) ", HELP, re.MULTILINE)
COMMANDS = [
    *([name] for name in NAMES if name != "prepay"),
    *(["prepay", name] for name in ("list", "remaining", "add", "fill-url")),
]


def test_all_commands_are_known() -> None:
    assert set(NAMES) == {
        "invoices", "invoice", "check", "audit", "summary", "services", "service", "cancel", "buy", "send",
        "pay", "journal", "pay-url", "login-url", "prepay", "modules", "call", "doctor", "sandbox", "completion",
    }  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_example_in_each_help_works(run: Callable[..., Result], command: list[str]) -> None:
    _, out, _ = run(*command, "--help")
    (example,) = re.findall(r"^example:\n  soapmail (.+)$", out, re.MULTILINE)
    prefix = "" if command[0] in ("sandbox", "completion", "journal") else "--sandbox "
    assert example.startswith(f"{prefix}{' '.join(command)}")
    if command == ["sandbox"]:
        return  # serves until interrupted; tested below
    code, out, err = run(*shlex.split(example), stdin="body")
    assert (code, err) == (0, "")
    assert out


# --- widths ------------------------------------------------------------------------------------------


# --- processes and terminals ---------------------------------------------------------------------------


def test_a_closed_pipe_ends_quietly() -> None:
    """Enough output that it meets the closed pipe whatever is buffered on the way."""
    reader, writer = os.pipe()
    os.close(reader)
    done = start_process("--sandbox", "invoices", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, err = done.communicate()
    assert (done.returncode, err) == (0, b"")


def test_as_a_module_it_does_the_same() -> None:
    done = start_process("--sandbox", "invoices", stdout=subprocess.PIPE)
    out, _ = done.communicate()
    assert done.returncode == 0
    assert out.decode().splitlines()[-1] == "USD: 12 invoices, 12 open, 12.00 open"


@contextlib.contextmanager
def serve_sandbox() -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    server = start_process("sandbox", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert server.stdout is not None
    lines = [server.stdout.readline().decode() for _ in range(3)]
    assert all(re.fullmatch(r"export SOAPMAIL_[A-Z]+=.*\n", line) for line in lines)
    echo = 'printf "%s\n" "$SOAPMAIL_ENDPOINT" "$SOAPMAIL_USERNAME" "$SOAPMAIL_PASSWORD"'
    result = subprocess.run(["sh", "-c", "".join(lines) + echo], capture_output=True, text=True, check=True)  # fmt: skip
    try:
        yield (
            server,
            dict(
                zip(("endpoint", "username", "password"), result.stdout.splitlines(), strict=True)
            ),
        )
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate()


def test_the_sandbox_serves_other_programs_until_interrupted(run: Callable[..., Result]) -> None:
    with serve_sandbox() as (server, given):
        assert (given["username"], given["password"]) == (USERNAME, PASSWORD)
        assert run("services", "--endpoint", given["endpoint"]).code == 0
        server.send_signal(signal.SIGINT)
        assert server.stderr is not None
        assert server.stderr.read() == b""
        assert server.wait() == 130


def test_the_sandbox_ends_well_when_it_is_shut_down(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sandbox, "serve", lambda self: self._server.server_close())
    code, out, err = run("sandbox")
    assert (code, err) == (0, "")
    assert [line.partition("=")[0] for line in out.splitlines()] == [
        "export SOAPMAIL_ENDPOINT", "export SOAPMAIL_USERNAME", "export SOAPMAIL_PASSWORD",
    ]  # fmt: skip


def test_the_sandbox_serves_the_example_that_is_asked_for(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[int] = []

    def serve(sandbox: Sandbox) -> None:
        served.append(len(sandbox.invoices))
        sandbox._server.server_close()

    monkeypatch.setattr(Sandbox, "serve", serve)
    for options in ([], ["--sandbox=documented"], ["--sandbox=varied"]):
        run("sandbox", *options)
    assert served[:2] == [12, 12]
    assert served[2] > 12


def test_a_port_that_is_taken_is_one_line(run: Callable[..., Result], sandbox: Sandbox) -> None:
    port = sandbox.endpoint.rpartition(":")[2].partition("/")[0]
    code, out, err = run("sandbox", "--port", port)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"soapmail: .*in use.*\n", err)


@pytest.mark.parametrize(("answer", "done"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("x\n", False), ("\x04", False)])  # fmt: skip
def test_a_change_is_asked_for_on_a_terminal(sandbox: Sandbox, answer: str, done: bool) -> None:
    terminal = Terminal(
        "cancel", "8556",
        environment={"SOAPMAIL_USERNAME": USERNAME, "SOAPMAIL_PASSWORD": PASSWORD, "SOAPMAIL_ENDPOINT": sandbox.endpoint},
    )  # fmt: skip
    assert terminal.until("? [y/N] ") == "cancel mail service 8556 (expired, ordered 2021-02-24)"
    assert sandbox.services[0].mail_status == "expired"
    terminal.type(answer)
    code, rest = terminal.end()
    assert rest.startswith(answer.rstrip("\x04"))  # what is typed is seen
    assert code == (0 if done else 1)
    assert ("is canceled" in rest) == done
    assert ("nothing was done" in rest) == (not done)
    assert (sandbox.services[0].mail_status == "canceled") == done


def test_credentials_are_asked_for_on_a_terminal(sandbox: Sandbox) -> None:
    terminal = Terminal("services", "--endpoint", sandbox.endpoint, columns=400)
    terminal.until("Username: ")
    terminal.type(f"{USERNAME}\n")
    terminal.until("Password: ")
    terminal.type(f"{PASSWORD}\n")
    code, rest = terminal.end()
    assert code == 0
    assert "8556" in rest
    assert PASSWORD not in rest
    terminal = Terminal("services", "--endpoint", sandbox.endpoint)
    terminal.until("Username: ")
    terminal.type("\n")
    terminal.until("Password: ")
    terminal.type("\n")
    code, rest = terminal.end()
    assert code == 2
    assert "username and password are needed" in rest


@pytest.mark.parametrize("asking", ["Username: ", "Password: ", "[y/N] "])
def test_interrupted_at_a_question(sandbox: Sandbox, asking: str) -> None:
    given = {"SOAPMAIL_ENDPOINT": sandbox.endpoint}
    if asking != "Username: ":
        given["SOAPMAIL_USERNAME"] = USERNAME
    if asking == "[y/N] ":
        given["SOAPMAIL_PASSWORD"] = PASSWORD
    terminal = Terminal(
        "cancel", "8556", environment=given, inherited=environment_without_coverage()
    )
    terminal.until(asking)
    code, rest = terminal.interrupt()
    assert code == 130
    assert "Traceback" not in rest
    assert sandbox.services[0].mail_status == "expired"


def test_output_that_is_no_text_file_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["--version"]) == 0
    assert out.getvalue().startswith(f"soapmail {soapmail.__version__}\n")


def test_interrupted_while_the_server_is_silent() -> None:
    arrived = threading.Event()

    def note(request: Request) -> None:
        arrived.set()
        stay_silent(request)

    with Faulty(respond_after_login(note)) as server:
        terminal = Terminal(
            "services", "--endpoint", server.endpoint,
            environment={"SOAPMAIL_USERNAME": USERNAME, "SOAPMAIL_PASSWORD": PASSWORD},
            inherited=environment_without_coverage(),
        )  # fmt: skip
        assert arrived.wait(20)
        code, rest = terminal.interrupt()
    assert code == 130
    assert "Traceback" not in rest


@pytest.mark.parametrize("columns", [80, 100, 101, 300])
def test_a_terminals_width_shortens_the_description_and_never_a_number(columns: int) -> None:
    terminal = Terminal("--sandbox", "invoices", columns=columns, environment={"NO_COLOR": "1"})
    code, out = terminal.end()
    head, *rows, mark, format_totals = out.splitlines()
    assert (code, mark) == (0, "! overdue")
    assert format_totals == "USD: 12 invoices, 12 open, 12.00 open"
    full = 61 + len("(Repeat Invoice: 19156909) MailBaby Mail")
    at = head.index("descri")
    for row, sample in zip(rows, SAMPLES[LIST], strict=True):
        assert row[:at].split()[:2] == ["!", str(sample["invoices_id"])]
        assert str(sample["invoices_service"]) in row
        whole = row[at:] == sample["invoices_description"]
        assert whole == (columns >= full)
        assert len(row) <= columns
        assert str(sample["invoices_due_date"])[:10] in row
        if not whole:
            assert row.endswith("…")


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        (68, "description"), (59, "description"), (58, "paid, description"), (53, "paid, description"),
        (52, "paid, service, description"), (44, "paid, service, description"),
        (43, "date, paid, service, description"), (32, "date, paid, service, description"),
        (31, "date, due date, paid, service, description"),
        (19, "date, due date, amount, paid, service, description"),
        (4, "date, due date, amount, paid, service, description"),
    ],
)  # fmt: skip
def test_what_a_terminal_has_no_room_for_is_left_out_by_name(columns: int, left_out: str) -> None:
    terminal = Terminal("--sandbox", "invoices", columns=columns, environment={"NO_COLOR": "1"})
    code, out = terminal.end()
    assert code == 0
    assert f"soapmail: no room for the columns: {left_out}\n" in out
    row = out.splitlines()[1]
    assert row.startswith("!  7514880")
    assert ("2021-03-10" in row) == ("due date" not in left_out)
    assert ("1.00 USD" in row) == ("amount" not in left_out)
    assert "…" not in out


def test_piped_output_is_never_shortened() -> None:
    done = start_process(
        "--sandbox", "invoices", stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": "40"}
    )
    out, _ = done.communicate()
    assert "MailBaby Mail" in out.decode()


def shell(
    sandbox: Sandbox, line: str, account: Mapping[str, str] = ACCOUNT, before: str = ""
) -> tuple[int, str]:
    command = f"{shlex.quote(sys.executable)} -m soapmail {line}"
    if before:  # in what the output was already given to
        line, _, redirect = line.partition(" > ")
        command = f"{{ {before}{shlex.quote(sys.executable)} -m soapmail {line}; }} > {redirect}"
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, **account, "SOAPMAIL_ENDPOINT": sandbox.endpoint},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


SEND = "send --to a@b --from c@d --subject s --yes"


UNSHOWN = "soapmail: it was done, and only the output failed ({})\n"


@pytest.mark.parametrize(
    ("redirect", "code", "err"),
    [
        (">&-", 6, UNSHOWN.format("stdout is closed")),
        ("<&- >/dev/null", 0, ""),
        (">/dev/full", 6, UNSHOWN.format("No space left on device")),
        (">/dev/full 2>/dev/full", 6, ""),
        (">&- 2>&-", 6, ""),
        ("2>/dev/full", 0, ""),
        ("2>&-", 0, ""),
        ("> >(exec true)", 6, UNSHOWN.format("Broken pipe")),
    ],
)
def test_what_happened_is_told_though_the_output_fails(
    sandbox: Sandbox, redirect: str, code: int, err: str
) -> None:
    wait = "sleep 0.5; " if "exec" in redirect else ""  # until nobody reads
    result = shell(sandbox, f"{SEND} {redirect}", before=wait)
    assert len(sandbox.sent) == 1
    assert result == (code, err)


@pytest.mark.parametrize(
    ("command", "code"),
    [("pay 1 --yes", 1), ("service 5", 1), ("cancel x", 2), ("pay 7514880", 2), ("invoices", 0)],
)
@pytest.mark.parametrize("redirect", ["", "2>/dev/full", "2>&-", "> >(exec cat >/dev/null) 2>&1"])
def test_exit_codes_do_not_depend_on_stderr(
    sandbox: Sandbox, command: str, code: int, redirect: str
) -> None:
    assert shell(sandbox, f"{command} {redirect} </dev/null")[0] == code


def test_reading_with_a_full_disk_is_told_and_is_no_wrong_usage(sandbox: Sandbox) -> None:
    for command in ("invoices", "modules", "services --format json", "call get_modules"):
        code, err = shell(sandbox, f"{command} </dev/null >/dev/full")
        assert code == 1
        assert "cannot read or write: No space left on device" in err
        assert err.count("\n") == 1
        assert shell(sandbox, f"{command} </dev/null >&-") == (0, "")
    code, err = shell(sandbox, "invoices <&-", {})
    assert (code, err.count("\n")) == (2, 1)


ORDERS = {
    "pay": ("pay", "5", "--yes"),
    "cancel": ("cancel", "5", "--yes"),
    "buy": ("buy", "--yes"),
    "send": ("send", "--to", "a@b", "--from", "c@d", "--subject", "s", "--yes"),
    "prepay": ("prepay", "add", "5", "--yes"),
    "call": ("call", "api_x", "--yes"),
}


WAITING = "waiting for the response for 5 seconds at most; a second signal ends that"


def run_and_signal(
    numbers: Sequence[int], *arguments: str, logs_in: bool, gap: float = 0.0
) -> tuple[int, str]:
    """Send signals as soon as the server has what it is to stay silent about."""
    arrived = threading.Event()

    def handler(request: Request) -> None:
        if request.operation == "api_login" and logs_in:
            respond_to_login(request)
            return
        arrived.set()
        request.closing.wait(20)

    with Faulty(handler) as server:
        environment = {
            **environment_without_coverage(),
            **ACCOUNT,
            "SOAPMAIL_ENDPOINT": server.endpoint,
        }
        with start_process(
            *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment,
        ) as command:  # fmt: skip
            assert arrived.wait(20)
            time.sleep(0.05)
            for n, number in enumerate(numbers):
                time.sleep(gap if n else 0)
                command.send_signal(number)
            _, err = command.communicate(timeout=20)
        return command.returncode, err.decode()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("what", ORDERS)
def test_a_signal_in_the_middle_of_a_change_says_that_it_may_have_happened(
    what: str, name: str
) -> None:
    code, err = run_and_signal([getattr(signal, name)] * 2, *ORDERS[what], logs_in=True, gap=0.05)
    assert code == 5
    done = "been sent" if what == "send" else "happened"
    assert f"it may or may not have {done}; check before repeating: Interrupted: {name}" in err
    assert err.splitlines()[0] == f"soapmail: {name}: {WAITING}"
    assert err.count("\n") == 2 + (what == "pay")  # with what settles it


def test_after_one_signal_the_response_is_waited_for_and_told(sandbox: Sandbox) -> None:
    """The command ends by the signal only then; without a response, after some seconds."""
    stopped = threading.Event()

    def pay(request: Request) -> None:
        command.send_signal(signal.SIGTERM)
        assert stopped.wait(20)
        request.respond(make_status_response("api_make_payment", "ok", "Paid"))

    with Faulty(respond_after_login(pay)) as server:
        environment = {
            **environment_without_coverage(),
            **ACCOUNT,
            "SOAPMAIL_ENDPOINT": server.endpoint,
        }
        command = start_process(
            *ORDERS["pay"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        with command:
            assert command.stdout is not None
            assert command.stderr is not None
            assert command.stderr.readline().decode() == f"soapmail: SIGTERM: {WAITING}\n"
            stopped.set()
            assert command.stdout.read() == b"Paid\n"
        assert command.returncode == -signal.SIGTERM
    code, err = run_and_signal([signal.SIGHUP], *ORDERS["buy"], logs_in=True)
    assert code == 5
    assert err.endswith(
        "it may or may not have happened; check before repeating: Interrupted: SIGHUP\n"
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("arguments", [("invoices",), ORDERS["pay"]])
def test_a_signal_before_or_without_a_change_ends_as_it_always_did(
    name: str, arguments: tuple[str, ...]
) -> None:
    """The login is silent, so nothing of the operation itself was sent."""
    number = getattr(signal, name)
    result = run_and_signal([number], *arguments, logs_in=False)
    assert result == (130 if name == "SIGINT" else -number, "")


@pytest.mark.parametrize("gap", [0.0, 0.003, 0.02])
def test_a_second_signal_does_not_come_between_the_first_and_its_words(gap: float) -> None:
    both = [signal.SIGTERM, signal.SIGHUP]
    code, err = run_and_signal(both, *ORDERS["pay"], logs_in=True, gap=gap)
    assert code == 5
    assert "it may or may not have happened" in err


def test_an_ignored_signal_stays_ignored() -> None:
    def handler(request: Request) -> None:
        if request.operation == "api_login":
            respond_to_login(request)
            return
        os.kill(command.pid, signal.SIGHUP)
        request.closing.wait(0.3)
        request.respond(make_status_response("api_make_payment", "ok", "Paid"))

    with Faulty(handler) as server:
        environment = {
            **environment_without_coverage(),
            **ACCOUNT,
            "SOAPMAIL_ENDPOINT": server.endpoint,
        }
        run = [sys.executable, "-m", "soapmail", *ORDERS["pay"]]
        command = subprocess.Popen(
            ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *run],
            stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        out, _ = command.communicate(timeout=20)
    assert (command.returncode, out) == (0, b"Paid\n")


def test_a_signal_while_the_result_is_printed_does_not_hide_it(sandbox: Sandbox) -> None:
    """Nobody reads the pipe, so that the command waits in the middle of printing."""
    long = "x" * 200_000
    response = make_status_response("api_make_payment", "ok", long)
    done = threading.Event()

    def handler(request: Request) -> None:
        respond_after_login(lambda request: request.respond(response))(request)
        if request.operation != "api_login":
            done.set()

    with Faulty(handler) as server:
        environment = {
            **environment_without_coverage(),
            **ACCOUNT,
            "SOAPMAIL_ENDPOINT": server.endpoint,
        }
        with start_process(
            *ORDERS["pay"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as command:
            assert done.wait(20)
            assert command.stdout is not None
            # Not by its buffer, which holds twice the pipe in Python 3.15.
            os.read(command.stdout.fileno(), 1)
            command.send_signal(signal.SIGTERM)
            assert command.stderr is not None
            is_told, _, _ = select.select([command.stderr], [], [], 20)
            if not is_told:
                command.kill()
            err = command.stderr.read().decode()
            command.stdout.close()
        assert (command.returncode, err) == (6, UNSHOWN.format("SIGTERM"))


def test_memory_that_runs_out_after_a_payment_is_an_unknown_outcome(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.extract.parse_status", lambda *args, **more: (_ for _ in ()).throw(MemoryError()))  # fmt: skip
    code, out, err = run("pay", "7514880", "--yes")
    assert (code, out) == (5, "")
    assert "it may or may not have happened; check before repeating: MemoryError" in err


def test_no_control_character_reaches_a_terminal(run: Callable[..., Result]) -> None:
    text = "a\x7f\x9b31m\u202eb\u200b"
    with Faulty(lambda r: r.respond(make_text_response(r.operation, text))) as server:
        code, out, _ = run("--endpoint", server.endpoint, "call", "get_x")
        assert (code, json.loads(out)) == (0, text)
        assert out.strip().isprintable()
    with Faulty(lambda r: r.raw(b"HTTP/1.1 200 \x1b[2J\r\n\x1b[31m\x9b: x\r\nbad\x1b[2J\r\n\r\n")) as server:  # fmt: skip
        code, out, err = run("--endpoint", server.endpoint, "call", "get_x", "--timeout", "1")
        assert (code, out) == (4, "")
        assert all(line.isprintable() for line in err.splitlines())


def test_a_message_of_the_log_moves_no_cursor(run: Callable[..., Result], sandbox: Sandbox) -> None:
    """What a server writes may be part of a warning."""
    respond = sandbox.respond

    def warn(request: bytes) -> tuple[int, bytes] | None:
        logging.getLogger("soapmail").warning("odd \x1b[2J text\r")
        return respond(request)

    sandbox.respond = warn  # type: ignore[method-assign]
    err = run("modules").err
    assert "odd  [2J text" in err
    assert "\x1b" not in err
    assert "\r" not in err


def test_a_password_among_the_arguments_is_neither_taken_nor_shown(
    run: Callable[..., Result],
) -> None:
    for arguments in (["--password", "hunter2"], ["--password=hunter2"]):
        assert run("invoices", *arguments) == (
            2, "", "soapmail: unrecognized arguments: --password (see soapmail invoices --help)\n",
        )  # fmt: skip
    assert "hunter2" not in run("invoices", "hunter2").err
    for line in (
        "--password hunter2 services", "--password hunter2 check", "--password=hunter2 check", "--username me hunter2 check",
        "--username me hunter2", "pay --password hunter2 5", "invoice --password hunter2 5", "prepay --password hunter2 list",
        "check --password hunter2", "--password hunter2 prepay list", "services --password-stdin=hunter2",
        "services --password -hunter2", "--password -hunter2 services", "services -phunter2",
        "services '--password=x -hunter2'", "invoice '--password=hunter2 two'", "'--password hunter2' services",
        "call api_login username=a password:str=hunter2", "call api_login hunter2", "call api_login password:int=hunter2",
    ):  # fmt: skip
        code, out, err = run(*shlex.split(line))
        assert code == (3 if "check" in line else 2), line
        assert "hunter2" not in out + err, line
    said = "soapmail: unrecognized arguments: --password (see soapmail services --help)\n"
    assert run("--password", "hunter2", "services").err == said


def test_a_password_and_a_body_are_not_both_read_from_stdin(run: Callable[..., Result]) -> None:
    code, _, err = run("--password-stdin", *SEND.split(), stdin="x")
    assert (code, err) == (
        2, "soapmail: send does not use --password-stdin (see soapmail send --help)\n",
    )  # fmt: skip


def test_options_of_a_group_stand_in_all_places(run: Callable[..., Result]) -> None:
    for line in ("prepay --sandbox list", "prepay list --sandbox", "--sandbox prepay list"):
        assert run(*line.split()).code == 0
    assert "soapmail --sandbox prepay list" in run("prepay", "--help").out


def test_nothing_of_the_server_moves_the_cursor(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.invoices = [replace(sandbox.invoices[0], invoices_currency="U\nS\x9b31m")]
    out = run("invoices").out
    assert out.count("\n") == 3
    assert "\x9b" not in out
    terminal = Terminal(
        "send", "--to", "a\x1b[31m", "--from", "c", "--subject", "s",
        environment={**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint},
    )  # fmt: skip
    terminal.until("Ctrl-D")
    terminal.type("body\n\x04")
    assert "\x1b" not in terminal.until("[y/N] ")
    terminal.type("n\n")
    assert terminal.end()[0] == 1


def test_a_stream_that_cannot_be_written_is_let_go(tmp_path: Path) -> None:
    """Else Python would complain at exit, and change the exit code."""
    path = tmp_path / "out"
    with path.open("w") as file:

        class Full:
            def flush(self) -> None:
                raise OSError(28, "No space left on device")

            def fileno(self) -> int:
                return file.fileno()

        _flush(Full())
        file.write("x")
    assert path.read_text() == ""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_command_as_it_would_have(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(os, "kill", lambda *args: done.append(args))
    monkeypatch.setattr(signal, "signal", lambda *args: done.append(args))
    number = getattr(signal, name)
    assert changing.exit_by_signal(number) == 128 + number
    own = [(number, signal.SIG_DFL), (os.getpid(), number)]
    assert done == ([] if name == "SIGINT" else own)


def test_a_signal_between_the_response_and_the_command_comes_after_its_word(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client has returned, and nothing of its result was seen yet."""
    set_default_handlers()
    with TrackingClient(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:

        def pay_and_signal() -> None:
            client.make_payment(7514880)
            signal.raise_signal(signal.SIGTERM)

        with pytest.raises(codes.Interrupted, match="^SIGTERM$"):
            run_change(client, pay_and_signal, lambda result: "paid")
        assert capsys.readouterr().out == "paid\n"
        client.signals.finish(ends_process=True)
        # A second one would end the command in another way, before it has ended.
        assert {signal.getsignal(number) for number in changing.STOPPING_SIGNALS} == {
            signal.SIG_IGN
        }


def test_an_interrupt_that_leaves_a_change_is_an_unknown_outcome(sandbox: Sandbox) -> None:
    """As a second signal may, between the response and who takes it."""
    with TrackingClient(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:

        def pay_and_raise() -> None:
            client.make_payment(7514880)
            raise codes.Interrupted("SIGTERM", signal.SIGTERM)

        with pytest.raises(soapmail.OutcomeUnknown, match="may or may not .*SIGTERM"):
            run_change(client, pay_and_raise, str)


def set_default_handlers() -> None:
    """Let all signals be taken over, also where the tests run in the background of a shell."""
    for number in changing.STOPPING_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def test_one_error_is_made_of_many_signals() -> None:
    set_default_handlers()
    signals = changing.StoppingSignals()
    signals.watch()
    with pytest.raises(codes.Interrupted, match="^SIGTERM$"):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGHUP)  # nothing may come between the first and its words
    signals.finish(ends_process=False)
    signals = changing.StoppingSignals()
    signals.watch()
    signals.begin(None)
    signal.raise_signal(signal.SIGHUP)
    signals.is_telling = True  # printing may take for ever
    with pytest.raises(codes.Interrupted, match="^SIGHUP$"):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(codes.Interrupted, match="^SIGHUP$"):
        signals.release()
    signals.finish(ends_process=False)


def test_in_another_thread_signals_are_left_alone(sandbox: Sandbox) -> None:
    with TrackingClient(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:
        done: list[object] = []
        thread = threading.Thread(
            target=lambda: done.append(
                run_change(client, lambda: client.make_payment(7514880), lambda paid: "").status
            )
        )
        thread.start()
        thread.join()
    assert done == ["ok"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_change_that_was_stopped_before_it_left_ends_the_command(
    run: Callable[..., Result], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(signal, name)

    def stop(*args: object) -> int:
        raise codes.Interrupted(name, number)

    monkeypatch.setattr("soapmail.cli.commands.pay.pay", stop)
    monkeypatch.setattr(os, "kill", lambda *args: None)
    monkeypatch.setattr(signal, "signal", lambda *args: None)
    assert run("pay", "5", "--yes") == (128 + number, "", "")


@pytest.mark.parametrize("is_called", [False, True])
def test_a_signal_before_anything_was_sent_passes(sandbox: Sandbox, is_called: bool) -> None:
    with TrackingClient(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:
        if is_called:  # what changes nothing is not asked about
            client.get_modules()
        with pytest.raises(codes.Interrupted):
            run_change(client, lambda: signal.raise_signal(signal.SIGTERM), str)


def test_what_cannot_be_shown_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with TrackingClient(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:

        def fail(done: object) -> str:
            raise ValueError("not to be written")

        with pytest.raises(
            codes.OutputFailed, match=r"only the output failed \(not to be written\)"
        ):
            run_change(client, lambda: client.make_payment(7514880), fail)
        monkeypatch.setattr(sys, "__stdout__", None)
        with pytest.raises(codes.OutputFailed, match="stdout is closed"):
            run_change(client, lambda: client.make_payment(7529153), str)
    assert codes.exit_code_of(codes.OutputFailed("x")) == 6


def test_a_signal_that_is_ignored_or_handled_elsewhere_is_left_alone(sandbox: Sandbox) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with TrackingClient(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:
        handlers: list[object] = []

        def note_handler(status: object) -> str:
            handlers.append(signal.getsignal(signal.SIGHUP))
            return ""

        run_change(client, lambda: client.make_payment(7514880), note_handler)
    assert handlers == [signal.SIG_IGN]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


# --- small things ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["invoice s"], "no command 'invoice s'; did you mean 'invoices'? (see soapmail --help)"),
        (["invoice s", "5"], "no command 'invoice s'; did you mean 'invoices'? (see soapmail --help)"),
        (["prepay", "lst"], "no command 'lst'; did you mean 'list'? (see soapmail prepay --help)"),
        (["--sandbox", "sumary"], "no such command; did you mean 'summary'? (see soapmail --help)"),
        (["prepay", "x"], "no command 'x'; there are: list, remaining, add, fill-url (see soapmail prepay --help)"),
    ],
)  # fmt: skip
def test_a_mistyped_command_is_told_what_was_meant(
    run: Callable[..., Result], words: list[str], problem: str
) -> None:
    assert run(*words) == (2, "", f"soapmail: {problem}\n")


def test_what_the_sandbox_does_not_imitate_is_told(run: Callable[..., Result]) -> None:
    result = run("--sandbox", "call", "api_get_dns_domain", "id:int=5")
    assert result == (2, "", "soapmail: the sandbox does not imitate api_get_dns_domain\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Callable[..., Result], shell: str) -> None:
    code, out, err = run("completion", shell)
    assert (code, err) == (0, "")
    assert "prepay" in out
    assert "due-within" in out
    assert "documented varied" in out


def test_completion_without_its_package_says_what_to_install(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = run("completion", "bash")
    assert (code, out) == (2, "")
    assert err.startswith("soapmail: completion needs shtab; install it with: pip install shtab")


def ask(sandbox: Sandbox, *arguments: str) -> tuple[str, Terminal]:
    terminal = Terminal(*arguments, environment={**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint})
    return terminal.until("? [y/N] ").replace("\r\n", "\n"), terminal


@pytest.mark.parametrize("terminals", [(), ("stdin",), ("stderr",), ("stdin", "stderr")])
def test_who_can_be_asked_reads_and_writes_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminals: tuple[str, ...]
) -> None:
    for name in ("stdin", "stderr"):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda name=name: name in terminals)
        monkeypatch.setattr(sys, name, stream)
    assert has_terminal() == (len(terminals) == 2)


def test_with_yes_nothing_is_looked_up_to_ask_about(
    run: Callable[..., Result], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.cli.commands.change.has_terminal", lambda: True)
    asked = note_operations(sandbox)
    assert run("cancel", "8556", "--yes").code == 0
    assert asked == ["api_login", "api_mail_cancel_service"]


def test_pay_asks_with_what_it_knows(sandbox: Sandbox) -> None:
    question, terminal = ask(sandbox, "pay", "7514880")
    assert question == (
        "pay invoice 7514880 (1.00 USD, due 2021-03-10, (Repeat Invoice: 19156909) MailBaby Mail)"
        " from the account's funds"
    )
    terminal.type("y\n")
    assert terminal.end()[0] == 0
    assert sandbox.invoices[0].is_paid


@pytest.mark.parametrize(("command", "what"), [("pay", "invoice"), ("cancel", "mail service")])
def test_what_is_not_there_is_not_asked_about(sandbox: Sandbox, command: str, what: str) -> None:
    terminal = Terminal(
        command, "5", environment={**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint}
    )
    assert terminal.end() == (1, f"soapmail: there is no {what} 5\n")


# --- the password's file -----------------------------------------------------------------------------


def test_the_password_may_stand_in_a_file(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox: Sandbox
) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{PASSWORD}\r\nmore\n")
    path.chmod(0o600)
    monkeypatch.delenv("SOAPMAIL_PASSWORD")
    monkeypatch.setenv("SOAPMAIL_PASSWORD_FILE", str(path))
    assert run("services").err == ""
    with soapmail.Client.from_env() as client:
        assert len(client.get_services()) == 12
    path.chmod(0o711)
    assert run("services").err == ""
    path.chmod(0o660)
    assert run("services").err == ""
    for mode in (0o604, 0o602, 0o646):
        path.chmod(mode)
        code, _, err = run("services")
        problem = (
            f"{path} has the mode {mode:04o}: others may read or write it; chmod 600 ends that"
        )
        assert (code, err) == (0, f"soapmail: SOAPMAIL_PASSWORD_FILE: {problem}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert run("services").err == ""
    monkeypatch.setenv("SOAPMAIL_PASSWORD", "wrong")
    assert run("services").code == 3


@pytest.mark.parametrize(
    ("data", "code", "problem"),
    [
        (b"", 2, "SOAPMAIL_PASSWORD_FILE: {}: the first line is empty"),
        (b"\nsecret", 2, "SOAPMAIL_PASSWORD_FILE: {}: the first line is empty"),
        (b"\xef\xbb\xbf\r\n", 2, "SOAPMAIL_PASSWORD_FILE: {}: the first line is empty"),
        (b"x" * 65_537, 2, "SOAPMAIL_PASSWORD_FILE: {}: the first line is longer than 65536 bytes"),
        (b"caf\xe9", 2, "SOAPMAIL_PASSWORD_FILE: {}: the first line is not UTF-8"),
        (None, 1, "{}: No such file or directory"),
    ],
)
def test_a_password_file_of_no_use(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    data: bytes | None, code: int, problem: str,
) -> None:  # fmt: skip
    path = tmp_path / "secret"
    if data is not None:
        path.write_bytes(data)
        path.chmod(0o600)
    monkeypatch.delenv("SOAPMAIL_PASSWORD")
    monkeypatch.setenv("SOAPMAIL_PASSWORD_FILE", str(path))
    assert run("services") == (code, "", f"soapmail: {problem.format(path)}\n")
    with pytest.raises((ValueError, OSError)) as caught:
        soapmail.Client.from_env()
    assert "caf" not in str(caught.value)
