"""The programs of the provider's document, and others by the sandbox's WSDL, list its invoices."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import urlopen
from xml.etree import ElementTree

import pytest

from soapmail.sandbox import Sandbox, list_operations

from ..support import DATA, LIST, SAMPLES
from .peers import HERE, NODE, PERL, PHP, needs, needs_node, needs_perl, needs_php

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = (DATA / "mail_get_client_invoices.txt").read_text()
PROGRAMS = dict(re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
HOST = "https://my.interserver.net/api.php"
IDS = [row["invoices_id"] for row in SAMPLES[LIST]]
# The document's program prints what Perl shows of a reference: no ids.
PERL_IDS = "print map { qq('invoices_id' => $_->{invoices_id},\\n) } @{$res->result};\n"
# Nor is its Python one that any version runs: there is no colon, no die, and no session id is sent.
PYTHON_MENDED = (
    ("from suds", "import sys\nfrom sys import argv\nfrom suds"),
    ("if (sid == '')\n\tdie(", "if not sid:\n\tsys.exit("),
    ('print "Got Session ID "+sid+"\\n"', 'print("Got Session ID", sid)'),
    ("api_mail_get_client_invoices()", "api_mail_get_client_invoices(sid)"),
    ("print result", "print(result)"),
)


class Sample(NamedTuple):
    """How a program of the document is run, and how it prints the id of an invoice."""

    command: str
    ending: str
    id: str = r"'invoices_id' => (\d+),"

    def write(self, folder: Path, endpoint: str) -> list[str]:
        text = PROGRAMS[{"pl": "perl", "py": "python"}.get(self.ending, self.ending)]
        assert text.count(HOST) == 1
        for old, new in PYTHON_MENDED if self.ending == "py" else ():
            assert text.count(old) == 1
            text = text.replace(old, new)
        path = folder / f"sample.{self.ending}"
        path.write_text(text.replace(HOST, endpoint) + (PERL_IDS if self.ending == "pl" else ""))
        return [self.command, str(path)]


class Program(NamedTuple):
    """A program of these tests; it prints JSON."""

    command: str
    name: str
    id: str = r"(\d+)[,\]]"

    def write(self, folder: Path, endpoint: str) -> list[str]:
        return [self.command, str(HERE / "clients" / self.name), endpoint]


CLIENTS = [
    pytest.param(Sample(PHP, "php"), marks=needs_php, id="PHP SoapClient"),
    pytest.param(Sample(PERL, "pl"), marks=needs_perl, id="SOAP::Lite"),
    pytest.param(Sample(sys.executable, "py", r"invoices_id = (\d+)\n"), marks=needs("suds"), id="suds"),
    pytest.param(Program(sys.executable, "by_wsdl_zeep.py"), marks=needs("zeep"), id="zeep"),
    pytest.param(Program(NODE, "by_wsdl_node.js"), marks=needs_node, id="node-soap"),
]  # fmt: skip


def run(client: Sample | Program, folder: Path, sandbox: Sandbox, password: str) -> str:
    command = [*client.write(folder, sandbox.endpoint), sandbox.username, password]
    # suds keeps what it has read of a WSDL in the folder for temporary files.
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return f"{done.stdout}{done.stderr}"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("rows", [12, 1, 0])
def test_it_lists_the_invoices_by_the_sandboxs_own_wsdl(
    tmp_path: Path, client: Sample | Program, rows: int
) -> None:
    with Sandbox(rows) as sandbox:
        shown = run(client, tmp_path, sandbox, sandbox.password)
    assert [int(id) for id in re.findall(client.id, shown)] == IDS[:rows], shown
    assert "Traceback" not in shown
    assert "rror" not in shown


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_password_is_a_blank_session_in_each_client(
    tmp_path: Path, client: Sample | Program
) -> None:
    with Sandbox() as sandbox:
        shown = run(client, tmp_path, sandbox, "wrong")
    assert "got a blank session" in shown.lower()
    assert re.findall(client.id, shown) == []


# --- the WSDL itself ---------------------------------------------------------------------------------

WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
XSD = "{http://www.w3.org/2001/XMLSchema}"


def describe(text: bytes) -> dict[str, object]:
    """Return what a WSDL says of each operation and type, in plain lists."""
    root = ElementTree.fromstring(text)
    found: dict[str, object] = {}
    for message in root.iter(f"{WSDL}message"):
        parts = [(part.get("name"), part.get("type")) for part in message]
        found[f"message {message.get('name')}"] = parts
    for kind in root.iter(f"{XSD}complexType"):
        pieces = [(one.tag, sorted(one.items())) for one in kind.iter() if one is not kind]
        found[f"type {kind.get('name')}"] = pieces
    for place in ("portType", "binding"):
        (element,) = root.iter(f"{WSDL}{place}")
        found[place] = element.get("name"), element.get("type")
        for operation in element.iter(f"{WSDL}operation"):
            pieces = [(one.tag, sorted(one.items())) for one in operation.iter()]
            found[f"{place} {operation.get('name')}"] = pieces
    (service,) = root.iter(f"{WSDL}service")
    found["service"] = [(one.tag, one.get("name"), one.get("binding")) for one in service.iter()]
    found["namespace"] = root.get("targetNamespace")
    return found


def test_it_says_of_each_operation_what_the_providers_says() -> None:
    """The wrong type of get_modules included."""
    with Sandbox() as sandbox:
        own, theirs = describe(sandbox.wsdl()), describe((DATA / "wire" / "api.wsdl").read_bytes())
        assert f'location="{sandbox.endpoint}"' in sandbox.wsdl().decode()
    assert set(own) <= set(theirs)
    assert own == {name: theirs[name] for name in own}
    for operation in list_operations():
        names = (f"message {operation}Request", f"message {operation}Response")
        assert {*names, f"portType {operation}", f"binding {operation}"} <= set(own)
    assert own["message get_modulesResponse"] == [("return", "xsd:Array")]
    used = {kind for name, parts in own.items() if name.startswith("message") for _, kind in parts}  # type: ignore[attr-defined]
    assert {kind for kind in used if kind.startswith("tns:")} == {
        f"tns:{name.removeprefix('type ')}" for name in own if name.startswith("type ")
    } - {"tns:sql_row_invoices", "tns:prepays_list"}


def test_it_is_what_the_sandbox_serves(sandbox: Sandbox) -> None:
    with urlopen(f"{sandbox.endpoint}?wsdl") as response:
        assert response.read() == sandbox.wsdl()
        assert response.headers["Content-Type"] == "text/xml; charset=ISO-8859-1"
