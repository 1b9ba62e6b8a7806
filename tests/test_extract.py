"""Extractors: places, types, and errors that say where."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any, Optional

import pytest

from soapmail import (
    Invoice,
    MailService,
    OperationFailed,
    ResponseError,
    SoapFault,
    Status,
    extract,
)
from soapmail.deadline import Deadline
from soapmail.extract import (
    parse_record,
    parse_single,
    parse_status,
    parse_strings,
    parse_url,
    require_single,
    rows,
)
from soapmail.soap.dynamic import parse_by_type
from soapmail.soap.repair import has_envelope

from .support import (
    LIST,
    load_document,
    make_fault_response,
    make_invoices_response,
    make_many_rows,
    make_status_response,
    make_text_response,
    read_recording,
    wrap_in_envelope,
    write_array,
    write_row,
)

PLAIN: dict[str, object] = {"invoices_id": 1, "invoices_description": "x", "invoices_amount": "2.5"}


def wrong(data: bytes, **options: Any) -> tuple[str | None, str, str | None]:
    with pytest.raises(ResponseError) as caught:
        rows(data, Invoice, **options)
    return caught.value.place, caught.value.problem, caught.value.value


@dataclasses.dataclass
class Own:
    """A record of a caller's own."""

    name: str
    size: int
    price: float | None = None
    note: str | None = "not sent"


def test_a_dataclass_of_the_caller_works() -> None:
    xml = write_array(["<r><size>3</size><name>a</name><price>1.5</price></r>"])
    assert rows(wrap_in_envelope("api_x", xml), Own) == [Own("a", 3, 1.5, None)]


def test_a_dataclass_with_other_types_is_refused() -> None:
    @dataclasses.dataclass
    class Flags:
        flag: bool

    with pytest.raises(TypeError, match=r"^Flags\.flag: int, float, Decimal or str expected$"):
        rows(read_recording("get_client_invoices").body, Flags)


@pytest.mark.parametrize(
    "kind",
    [list[str], dict[str, int], "int | str", "tuple[int, ...]", "list[str] | None", None, "object"],
)
def test_a_field_of_another_kind_is_refused(kind: Any) -> None:
    model = dataclasses.make_dataclass(
        "Model", [("size", kind)], namespace={"__module__": __name__}
    )
    with pytest.raises(TypeError, match=r"^Model\.size: int, float, Decimal or str expected$"):
        rows(wrap_in_envelope("x", "<return><item><size>5</size></item></return>"), model)


@pytest.mark.parametrize("kind", [Decimal, "Decimal | None", Optional[Decimal]])  # noqa: UP045
@pytest.mark.parametrize(
    "written",
    ["12345678901234567.89", "0.1000000000000000055511151231257827", "-1.50", "1e-400", "12"],
)
def test_a_decimal_keeps_all_digits(kind: Any, written: str) -> None:
    model = dataclasses.make_dataclass(
        "Model", [("cost", kind)], namespace={"__module__": __name__}
    )
    record: Any
    (record,) = rows(
        wrap_in_envelope("x", f"<return><item><cost>{written}</cost></item></return>"), model
    )
    assert str(record.cost) == str(Decimal(written))
    for bad in ("x", "1.2.3", "NaN", "INF", "1e99999"):
        with pytest.raises(ResponseError, match="cost: not a valid Decimal"):
            rows(wrap_in_envelope("x", f"<return><item><cost>{bad}</cost></item></return>"), model)
    (record,) = rows(wrap_in_envelope("x", "<return><item><cost/></item></return>"), model)
    assert record.cost is None


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("123456789012345", True), ("1234567890123456", True), ("9007199254740993", False),
        ("12345678901234567.89", False), ("0.10000000000000000555", False), ("0.1", True),
        ("12.5000000000000000000000", True), ("1e22", True), ("1e23", True), ("1.7976931348623157e308", True),
        ("4.9e-324", False), ("5e-324", True), ("1e-400", False), ("0e-400", True), ("-0.30000000000000004", True),
    ],
)  # fmt: skip
def test_digits_that_a_float_loses_are_an_error(written: str, *, kept: bool) -> None:
    data = make_invoices_response([{"invoices_id": 1, "invoices_amount": written}])
    typed_ = wrap_in_envelope("x", write_typed("xsd:double", written))
    if kept:
        (record,) = rows(data, Invoice)
        assert record.invoices_amount == parse_by_type(load_document(typed_)) == float(written)
        assert Decimal(repr(record.invoices_amount)) == Decimal(written)
    else:
        assert wrong(data) == ("row 1, invoices_amount", "more digits than a float keeps", written)
        with pytest.raises(ResponseError, match="more digits than a float keeps"):
            parse_by_type(load_document(typed_))


@pytest.mark.parametrize("digits", [15, 16, 17])
@pytest.mark.parametrize(
    "value", [34.95, 0.1, 1 / 3, 12.5, 1e22, 19.99 * 3, 123456789.12, 5e-324, -0.3]
)
def test_a_float_in_any_precision_of_php_is_that_float(value: float, digits: int) -> None:
    """XML Schema part 2, 3.2.4: a text is the float that is nearest; PHP 8.2 writes %.*G."""
    for written in (f"{value:.{digits}g}", f"{value:.{digits}G}", f"{value:.{digits - 1}e}"):
        data = make_invoices_response([{"invoices_id": 1, "invoices_amount": written}])
        (record,) = rows(data, Invoice)
        assert record.invoices_amount == float(written)
        assert record.amount == Decimal(repr(float(written)))
        if digits == 17:
            assert record.invoices_amount == value
        typed_ = wrap_in_envelope("x", write_typed("xsd:float", written))
        assert parse_by_type(load_document(typed_)) == float(written)


@pytest.mark.parametrize("data", ["<a/>", bytearray(b"x")])
def test_a_response_is_bytes(data: Any) -> None:
    with pytest.raises(TypeError, match=f"^xml: bytes expected, not {type(data).__name__}$"):
        rows(data, Invoice)


@pytest.mark.parametrize("count", [1, 2, 40, 200])
@pytest.mark.parametrize("where", ["first", "last"])
def test_errors_name_row_field_and_value(count: int, where: str) -> None:
    at = 0 if where == "first" else count - 1
    data = make_invoices_response(
        {**PLAIN, "invoices_id": "12a"} if n == at else PLAIN for n in range(count)
    )
    assert wrong(data) == (f"row {at + 1}, invoices_id", "not a valid int", "12a")


def test_rows_of_different_fields_are_read_each_by_its_own() -> None:
    different: list[dict[str, object]] = [
        PLAIN,
        {"invoices_id": 2},
        {"invoices_amount": 1, "invoices_id": 3},
        PLAIN,
    ]
    records = rows(make_invoices_response(different), Invoice)
    assert [(one.invoices_id, one.invoices_amount) for one in records] == [
        (1, 2.5),
        (2, None),
        (3, 1.0),
        (1, 2.5),
    ]
    data = make_invoices_response([PLAIN, {"invoices_id": 2}, {"invoices_id": "x", "a": 1}])
    assert wrong(data) == ("row 3, invoices_id", "not a valid int", "x")


def test_a_row_without_known_fields_is_named_with_what_it_has() -> None:
    data = make_invoices_response([PLAIN, {"a": 1, "b": 2}])
    assert wrong(data) == ("row 2", "a row without any known field", "a, b")
    data = wrap_in_envelope(LIST, write_array([write_row(PLAIN), "<item/>"]))
    assert wrong(data) == ("row 2", "a row without any known field", "nothing")


def test_text_where_rows_or_fields_belong_is_named() -> None:
    problem = "text between fields"
    assert wrong(wrap_in_envelope(LIST, "<return> none </return>")) == ("return", problem, " none ")
    data = wrap_in_envelope(LIST, write_array([write_row(PLAIN), "<item>y</item>"]))
    assert wrong(data) == ("return", problem, "y")


def test_a_field_that_stands_twice_is_named() -> None:
    data = make_invoices_response([PLAIN]).replace(
        b"<invoices_amount", b"<invoices_id>5</invoices_id><invoices_amount"
    )
    assert wrong(data) == ("row 1, invoices_id", "duplicate field", None)


def test_a_nested_element_is_named() -> None:
    data = make_invoices_response([PLAIN]).replace(b">x<", b">x<b>y</b><")
    place = "row 1, invoices_description"
    assert wrong(data) == (place, "a nested element in a value", "b")


def test_declared_and_sent_rows_are_counted() -> None:
    data = wrap_in_envelope(LIST, write_array([write_row(PLAIN)] * 7, count=12))
    assert wrong(data) == ("return", "12 rows declared and 7 sent", None)
    assert wrong(make_invoices_response([PLAIN]).replace(b"[1]", b"[x]")) == (
        "return",
        "invalid number of rows",
        "tns:sql_row_invoices[x]",
    )


@pytest.mark.parametrize(
    "attributes",
    [
        'arrayType=""',
        'arrayType=" "',
        'SOAP-ENC:arrayType="" arraySize=""',
        'arrayType="" arraySize="1"',
    ],
)
def test_a_blank_number_of_rows_is_none(attributes: str) -> None:
    declared = b'SOAP-ENC:arrayType="tns:sql_row_invoices[1]"'
    data = make_invoices_response([PLAIN]).replace(declared, attributes.encode())
    assert wrong(data)[1] == "invalid number of rows"


def test_a_long_value_is_shortened() -> None:
    _, _, value = wrong(make_invoices_response([{**PLAIN, "invoices_id": "9" * 1000}]))
    assert value == "9" * 99 + "…"
    _, _, value = wrong(make_invoices_response([{**PLAIN, "invoices_id": "a" * 100}]))
    assert value == "a" * 100


def test_many_rows_in_chunks_equal_the_same_rows_one_by_one() -> None:
    data = make_many_rows(500, "Café €")
    records = rows(data, Invoice)
    (record,) = rows(
        make_invoices_response([dict.fromkeys(["invoices_description"], "Café €")]), Invoice
    )
    assert len(records) == 500
    assert {row.invoices_description for row in records} == {record.invoices_description}
    assert records[12:24] == records[:12] == records[-20:-8]


@pytest.mark.parametrize("size", [1, 31, 32, 33])
def test_int_and_float_at_the_edge_of_the_fast_way(size: int) -> None:
    row = {"invoices_id": "1" * size, "invoices_amount": "1" + "0" * (size - 1)}
    (record,) = rows(make_invoices_response([row]), Invoice)
    assert (record.invoices_id, record.invoices_amount) == (int("1" * size), 10.0 ** (size - 1))


def test_zeros_and_fractions() -> None:
    data = make_invoices_response(
        {"invoices_id": n, "invoices_amount": n} for n in ("0", "00", "007")
    )
    assert [(record.invoices_id, record.invoices_amount) for record in rows(data, Invoice)] == [
        (0, 0.0),
        (0, 0.0),
        (7, 7.0),
    ]
    data = make_invoices_response(
        {"invoices_amount": n} for n in (".5", "5.", "-0.5", "+1", "1E2", "1e-2")
    )
    amounts = [record.invoices_amount for record in rows(data, Invoice)]
    assert amounts == [0.5, 5.0, -0.5, 1.0, 100.0, 0.01]


# --- single values -----------------------------------------------------------------------------


def test_a_struct() -> None:
    record = parse_record(load_document(read_recording("get_service").body), MailService)
    assert record is not None
    assert (record.mail_id, record.mail_comment, record.mail_extra) == (8556, "", "[]")
    assert (
        parse_record(load_document(read_recording("get_service_unknown_nil").body), MailService)
        is None
    )


def test_a_struct_without_fields_is_an_error_of_its_own() -> None:
    with pytest.raises(ResponseError, match="^return: a struct without fields$"):
        parse_record(load_document(read_recording("get_service_invalid_session").body), MailService)


@pytest.mark.parametrize(
    ("xml", "place", "problem"),
    [
        ("<return>x</return>", "return", "a text instead of fields"),
        ("<return><a/></return>", "return", "a row without any known field"),
        ("<return><mail_id>x</mail_id></return>", "mail_id", "not a valid int"),
        ("<return><mail_id>1</mail_id>x</return>", "return", "text between fields"),
        ("<return><mail_id>1</mail_id><mail_id>1</mail_id></return>", "return", "a list instead of fields"),
        ("<return><mail_id>1</mail_id><a/><mail_id>1</mail_id></return>", "return", "duplicate field"),
        ('<return href="#x"/>', "return", "multi-reference values are not supported"),
    ],
)  # fmt: skip
def test_what_is_no_struct(xml: str, place: str, problem: str) -> None:
    with pytest.raises(ResponseError) as caught:
        parse_record(load_document(wrap_in_envelope("x", xml)), MailService)
    assert (caught.value.place, caught.value.problem) == (place, problem)


def test_scalars() -> None:
    assert (
        parse_single(load_document(read_recording("login").body), str)
        == "e720445786c7735aa64392f987db2fad"
    )
    assert parse_single(load_document(read_recording("login_wrong_password").body), str) == ""
    assert parse_single(load_document(read_recording("cancel_service_true").body), bool) is True
    assert parse_single(load_document(read_recording("cancel_service_false").body), bool) is False
    assert parse_single(load_document(make_text_response("x", " 1 ", "boolean")), bool) is True
    assert parse_single(load_document(make_text_response("x", "0", "boolean")), bool) is False
    assert parse_single(load_document(make_text_response("x", "1119", "int")), int) == 1119
    assert parse_single(load_document(make_text_response("x", "", "int")), int) is None
    assert (
        parse_single(load_document(wrap_in_envelope("x", '<return xsi:nil="true"/>')), str) is None
    )


@pytest.mark.parametrize("text", ["2", "yes", "TRUE", "tru"])
def test_what_is_no_bool(text: str) -> None:
    with pytest.raises(ResponseError, match="^return: not a valid bool: "):
        parse_single(load_document(make_text_response("x", text, "boolean")), bool)


def test_a_required_value() -> None:
    assert require_single(load_document(make_text_response("x", "0", "int")), int) == 0
    with pytest.raises(ResponseError, match="^return: no value$"):
        require_single(load_document(make_text_response("x", "", "int")), int)


def test_a_url_alone_or_in_an_anchor() -> None:
    href = "https://www.paypal.com/cgi-bin/webscr?cmd=_xclick&currency_code=USD&notify=1"
    assert parse_url(load_document(make_text_response("x", href))) == href
    assert parse_url(load_document(make_text_response("x", f" {href}\n"))) == href
    assert (
        parse_url(load_document(make_text_response("x", f'<a class="b" href="{href}">Pay</a>')))
        == href
    )
    escaped = href.replace("&", "&amp;")
    assert (
        parse_url(
            load_document(make_text_response("x", f"<A HREF = '{escaped}' target=_blank>Pay</A>"))
        )
        == href
    )
    assert parse_url(load_document(make_text_response("x", "http://x"))) == "http://x"
    for text, found in (
        (
            """<a href="https://x/?item=O'Brien&amp;amount=5">Pay</a>""",
            "https://x/?item=O'Brien&amount=5",
        ),
        ("<a href='https://x/?a=\"b\"&#38;c=&#x31;&#049;'>", 'https://x/?a="b"&c=11'),
        (
            '<a href="https://x/?a=O&#039;B&quot;&copy_of=1&lt=2">',
            "https://x/?a=O'B\"&copy_of=1&lt=2",
        ),
        ('<a href="https://x/?a=&amp;amp;">', "https://x/?a=&amp;"),
        ("<a href=https://x/?a=1&amp;b=2>Pay</a>", "https://x/?a=1&b=2"),
        ("<a target=_blank href=https://x/?a=1>Pay</a>", "https://x/?a=1"),
        ('<a data-href="https://y/" href="https://x/">', "https://x/"),
        ('<a href="https://x/" data-href="https://y/">', "https://x/"),
        ('<a title="> href=https://y/ " href="https://x/">', "https://x/"),
        ('<a xhref="https://y/"\n HREF\t=\n"https://x/">', "https://x/"),
        ('<a disabled href="https://x/" href="https://y/">', "https://x/"),
        # An entity with more digits than Python makes a number of.
        (f"<a href='https://x/?&#{'9' * 5000};'>", f"https://x/?&#{'9' * 5000};"),
    ):
        assert parse_url(load_document(make_text_response("x", text))) == found
    for text in (
        '<a data-href="https://y/">x</a>',
        '<abbr href="https://y/">',
        '<a href="https://x/',
        "<a>https://x/</a>",
        "https://x/<br/>Warning:",
        "https://x/\x01",
        "https://x/" + "y" * 8200,
        f"<a href='https://x/{'y' * 8200}'>",
    ):
        with pytest.raises(ResponseError, match="not a URL"):
            parse_url(load_document(make_text_response("x", text)))
    for text in ("", "no such invoice", "<a href=''>x</a>", "https://x y", "javascript:x"):
        with pytest.raises(ResponseError, match="^return: not a URL"):
            parse_url(load_document(make_text_response("x", text)))


def test_a_status() -> None:
    assert parse_status(load_document(read_recording("send_mail_ok").body), Status) == Status(
        "ok", "Mail queued"
    )
    record = parse_status(load_document(make_status_response("x", " OK ", "fine")), Status)
    assert record == Status(" OK ", "fine")
    with pytest.raises(OperationFailed) as caught:
        parse_status(load_document(read_recording("send_mail_error").body), Status)
    assert caught.value == OperationFailed("error", "No active mail order")
    with pytest.raises(OperationFailed) as caught:
        parse_status(
            load_document(wrap_in_envelope("x", "<return><status>Failed</status></return>")), Status
        )
    assert caught.value == OperationFailed("Failed", None)
    for xml in ("<return><status_text>x</status_text></return>", '<return xsi:nil="true"/>'):
        with pytest.raises(ResponseError, match="^return: no status$"):
            parse_status(load_document(wrap_in_envelope("x", xml)), Status)


def test_strings() -> None:
    expected = "domains vps backups mail licenses ssl floating_ips webhosting quickservers servers"
    assert parse_strings(load_document(read_recording("get_modules").body)) == expected.split()
    assert parse_strings(load_document(wrap_in_envelope("x", '<return xsi:nil="true"/>'))) == []
    assert parse_strings(
        load_document(wrap_in_envelope("x", "<return><a> b </a><a/></return>"))
    ) == [" b ", ""]


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        ("<return>x</return>", "a text instead of a list"),
        ("<return><a>1</a>x</return>", "text between fields"),
        ("<return><a><b/></a></return>", "a nested element in a value"),
        ('<return SOAP-ENC:arrayType="x[2]"><a/></return>', "2 rows declared and 1 sent"),
    ],
)
def test_what_are_no_strings(xml: str, problem: str) -> None:
    with pytest.raises(ResponseError) as caught:
        parse_strings(load_document(wrap_in_envelope("x", xml)))
    assert caught.value.problem == problem


# --- values by xsi:type ------------------------------------------------------------------------


def write_typed(kind: str, text: str) -> str:
    return f'<return xsi:type="{kind}">{text}</return>'


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        (write_typed("xsd:string", "1"), "1"),
        (write_typed("xsd:string", ""), ""),
        (write_typed("xsd:int", " 1 "), 1),
        (write_typed("xsd:integer", "-1"), -1),
        (write_typed("xsd:unsignedByte", "1"), 1),
        (write_typed("xsd:int", ""), None),
        (write_typed("xsd:float", "1"), 1.0),
        (write_typed("xsd:double", "1.5"), 1.5),
        (write_typed("xsd:decimal", "1.5"), 1.5),
        (write_typed("xsd:boolean", "true"), True),
        (write_typed("xsd:boolean", "0"), False),
        (write_typed("xsd:dateTime", "x"), "x"),
        (write_typed("tns:anything", "x"), "x"),
        (write_typed("tns:anything", ""), {}),
        (write_typed("SOAP-ENC:string", ""), ""),
        ("<return>1</return>", "1"),
        ("<return/>", ""),
        ('<return xsi:nil="true" xsi:type="tns:x"/>', None),
        ('<return xsi:type="SOAP-ENC:Array" xsi:nil="true"/>', []),
        (write_typed("SOAP-ENC:Array", ""), []),
        ("<return><item>1</item><item>2</item></return>", ["1", "2"]),
        ("<return><a>1</a><b><c/></b></return>", {"a": "1", "b": {"c": ""}}),
        (write_typed("tns:x", '<item xsi:type="xsd:int">1</item>'), {"item": 1}),
        (
            write_typed("x:Map", "<item><key>a</key><value>1</value></item>"),
            {"a": "1"},
        ),
        (
            '<return SOAP-ENC:arrayType="xsd:int[2]"><i xsi:type="xsd:int">1</i>'
            '<i xsi:nil="true"/></return>',
            [1, None],
        ),
    ],
)
def test_by_type(xml: str, value: Any) -> None:
    found = parse_by_type(load_document(wrap_in_envelope("x", xml)))
    assert found == value
    assert type(found) is type(value)


def test_by_type_reads_the_recorded_responses() -> None:
    records = parse_by_type(load_document(read_recording("get_client_invoices").body))
    assert len(records) == 12
    assert records[0]["invoices_id"] == 7514880
    assert records[0]["invoices_amount"] == 1.0
    assert parse_by_type(load_document(read_recording("get_service_invalid_session").body)) == {}
    assert parse_by_type(load_document(read_recording("get_client_invoices_empty").body)) == []
    assert parse_by_type(load_document(read_recording("send_mail_ok").body)) == {
        "status": "ok",
        "status_text": "Mail queued",
    }


@pytest.mark.parametrize(
    ("xml", "place", "problem"),
    [
        (write_typed("xsd:int", "x"), "return", "not a valid int"),
        (write_typed("xsd:float", "NaN"), "return", "not a valid float"),
        (write_typed("xsd:boolean", "x"), "return", "not a valid bool"),
        ("<return>x<a/></return>", "return", "text between fields"),
        ("<return><item/>x<item/></return>", "return", "text between fields"),
        ("<return><a/><b/><a/></return>", "return", "duplicate field"),
        (write_typed("SOAP-ENC:Struct", "<a/><a/>"), "return", "duplicate field"),
        (write_typed("SOAP-ENC:Array", "x"), "return", "text between fields"),
        ('<return><a><b xsi:type="xsd:int">x</b></a></return>', "return, a, b", "not a valid int"),
        (
            '<return SOAP-ENC:arrayType="x[2]"><i/></return>',
            "return",
            "2 rows declared and 1 sent",
        ),
        (
            write_typed("SOAP-ENC:Array", '<i/><i xsi:type="xsd:int">x</i>'),
            "return, row 2",
            "not a valid int",
        ),
        (
            write_typed("x:Map", "<item><a/></item>"),
            "return",
            "a map with nested or duplicate keys",
        ),
        (write_typed("x:Map", "<item/>"), "return", "a map with nested or duplicate keys"),
        (
            write_typed("x:Map", "<item><key>a</key><value/></item>" * 2),
            "return",
            "a map with nested or duplicate keys",
        ),
        (
            write_typed("x:Map", "<item><key><b/></key><value/></item>"),
            "return",
            "a map with nested or duplicate keys",
        ),
        (
            '<return><a href="#x"/></return>',
            "return, a",
            "multi-reference values are not supported",
        ),
    ],
)
def test_by_type_refuses(xml: str, place: str, problem: str) -> None:
    with pytest.raises(ResponseError) as caught:
        parse_by_type(load_document(wrap_in_envelope("x", xml)))
    assert (caught.value.place, caught.value.problem) == (place, problem)


@pytest.mark.parametrize("many", [0, 30])
def test_one_huge_number_among_short_ones_is_judged_as_alone(many: int) -> None:
    short = [{"invoices_amount": "1", "invoices_id": "1"}] * many
    for field, size in (("invoices_amount", 400), ("invoices_id", 50)):
        huge = {"invoices_amount": "1", "invoices_id": "1", field: "9" * size}
        place, problem, _ = wrong(make_invoices_response([*short, huge, *short]))
        assert place == f"row {many + 1}, {field}"
        assert problem.startswith("not a valid")


def test_a_dataclass_that_cannot_be_made_by_position_is_refused() -> None:
    @dataclasses.dataclass(kw_only=True)
    class Named:
        invoices_id: int

    @dataclasses.dataclass
    class Derived:
        invoices_id: int = dataclasses.field(default=0, init=False)

    for model in (Named, Derived):
        with pytest.raises(TypeError, match="a field of the constructor, by position, expected$"):
            rows(read_recording("get_client_invoices").body, model)


def test_a_long_declaration_takes_no_long_time() -> None:
    data = make_invoices_response([PLAIN]).replace(b"[1]", b"[1" + b" " * 8000 + b"x]")
    assert wrong(data)[1] == "invalid number of rows"


# --- the response as a whole -----------------------------------------------------------------------


def test_a_response_to_another_operation_is_refused() -> None:
    body = read_recording("get_client_invoices").body
    assert len(parse_by_type(load_document(body, operation=LIST))) == 12
    with pytest.raises(ResponseError) as caught:
        parse_by_type(load_document(body, operation="api_login"))
    assert caught.value == ResponseError(
        "the response to another operation", None, None, f"{LIST}Response"
    )
    # It is noticed before the rows, which do not fit either.
    with pytest.raises(ResponseError, match="the response to another operation"):
        rows_of = load_document(
            make_many_rows(300).replace(b"invoices_", b"x_"), operation="api_login"
        )
        parse_record(rows_of, Invoice)


def test_faults_keep_their_parts_as_written() -> None:
    with pytest.raises(SoapFault) as caught:
        rows(read_recording("fault_undefined_operation").body, Invoice)
    assert caught.value == SoapFault(
        "SOAP-ENV:Client",
        "Operation 'api_mail_no_such_operation' is not defined in the WSDL for this service",
    )
    with pytest.raises(SoapFault) as caught:
        rows(read_recording("fault_unparsable_request").body, Invoice)
    assert caught.value.text == (
        "error in msg parsing:\nXML error parsing SOAP payload on line 1: > required"
    )
    with pytest.raises(SoapFault) as caught:
        rows(make_fault_response(" <b>Fatal</b> & \n x "), Invoice)
    assert caught.value.text == " <b>Fatal</b> & \n x "
    body = make_fault_response("t").replace(
        b'<faultactor xsi:type="xsd:string"></faultactor>', b"<faultactor>a</faultactor>"
    )
    body = body.replace(b'<detail xsi:type="xsd:string">', b"<detail>d<x>e</x>")
    with pytest.raises(SoapFault) as caught:
        rows(body, Invoice)
    assert caught.value == SoapFault("Client", "t", "a", "de")


def test_a_soap12_fault() -> None:
    data = (
        b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><e:Fault>'
        b"<e:Code><e:Value>e:Sender</e:Value></e:Code><e:Reason><e:Text>no</e:Text></e:Reason>"
        b"<e:Role>r</e:Role><e:Detail>d</e:Detail></e:Fault></e:Body></e:Envelope>"
    )
    with pytest.raises(SoapFault) as caught:
        rows(data, Invoice)
    assert caught.value == SoapFault("e:Sender", "no", "r", "d")


def test_a_fault_cut_short_never_becomes_data() -> None:
    body = make_fault_response("Something went wrong")
    whole = body.index(b"</faultstring>") + len(b"</faultstring>")
    for end in range(len(body)):
        with pytest.raises((SoapFault, ResponseError)) as caught:
            rows(body[:end], Invoice)
        if end >= whole:
            assert caught.value == SoapFault("Client", "Something went wrong")
        else:
            assert isinstance(caught.value, ResponseError)


def test_what_is_an_envelope() -> None:
    for name in ("get_client_invoices", "fault_invalid_session"):
        body = read_recording(name).body
        assert has_envelope(body, Deadline())
        assert has_envelope(body.decode().encode("utf-16"), Deadline())
        assert has_envelope(b"Warning\n" + body[:-50], Deadline())
    for page in (b"", b"<html>Envelope</html>", b"<Envelop", b"<XEnvelope>", b"<Envelopes>"):
        assert not has_envelope(page, Deadline())


def test_places_of_references_and_values() -> None:
    """Every error says where, whichever way the reader came."""

    def place(work: Any) -> tuple[str | None, str | None]:
        with pytest.raises(ResponseError) as caught:
            work()
        return caught.value.place, caught.value.value

    href = '<return href="#x"/>'
    assert place(lambda: rows(wrap_in_envelope(LIST, href), Invoice)) == ("return", "#x")
    assert place(lambda: parse_strings(load_document(wrap_in_envelope("x", href)))) == (
        "return",
        "#x",
    )
    assert place(lambda: parse_single(load_document(wrap_in_envelope("x", href)), str)) == (
        "return",
        "#x",
    )
    assert place(lambda: parse_by_type(load_document(wrap_in_envelope("x", href)))) == (
        "return",
        "#x",
    )
    cell = wrap_in_envelope(LIST, write_array(['<item><invoices_id href="#x"/></item>']))
    assert place(lambda: rows(cell, Invoice)) == ("row 1, invoices_id", "#x")
    nested = "<return><a>1</a><a><b/></a></return>"
    assert place(lambda: parse_strings(load_document(wrap_in_envelope("x", nested)))) == (
        "row 2",
        "b",
    )
    text = "<return>x<a/></return>"
    assert place(lambda: parse_strings(load_document(wrap_in_envelope("x", text)))) == (
        "return",
        "x",
    )
    text = "<return><item><item/></item><item>1<b/></item></return>"
    assert place(lambda: parse_by_type(load_document(wrap_in_envelope("x", text)))) == (
        "return, row 2",
        "1",
    )
    twice = "<return><a/><b/><a/></return>"
    assert place(lambda: parse_by_type(load_document(wrap_in_envelope("x", twice)))) == (
        "return",
        "a, b",
    )
    deep = f"<return>{'<a>' * 66}{'</a>' * 66}</return>"
    assert place(lambda: parse_by_type(load_document(wrap_in_envelope("x", deep))))[0] == ", ".join(
        ["return", *"a" * 65]
    )
    with pytest.raises(ResponseError, match="^return: not a URL: 'no'$"):
        parse_url(load_document(make_text_response("x", "no")))
    map_ = write_typed("x:Map", '<item><key>a</key><value xsi:type="xsd:int">x</value></item>')
    assert place(lambda: parse_by_type(load_document(wrap_in_envelope("x", map_)))) == (
        "return, value",
        "x",
    )
    map_ = write_typed("x:Map", "<item><key>a</key></item>")
    assert place(lambda: parse_by_type(load_document(wrap_in_envelope("x", map_)))) == (
        "return",
        None,
    )
    map_ = write_typed("x:Map", "<item><key>a</key><value>1</value><key>b</key></item>")
    assert place(lambda: parse_by_type(load_document(wrap_in_envelope("x", map_)))) == (
        "return",
        "key, value",
    )


def test_rows_of_equal_width_but_other_fields_keep_their_own() -> None:
    one = {"invoices_id": 1, "invoices_amount": 2}
    other = {"invoices_custid": 3, "invoices_amount": 4}
    records = rows(make_invoices_response([one, other]), Invoice)
    assert [(r.invoices_id, r.invoices_custid, r.invoices_amount) for r in records] == [
        (1, None, 2.0),
        (None, 3, 4.0),
    ]
    third = rows(make_invoices_response([one, other, one, other]), Invoice)
    assert [(r.invoices_id, r.invoices_custid) for r in third] == [(1, None), (None, 3)] * 2
    # Other widths whose names happen to go on in the same rhythm.
    short = {"invoices_id": 5}
    data = make_invoices_response([one, {**one, "a": 1}, short, one])
    assert [r.invoices_amount for r in rows(data, Invoice)] == [2.0, 2.0, None, 2.0]
    swapped = make_invoices_response([short, one, {"invoices_amount": 9, "x": 0}])
    assert [r.invoices_amount for r in rows(swapped, Invoice)] == [None, 2.0, 9.0]
    # A field of the third row is the second one's in a rhythm of two, and twice there as it is.
    amount = '<invoices_amount xsi:type="xsd:float">3</invoices_amount>'
    turned = {"invoices_amount": 8, "invoices_id": 6}
    data = make_invoices_response([one, short, turned, one])
    at = data.index(b"</item>", data.index(b">6<"))
    duplicate = data[:at] + amount.encode() + data[at:]
    assert wrong(duplicate) == ("row 3, invoices_amount", "duplicate field", None)


@pytest.mark.parametrize("at", range(4))
def test_the_row_of_an_error_is_counted_from_one(at: int) -> None:
    mixed: list[dict[str, object]] = [{"invoices_id": n} for n in range(4)]
    mixed[at] = {"invoices_id": "x", "invoices_custid": 1}
    assert wrong(make_invoices_response(mixed))[0] == f"row {at + 1}, invoices_id"
    same: list[dict[str, object]] = [{"invoices_id": n} for n in range(4)]
    same[at] = {"invoices_id": "x"}
    assert wrong(make_invoices_response(same))[0] == f"row {at + 1}, invoices_id"


def test_a_nil_is_none_though_it_names_a_size() -> None:
    cell = '<invoices_module xsi:nil="true" SOAP-ENC:arrayType="xsd:string[0]"/>'
    identity = '<invoices_id xsi:type="xsd:int">5</invoices_id>'
    data = wrap_in_envelope(LIST, write_array([f"<item>{identity}{cell}</item>"]))
    (record,) = rows(data, Invoice)
    assert (record.invoices_id, record.invoices_module) == (5, None)


@pytest.mark.parametrize(("size", "is_right"), [("1", True), ("*", True), ("2", False)])
def test_the_sizes_of_soap11_and_soap12_must_agree(size: str, *, is_right: bool) -> None:
    declared = b'SOAP-ENC:arrayType="tns:sql_row_invoices[1]"'
    data = make_invoices_response([PLAIN]).replace(
        declared, declared + f' arraySize="{size}"'.encode()
    )
    if is_right:
        assert len(rows(data, Invoice)) == 1
    else:
        assert wrong(data) == ("return", "attributes that contradict each other", "1 and 2")


def test_soap12_sizes_are_counted_too() -> None:
    data = make_invoices_response([PLAIN]).replace(
        b'SOAP-ENC:arrayType="tns:sql_row_invoices[1]"', b'SOAP-ENC:arraySize="2"'
    )
    assert wrong(data) == ("return", "2 rows declared and 1 sent", None)


@pytest.mark.parametrize("written", ["x[] ", " x[]", "x[ ]", " * "])
def test_sizes_that_say_nothing(written: str) -> None:
    data = make_invoices_response([PLAIN]).replace(b"tns:sql_row_invoices[1]", written.encode())
    if written == "x[ ]":
        assert wrong(data)[1] == "invalid number of rows"
    else:
        assert len(rows(data, Invoice)) == 1


@pytest.mark.parametrize(("written", "value"), [("true", None), (" 1 ", None), ("false", ""), ("0 ", "")])  # fmt: skip
def test_nil_and_not(written: str, value: str | None) -> None:
    data = make_invoices_response([{"invoices_description": None}]).replace(
        b'"true"', f'"{written}"'.encode()
    )
    (record,) = rows(data, Invoice)
    assert record.invoices_description == value


@pytest.mark.parametrize("written", ["", "tr#e", "TRUE", "yes"])
def test_neither_nil_nor_not(written: str) -> None:
    data = make_invoices_response([{"invoices_description": None}]).replace(
        b'"true"', f'"{written}"'.encode()
    )
    assert wrong(data) == ("row 1, invoices_description", "invalid xsi:nil value", written)


def test_problems_of_a_whole_response_are_told() -> None:
    plain = make_invoices_response([PLAIN])
    cases: dict[bytes, tuple[str, str | None]] = {
        b"": ("an empty response", None),
        b" \n": ("an empty response", None),
        b" <html> ": ("no SOAP envelope", "<html>"),
        plain.replace(b"schemas.xmlsoap.org/soap/envelope", b"x"): ("not a SOAP envelope", "{http://x/}Envelope"),
        plain.replace(b"</SOAP-ENV:Body>", b"<x/></SOAP-ENV:Body>"): (
            "more than one response in the body (multi-reference values are not supported)", None
        ),
        plain.replace(b"</SOAP-ENV:Body>", b"</SOAP-ENV:Body><SOAP-ENV:Body/>"): ("2 bodies in the envelope", None),
        wrap_in_envelope(LIST, ""): ("0 return values where one belongs", None),
        wrap_in_envelope(LIST, "<a/><b/>"): ("2 return values where one belongs", None),
    }  # fmt: skip
    for data, (problem, value) in cases.items():
        place, found, shown = wrong(data)
        assert (place, found, shown) == (None, problem, value)


def test_strings_of_an_xml_type_prefix() -> None:
    assert (
        parse_by_type(load_document(wrap_in_envelope("x", '<return xsi:type="a:b:int">5</return>')))
        == 5
    )


# "café" and "€ 5" in UTF-8 and base64, as RFC 4648 writes them.
ENCODED = (("Y2Fmw6k=", "café"), (" 4oKs\n IDU= ", "€ 5"), ("", ""))


@pytest.mark.parametrize(("written", "text"), ENCODED)
@pytest.mark.parametrize("kind", ["xsd:base64Binary", "SOAP-ENC:base64", "base64Binary"])
def test_text_in_base64_is_read(written: str, text: str, kind: str) -> None:
    cell = f'<invoices_description xsi:type="{kind}">{written}</invoices_description>'
    plain = "<invoices_description>Y2Fmw6k=</invoices_description>"
    data = wrap_in_envelope(
        LIST, write_array([f"<item>{cell}</item>", f"<item>{plain}</item>"] * 30)
    )
    assert [row.invoices_description for row in rows(data, Invoice)] == [text, "Y2Fmw6k="] * 30
    document = load_document(
        wrap_in_envelope("api_x", f'<return xsi:type="{kind}">{written}</return>')
    )
    assert parse_single(document, str) == parse_by_type(document) == text


@pytest.mark.parametrize("written", ["Y2Fm*w6k=", "Y2Fmw6k", "6Q==", "é"])
def test_what_is_no_text_in_base64(written: str) -> None:
    cell = f'<invoices_description xsi:type="xsd:base64Binary">{written}</invoices_description>'
    place, problem, value = wrong(wrap_in_envelope(LIST, write_array([f"<item>{cell}</item>"])))
    assert (place, problem, value) == (
        "row 1, invoices_description",
        "not text in base64",
        written,
    )


def test_rows_with_the_same_fields_are_mapped_a_column_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All that the documented rows hold takes the fast way, and the last row alone."""
    counts = []
    columns = extract._build_columns

    def count_calls(model: Any, part: Any, tags: Any, cells: Any, first: Any) -> Any:
        counts.append(len(cells) // len(tags))
        return columns(model, part, tags, cells, first)

    def slow(*arguments: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(extract, "_build_columns", count_calls)
    monkeypatch.setattr(extract, "parse_scalar", slow)
    data = make_many_rows(12).replace(b">1<", b">1.25<", 1)
    assert rows(data.replace(b'float">1<', b'float">2.5<'), Invoice)[1].invoices_amount == 2.5
    assert counts == [11, 1]


@pytest.mark.parametrize("written", ["", "tr#e"])
def test_a_struct_that_is_neither_nil_nor_not(written: str) -> None:
    document = load_document(wrap_in_envelope("x", f'<return xsi:nil="{written}"/>'), operation="x")
    for read in (lambda: parse_record(document, Invoice), lambda: parse_by_type(document)):
        with pytest.raises(ResponseError) as caught:
            read()
        assert caught.value == ResponseError("invalid xsi:nil value", None, "return", written)


def test_a_reference_in_a_field_that_is_not_known_is_refused() -> None:
    cell = '<item><invoices_id>5</invoices_id><unknown href="#x"/></item>'
    assert wrong(wrap_in_envelope(LIST, write_array([cell]))) == (
        "row 1, unknown", "multi-reference values are not supported", "#x",
    )  # fmt: skip


def test_an_element_with_values_of_its_own_is_no_reference() -> None:
    data = wrap_in_envelope(
        LIST, write_array(['<item href="#nowhere"><invoices_id>5</invoices_id></item>'])
    )
    assert rows(data, Invoice) == [Invoice(invoices_id=5)]
    row = '<return href="#nowhere"> <invoices_id>5</invoices_id> </return>'
    assert parse_record(load_document(wrap_in_envelope("x", row)), Invoice) == Invoice(
        invoices_id=5
    )
    assert parse_by_type(load_document(wrap_in_envelope("x", row))) == {"invoices_id": "5"}
    cell = '<item><invoices_module href="#nowhere">mail</invoices_module></item>'
    assert rows(wrap_in_envelope(LIST, write_array([cell])), Invoice) == [
        Invoice(invoices_module="mail")
    ]
