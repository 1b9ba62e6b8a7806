"""Responses that an attack was made with: what each of them was believed to say, and is not any more."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import ResponseError
from soapmail.deadline import Deadline, DeadlineExceeded
from soapmail.extract import parse_status, parse_strings, parse_url, rows
from soapmail.models import Status
from soapmail.soap.document import Document
from soapmail.soap.dynamic import parse_by_type
from soapmail.soap.repair import decode

from ..support import load_document, make_many_rows, make_text_response, wrap_in_envelope

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("quiet")

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XSD = "http://www.w3.org/2001/XMLSchema"


@dataclass
class File:
    name: str | None = None
    size: int | None = None


def response(xml: str, behind: str = "") -> bytes:
    return wrap_in_envelope("x", xml).replace(
        b"</SOAP-ENV:Body>", behind.encode() + b"</SOAP-ENV:Body>"
    )


def call(data: bytes) -> Any:
    return parse_by_type(load_document(data))


# --- one response and no other ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 99, 100, 5000])
def test_a_second_envelope_under_a_long_prefix_is_an_error(length: int) -> None:
    first = response("<return><status>ok</status></return>")
    prefix = "p" * length
    fault = f"<{prefix}:Fault><faultstring>no</faultstring></{prefix}:Fault>"
    second = f'<{prefix}:Envelope xmlns:{prefix}="{SOAP}"><{prefix}:Body>{fault}</{prefix}:Body></{prefix}:Envelope>'
    with pytest.raises(ResponseError, match="^more than one envelope in the response"):
        parse_status(load_document(first + second.encode()), Status)


def test_a_whole_envelope_behind_a_cut_one_is_no_row_of_it() -> None:
    xml = '<return SOAP-ENC:arrayType="x[2]"><item><name>good</name></item></return>'
    cut = response(xml).partition(b"</return>")[0]
    second = f'<f:Envelope xmlns:f="{SOAP}"><f:Body><f:Fault/></f:Body></f:Envelope>'.encode()
    for read in (call, lambda data: rows(data, File)):
        with pytest.raises(ResponseError, match="^more than one envelope in the response"):
            read(cut + second)


# --- letters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", range(12))
def test_the_end_of_a_section_at_the_border_of_a_piece(shift: int) -> None:
    xml = wrap_in_envelope("x", "<return><item><name>@</name></item></return>")
    head = len(xml.partition(b"@")[0])
    fill = b"x" * (32 * 1024 - head - len(b"<![CDATA[\xc3\xa9") - 4 + shift)
    text = b"<![CDATA[\xc3\xa9" + fill + b"\xe2\x82]]>"
    (record,) = rows(xml.replace(b"@", text), File)
    assert record.name == "é" + fill.decode() + "\ufffd"


@pytest.mark.parametrize("count", [990, 1000, 1100])
def test_a_forbidden_byte_behind_many_attributes_is_an_error(count: int) -> None:
    names = " ".join(
        f'{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}{n // 676}=""' for n in range(count)
    )
    xml = f'<return {names} SOAP-ENC:arrayTyp@="x[12]"><item><name>a</name></item></return>'
    for byte in (b"\x01", b"\xff"):
        with pytest.raises(ResponseError, match="^an invalid byte in a tag"):
            rows(response(xml).replace(b"@", byte), File)


# --- references ----------------------------------------------------------------------------------------


# --- URLs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anchor", "found"),
    [
        ("<a href=https://x.y/?n=O'Brien&amount=5>", "https://x.y/?n=O'Brien&amount=5"),
        ('<a href=https://x.y/?n="O"&amount=5 id=b>', 'https://x.y/?n="O"&amount=5'),
        ("<a href='https://x.y/?a&currency;b'>", "https://x.y/?a&currency;b"),
        ("<a href='https://x.y/?a&curren;b&#039;'>", "https://x.y/?a¤b'"),
        (f"<a href=https://x.y/{'q' * 9000}?amount=5>", None),
        ("<a href='https://x.y/'b>", None),
    ],
)  # fmt: skip
def test_an_unquoted_url_is_whole_or_an_error(anchor: str, found: str | None) -> None:
    data = load_document(make_text_response("x", f"{anchor}pay</a>"))
    if found is None:
        with pytest.raises(ResponseError, match="^return: not a URL"):
            parse_url(data)
    else:
        assert parse_url(data) == found


# --- types -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "value"),
    [
        ('xmlns:l="http://www.w3.org/1999/xlink" l:type="simple" xsi:type="xsd:int"', 5),
        ('xmlns:l="http://www.w3.org/1999/xlink" xsi:type="xsd:int" l:type="simple"', 5),
        ('xmlns:f="urn:f" f:type="xsd:int"', "5"),
        ('type="xsd:int"', 5),
    ],
)
def test_a_type_is_the_attribute_of_its_namespace_or_of_none(
    attributes: str, value: object
) -> None:
    assert call(response(f"<return {attributes}>5</return>")) == value


def test_a_foreign_count_does_not_make_a_cut_list_whole() -> None:
    xml = '<return xmlns:f="urn:f" @="x[1]"><item><name>a</name></item></return>'
    for name, whole in (("SOAP-ENC:arrayType", True), ("f:arrayType", False), ("arrayType", True)):
        cut = response(xml.replace("@", name)).partition(b"</return>")[0]
        if whole:
            assert rows(cut, File) == [File("a")]
        else:
            with pytest.raises(ResponseError, match="^cut off"):
                rows(cut, File)


@pytest.mark.parametrize("kind", ["SOAP-ENC:Struct", "m:Map"])
def test_a_text_where_a_struct_or_map_belongs_is_an_error(kind: str) -> None:
    xml = f'<return xmlns:m="http://xml.apache.org/xml-soap" xsi:type="{kind}">@</return>'
    assert call(response(xml.replace("@", " "))) == {}
    with pytest.raises(ResponseError, match="^return: text between fields: 'abc'"):
        call(response(xml.replace("@", "abc")))


def test_a_list_where_a_text_belongs_is_an_error() -> None:
    empty = '<i SOAP-ENC:arrayType="xsd:string[0]"/>'
    with pytest.raises(ResponseError, match="^row 1: a list instead of a text$"):
        parse_strings(load_document(response(f"<return>{empty}</return>")))
    cell = '<name SOAP-ENC:arrayType="xsd:string[0]"/>'
    with pytest.raises(ResponseError, match="^row 1, name: a list instead of a text$"):
        rows(response(f"<return><item>{cell}</item></return>"), File)


def test_a_model_with_an_argument_that_is_no_field_is_refused() -> None:
    made = dataclasses.make_dataclass(
        "Odd", [("a", str), ("v", InitVar[str], "d"), ("b", str, "x")]
    )
    with pytest.raises(TypeError, match="^Odd.v: a field expected, not an InitVar$"):
        rows(response("<return><item><a>1</a><b>2</b></item></return>"), made)


# --- costs -----------------------------------------------------------------------------------------------


LARGE: dict[str, Callable[[], bytes]] = {
    "tags to look at": lambda: response("<i>\x01" + '<a b="&amp;"/>' * 100_000 + "</i>"),
    "sections": lambda: response("<i>\x01" + "<![CDATA[x]]>" * 100_000 + "</i>"),
    "comments before": lambda: b"<!---->" * 250_000 + response("<return/>"),
    "latin-1": lambda: response("<return>@</return>").replace(b"@", b"\xe9<a/>" * 400_000),
    "ids": lambda: response("<return href='#x'/>", "".join(f"<m id='{n}'/>" for n in range(80_000))),
    "linked rows": lambda: make_many_rows(5_000).replace(b"<item", b"<item id='x' href='#'", 1),
    "strings": lambda: response("<return>" + "<i xsi:type='xsd:base64Binary'>eA==</i>" * 30_000 + "</return>"),
    "one wide row": lambda: response("<return><item>" + "".join(f"<f{n}/>" for n in range(50_000)) + "<name/></item></return>"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_the_time_is_looked_at_all_the_while(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step takes long without a look: none is far from the next, however long the whole takes."""
    data = LARGE[name]()
    looks: list[float] = []

    def check(self: Deadline) -> None:
        looks.append(time.process_time())

    monkeypatch.setattr(Deadline, "check", check)
    for read in (call, lambda data: rows(data, File)):
        looks.clear()
        started = time.process_time()
        with contextlib.suppress(ResponseError):
            read(data)
        whole = time.process_time() - started
        points = [started, *looks, started + whole]
        gap = max(b - a for a, b in itertools.pairwise(points))
        assert gap < max(0.25, whole / 3), (name, gap, whole)


def test_a_call_ends_in_the_middle_of_decoding() -> None:
    data = response("<i>\x01" + '<a b="&amp;"/>' * 200_000 + "</i>")
    deadline = Deadline(0.01)
    with pytest.raises(DeadlineExceeded):
        parse_by_type(Document(decode(data, None, deadline), None, deadline))


def test_many_namespaces_one_inside_another_are_an_error() -> None:
    spaces = " ".join(f'xmlns:p{n}="urn:{n}"' for n in range(180))
    deep = f"<a {spaces}>" * 6 + "<b xsi:type='xsd:int'>1</b>" + "</a>" * 6
    with pytest.raises(ResponseError, match="^more than 1000 namespaces, one inside another"):
        call(response(f"<return>{deep}</return>"))
    flat = f"<a {spaces}>x</a>" * 1
    assert call(response(f"<return>{flat}</return>")) == {"a": "x"}
