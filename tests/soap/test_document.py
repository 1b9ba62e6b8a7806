"""What is one whole response: cut off, hostile, or beside other text."""

from __future__ import annotations

import tracemalloc

import pytest

from soapmail import Invoice, ResponseError, SoapFault, Status
from soapmail.extract import parse_record, parse_single, parse_strings, rows
from soapmail.redaction import sanitize_error
from soapmail.soap.dynamic import parse_by_type

from ..support import (
    LIST,
    load_document,
    make_invoices_response,
    make_many_rows,
    make_text_response,
    read_recording,
    wrap_in_envelope,
    write_array,
    write_row,
)
from .test_repair import PLAIN, description, name_row

# --- cut off -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("counted", [True, False])
def test_a_cut_list_is_whole_or_an_error_at_every_byte(count: int, counted: bool) -> None:
    rows_ = [{"invoices_id": n, "invoices_description": "é>"} for n in range(count)]
    data = make_invoices_response(rows_)
    if not counted:
        data = data.replace(b"[%d]" % count, b"[]")
    whole = rows(data, Invoice)
    last = data.rindex(b"</item>") + 7 if count else data.index(b']">') + 3
    accepted = 0
    for end in range(len(data)):
        try:
            records = rows(data[:end], Invoice)
        except ResponseError:
            assert not counted or end < last
            continue
        assert records == whole
        accepted += 1
    assert accepted == (len(data) - last if counted else 0)


def test_a_cut_value_is_an_error_at_every_byte() -> None:
    data = make_text_response("x", "e720445786c7735a")
    struct_ = wrap_in_envelope("x", "<return><status>ok</status></return>")
    assert parse_single(load_document(data), str) == "e720445786c7735a"
    assert parse_record(load_document(struct_), Status) == Status(status="ok")
    for end in range(len(data)):
        with pytest.raises(ResponseError):
            parse_single(load_document(data[:end]), str)
    for end in range(len(struct_)):
        with pytest.raises(ResponseError):
            parse_record(load_document(struct_[:end]), Status)


@pytest.mark.parametrize(
    "kind", ['SOAP-ENC:arrayType="xsd:int[2]"', 'x:arraySize="2" x:itemType="xsd:int"']
)
def test_a_cut_list_of_any_type_is_counted(kind: str) -> None:
    data = wrap_in_envelope(
        "x",
        f'<return xmlns:x="http://www.w3.org/2003/05/soap-encoding" {kind}><i>1</i><i>2</i></return>',
    )
    last = data.index(b"2</i>") + 5
    for end in range(len(data) + 1):
        if end < last:
            with pytest.raises(ResponseError):
                parse_by_type(load_document(data[:end]))
        else:
            assert parse_by_type(load_document(data[:end])) == [1, 2]


def test_a_cut_list_of_strings_is_counted() -> None:
    data = read_recording("get_modules").body
    end = data.rindex(b"</item>") + len(b"</item>")
    assert len(parse_strings(load_document(data[:end]))) == 10
    with pytest.raises(ResponseError):
        parse_strings(load_document(data[: end - 1]))
    with pytest.raises(ResponseError, match="11 rows declared and 10 sent"):
        parse_strings(load_document(data[:end].replace(b"[10]", b"[11]")))


def test_a_cut_response_with_prefixed_names_is_closed_with_them() -> None:
    data = PLAIN.replace(b"<return", b"<tns:return").replace(b"</return", b"</tns:return")
    assert rows(data[: data.index(b"</tns:return") + 4], Invoice) == rows(PLAIN, Invoice)


@pytest.mark.parametrize("end", [None, -5, -60])
def test_the_body_of_a_cut_response_is_the_one_of_its_envelope(end: int | None) -> None:
    """Neither one within a header, nor one of another namespace."""
    body = b"<SOAP-ENV:Body>"
    within = b"<SOAP-ENV:Header>%b<a/></SOAP-ENV:Body></SOAP-ENV:Header>%b" % (body, body)
    foreign = b'<x:Body xmlns:x="urn:x"><a/></x:Body>' + body
    for other in (within, foreign):
        assert rows(PLAIN.replace(body, other)[:end], Invoice) == rows(PLAIN, Invoice)


def test_errors_of_a_cut_response_show_its_end() -> None:
    cases = {
        PLAIN[: PLAIN.index(b"<SOAP-ENV:Body") - 3]: "cut off before the value",
        PLAIN[: PLAIN.index(b"<return")]: "cut off before the value",
        make_text_response("x", "a" * 200).partition(b"</return")[0]: "cut off",
    }
    for data, problem in cases.items():
        with pytest.raises(ResponseError) as caught:
            parse_single(load_document(data), str)
        sanitized = sanitize_error(caught.value)
        assert sanitized.problem == problem
        assert sanitized.value == data.decode().partition("?>")[2][-100:]
    cut = read_recording("fault_invalid_session").body
    with pytest.raises(ResponseError, match="^a fault whose text is cut off: ") as caught:
        rows(cut[: cut.index(b"</faultstring")], Invoice)
    assert str(caught.value.value).endswith(">Invalid Session ID")


# --- what is refused without spending anything ------------------------------------------------------


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "'
    + b"a" * 1000
    + b'">'
    + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;&%c;">' % (n, *[n - 1] * 4) for n in range(98, 120))
    + b"]>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_doctype_is_refused_in_any_encoding(encoding: str) -> None:
    text = BOMB.decode() + name_row("&w;").partition("?>")[2]
    with pytest.raises(ResponseError, match="^a DOCTYPE, which SOAP forbids$"):
        rows(text.encode(encoding), Invoice)


def test_an_external_dtd_is_not_fetched() -> None:
    for kind in ('SYSTEM "http://127.0.0.1:1/x.dtd"', 'PUBLIC "a" "file:///etc/passwd"'):
        data = PLAIN.replace(b"?><", f"?><!DOCTYPE x {kind}><".encode(), 1)
        with pytest.raises(ResponseError, match="^a DOCTYPE, which SOAP forbids$"):
            rows(data, Invoice)


def test_entities_without_a_doctype_are_refused() -> None:
    with pytest.raises(ResponseError, match="^not well-formed XML: "):
        rows(PLAIN.replace(b">x<", b">&nbsp;<"), Invoice)


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        wrap_in_envelope(LIST, "<a>" * 500_000),
        wrap_in_envelope(LIST, write_array([write_row({"invoices_id": 1})])).replace(b">1<", b">" + b"<a>" * 500_000),
        BOMB + PLAIN,
        b"<![CDATA[" * 200_000 + PLAIN[60:],
        b"<!--" * 250_000 + PLAIN,
        b"<?" * 250_000 + PLAIN,
        PLAIN[:-20] + b"<![CDATA[" * 500_000,
        b"<" * 1_000_000,
        b" " * 1_000_000,
        b"&#" * 500_000 + PLAIN[:-5],
        b"<" + b"a" * 1_000_000,
        PLAIN.replace(b">x<", b">" + b"&#1" * 250_000 + b"<"),
        PLAIN.replace(b"[1]", b"[" + b"1" * 250_000 + b"]"),
    ],
    ids=range(13),
)  # fmt: skip
def test_hostile_responses_cost_little_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((ResponseError, SoapFault)):
            if rows(data, Invoice):
                raise ResponseError("put aside, and the rest is whole")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * len(data) + 2**20


def test_rows_are_freed_while_they_are_read() -> None:
    """What Python holds beside the rows themselves does not grow with them."""

    def extra(data: bytes) -> int:
        tracemalloc.start()
        try:
            records = rows(data, Invoice)
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert records
        return peak - held

    extra(make_many_rows(10))
    assert extra(make_many_rows(8000)) < extra(make_many_rows(2000)) + 300_000


def test_long_pages_are_shown_shortened() -> None:
    with pytest.raises(ResponseError) as caught:
        rows(b" x" + b"y" * 20_000, Invoice)
    assert caught.value.value == "x" + "y" * 98 + "…"


def test_an_end_before_the_envelope_is_not_its_end() -> None:
    comment = b"<!-- </SOAP-ENV:Envelope> -->"
    assert description(comment + PLAIN[: -len("</SOAP-ENV:Envelope>")]) == "x"


def test_a_cut_response_with_a_wrong_number_of_rows_says_so() -> None:
    data = PLAIN.replace(b"sql_row_invoices[1]", b"sql_row_invoices[one]")
    with pytest.raises(ResponseError, match="invalid number of rows") as caught:
        rows(data[: data.index(b"</return>")], Invoice)
    assert caught.value.value == "tns:sql_row_invoices[one]"


def test_a_count_is_read_up_to_18_digits() -> None:
    for digits, problem in (
        ("9" * 18, "rows declared and 1 sent"),
        ("9" * 19, "invalid number of rows"),
    ):
        data = PLAIN.replace(b"sql_row_invoices[1]", f"sql_row_invoices[{digits}]".encode())
        with pytest.raises(ResponseError, match=problem):
            rows(data, Invoice)


def test_the_size_of_an_array_of_arrays_is_the_last_one() -> None:
    data = PLAIN.replace(b"sql_row_invoices[1]", b"sql_row_invoices[][1]")
    assert description(data) == "x"
    with pytest.raises(ResponseError, match="2 rows declared and 1 sent"):
        rows(data.replace(b"[][1]", b"[1][2]"), Invoice)


@pytest.mark.parametrize("text", ["a\r\nb\rc", "<![CDATA[a\r\nb\rc]]>"])
def test_ends_of_lines_are_those_of_xml(text: str) -> None:
    assert description(PLAIN.replace(b">x<", f">{text}<".encode())) == "a\nb\nc"
    assert description(PLAIN.replace(b">x<", b">a&#13;\nb<")) == "a\r\nb"


def test_more_namespaces_than_anybody_needs_are_an_error() -> None:
    def response(count: int, uri: str) -> bytes:
        spaces = "".join(f' xmlns:n{n}="{uri}"' for n in range(count))
        return wrap_in_envelope("x", f'<return{spaces} xsi:type="xsd:int">5</return>')

    # Five of them are the envelope's and one the response's.
    assert parse_by_type(load_document(response(200 - 6, "u"))) == 5
    with pytest.raises(ResponseError, match="^return: more than 200 namespaces$"):
        parse_by_type(load_document(response(201 - 6, "u")))
    assert parse_by_type(load_document(response(1, "u" * 200))) == 5
    with pytest.raises(ResponseError, match="^a namespace of more than 200 characters: "):
        parse_by_type(load_document(response(1, "u" * 201)))


@pytest.mark.parametrize(
    "text", ["x" * 10_000_001, f"<![CDATA[{'x' * 10_000_001}]]>", "é" * 5_000_001]
)
def test_a_limit_of_libxml2_is_told_from_malformed_xml(text: str) -> None:
    """XML_MAX_TEXT_LENGTH of libxml2 is ten million bytes."""
    data = wrap_in_envelope("x", f"<return><a>{text}</a></return>")
    problem = "^a text of more than 10000000 bytes, which is over a limit of libxml2$"
    with pytest.raises(ResponseError, match=problem):
        parse_by_type(load_document(data))
    with pytest.raises(ResponseError, match="^not well-formed XML: "):
        parse_by_type(load_document(data.replace(text.encode(), b"x").replace(b"</a>", b"</b>")))


def test_the_longest_text_that_libxml2_reads_is_read() -> None:
    data = wrap_in_envelope("x", f"<return>{'x' * 9_999_000}</return>")
    assert parse_by_type(load_document(data)) == "x" * 9_999_000


def test_nesting_over_the_limit_of_libxml2_is_named() -> None:
    """Its limit for documents without XML_PARSE_HUGE is 256 levels."""
    data = wrap_in_envelope("x", f"<return>{'<a>' * 300}{'</a>' * 300}</return>")
    with pytest.raises(ResponseError, match="^deep nesting, which is over a limit of libxml2$"):
        parse_by_type(load_document(data))
