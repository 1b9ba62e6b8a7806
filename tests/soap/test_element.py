"""What an element says it is: one answer for all readers, and no contradiction believed."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import Client, Invoice, MailService, OutcomeUnknown, ResponseError
from soapmail.extract import (
    parse_record,
    parse_records,
    parse_single,
    parse_strings,
    rows,
)
from soapmail.soap.dynamic import parse_by_type

from ..support import (
    LIST,
    load_document,
    make_many_rows,
    wrap_in_envelope,
    write_array,
    write_row,
)
from ..test_client import add, make_client

if TYPE_CHECKING:
    import responses

pytestmark = pytest.mark.usefixtures("quiet")

READERS: dict[str, Any] = {
    "list": lambda document: parse_records(document, Invoice),
    "strings": parse_strings,
    "struct": lambda document: parse_record(document, Invoice),
    "text": lambda document: parse_single(document, str),
    "call": parse_by_type,
}
INSTANCES = [f"http://www.w3.org/{year}/XMLSchema-instance" for year in ("2001", "1999", "2000/10")]
REFUSED = object()


def read(reader: str, xml: str, schema: str = "2001/XMLSchema") -> Any:
    data = wrap_in_envelope("x", xml).replace(b"2001/XMLSchema", schema.encode())
    return READERS[reader](load_document(data))


def outcome(reader: str, xml: str) -> Any:
    try:
        return read(reader, xml)
    except ResponseError as error:
        assert error.place is not None
        return REFUSED


def refuse(reader: str, xml: str) -> tuple[str | None, str, str | None]:
    with pytest.raises(ResponseError) as caught:
        read(reader, xml)
    return caught.value.place, caught.value.problem, caught.value.value


# --- kinds -----------------------------------------------------------------------------------

FIELD = '<invoices_id xsi:type="xsd:int">5</invoices_id>'
OTHER = '<invoices_module xsi:type="xsd:string">mail</invoices_module>'
STATUS = (
    '<status xsi:type="xsd:string">error</status><status_text>Down for maintenance</status_text>'
)
ONE, TWO = Invoice(invoices_id=5), Invoice(invoices_id=5, invoices_module="mail")


@pytest.mark.parametrize(
    ("xml", "values"),
    [
        # What the server writes where a function returns a hash in place of a list.
        (f"<return>{STATUS}</return>", {"call": {"status": "error", "status_text": "Down for maintenance"}}),
        (f'<return xsi:type="tns:result_status">{STATUS}</return>', {"call": {"status": "error", "status_text": "Down for maintenance"}}),
        ('<return xsi:type="tns:result_status"><status>error</status></return>', {"call": {"status": "error"}}),
        ('<return xsi:type="SOAP-ENC:Struct"><a>mail</a></return>', {"call": {"a": "mail"}}),
        ('<return xsi:type="m:Map"><item><key>a</key><value>b</value></item></return>', {"call": {"a": "b"}}),
        # Empty elements: no list unless they may be one.
        ("<return/>", {"call": "", "text": "", "list": [], "strings": []}),
        ('<return xsi:type="xsd:anyType"/>', {"call": "", "text": "", "list": [], "strings": []}),
        ('<return xsi:type="SOAP-ENC:Array"/>', {"call": [], "list": [], "strings": []}),
        ('<return SOAP-ENC:arrayType="xsd:string[0]"/>', {"call": [], "list": [], "strings": []}),
        ('<return xsi:type="tns:rows" arraySize="0"/>', {"call": [], "list": [], "strings": []}),
        ('<return xsi:type="SOAP-ENC:Struct"/>', {"call": {}}),
        ('<return xsi:type="m:Map"/>', {"call": {}}),
        ('<return xsi:type="tns:sql_row_mail"/>', {"call": {}}),
        ('<return xsi:type="xsd:string"/>', {"call": "", "text": ""}),
        ('<return xsi:type="xsd:int"/>', {"call": None, "text": ""}),
        # Texts.
        ("<return>x</return>", {"call": "x", "text": "x"}),
        ('<return xsi:type="tns:word">x</return>', {"call": "x", "text": "x"}),
        ('<return xsi:type="unbound:int">5</return>', {"call": 5, "text": "5"}),
        ('<return xsi:type="SOAP-ENC:Array">x</return>', {}),
        ('<return xsi:type="SOAP-ENC:Struct">x</return>', {}),
        ('<return SOAP-ENC:arrayType="xsd:string[1]">x</return>', {}),
        ('<return xsi:type="xsd:string" SOAP-ENC:arrayType="xsd:string[1]">x</return>', {}),
        ('<return xsi:type="xsd:string" SOAP-ENC:arrayType="xsd:string[0]"/>', {}),
        # Children of an element that says nothing: one may be a field or a row.
        (f"<return><item>{FIELD}</item></return>", {"call": {"item": {"invoices_id": 5}}, "list": [ONE]}),
        (f"<return>{FIELD}</return>", {"call": {"invoices_id": 5}, "struct": ONE, "strings": ["5"]}),
        (f"<return>{FIELD}{OTHER}</return>", {"call": {"invoices_id": 5, "invoices_module": "mail"}, "struct": TWO}),
        (f"<return>{FIELD}{FIELD}</return>", {"call": [5, 5], "strings": ["5", "5"]}),
        (f'<return xsi:type="tns:x">{FIELD}{FIELD}</return>', {"call": [5, 5], "strings": ["5", "5"]}),
        (f'<return xsi:type="tns:x">{FIELD}</return>', {"call": {"invoices_id": 5}, "struct": ONE}),
        (f"<return>{FIELD}{OTHER}{FIELD}</return>", {}),
        (f"<return><a>{FIELD}</a><b>{FIELD}</b></return>", {"call": {"a": {"invoices_id": 5}, "b": {"invoices_id": 5}}}),
        (f'<return SOAP-ENC:arrayType="x[2]"><a>{FIELD}</a><b>{FIELD}</b></return>', {"call": [{"invoices_id": 5}] * 2, "list": [ONE, ONE]}),
        (f'<return SOAP-ENC:arrayType="x[1]">{FIELD}</return>', {"call": [5], "strings": ["5"]}),
        (f'<return arraySize="1">{FIELD}{OTHER}</return>', {}),
        (f'<return SOAP-ENC:arrayType="x[2]">{FIELD}</return>', {}),
        # A simple type has no elements in it (XML Schema part 1, cvc-type 3.1.2).
        (f'<return xsi:type="xsd:int">{FIELD}</return>', {}),
        (f'<return xsi:type="xsd:string">{FIELD}{OTHER}</return>', {}),
        (f'<return xsi:type="SOAP-ENC:string">{FIELD}</return>', {}),
        (f'<return xsi:type="unbound:int">{FIELD}</return>', {}),
        (f'<return SOAP-ENC:arrayType="xsd:int[1]"><item>{FIELD}</item></return>', {}),
        (f'<return SOAP-ENC:arrayType="xsd:int[1]"><item xsi:type="tns:row">{FIELD}</item></return>', {"call": [{"invoices_id": 5}], "list": [ONE]}),
        (f'<return SOAP-ENC:arrayType="tns:row[1]"><item xsi:type="SOAP-ENC:Array">{FIELD}</item></return>', {"call": [[5]]}),
        (f'<return xsi:type="SOAP-ENC:Struct" SOAP-ENC:arrayType="x[1]">{FIELD}</return>', {}),
        (f'<return xsi:type="m:Map" SOAP-ENC:arrayType="x[]">{FIELD}</return>', {}),
    ],
)  # fmt: skip
def test_all_readers_have_one_answer(xml: str, values: dict[str, Any]) -> None:
    xml = xml.replace("<return", '<return xmlns:m="http://xml.apache.org/xml-soap"', 1)
    expected = {
        "list": REFUSED,
        "strings": REFUSED,
        "struct": REFUSED,
        "text": REFUSED,
        "call": REFUSED,
        **values,
    }
    assert {reader: outcome(reader, xml) for reader in READERS} == expected  # fmt: skip


@pytest.mark.parametrize("name", ["anyType", "ur-type"])
def test_any_type_is_no_type(name: str) -> None:
    xml = f'<return xsi:type="xsd:{name}">{FIELD}</return>'
    assert read("struct", xml) == ONE
    assert read("strings", xml) == ["5"]


def test_errors_say_what_contradicts_what() -> None:
    struct = f"<return>{FIELD}{OTHER}</return>"
    names = "invoices_id, invoices_module"
    assert refuse("list", struct) == ("return", "a struct instead of a list", names)
    assert refuse("strings", struct) == ("return", "a struct instead of a list", names)
    text = '<return xsi:type="xsd:string">x</return>'
    assert refuse("struct", text) == ("return", "a text instead of fields", None)
    array = f'<return SOAP-ENC:arrayType="x[1]"><item>{FIELD}</item></return>'
    assert refuse("struct", array) == ("return", "a list instead of fields", None)
    typed = f'<return xsi:type="xsd:int">{FIELD}</return>'
    assert refuse("call", typed) == ("return", "a nested element in a value", "invoices_id")
    both = '<return xsi:type="xsd:string" arraySize="1">x</return>'
    assert refuse("text", both) == ("return", "a text that declares rows", None)
    row = f'<return><item>{FIELD}</item><item arraySize="1">{FIELD}</item></return>'
    assert refuse("list", row) == ("row 2", "a list instead of fields", None)
    cell = f'<return><item>{FIELD}</item><item><invoices_id xsi:type="tns:x"/></item></return>'
    assert refuse("list", cell) == ("row 2, invoices_id", "a struct instead of a text", None)
    cell = f'<return><item>{FIELD}</item><item><invoices_id arraySize="1">5</invoices_id></item></return>'
    assert refuse("list", cell) == ("row 2, invoices_id", "text between fields", "5")


# --- nil -------------------------------------------------------------------------------------


@pytest.mark.parametrize("true", ["1", "true", " true\n"])
@pytest.mark.parametrize("name", ["nil", "null"])
@pytest.mark.parametrize("schema", ["2001/XMLSchema", "1999/XMLSchema", "2000/10/XMLSchema"])
def test_nil_of_each_schema_is_none(schema: str, name: str, true: str) -> None:
    """SOAP 1.1 5.1 has xsi:null, as the drafts of XML Schema of 1999 and 2000; nil is of 2001."""
    nil = f'xsi:{name}="{true}"'
    for xml, reader, value in (
        (f'<return {nil} xsi:type="xsd:string"/>', "call", None),
        (f'<return {nil} xsi:type="tns:row"/>', "call", None),
        (f'<return {nil} xsi:type="SOAP-ENC:Array"/>', "call", []),
        (f'<return {nil} xsi:type="tns:row">\n </return>', "call", None),
        (f'<return arraySize="3"><i>abc</i><i {nil}/><i>def</i></return>', "call", ["abc", None, "def"]),
        (f"<return {nil}/>", "list", []),
        (f"<return {nil}> </return>", "strings", []),
        (f"<return {nil}/>", "struct", None),
        (f'<return {nil} xsi:type="xsd:int"> </return>', "text", None),
        (f"<return><item>{FIELD}<invoices_module {nil}/></item></return>", "list", [ONE]),
        (f"<return>{FIELD}<invoices_module {nil}> </invoices_module></return>", "struct", ONE),
    ):  # fmt: skip
        assert read(reader, xml, schema) == value
    with pytest.raises(ResponseError, match="^row 2: nil instead of a text$"):
        read("strings", f"<return><i>mail</i><i {nil}/></return>", schema)
    with pytest.raises(ResponseError, match="^row 2: nil instead of fields$"):
        read("list", f"<return><item>{FIELD}</item><item {nil}/></return>", schema)


def test_null_of_no_schema_is_an_attribute_like_any_other() -> None:
    assert read("call", '<return null="maybe" tns:null="1">5</return>') == "5"


@pytest.mark.parametrize(
    ("reader", "xml", "place"),
    [
        ("call", '<return {}>5</return>', "return"),
        ("call", "<return {}><a>1</a></return>", "return"),
        ("call", "<return><a {}>1</a></return>", "return, a"),
        ("call", '<return arraySize="1"><a {}>1</a></return>', "return, row 1"),
        ("call", '<return xsi:type="m:Map"><item {}><key>a</key><value>1</value></item></return>', "return"),
        ("text", "<return {}>5</return>", "return"),
        ("struct", f"<return {{}}>{FIELD}</return>", "return"),
        ("struct", "<return><invoices_paid {}>1</invoices_paid></return>", "invoices_paid"),
        ("list", f"<return {{}}><item>{FIELD}</item></return>", "return"),
        ("list", f"<return><item {{}}>{FIELD}</item></return>", "row 1"),
        ("list", "<return><item><invoices_paid {}>1</invoices_paid></item></return>", "row 1, invoices_paid"),
        ("strings", "<return {}><a>1</a></return>", "return"),
        ("strings", "<return><a {}>1</a></return>", "row 1"),
    ],
)  # fmt: skip
def test_nil_with_content_and_an_invalid_nil_are_refused(reader: str, xml: str, place: str) -> None:
    """XML Schema part 1, cvc-elt 3.2.1, and part 2, 3.2.2."""
    xml = xml.replace("<return", '<return xmlns:m="http://xml.apache.org/xml-soap"')
    whole, problem, _ = refuse(reader, xml.format('xsi:nil="true"'))
    assert (whole, problem) in [(place, "nil with content"), (place, "nil instead of fields")]
    for invalid in ("maybe", "", "TRUE", "\u00a0true"):
        found = refuse(reader, xml.format(f'xsi:nil="{invalid}"'))
        assert found == (place, "invalid xsi:nil value", invalid)
    assert outcome(reader, xml.format('xsi:nil="false"')) is not REFUSED
    both = xml.format('xsi:nil="false" xsi:null="1"')
    assert refuse(reader, both) == (
        place,
        "attributes that contradict each other",
        "nil and not nil",
    )


@pytest.mark.parametrize("namespace", INSTANCES)
@pytest.mark.parametrize("reader", READERS)
def test_an_attribute_that_xml_schema_does_not_have_is_refused(reader: str, namespace: str) -> None:
    xml = f'<return xmlns:i="{namespace}" i:{{}}="1"/>'
    problem = "an attribute that XML Schema does not have"
    assert refuse(reader, xml.format("nill")) == ("return", problem, "nill")
    for known in ("schemaLocation", "noNamespaceSchemaLocation"):
        assert outcome(reader, xml.format(known)) == outcome(reader, "<return/>")


@pytest.mark.parametrize(
    "inner",
    [
        '<return xsi:type="tns:make_payment_return"><status xsi:nil="true">ok</status></return>',
        '<return xsi:nil="true"><status>ok</status></return>',
        '<return xsi:type="xsd:string"><status>ok</status></return>',
        '<return SOAP-ENC:arrayType="xsd:string[1]"><status>ok</status></return>',
        '<return><status arraySize="2">ok</status></return>',
        "<return><status>ok</status><status>ok</status></return>",
        '<return><status xsi:nill="true">ok</status></return>',
    ],
)
def test_a_payment_whose_response_contradicts_itself_is_not_known(
    http: responses.RequestsMock, inner: str
) -> None:
    add(http, wrap_in_envelope("api_make_payment", inner))
    with pytest.raises(OutcomeUnknown, match="^api_make_payment: it may or may not have happened"):
        make_client(session_id="given").make_payment(1)


def test_modules_are_never_read_from_a_status(http: responses.RequestsMock) -> None:
    add(http, wrap_in_envelope("get_modules", f"<return>{STATUS}</return>"))
    with pytest.raises(ResponseError, match="^get_modules: return: a struct instead of a list"):
        Client().get_modules()


# --- every combination -----------------------------------------------------------------------

TYPES = (
    "",
    "xsd:string",
    "xsd:int",
    "xsd:anyType",
    "SOAP-ENC:Array",
    "SOAP-ENC:Struct",
    "m:Map",
    "tns:x",
    "no:int",
)
COUNTS = (
    "",
    'SOAP-ENC:arrayType="x[0]"',
    'arraySize="1"',
    'SOAP-ENC:arrayType="xsd:int[2]"',
    'SOAP-ENC:arrayType="x[]"',
)
NILS = ("", 'xsi:nil="true"', 'xsi:nil="false"', 'xsi:null="1"')
CONTENTS = ("", " ", "5", FIELD, FIELD * 2, f"{FIELD}{OTHER}", f"<item>{FIELD}</item>", f"<item>{FIELD}</item>" * 2, f"5{FIELD}")  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_no_two_readers_disagree(kind: str) -> None:
    """What one reader takes for a list is none of the others' struct or text, nor ``call``'s."""
    seen = set()
    for count, nil, content in itertools.product(COUNTS, NILS, CONTENTS):
        written = f'xsi:type="{kind}"' if kind else ""
        xml = f'<return xmlns:m="http://xml.apache.org/xml-soap" {written} {count} {nil}>{content}</return>'
        found = {reader: outcome(reader, xml) for reader in READERS}
        call = found.pop("call")
        values = {name: value for name, value in found.items() if value is not REFUSED}
        is_nil = nil.endswith(('"true"', '"1"'))
        if call is REFUSED:
            assert not values or (content == "5" and kind in ("xsd:int", "no:int")), xml
        elif is_nil:
            assert call in (None, []), xml
            assert set(map(str, values.values())) <= {"[]", "None"}, xml
        elif isinstance(call, list):
            assert set(values) <= {"list", "strings"}, xml
            assert all(len(value) == len(call) for value in values.values()), xml
        elif isinstance(call, dict):
            one_row = {"list", "strings"} if not kind and len(call) == 1 else set()
            one_row = {"list", "strings"} if kind == "xsd:anyType" and len(call) == 1 else one_row
            assert set(values) <= {"struct", *one_row}, xml
        else:
            is_empty = not content.strip() and kind in ("", "xsd:anyType")
            assert set(values) <= ({"text", "list", "strings"} if is_empty else {"text"}), xml
        seen.add(type(call))
    assert object in seen
    assert len(seen) > 1


# --- among many rows -------------------------------------------------------------------------

CONTRADICTIONS = {
    "nil": ('<invoices_paid xsi:nil="true" xsi:type="xsd:int">0<', "invoices_paid", "nil with content"),
    "no nil": ('<invoices_paid xsi:nil="maybe" xsi:type="xsd:int">0<', "invoices_paid", "invalid xsi:nil value"),
    "rows": ('<invoices_paid xsi:type="xsd:int" arraySize="0">0<', "invoices_paid", "a text that declares rows"),
    "array": ('<invoices_paid xsi:type="SOAP-ENC:Array">0<', "invoices_paid", "text between fields"),
    "struct": ('<invoices_paid xsi:type="SOAP-ENC:Struct">0<', "invoices_paid", "text between fields"),
    "unknown": ('<invoices_paid xsi:type="xsd:int" xsi:nul="1">0<', "invoices_paid", "an attribute that XML Schema does not have"),
    "nested": ('<invoices_paid xsi:type="xsd:int"><b/><', "invoices_paid", "a nested element in a value"),
    "no number": ('<invoices_paid xsi:type="xsd:int">zero<', "invoices_paid", "not a valid int"),
}  # fmt: skip
PLAIN = '<invoices_paid xsi:type="xsd:int">0<'


@pytest.mark.parametrize("at", [0, 1, 40, 150, 299])
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_found_in_any_of_many_rows(name: str, at: int) -> None:
    """Rows with the same tags are read many at a time, and those around another one are not."""
    odd, field, problem = CONTRADICTIONS[name]
    parts = make_many_rows(300).decode().split(PLAIN)
    assert len(parts) == 301
    data = PLAIN.join(parts[: at + 1]) + odd + PLAIN.join(parts[at + 1 :])
    with pytest.raises(ResponseError) as caught:
        rows(data.encode(), Invoice)
    assert (caught.value.place, caught.value.problem) == (f"row {at + 1}, {field}", problem)


ODD_ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a nil field": (PLAIN + "/invoices_paid>", '<invoices_paid xsi:nil="true" xsi:type="xsd:int"/>', {"invoices_paid": None}),
    "an empty field": (PLAIN, '<invoices_paid xsi:type="xsd:int"><', {"invoices_paid": None}),
    "no type": (PLAIN, "<invoices_paid>1<", {"invoices_paid": 1}),
    "another type": (PLAIN, '<invoices_paid xsi:type="xsd:string">1<', {"invoices_paid": 1}),
    "in base64": ('"xsd:string">mail<', '"xsd:base64Binary">Y2Fmw6k=<', {"invoices_module": "café"}),
    "a section": (">mail<", "><![CDATA[a<b]]>c<", {"invoices_module": "a<bc"}),
    "references": (">mail<", ">a&amp;b&#65;<", {"invoices_module": "a&bA"}),
    "an equals sign": (">mail<", ">a=b<", {"invoices_module": "a=b"}),
    "a comment": (">mail<", ">a<!--b-->c<", {"invoices_module": "ac"}),
    "blanks": ("<item ", "\n <item ", {}),
    "a field more": ("<invoices_paid", "<unknown>x</unknown><invoices_paid", {}),
    "a field less": (PLAIN + "/invoices_paid>", "", {"invoices_paid": None}),
    "fields in another order": (PLAIN + "/invoices_paid>" + '<invoices_module xsi:type="xsd:string">mail</invoices_module>', '<invoices_module xsi:type="xsd:string">x</invoices_module>' + PLAIN + "/invoices_paid>", {"invoices_module": "x"}),
    "an attribute": ("<item ", '<item id="a" ', {}),
    "a namespace": ("<item ", '<item xmlns:q="urn:q" ', {}),
    "another name": ("invoices_paid", "invoices_gone", {"invoices_paid": None}),
}  # fmt: skip


@pytest.mark.parametrize("at", [0, 1, 40, 150, 299])
@pytest.mark.parametrize("name", ODD_ROWS)
def test_an_odd_row_among_many_is_read_as_it_is(name: str, at: int) -> None:
    before, after, changed = ODD_ROWS[name]
    plain = make_many_rows(300).decode()
    starts = [0, *(n for n in range(len(plain)) if plain.startswith("<item ", n))]
    row = plain[starts[at + 1] : starts[at + 2] if at < 299 else plain.index("</return>")]
    odd = row.replace(before, after)
    assert odd != row
    expected = rows(plain.encode(), Invoice)
    values = {**{n: getattr(expected[at], n) for n in Invoice.__slots__}, **changed}
    expected[at] = Invoice(**values)
    data = plain[: starts[at + 1]] + odd + plain[starts[at + 1] + len(row) :]
    assert rows(data.encode(), Invoice) == expected


@pytest.mark.slow
def test_a_row_with_other_fields_is_read_wherever_it_stands() -> None:
    """Also as the last one of some bytes, behind which all rows have the same tags again."""
    before, after, changed = ODD_ROWS["fields in another order"]
    plain = make_many_rows(300).decode()
    ends = [0, *(n for n in range(len(plain)) if plain.startswith("</item>", n))]
    expected = rows(plain.encode(), Invoice)
    for at in range(60, 180):
        row = plain[ends[at] : ends[at + 1]]
        data = plain[: ends[at]] + row.replace(before, after) + plain[ends[at + 1] :]
        found = rows(data.encode(), Invoice)
        assert found[at] == dataclasses.replace(expected[at], **changed)
        assert found[:at] + found[at + 1 :] == expected[:at] + expected[at + 1 :]


def test_a_prefix_of_the_first_rows_says_nothing_of_the_others() -> None:
    """There the type is one of XML Schema, and so a text; in the others it is SOAP's array."""
    text = "x" * 500
    row = f'<item><invoices_module xsi:type="p:Array">{text}</invoices_module></item>'
    first = row.replace("<item>", '<item xmlns:p="http://www.w3.org/2001/XMLSchema">')
    xml = f'<return xmlns:p="http://schemas.xmlsoap.org/soap/encoding/">{first * 200}{row * 200}</return>'
    assert refuse("list", xml) == (
        "row 201, invoices_module",
        "text between fields",
        text,
    )
    assert len(read("list", xml.replace(row, ""))) == 200


def test_fields_that_are_not_known_are_passed_by_in_any_number_of_rows() -> None:
    plain = make_many_rows(300)
    more = plain.replace(b"<invoices_paid", b"<unknown>x</unknown><invoices_paid")
    assert rows(more, Invoice) == rows(plain, Invoice)


def test_rows_that_repeat_a_field_are_refused_however_many_there_are() -> None:
    row = write_row({"invoices_id": 1, "invoices_module": "x" * 500})
    row = row.replace("</item>", '<invoices_id xsi:type="xsd:int">2</invoices_id></item>')
    with pytest.raises(ResponseError, match="^row 1, invoices_id: duplicate field$"):
        rows(wrap_in_envelope(LIST, write_array([row] * 300)), Invoice)


def test_a_struct_of_many_fields_is_no_list() -> None:
    fields = "".join(f"<a{n}>{FIELD}</a{n}>" for n in range(2000))
    assert refuse("list", f"<return>{fields}</return>")[1] == "a struct instead of a list"
    same = f"<return>{f'<item>{FIELD}</item>' * 2000}<other>{FIELD}</other></return>"
    assert refuse("list", same) == ("return", "duplicate field", "item, other")


def test_prefixes_declared_in_the_first_rows_count_there_alone() -> None:
    """A prefix may mean another thing in the row that declares it, with the same attributes."""
    xml = (
        '<return xmlns:p="http://www.w3.org/2001/XMLSchema"><item xmlns:p="urn:p"><invoices_module'
        ' xsi:type="p:base64Binary">YQ==</invoices_module></item><item><invoices_module'
        ' xsi:type="p:base64Binary">YQ==</invoices_module></item></return>'
    )
    assert [row.invoices_module for row in read("list", xml)] == ["YQ==", "a"]
    later = xml.replace("<item>", "<item><invoices_description>@</invoices_description>")
    for many in (5_000, 50_000):
        found = read(
            "list",
            later.replace("@", "x" * many).replace("</return>", f"{xml[xml.index('<item') :]}"),
        )
        assert [row.invoices_module for row in found] == ["YQ==", "a", "YQ==", "a"]


@pytest.mark.parametrize("schema", ["2001/XMLSchema", "1999/XMLSchema"])
def test_a_service_that_says_it_is_a_list_is_refused(schema: str) -> None:
    xml = '<return SOAP-ENC:arrayType="tns:sql_row_mail[5]"><mail_id>8556</mail_id></return>'
    data = wrap_in_envelope("x", xml).replace(b"2001/XMLSchema", schema.encode())
    with pytest.raises(ResponseError, match="^return: 5 rows declared and 1 sent$"):
        parse_record(load_document(data), MailService)


# --- bytes that look like rows -----------------------------------------------------------------


@dataclasses.dataclass
class Item:
    a: int | None
    b: str | None


ITEMS = [f"<item><a>{n}</a><b>{'x' * 80}</b></item>" for n in range(1500)]
LIKE_ROWS = "".join(ITEMS[:560])  # more than are read at a time


def wrap_items(items: list[str]) -> bytes:
    return wrap_in_envelope("x", f"<return>{''.join(items)}</return>")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("<item><a>7</a><!--{}--><b>hello</b></item>", "hello"),
        ("<item><a>7</a><?p {}?><b>hello</b></item>", "hello"),
        ("<item><a>7</a><b>he<?p {}?>llo</b></item>", "hello"),
        ("<item><a>7</a><b>he<!--{}-->llo</b></item>", "hello"),
        ("<item><a>7</a><b><![CDATA[{}]]></b></item>", LIKE_ROWS),
        ("<item><a>7</a><b>he<![CDATA[{0}{0}{0}]]>llo</b></item>", f"he{LIKE_ROWS * 3}llo"),
        ("<item><a>7</a><z>{}</z><b>hello</b></item>", "hello"),
        ("<item><a>7</a><z>{0}{0}{0}</z><b>hello</b></item>", "hello"),
        ("<item><a>7</a><z>{}<q><item>y</item></q></z><b>hello</b></item>", None),
        (f"<item><a>7</a><z>{{}}</z><y>{'<q><item>y</item></q>' * 9000}</y><b>hello</b></item>", "hello"),
        ("<!--{}--><item><a>7</a><b>hello</b></item><?p {}?>", "hello"),
    ],
)  # fmt: skip
def test_bytes_like_rows_are_rows_only_where_rows_are(row: str, text: str | None) -> None:
    """A section, a comment, an instruction or a field may hold the same bytes."""
    row = row.replace("{0}", LIKE_ROWS).replace("{}", LIKE_ROWS)
    for at in (500, 1499):
        data = wrap_items([*ITEMS[:at], row, *ITEMS[at + 1 :]])
        if text is None:  # an unknown field that is neither a list nor a struct
            with pytest.raises(ResponseError, match=f"^row {at + 1}, z: duplicate field"):
                rows(data, Item)
            continue
        found = rows(data, Item)
        assert found[at] == Item(7, text)
        assert [item.a for item in found] == [*range(at), 7, *range(at + 1, 1500)]
        assert {item.b for item in found[:at] + found[at + 1 :]} == {"x" * 80}


@pytest.mark.parametrize("text", ["Fish & Chips", "&lt", "&nbsp;", "&foo"])
def test_what_is_not_well_formed_among_many_rows_is_an_error(text: str) -> None:
    """The parser may tell of it only at the end, and take no more rows until then."""
    for at in (3, 400, 700, 1100, 1498, 1499):
        for row in (f"<item><a>7</a><b>{text}</b></item>", f"<item><a>{text}</a><b>7</b></item>"):
            with pytest.raises(ResponseError, match="^not well-formed XML"):
                rows(wrap_items([*ITEMS[:at], row, *ITEMS[at + 1 :]]), Item)


@pytest.mark.slow
def test_text_between_rows_is_refused_wherever_it_stands() -> None:
    for at in range(0, 1500, 1):
        data = wrap_items([*ITEMS[:at], f"{ITEMS[at]}JUNK", *ITEMS[at + 1 :]])
        with pytest.raises(ResponseError, match="^return: text between fields: 'JUNK'$"):
            rows(data, Item)


def test_an_empty_reference_is_refused_among_others_that_are_none() -> None:
    cells = ('<b href="#1">x</b>', '<b href="#1"/>', '<b href="#1">y</b>')
    data = wrap_items([f"<item><a>1</a>{cell}</item>" for cell in cells])
    with pytest.raises(ResponseError, match="^row 2, b: multi-reference values are not supported"):
        rows(data, Item)
    items = (
        '<item href="#1"><a>1</a></item>',
        '<item href="#1"/>',
        '<item href="#1"><a>1</a></item>',
    )
    with pytest.raises(ResponseError, match="^row 2: multi-reference values are not supported"):
        rows(wrap_items(list(items)), Item)
    assert rows(wrap_items([items[0], items[2]]), Item) == [Item(1, None)] * 2


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("<c>1</c><c>2</c>", "duplicate field"),
        ('<c xsi:nil="true">2</c>', "nil with content"),
        ('<c xsi:nil="maybe"/>', "invalid xsi:nil value"),
        ('<c xsi:type="xsd:int"><q/></c>', "a nested element in a value"),
        ('<c xsi:foo="1">1</c>', "an attribute that XML Schema does not have"),
        ('<c SOAP-ENC:arrayType="xsd:int[5]"><i>1</i></c>', "5 rows declared and 1 sent"),
    ],
)
def test_a_field_that_is_not_known_may_not_contradict_itself(field: str, problem: str) -> None:
    """``call`` refuses it, and so do all methods."""
    row = f"<item><a>1</a><b>x</b>{field}</item>"
    for many in (1, 2, 1500):
        with pytest.raises(ResponseError) as caught:
            rows(wrap_items([row] * many), Item)
        assert (caught.value.place, caught.value.problem) == ("row 1, c", problem)
    for struct in (
        f"<return><a>1</a>{field}</return>",
        f'<return xsi:type="tns:x"><a>1</a>{field}</return>',
    ):
        data = wrap_in_envelope("x", struct)
        with pytest.raises(ResponseError, match=problem):
            parse_record(load_document(data), Item)
        with pytest.raises(ResponseError, match=problem):
            parse_by_type(load_document(data))


@pytest.mark.parametrize("reader", READERS)
def test_two_types_that_differ_are_refused(reader: str) -> None:
    old = 'xmlns:o="http://www.w3.org/1999/XMLSchema-instance"'
    for first, second in (("SOAP-ENC:Array", "SOAP-ENC:Struct"), ("xsd:string", "SOAP-ENC:Array")):
        xml = f'<return {old} xsi:type="{first}" o:type="{second}"/>'
        both = " and ".join(sorted((first, second)))
        assert refuse(reader, xml) == ("return", "attributes that contradict each other", both)
