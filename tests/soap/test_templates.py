"""The templates are what the contract documents."""

from __future__ import annotations

import re
from string import Template

import pytest
from lxml import etree

from soapmail.soap.envelope import Request

from ..support import METHODS, OPERATIONS, ROOT

FOLDER = ROOT / "templates"
NAMES = sorted(path.stem for path in FOLDER.glob("*.xml"))
PLACEHOLDER = re.compile(r"\$(\w+)")
TYPES = {"string": "string", "int": "int", "float": "float", "bool": "boolean"}


def test_every_method_has_a_template_and_every_template_a_method_or_call() -> None:
    operations = {operation for operation, _ in METHODS.values()}
    assert set(NAMES) == operations | {"envelope", "call"}


@pytest.mark.parametrize("name", sorted({operation for operation, _ in METHODS.values()}))
def test_parameters_stand_in_the_order_and_types_of_the_contract(name: str) -> None:
    text = (FOLDER / f"{name}.xml").read_text()
    root = etree.fromstring(text)
    expected = OPERATIONS[name]["params"]
    assert root.tag == f"{{urn:myapi}}{name}"
    assert PLACEHOLDER.findall(text) == list(expected)
    assert [(str(child.tag), child.text) for child in root] == [(p, f"${p}") for p in expected]
    types = [child.get("{http://www.w3.org/2001/XMLSchema-instance}type") for child in root]
    assert types == [f"xsd:{TYPES[kind]}" for kind in expected.values()]


def test_the_envelope_is_soap_with_one_place_for_the_body() -> None:
    text = (FOLDER / "envelope.xml").read_text()
    root = etree.fromstring(text.encode())
    assert root.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"
    assert PLACEHOLDER.findall(text) == ["body"]
    assert [str(child.text).strip() for child in root] == ["$body"]


def test_call_parses_once_filled() -> None:
    text = Template((FOLDER / "call.xml").read_text()).substitute(operation="x", parameters="<a/>")
    assert etree.fromstring(text).tag == "{urn:myapi}x"


def test_a_missing_template_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"templates/api_nope\.xml"):
        Request("api_nope", {}, template=True).envelope()
