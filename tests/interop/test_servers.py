"""Servers that others wrote understand the templates, and their responses are understood."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import (
    AuthenticationError,
    Client,
    MailService,
    OperationFailed,
    Order,
    OutcomeUnknown,
    ResponseError,
    SoapFault,
    Status,
)
from soapmail.sandbox import PASSWORD, SESSION_ID, USERNAME
from soapmail.session import IssuedSession

from ..support import METHODS
from .peers import needs_perl, needs_php, perl_server, php_server
from .rows import LISTS, RECORDS, SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    path.write_text(json.dumps(LISTS))
    return path


@pytest.fixture(scope="module")
def php(rows: Path) -> Iterator[str]:
    with php_server(rows) as address:
        yield address


@pytest.fixture(params=["wsdl", "plain"])
def client(php: str, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(USERNAME, PASSWORD, endpoint=f"{php}/{request.param}") as one:
        yield one


@pytest.fixture(scope="module")
def perl(rows: Path) -> Iterator[Client]:
    with perl_server(rows) as address, Client(USERNAME, PASSWORD, endpoint=address) as one:
        yield one


# The server of PHP makes of each parameter what shows whether it arrived.
BODY = "& < > \" ' ]]> ${x} é \t \n \r\n"
RESULTS: dict[str, tuple[dict[str, Any], Any]] = {
    "login": ({}, SESSION_ID),
    **{method: ({}, records) for method, records in RECORDS.items()},
    "get_service": ({"id": 2**53 + 1}, MailService(**SERVICES[1])),
    "cancel_service": ({"id": 8556}, True),
    "send_mail": (
        {"subject": "é", "body": BODY, "to": "a@b", "from_": "c@d"},
        Status("ok", f"é|{BODY}|a@b|c@d"),
    ),
    "buy_mail": ({"coupon": "<5%>"}, Order("ok", "<5%>", "19156909,19156910", 12.5)),
    "auto_zonemta_login": ({"id": 7}, Status("ok", "https://mail.example.com/login?id=7&a=1")),
    "get_modules": ({}, ["domains", "mail"]),
    "make_payment": ({"invoice": 7514880}, Status("ok", "paid")),
    "get_paypal_url": ({"invoice": 5}, "https://www.paypal.com/?a=mail&b=5"),
    "get_prepay_remaining": ({"module": "é"}, Status("ok", "é 10.00")),
    "get_prepay_paypal_fill_url": (
        {"prepay_id": 6, "amount": 2.5},
        "https://www.paypal.com/?a=mail&b=6&c=2.5",
    ),
    "add_prepay": ({"amount": 2.5, "automatic_use": False}, 5),
}
LIST_METHODS = ("get_client_invoices", "get_services", "get_prepay_list")


def test_every_operation_of_the_server_is_tried() -> None:
    program = (Path(__file__).parent / "server.php").read_text()
    known = set(re.findall(r"public function (\w+)", program)) - {"__construct", "api_get_twice"}
    assert {METHODS[method][0] for method in RESULTS} == known
    assert len(known) >= 16


@needs_php
@pytest.mark.parametrize("method", RESULTS)
def test_php_understands_and_is_understood(client: Client, method: str) -> None:
    arguments, expected = RESULTS[method]
    result = getattr(client, method)(**arguments)
    assert result == expected


@needs_php
def test_the_values_that_say_no(client: Client) -> None:
    assert client.cancel_service(1) is False
    assert client.get_service(1) is None
    with pytest.raises(OperationFailed) as caught:
        client.make_payment(1)
    assert (caught.value.status, caught.value.status_text) == (
        "error",
        "Invalid Invoice Number Passed",
    )


@needs_php
def test_rows_by_type(client: Client) -> None:
    for method in LIST_METHODS:
        expected = [asdict(record) for record in RECORDS[method]]
        assert client.call(METHODS[method][0]) == expected


@needs_php
def test_references_as_php_writes_them_are_refused(php: str) -> None:
    """PHP writes an object that stands twice as a reference to the first; NuSOAP never does."""
    with Client(USERNAME, PASSWORD, endpoint=f"{php}/plain") as client:
        with pytest.raises(ResponseError, match="multi-reference values are not supported"):
            client.call("api_get_twice")


@needs_php
def test_a_fault_as_php_throws_it(client: Client) -> None:
    with pytest.raises(SoapFault) as caught:
        client.send_mail("fault", "<é> & more", "the actor", "the detail")
    fault = caught.value
    assert (fault.code, fault.text, fault.actor) == ("Server.Mail", "<é> & more", "the actor")
    assert "the detail" in fault.detail


@needs_php
def test_a_program_that_ends_in_the_middle(client: Client) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        client.cancel_service(500)
    assert caught.value.status == 500


@needs_php
def test_an_unknown_operation(client: Client) -> None:
    for operation in ("get_nope", "api_nope"):
        with pytest.raises(SoapFault, match=operation):
            client.call(operation)


@needs_php
def test_a_wrong_password_and_a_refused_session(php: str) -> None:
    endpoint = f"{php}/wsdl"
    with Client(USERNAME, "wrong", endpoint=endpoint) as one, pytest.raises(AuthenticationError):
        one.login()
    with Client(USERNAME, PASSWORD, endpoint=endpoint, session_id="old") as one:
        assert one.get_client_unpaid_invoices() == RECORDS["get_client_unpaid_invoices"]


@needs_perl
@pytest.mark.parametrize("method", ["get_modules", "login", *RECORDS])
def test_soap_lite_understands_and_is_understood(perl: Client, method: str) -> None:
    assert getattr(perl, method)() == RESULTS[method][1]


@needs_perl
def test_soap_lite_by_type(perl: Client) -> None:
    for method, records in RECORDS.items():
        assert perl.call(METHODS[method][0]) == [asdict(record) for record in records]


@needs_perl
def test_a_fault_of_soap_lite(perl: Client) -> None:
    with pytest.raises(SoapFault, match="nope"):
        perl.call("api_nope")
    next(iter(perl._states.values())).sessions.current = IssuedSession("old")
    assert perl.get_client_unpaid_invoices() == RECORDS["get_client_unpaid_invoices"]
