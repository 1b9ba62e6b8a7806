"""Write the folders of odd and of bad responses; run it after a change here.

Each file starts with a line that says why it is there. In ``odd`` a second line holds, as JSON,
the fields that each row must have; in ``bad`` the first word is the error to expect.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support import (
    DATA,
    LIST,
    make_fault_response,
    make_invoices_response,
    read_recording,
    wrap_in_envelope,
    write_array,
    write_row,
)

ROWS: list[dict[str, Any]] = [
    {"invoices_id": 1, "invoices_description": "Café", "invoices_amount": "12.50"},
    {"invoices_id": 2, "invoices_description": "b", "invoices_amount": "3"},
]
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"


def expected(first: Any = "Café", second: Any = "b") -> list[dict[str, Any]]:
    """Give the fields of both rows, with other descriptions."""
    return [
        {"invoices_id": 1, "invoices_description": first, "invoices_amount": 12.5},
        {"invoices_id": 2, "invoices_description": second, "invoices_amount": 3.0},
    ]


def response(first: str = "Café", *, declared: str = "ISO-8859-1") -> bytes:
    """Give two rows in the server's form, the first with this description as markup."""
    data = make_invoices_response(ROWS, declared=declared).decode()
    return data.replace("Café", first).encode()


def second(data: bytes, description: bytes) -> bytes:
    """Give the second row another description."""
    return data.replace(b">b<", b">" + description + b"<")


def odd() -> dict[str, tuple[str, bytes, Any]]:
    """Give the responses that are odd but whole: a reason, the bytes, the rows."""
    plain = response()
    text = plain.decode()
    body = text[text.index("<SOAP-ENV:Envelope") :]
    end = "</return></ns1:api_mail_get_client_invoicesResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    made: dict[str, tuple[str, bytes, Any]] = {
        "utf8_declared_latin1": ("what the server does", plain, expected()),
        "utf8_declared_utf8": ("a right label", response(declared="UTF-8"), expected()),
        "no_declaration": ("XML without a declaration", body.encode(), expected()),
        "bom_utf8": ("a byte order mark", b"\xef\xbb\xbf" + plain, expected()),
        "latin1": ("true Latin-1", text.encode("latin-1"), expected()),
        "cp1252": (
            "Windows-1252 under its own name",
            response("5 € – Café", declared="windows-1252").decode().encode("cp1252"),
            expected("5 € – Café"),
        ),
        "cp1252_declared_latin1": (
            "Windows-1252 under the name of Latin-1",
            response("5 € – Café").decode().encode("cp1252"),
            expected("5 € – Café"),
        ),
        "cp1252_declared_utf8": (
            "declared UTF-8, and no multi-byte sequence in it",
            response("5 € – Café", declared="UTF-8").decode().encode("cp1252"),
            expected("5 € – Café"),
        ),
        "latin1_c1": (
            "a byte that Windows-1252 has no letter for",
            response("x\x81\xe9").decode().encode("latin-1"),
            expected("x\ufffd\xe9"),
        ),
        "latin2": (
            "a declared encoding of another kind",
            response("Žluťoučký", declared="ISO-8859-2").decode().encode("iso8859-2"),
            expected("Žluťoučký"),
        ),
        "utf8_damaged": (
            "bad bytes beside valid sequences become U+FFFD",
            response("Café \xff", declared="UTF-8").replace("\xff".encode(), b"\xff"),
            expected("Café \ufffd"),
        ),
        "utf8_damaged_declared_latin1": (
            "bad bytes beside valid sequences, as the server declares them",
            response("Café é \xff").replace("\xff".encode(), b"\xff"),
            expected("Café é ÿ"),
        ),
        "ascii_label": (
            "US-ASCII is a part of Latin-1",
            response(declared="US-ASCII").decode().encode("latin-1"),
            expected(),
        ),
        "unknown_encoding": (
            "an encoding that nobody knows",
            response(declared="x-none").decode().encode("latin-1"),
            expected(),
        ),
        "no_text_encoding": (
            "a codec that is no text encoding",
            response(declared="base64").decode().encode("latin-1"),
            expected(),
        ),
        "cut_letter": (
            "a text that was cut inside a letter, beside one that was not",
            second(plain, b"Z\xc3"),
            expected(second="Z\ufffd"),
        ),
        "mixed_rows": (
            "a row of Latin-1 beside one of UTF-8",
            second(plain, b"Caf\xe9"),
            expected(second="Café"),
        ),
        "cesu8": (
            "an emoji as two surrogates",
            second(plain, "\ud83d\ude00".encode("utf-8", "surrogatepass")),
            expected(second="😀"),
        ),
        "replacement": (
            "a U+FFFD that the server wrote, and one bad byte",
            second(response("\ufffd", declared="windows-1252"), b"\xe9"),
            expected("\ufffd", "é"),
        ),
        "latin1_warning_before": (
            "a PHP warning in Latin-1 before UTF-8",
            b"<b>Warning</b>: caf\xe9<br />\n" + plain,
            expected(),
        ),
        "envelope_in_comment": (
            "a comment that holds an envelope",
            b"<!-- "
            + response("no")[43:].replace(b"--", b"")
            + b" -->"
            + plain[43:]
            + b"<!--<x:Envelope>-->",
            expected(),
        ),
        "end_in_comment": (
            "comments that hold the end of the envelope",
            plain.replace(b"</item>", b"</item><!-- </SOAP-ENV:Envelope> -->")
            + b"<!-- </SOAP-ENV:Envelope> -->",
            expected(),
        ),
        "body_beside": (
            "another element that is called Body beside SOAP's",
            text.replace(
                "<SOAP-ENV:Body>",
                '<x:Body xmlns:x="x"><r><return><item><invoices_id>9</invoices_id></item></return></r></x:Body>'
                "<SOAP-ENV:Body>",
            ).encode(),
            expected(),
        ),
        "warning_before": (
            "a PHP warning before the envelope",
            b"<br />\n<b>Warning</b>: mysql < 5 in x.php on line 3<br />\n" + plain,
            expected(),
        ),
        "long_warning_before": ("much text before it", b"Notice: x\n" * 1000 + plain, expected()),
        "blank_before": ("blank lines before the declaration", b"\n\n \t" + plain, expected()),
        "comment_before": (
            "a comment in the prolog",
            b"<!-- a > b -->" + body.encode(),
            expected(),
        ),
        "text_after": ("text after the envelope", plain + b"\n<br />Notice: <b>x</b>", expected()),
        "blank_after": ("blank lines after it", plain + b"\r\n\r\n", expected()),
        "control_character": ("a raw control character", response("a\x01b"), expected("a\ufffdb")),
        "nul": ("a raw NUL", response("a\x00b"), expected("a\ufffdb")),
        "noncharacter": ("U+FFFE", response("a\ufffeb"), expected("a\ufffdb")),
        "control_reference": ("&#1;", response("a&#1;b"), expected("a\ufffdb")),
        "control_references": (
            "references to what XML forbids, and to what it allows",
            response("&#x0;&#xD800;&#xFFFF;&#x110000;&#99999999999;&#x09;&#65;&#x1F600;"),
            expected("\ufffd\ufffd\ufffd\ufffd\ufffd\tA😀"),
        ),
        "control_in_cdata": (
            "in CDATA a reference is text",
            response("<![CDATA[&#1;\x01]]>&#2;"),
            expected("&#1;\ufffd\ufffd"),
        ),
        "cut_closing_tags": ("only closing tags are missing", plain[: -len(end)], expected()),
        "cut_in_closing_tag": ("cut in a closing tag", plain[: 3 - len(end)], expected()),
        "cut_last_byte": ("the last byte is missing", plain[:-1], expected()),
        "uncounted": ("no declared count", plain.replace(b"[2]", b"[]"), expected()),
        "no_array_type": (
            "no array type at all",
            plain.replace(b' SOAP-ENC:arrayType="tns:sql_row_invoices[2]"', b""),
            expected(),
        ),
        "other_prefixes": (
            "other prefixes",
            plain.replace(b"SOAP-ENV", b"s").replace(b"xsi", b"i").replace(b"ns1", b"q"),
            expected(),
        ),
        "default_namespace": (
            "the response in the default namespace",
            text.replace("ns1:api", "api").replace("xmlns:ns1=", "xmlns=").encode(),
            expected(),
        ),
        "other_names": (
            "rows and return under other names",
            text.replace("item", "row")
            .replace("<return", "<result")
            .replace("</return", "</result")
            .encode(),
            expected(),
        ),
        "pretty": (
            "white space between all tags",
            text.replace("><", ">\n  <").encode(),
            expected(),
        ),
        "comments": (
            "comments and processing instructions in a value",
            response("C<!-- x -->af<?x y?>é"),
            expected(),
        ),
        "cdata": ("CDATA in a value", response("C<![CDATA[af]]>é"), expected()),
        "cdata_markup": (
            "CDATA that looks like markup",
            response("<![CDATA[<a>&amp;]]>"),
            expected("<a>&amp;"),
        ),
        "raw_end_in_text": (
            "text that looks like the end",
            response("<![CDATA[</SOAP-ENV:Envelope>]]>"),
            expected("</SOAP-ENV:Envelope>"),
        ),
        "entities": (
            "the five entities",
            response("&lt;&gt;&amp;&quot;&apos;"),
            expected("<>&\"'"),
        ),
        "blank_numbers": (
            "white space around numbers",
            plain.replace(b">1<", b">\n 1 \t<").replace(b">12.50<", b"> 12.50\r\n<"),
            expected(),
        ),
        "signed_numbers": (
            "numbers with signs and exponents",
            plain.replace(b">1<", b">+1<").replace(b">12.50<", b">1.25e1<"),
            expected(),
        ),
        "unknown_fields": (
            "fields that nobody knows, one of them nested",
            plain.replace(b"<invoices_id", b"<new><a>1</a></new><invoices_id"),
            expected(),
        ),
        "other_order": (
            "fields in another order in one row",
            make_invoices_response([dict(reversed(ROWS[0].items())), ROWS[1]]),
            expected(),
        ),
        "namespaced_fields": (
            "fields in a namespace",
            text.replace("<invoices_", "<tns:invoices_")
            .replace("</invoices_", "</tns:invoices_")
            .encode(),
            expected(),
        ),
        "nil_field": (
            "a nil text",
            make_invoices_response([{**ROWS[0], "invoices_description": None}, ROWS[1]]),
            expected(None),
        ),
        "nil_one": (
            "nil written as 1",
            make_invoices_response([{**ROWS[0], "invoices_description": None}, ROWS[1]]).replace(
                b'nil="true"', b'nil="1"'
            ),
            expected(None),
        ),
        "not_nil": (
            "nil that says no",
            response("").replace(
                b"<invoices_description", b'<invoices_description xsi:nil="false"'
            ),
            expected(""),
        ),
        "blank_text": ("an empty text stays", response(""), expected("")),
        "soap12": (
            "SOAP 1.2",
            text.replace(SOAP11, SOAP12)
            .replace('arrayType="tns:sql_row_invoices[2]"', 'arraySize="2" itemType="tns:x"')
            .encode(),
            expected(),
        ),
        "soap12_any_size": (
            "SOAP 1.2 with a size that says nothing",
            text.replace(SOAP11, SOAP12)
            .replace('arrayType="tns:sql_row_invoices[2]"', 'arraySize="*"')
            .encode(),
            expected(),
        ),
        "header": (
            "a SOAP header",
            text.replace(
                "<SOAP-ENV:Body>", "<SOAP-ENV:Header><a/></SOAP-ENV:Header><SOAP-ENV:Body>"
            ).encode(),
            expected(),
        ),
        "nil_array": (
            "a nil list is an empty one",
            wrap_in_envelope(LIST, '<return xsi:nil="true" xsi:type="SOAP-ENC:Array"/>'),
            [],
        ),
        "bare_array": ("an empty list without a type", wrap_in_envelope(LIST, "<return/>"), []),
        "reference_in_text": (
            "text that speaks of href",
            response('href="#1"'),
            expected('href="#1"'),
        ),
    }
    return made


def bad() -> dict[str, tuple[str, bytes]]:
    """Give the responses that must be errors: the error with a reason, and the bytes."""
    plain = response()
    text = plain.decode()
    rows = write_array(map(write_row, ROWS))

    def value(field: str, xml: str) -> bytes:
        return make_invoices_response([{**ROWS[0], field: "@"}, ROWS[1]]).replace(
            b"@", xml.encode()
        )

    row = b"</item><item"
    other = (
        f'<e:Envelope xmlns:e="{SOAP11}"><e:Body><e:Fault><faultcode>Server</faultcode>'
        "<faultstring>no</faultstring></e:Fault></e:Body></e:Envelope>"
    ).encode()
    rows = write_array(map(write_row, ROWS))
    made: dict[str, tuple[str, bytes]] = {
        "empty": ("a response of nothing", b""),
        "blank": ("a response of white space", b" \r\n"),
        "page": ("an HTML page", b"<html><body>502 Bad Gateway</body></html>"),
        "page_doctype": ("an HTML page", b"<!DOCTYPE html><html></html>"),
        "json": ("JSON", b'{"error": "x"}'),
        "text": ("plain text", b"Service unavailable"),
        "bytes": ("no text at all", bytes(range(256))),
        "doctype": ("a DOCTYPE", plain.replace(b"?><SOAP", b"?><!DOCTYPE x><SOAP", 1)),
        "doctype_lower_case": ("the same in small letters", b"<!doctype x>" + plain[44:]),
        "doctype_utf16": (
            "a DOCTYPE in UTF-16",
            text.replace("?><SOAP", "?><!DOCTYPE x><SOAP", 1).encode("utf-16"),
        ),
        "doctype_entity": (
            "an entity",
            response("&e;").replace(b"?><SOAP", b'?><!DOCTYPE x [<!ENTITY e "v">]><SOAP', 1),
        ),
        "undeclared_entity": ("an entity without a DOCTYPE", response("&nbsp;")),
        "not_soap": (
            "an envelope of no SOAP",
            plain.replace(b"schemas.xmlsoap.org/soap/env", b"x/"),
        ),
        "no_body": ("no body", text.replace("SOAP-ENV:Body", "SOAP-ENV:Other").encode()),
        "two_bodies": (
            "two bodies",
            text.replace("</SOAP-ENV:Body>", "</SOAP-ENV:Body><SOAP-ENV:Body/>").encode(),
        ),
        "empty_body": (
            "an empty body",
            b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>',
        ),
        "empty_envelope": (
            "an empty envelope",
            b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>',
        ),
        "no_return": ("no return value", wrap_in_envelope(LIST, "")),
        "two_returns": ("two return values", wrap_in_envelope(LIST, rows + rows)),
        "two_responses": (
            "two responses in the body",
            text.replace("</SOAP-ENV:Body>", "<x/></SOAP-ENV:Body>").encode(),
        ),
        "two_envelopes": ("two envelopes", plain + plain[43:]),
        "two_envelopes_apart": ("two envelopes of other prefixes", plain + other),
        "two_envelopes_before": ("the same, the other way round", other + plain),
        "two_envelopes_commented": ("a comment between them", plain + b"<!-- -->" + other[:50]),
        "two_envelopes_half": ("half an envelope behind it", plain + plain[44:]),
        "only_in_comment": ("an envelope in a comment alone", b"<!--" + plain[43:] + b"-->"),
        "foreign_body": (
            "rows in a Body that is not SOAP's",
            text.replace("SOAP-ENV:Body>", 'x:Body xmlns:x="x">', 1)
            .replace("/SOAP-ENV:Body", "/x:Body")
            .encode(),
        ),
        "fault_outside": (
            "a fault behind the body",
            plain.replace(b"</SOAP-ENV:Body>", b"</SOAP-ENV:Body><SOAP-ENV:Fault/>"),
        ),
        "text_in_response": (
            "text behind the list",
            plain.replace(b"</return>", b"</return>Fatal error: x"),
        ),
        "text_in_body": (
            "text in the body",
            plain.replace(b"</SOAP-ENV:Body>", b"Notice: x</SOAP-ENV:Body>"),
        ),
        "text_in_envelope": (
            "text in the envelope",
            plain.replace(b"<SOAP-ENV:Body>", b"Notice: x<SOAP-ENV:Body>"),
        ),
        "foreign_array_type": (
            "an attribute of another namespace that is called arrayType too",
            plain.replace(
                b"SOAP-ENC:arrayType", b'xmlns:q="q" q:arrayType="q[2]" SOAP-ENC:arrayType'
            ).replace(b"invoices[2]", b"invoices[3]"),
        ),
        "foreign_array_type_behind": (
            "the same behind SOAP's own",
            plain.replace(b'invoices[2]"', b'invoices[3]" xmlns:q="q" q:arrayType="q[2]"'),
        ),
        "foreign_fault": (
            "a Fault that is not SOAP's",
            text.replace("ns1:api_mail_get_client_invoicesResponse", "ns1:Fault").encode(),
        ),
        "string_list": (
            "a string where a list belongs",
            wrap_in_envelope(LIST, '<return xsi:type="xsd:string"/>'),
        ),
        "string_encoded": (
            "the same of SOAP's types",
            wrap_in_envelope(LIST, '<return xsi:type="SOAP-ENC:string"/>'),
        ),
        "sent_from": (
            "an array that begins later",
            plain.replace(b"SOAP-ENC:arrayType", b'SOAP-ENC:offset="[2]" SOAP-ENC:arrayType'),
        ),
        "sent_at": (
            "rows with their own positions",
            plain.replace(b"<item", b'<item SOAP-ENC:position="[5]"'),
        ),
        "forbidden_in_name": (
            "a NUL in the name of a field",
            plain.replace(b"<invoices_am", b"<invoices\x00_am", 1),
        ),
        "forbidden_in_attribute": (
            "a NUL in the name of an attribute",
            plain.replace(b"arrayT", b"array\x00T"),
        ),
        "forbidden_in_value": (
            "a NUL in the value of an attribute",
            plain.replace(b"[2]", b"[2\x00]"),
        ),
        "latin1_in_name": (
            "a byte that is not UTF-8 in a name",
            plain.replace(b"<invoices_am", b"<invoices\xe9_am", 1),
        ),
        "bom_utf16_le": ("UTF-16 with a mark", text.encode("utf-16")),
        "bom_utf16_be": ("UTF-16, the other one", b"\xfe\xff" + text.encode("utf-16-be")),
        "bom_utf32": ("UTF-32 with a mark", text.encode("utf-32")),
        "nul_utf16_le": ("NULs mean UTF-16", text.encode("utf-16-le")),
        "nul_utf16_be": ("NULs mean UTF-16", text.encode("utf-16-be")),
        "shift_jis": (
            "a declared encoding of several bytes",
            response("日本", declared="Shift_JIS").decode().encode("shift_jis"),
        ),
        "multi_reference": (
            "rows as references to elements behind the answer, as Axis writes them",
            text.replace(
                rows,
                rows[: rows.index(">") + 1] + '<item href="#r1"/><item href="#r2"/></return>',
            )
            .replace(
                "</SOAP-ENV:Body>",
                "".join(
                    write_row(row)
                    .replace("<item", f'<multiRef id="r{n}"')
                    .replace("</item", "</multiRef")
                    for n, row in enumerate(ROWS, 1)
                )
                + "</SOAP-ENV:Body>",
            )
            .encode(),
        ),
        "reference_to_row": (
            "a row that stands twice, as PHP writes it",
            text.replace(
                rows,
                write_array(
                    [write_row(ROWS[0]).replace("<item", '<item id="ref1"'), '<item href="#ref1"/>']
                ),
            ).encode(),
        ),
        "reference_to_field": (
            "a value that stands elsewhere",
            text.replace("<invoices_description", '<invoices_description id="d"', 1)
            .replace(
                '<invoices_description xsi:type="xsd:string">b</invoices_description>',
                '<invoices_description href="#d"/>',
            )
            .encode(),
        ),
        "reference_soap12": (
            "a reference as SOAP 1.2 writes it",
            text.replace(SOAP11, SOAP12)
            .replace(
                rows,
                write_array(
                    [
                        write_row(ROWS[0]).replace("<item", '<item SOAP-ENC:id="a"'),
                        '<item SOAP-ENC:ref="a"/>',
                    ]
                ),
            )
            .encode(),
        ),
        "reference_of_return": (
            "the whole list as a reference",
            text.replace(rows, '<return href="#all"/>')
            .replace(
                "</SOAP-ENV:Body>",
                rows.replace("<return", '<multiRef id="all"').replace("</return", "</multiRef")
                + "</SOAP-ENV:Body>",
            )
            .encode(),
        ),
        "both_encodings": ("UTF-8 that is declared as GBK", response(declared="GBK")),
        "long_tag": (
            "a tag of 10,000 bytes",
            plain.replace(b"<item ", b'<item a="' + b"x" * 10_000 + b'" ', 1),
        ),
        "cut_uncounted": (
            "cut in the closing tag of a list that is not counted",
            plain.replace(b"[2]", b"[]")[: plain.index(b"</return>") + 1],
        ),
        "too_few_rows": ("more rows declared than sent", plain.replace(b"[2]", b"[3]")),
        "too_many_rows": ("fewer rows declared than sent", plain.replace(b"[2]", b"[1]")),
        "zero_rows": ("no row declared, two sent", plain.replace(b"[2]", b"[0]")),
        "declared_words": ("a count that is none", plain.replace(b"[2]", b"[two]")),
        "declared_arabic": ("a count in other digits", plain.replace(b"[2]", "[٢]".encode())),
        "declared_matrix": ("an array of two dimensions", plain.replace(b"[2]", b"[1,2]")),
        "cut_in_row": ("cut in the second row", plain[: plain.rindex(b"<invoices_amount")]),
        "cut_between_rows": ("cut between the rows", plain[: plain.index(row) + 7]),
        "cut_uncounted_rows": (
            "cut behind the rows, and nothing says how many there are",
            plain.replace(b"[2]", b"[]")[: plain.rindex(b"</item>") + 7 - 1],
        ),
        "cut_in_tag": ("cut in an opening tag", plain[: plain.index(b"<invoices_amount") + 5]),
        "cut_in_header": ("cut before the body", plain[: plain.index(b"<SOAP-ENV:Body")]),
        "cut_before_return": ("cut before the value", plain[: plain.index(b"<return")]),
        "cut_in_envelope_tag": ("cut in the first tag", plain[:100]),
        "cut_and_broken": (
            "cut, and not well-formed before that",
            plain.replace(b"</item>", b"</itm>")[:-20],
        ),
        "mismatched_tags": ("tags that do not match", plain.replace(b"</item>", b"</itm>", 1)),
        "bare_ampersand": ("a bare ampersand", response("a & b")),
        "unbound_prefix": (
            "a prefix that is not declared",
            plain.replace(b' xmlns:xsi="', b' xmlns:xsj="'),
        ),
        "two_attributes": (
            "an attribute twice",
            plain.replace(b"<item ", b'<item a="1" a="2" ', 1),
        ),
        "row_unknown": ("a row without any known field", text.replace("invoices_", "x_").encode()),
        "row_empty": ("a row without a field", wrap_in_envelope(LIST, write_array(["<item/>"]))),
        "row_text": ("a row of text", wrap_in_envelope(LIST, write_array(["<item>1</item>"]))),
        "row_nil": ("a nil row", wrap_in_envelope(LIST, write_array(['<item xsi:nil="true"/>']))),
        "rows_text": (
            "text where rows should be",
            wrap_in_envelope(LIST, "<return>nothing</return>"),
        ),
        "text_between_rows": ("text between rows", plain.replace(row, b"</item>x<item")),
        "text_between_fields": (
            "text between fields",
            plain.replace(b"<invoices_amount", b"x<invoices_amount", 1),
        ),
        "struct": (
            "a struct where a list belongs",
            wrap_in_envelope(LIST, write_row(ROWS[0], "return")),
        ),
        "field_twice": (
            "duplicate field",
            plain.replace(b"<invoices_amount", b"<invoices_id>1</invoices_id><invoices_amount", 1),
        ),
        "field_twice_everywhere": (
            "the same in all rows",
            plain.replace(b"<invoices_amount", b"<invoices_id>1</invoices_id><invoices_amount"),
        ),
        "nested_number": ("a nested element in a number", value("invoices_id", "<a>1</a>")),
        "nested_text": ("a nested element in a text", value("invoices_description", "x<b>y</b>")),
        "nested_empty": ("an empty element in a text", value("invoices_description", "x<br/>")),
        "reference_to_nothing": (
            "a reference to a missing id",
            wrap_in_envelope(LIST, write_array(['<item href="#x"/>'])),
        ),
        "reference_to_nothing_field": (
            "a field that refers to nothing",
            plain.replace(b">3<", b"><").replace(b'xsd:float"><', b'xsd:float" href="#x"><'),
        ),
        "reference_to_itself": (
            "a circular reference",
            wrap_in_envelope(
                LIST, write_array(['<item id="a" href="#b"/>', '<item id="b" href="#a"/>'])
            ),
        ),
        "reference_twice": (
            "two elements with one id",
            wrap_in_envelope(
                LIST, write_array(['<item id="a"/>', '<item id="a"/>', '<item href="#a"/>'])
            ),
        ),
        "fault_cut": ("a fault cut in its text", make_fault_response("Something is wrong")[:-100]),
        "deep": ("deep nesting", wrap_in_envelope(LIST, "<a>" * 5000 + "</a>" * 5000)),
    }
    for name, written in {
        "letters": "12a", "underscore": "1_000", "comma": "1,234.50", "arabic": "٣",
        "fullwidth": "１", "fraction": "85.5", "nan": "NaN", "inf": "INF", "hex": "0x10",
        "spaced": "1 2", "exponent": "1e3", "sign": "-", "superscript": "²", "long": "1" * 41,
        "nbsp": "1\xa0", "vertical": "1&#xB;",
    }.items():  # fmt: skip
        made[f"int_{name}"] = (f"{written[:10]!r} for an int", value("invoices_id", written))
    for name, written in {
        "letters": "12a", "underscore": "1_000.0", "comma": "1,234.50", "arabic": "٣", "nan": "NaN",
        "inf": "INF", "minus_inf": "-INF", "infinity": "Infinity", "large": "1e400", "dot": ".",
        "dots": "1.2.3", "two": "1 2", "dollar": "$5", "exponent": "1e", "word": "nan", "digits": "12345678901234567.89", "small": "1e-400",
    }.items():  # fmt: skip
        made[f"float_{name}"] = (f"{written!r} for a float", value("invoices_amount", written))
    errors = {name: (f"ResponseError: {reason}", data) for name, (reason, data) in made.items()}
    faults = {
        "fault": ("a fault", read_recording("fault_invalid_session").body),
        "fault_html": ("a fault that holds HTML", make_fault_response("<b>Fatal error</b>: x & y")),
        "fault_cut_behind_text": ("a fault cut behind its text", make_fault_response("Invalid Session ID")[:-70]),
        "fault_no_namespace": (
            "a fault without a namespace",
            read_recording("fault_invalid_session").body.replace(b"SOAP-ENV:Fault", b"Fault"),
        ),
        "fault_soap12": (
            "a fault of SOAP 1.2",
            f'<e:Envelope xmlns:e="{SOAP12}"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value>'
            "</e:Code><e:Reason><e:Text xml:lang='en'>Invalid Session ID</e:Text></e:Reason>"
            "<e:Role>r</e:Role><e:Detail>d</e:Detail></e:Fault></e:Body></e:Envelope>".encode(),
        ),
    }  # fmt: skip
    return {
        **errors,
        **{name: (f"SoapFault: {reason}", data) for name, (reason, data) in faults.items()},
    }


def main() -> None:
    """Write both folders."""
    for folder in ("odd", "bad"):
        for old in (DATA / folder).iterdir():
            old.unlink()
    for name, (reason, data, rows) in odd().items():
        head = f"{reason}\n{json.dumps(rows)}\n".encode()
        (DATA / "odd" / name).write_bytes(head + data)
    for name, (reason, data) in bad().items():
        (DATA / "bad" / name).write_bytes(reason.encode() + b"\n" + data)


if __name__ == "__main__":
    main()
