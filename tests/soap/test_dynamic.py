"""Values by their declared types: namespaces, arrays, maps, nil, and what is only a part."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from soapmail import Invoice, ResponseError
from soapmail.extract import parse_record, parse_records, parse_strings, rows
from soapmail.soap.dynamic import parse_by_type
from soapmail.soap.element import XPath

from ..support import LIST, load_document, wrap_in_envelope, write_array, write_row

ROW = write_row({"invoices_id": 1})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("xsd:int", "5", 5),
        ("tns:int", "5", "5"),
        ("tns:int", "", {}),
        ("SOAP-ENC:int", "5", 5),
        ("q:int", "5", 5),
        ("o:int", "5", 5),
        ("z:int", "5", "5"),
        ("tns:boolean", "true", "true"),
        ("tns:Array", "", {}),
        ("tns:base64Binary", "Y2Fmw6k=", "Y2Fmw6k="),
        ("q:base64Binary", "Y2Fmw6k=", "café"),
        ("tns:Map", "", {}),
        ("SOAP-ENC:Struct", "", {}),
        ("n:int", "007", "007"),
        ("xsd:string", "", ""),
    ],
)
def test_a_type_counts_by_its_namespace(kind: str, text: str, value: object) -> None:
    spaces = 'xmlns:n="urn:notXMLSchema" xmlns:q="http://www.w3.org/2001/XMLSchema" xmlns:z="urn:z" xmlns:o="http://www.w3.org/1999/XMLSchema"'
    plain = f'<return {spaces} xsi:type="{kind}">{text}</return>'
    assert parse_by_type(load_document(wrap_in_envelope("x", plain))) == value
    inner = f'<return><a {spaces} xsi:type="{kind}">{text}</a><b xsi:type="xsd:int">1</b></return>'
    assert parse_by_type(load_document(wrap_in_envelope("x", inner))) == {"a": value, "b": 1}


@pytest.mark.parametrize(
    ("kind", "is_map"),
    [("m:Map", True), ("unknown:Map", True), ("tns:Map", False), ("m:Hash", False)],
)
def test_a_map_is_one_by_its_name_and_its_namespace(kind: str, is_map: bool) -> None:
    spaces = 'xmlns:m="http://xml.apache.org/xml-soap"'
    item = '<item><key>a</key><value xsi:type="xsd:int">1</value></item>'
    xml = f'<return {spaces} xsi:type="{kind}">{item}</return>'
    value = parse_by_type(load_document(wrap_in_envelope("x", xml)))
    assert value == ({"a": 1} if is_map else {"item": {"key": "a", "value": 1}})


LEVELS = {
    "structs": ("<return>", "<a>", '<b xsi:type="xsd:int">1</b>', "</a>"),
    "lists": (
        '<return SOAP-ENC:arrayType="xsd:anyType[1]">',
        '<i SOAP-ENC:arrayType="xsd:anyType[1]">',
        '<i xsi:type="xsd:int">1</i>',
        "</i>",
    ),
    "maps": (
        '<return xsi:type="x:Map">',
        '<item><key>k</key><value xsi:type="x:Map">',
        '<item><key>k</key><value xsi:type="xsd:int">1</value></item>',
        "</value></item>",
    ),
}


@pytest.mark.parametrize("kind", LEVELS)
def test_sixty_four_levels_are_read_and_no_more(kind: str) -> None:
    start, opening, inside, closing = LEVELS[kind]

    def nest(count: int) -> Any:
        xml = f"{start}{opening * count}{inside}{closing * count}</return>"
        return parse_by_type(load_document(wrap_in_envelope("x", xml)))

    value, levels = nest(63), 0
    while value != 1:
        ((value,), levels) = (value if kind == "lists" else value.values(), levels + 1)
    assert levels == 64
    with pytest.raises(ResponseError, match="nested too deep$"):
        nest(64)


def test_a_prefix_means_what_it_means_where_it_stands() -> None:
    schema = "http://www.w3.org/2001/XMLSchema"
    xml = (
        f'<return xmlns:p="urn:p"><a xsi:type="p:int">1</a><b xmlns:p="{schema}" xsi:type="p:int">2</b>'
        f'<c xsi:type="p:int">3</c><d xmlns="{schema}" xsi:type="int">4</d><e xsi:type="int">5</e></return>'
    )
    value = parse_by_type(load_document(wrap_in_envelope("x", xml)))
    assert value == {"a": "1", "b": 2, "c": "3", "d": 4, "e": 5}
    cell = '<invoices_module xmlns:p="urn:p" xsi:type="p:base64">Y2Fmw6k=</invoices_module>'
    (record,) = rows(wrap_in_envelope(LIST, write_array([f"<item>{cell}</item>"])), Invoice)
    assert record.invoices_module == "Y2Fmw6k="


@pytest.mark.parametrize(
    ("attributes", "items", "value"),
    [
        ('SOAP-ENC:arrayType="xsd:int[2]"', "<i>1</i><i>2</i>", [1, 2]),
        ('SOAP-ENC:arrayType="xsd:int[2]"', '<i>1</i><i xsi:type="xsd:string">2</i>', [1, "2"]),
        ('SOAP-ENC:arrayType="xsd:int[]"', '<i>1</i><i xsi:nil="true"/>', [1, None]),
        ('SOAP-ENC:arrayType="xsd:string[2]"', '<i>1</i><i xsi:nil="true"/>', ["1", None]),
        ('SOAP-ENC:arrayType="tns:int[1]"', "<i>1</i>", ["1"]),
        ('SOAP-ENC:arrayType="xsd:ur-type[1]"', "<i>1</i>", ["1"]),
        ('SOAP-ENC:arrayType="tns:row[2]"', "<i><a>1</a></i><i/>", [{"a": "1"}, {}]),
        ('SOAP-ENC:arrayType="xsd:int[][2]"', "<i><j>1</j></i><i/>", [[1], []]),
        ('SOAP-ENC:arrayType="xsd:boolean[1][2]"', "<i><j>true</j></i><i/>", [[True], []]),
        ('arraySize="2" itemType="xsd:double"', "<i>1</i><i>2.5</i>", [1.0, 2.5]),
        ('arraySize="2" xsi:type="tns:rows"', "<i>1</i><i/>", ["1", ""]),
        ('xsi:type="SOAP-ENC:Array" itemType="xsd:int"', "<i>1</i>", [1]),
        (
            'SOAP-ENC:arrayType="xsd:base64Binary[2]"',
            '<i>Y2Fmw6k=</i><i xsi:type="xsd:string">YQ==</i>',
            ["café", "YQ=="],
        ),
    ],
)
def test_the_type_of_an_array_is_that_of_its_items(
    attributes: str, items: str, value: object
) -> None:
    document = load_document(wrap_in_envelope("x", f"<return {attributes}>{items}</return>"))
    assert parse_by_type(document) == value
    if "base64" in attributes:
        assert parse_strings(document) == value


def test_an_item_that_does_not_fit_the_type_of_its_array_is_an_error() -> None:
    xml = '<return SOAP-ENC:arrayType="xsd:int[2]"><i>1</i><i>x</i></return>'
    with pytest.raises(ResponseError, match="^return, row 2: not a valid int: 'x'$"):
        parse_by_type(load_document(wrap_in_envelope("x", xml)))


@pytest.mark.parametrize(
    "entry", ["{}<key>a</key><value>1</value>", "<key>a</key>{}<value>1</value>"]
)
def test_text_inside_an_entry_of_a_map_is_an_error(entry: str) -> None:
    xml = (
        '<return xmlns:m="http://xml.apache.org/xml-soap" xsi:type="m:Map"><item>{}</item></return>'
    )
    assert parse_by_type(load_document(wrap_in_envelope("x", xml.format(entry.format("\n"))))) == {
        "a": "1"
    }
    with pytest.raises(ResponseError, match="^return: text between fields: 'lost'$"):
        parse_by_type(load_document(wrap_in_envelope("x", xml.format(entry.format("lost")))))


@pytest.mark.parametrize("attribute", ['SOAP-ENC:offset="[0]"', 'SOAP-ENC:offset="[3]"'])
@pytest.mark.parametrize(
    "read", [parse_strings, parse_by_type, lambda found: parse_records(found, Invoice)]
)
def test_an_array_sent_in_part_is_an_error(attribute: str, read: Any) -> None:
    for xml in (
        f"<return {attribute} SOAP-ENC:arrayType='xsd:string[1]'><a>1</a></return>",
        "<return SOAP-ENC:arrayType='xsd:string[1]'><a SOAP-ENC:position='[0]'>1</a></return>",
    ):
        with pytest.raises(
            ResponseError, match="^(return|row 1|return, row 1): a partially transmitted array: "
        ):
            read(load_document(wrap_in_envelope("x", xml)))
    own = wrap_in_envelope(
        LIST, write_array([ROW.replace("<item", '<item position="1" offset="2"')])
    )
    assert len(rows(own, Invoice)) == 1


def test_nil_among_strings_is_an_error_and_none_by_type() -> None:
    data = wrap_in_envelope(
        "x", '<return SOAP-ENC:arrayType="xsd:string[2]"><a>1</a><a xsi:nil="1"/></return>'
    )
    with pytest.raises(ResponseError, match="^row 2: nil instead of a text$"):
        parse_strings(load_document(data))
    assert parse_by_type(load_document(data)) == ["1", None]


@pytest.mark.parametrize("kind", ["xsd:string", "xsd:int", "SOAP-ENC:string"])
@pytest.mark.parametrize(
    "read", [parse_strings, lambda x: parse_record(x, Invoice), lambda x: parse_records(x, Invoice)]
)
def test_a_text_where_fields_or_rows_belong_is_an_error(kind: str, read: Any) -> None:
    with pytest.raises(ResponseError, match="^return: a text instead of (fields|a list)$"):
        read(load_document(wrap_in_envelope("x", f'<return xsi:type="{kind}"/>')))
    nil = wrap_in_envelope("x", f'<return xsi:type="{kind}" xsi:nil="true"/>')
    assert not read(load_document(nil))
    if read is parse_strings:
        for other in ("SOAP-ENC:Array", "xsd:anyType"):
            assert read(load_document(wrap_in_envelope("x", f'<return xsi:type="{other}"/>'))) == []


def test_what_lxml_cannot_evaluate_is_an_error() -> None:
    with pytest.raises(ResponseError, match="^larger than can be read: ") as caught:
        XPath("unknown()")(etree.XML("<a/>"))
    assert caught.value.__cause__ is caught.value.__context__ is None
