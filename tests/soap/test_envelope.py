"""Values arrive on the wire exactly, or are refused by name."""

from __future__ import annotations

import warnings
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from lxml import etree

from soapmail import LossyTextWarning
from soapmail.soap import envelope
from soapmail.soap.envelope import Request

AWKWARD = "& < > \" ' ]]> ${x} $y $$ é 日本 😀 \t \n \r \r\n &amp; <![CDATA[x]]> \x85 \u2028"


def post(name: str, value: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossyTextWarning)
        data = Request("api_mail_get_service", {"id": 1}, template=True).envelope(value)
    found = etree.fromstring(data).findtext(f".//{name}")
    assert found is not None
    return found


def write_typed(value: Any, name: str = "x") -> tuple[str, str]:
    """Give the type and the text in which a value is posted."""
    data = Request("api_x", {name: value}, template=False).envelope()
    (element,) = etree.fromstring(data)[0][0]
    kind = element.get("{http://www.w3.org/2001/XMLSchema-instance}type")
    assert kind is not None
    return kind.removeprefix("xsd:"), element.text or ""


def test_every_awkward_text_is_on_the_wire_exactly() -> None:
    assert post("sid", AWKWARD) == AWKWARD


@pytest.mark.parametrize("text", ["", " ", "a", "$sid", "${id}", "%s{}", "x" * 100_000])
def test_text_is_kept(text: str) -> None:
    assert post("sid", text) == text


@pytest.mark.parametrize(
    "bad", ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1f", "\ud800", "\ufffe", "\uffff"]
)
def test_what_xml_cannot_carry_is_refused_by_name(bad: str) -> None:
    with pytest.raises(ValueError, match=f"^subject: .*U\\+{ord(bad):04X}$"):
        write_typed(f"secret{bad}", "subject")


@pytest.mark.parametrize("good", ["\t", "\n", "\r", "\x7f", "\ud7ff", "\ue000", "\ufffd", "𐀀"])
def test_the_edges_of_what_xml_can_carry_pass(good: str) -> None:
    assert post("sid", good) == good


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-5, "-5"),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (Decimal("1234567890.12345"), "1234567890.12345"),
        (12.5, "12.5"),
        (1e-7, "0.0000001"),
        (1e22, "1" + "0" * 22),
        (0.1, "0.1"),
        (1e300, "1" + "0" * 300),
        (1e-300, "0." + "0" * 299 + "1"),
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+2"), "100"),
    ],
)
def test_numbers_are_plain(value: Any, text: str) -> None:
    assert write_typed(value, "amount")[1] == text


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("1e301"), 1e-301],
)
def test_numbers_that_the_server_cannot_read_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="^amount: not a number"):
        write_typed(value, "amount")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**63, "the server keeps whole numbers of 64 bits only"),
        (-(2**63) - 1, "the server keeps whole numbers of 64 bits only"),
        (Decimal("12345678901234567.89"), "more digits than the server's float keeps"),
        (Decimal("0.10000000000000001"), "more digits than the server's float keeps"),
    ],
)
def test_numbers_that_the_server_cannot_keep_are_refused(value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^x: {problem}$"):
        write_typed(value, "x")


@pytest.mark.parametrize("value", [None, b"x", [], object()])
def test_other_types_are_refused(value: Any) -> None:
    expected = f"^x: str, int, float or bool expected, not {type(value).__name__}$"
    with pytest.raises(TypeError, match=expected):
        write_typed(value, "x")


@pytest.mark.parametrize("text", ["日本", "€", "\u0100", "ÿ😀"])
def test_text_outside_latin_1_warns_by_name_but_not_by_value(text: str) -> None:
    with pytest.warns(LossyTextWarning) as caught:
        write_typed(text, "subject")
    assert str(caught[0].message) == (
        "subject: the server keeps ISO-8859-1 only and turns other characters into '?'"
    )
    assert caught[0].filename == __file__


def test_latin_1_does_not_warn() -> None:
    assert write_typed("caf\xe9 \xff", "subject")[1] == "caf\xe9 \xff"


def test_types_follow_the_python_type() -> None:
    class Own(str):
        __slots__ = ()

    values: list[Any] = [True, 1, 1.5, Decimal("1.5"), "x", Own("y")]
    assert [write_typed(value) for value in values] == [
        ("boolean", "true"),
        ("int", "1"),
        ("float", "1.5"),
        ("float", "1.5"),
        ("string", "x"),
        ("string", "y"),
    ]


def test_call_writes_parameters_in_their_order() -> None:
    data = Request("api_x", {"b": 1, "a": "&"}, template=False).envelope()
    (element,) = etree.fromstring(data)[0]
    assert element.tag == "{urn:myapi}api_x"
    assert [(child.tag, child.text) for child in element] == [("b", "1"), ("a", "&")]
    types = [child.get("{http://www.w3.org/2001/XMLSchema-instance}type") for child in element]
    assert types == ["xsd:int", "xsd:string"]
    assert data.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<SOAP-ENV:Envelope ')


@pytest.mark.parametrize("name", ["a", "_a", "a-b", "a.b", "a1", "é", "日本", "a\u00b7"])
def test_xml_names_pass(name: str) -> None:
    assert envelope.check_name("x", name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", ".a", "a b", "a>", "a:b", "a\n", "²", "a²", "×"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^operation: .* is not an XML name$"):
        envelope.check_name("operation", name)


def test_a_name_is_text() -> None:
    with pytest.raises(TypeError, match="^operation: str expected, not int$"):
        envelope.check_name("operation", 1)  # type: ignore[arg-type]


def test_parameters_stand_on_lines_of_their_own() -> None:
    data = Request("api_x", {"b": 1, "a": "x"}, template=False).envelope().decode()
    assert '  <b xsi:type="xsd:int">1</b>\n  <a xsi:type="xsd:string">x</a>\n</m:api_x>' in data


def test_nothing_but_the_template_and_the_values_is_posted() -> None:
    assert Request("get_modules", {}, template=True).envelope().decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" '
        'SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">\n<SOAP-ENV:Body>\n'
        '<m:get_modules xmlns:m="urn:myapi" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n</m:get_modules>\n'
        "</SOAP-ENV:Body>\n</SOAP-ENV:Envelope>"
    )


def test_subclasses_of_numbers_are_written_as_the_numbers_they_are() -> None:
    class Ids(int, Enum):
        ONE = 8556

    class Numpy(float):
        def __repr__(self) -> str:
            return "np.float64(1.5)"

    assert write_typed(Ids.ONE, "id")[1] == "8556"
    assert write_typed(Numpy(1.5), "amount")[1] == "1.5"
    assert write_typed(Ids.ONE) == ("int", "8556")
