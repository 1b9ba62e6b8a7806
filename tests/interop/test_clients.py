"""Clients that others wrote get from the sandbox what soapmail gets."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from soapmail import Client, ResponseError
from soapmail.sandbox import Sandbox

from ..faulty import Faulty, respond_after_login
from ..support import (
    FIELDS,
    LIST,
    SAMPLES,
    make_invoices_response,
    make_many_rows,
    make_sample_invoices,
)
from .peers import HERE, PERL, PHP, needs, needs_perl, needs_php

CLIENTS = [
    pytest.param([PHP, "sample.php"], marks=needs_php, id="PHP SoapClient"),
    pytest.param([PERL, "sample.pl"], marks=needs_perl, id="SOAP::Lite"),
    pytest.param([sys.executable, "with_zeep.py"], marks=needs("zeep"), id="zeep"),
    pytest.param([sys.executable, "with_suds.py"], marks=needs("suds"), id="suds"),
]


def run(command: list[str], endpoint: str, password: str) -> str:
    program, name = command
    arguments = [program, str(HERE / "clients" / name), endpoint, Sandbox.username, password]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("command", CLIENTS)
def test_the_sample_of_the_seed_gives_the_same_invoices(
    sandbox: Sandbox, command: list[str]
) -> None:
    rows = json.loads(run(command, sandbox.endpoint, sandbox.password))
    assert len(rows) == 12
    assert all(set(row) == set(FIELDS) for row in rows)
    records = make_sample_invoices(rows)
    assert records == make_sample_invoices(SAMPLES[LIST])
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
        assert records == client.get_client_invoices()


@pytest.mark.parametrize("command", CLIENTS)
def test_the_sample_of_the_seed_stops_on_a_blank_session(
    sandbox: Sandbox, command: list[str]
) -> None:
    assert run(command, sandbox.endpoint, "wrong") == "Got A Blank Session"


@pytest.mark.parametrize("command", CLIENTS)
def test_what_the_readme_says_of_text_in_other_clients(command: list[str]) -> None:
    row = {**SAMPLES[LIST][0], "invoices_description": "café"}
    response = make_invoices_response([row])  # declared as ISO-8859-1, written in UTF-8
    with Faulty(respond_after_login(lambda request: request.respond(response))) as server:
        (data,) = json.loads(run(command, server.endpoint, "any"))
        assert data["invoices_description"] == "cafÃ©"
        with Client("user", "any", endpoint=server.endpoint) as client:
            assert client.get_client_invoices()[0].invoices_description == "café"


# SOAP::Lite, which the README leaves out, fills the missing ones up with nothing.
@pytest.mark.parametrize("command", [one for one in CLIENTS if one.id != "SOAP::Lite"])
def test_what_the_readme_says_of_missing_rows_in_other_clients(command: list[str]) -> None:
    response = make_many_rows(7).replace(b"sql_row_invoices[7]", b"sql_row_invoices[12]")
    with Faulty(respond_after_login(lambda request: request.respond(response))) as server:
        assert len(json.loads(run(command, server.endpoint, "any"))) == 7
        client = Client("user", "any", endpoint=server.endpoint)
        with pytest.raises(ResponseError, match="12 rows declared and 7 sent"):
            client.get_client_invoices()
        client.close()
