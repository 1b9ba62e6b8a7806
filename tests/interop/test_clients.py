"""Clients that others wrote get from the sandbox what soapmail gets."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from soapmail import Client
from soapmail.sandbox import Sandbox

from ..support import FIELDS, LIST, SAMPLES, sample_invoices
from .peers import HERE, PERL, PHP, needs_perl, needs_php


def needs(package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed (pip install {package})")


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
    found = sample_invoices(rows)
    assert found == sample_invoices(SAMPLES[LIST])
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
        assert found == client.get_client_invoices()


@pytest.mark.parametrize("command", CLIENTS)
def test_the_sample_of_the_seed_stops_on_a_blank_session(
    sandbox: Sandbox, command: list[str]
) -> None:
    assert run(command, sandbox.endpoint, "wrong") == "Got A Blank Session"
