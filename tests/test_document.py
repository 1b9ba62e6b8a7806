"""Decoding and repair: decided in one place, and told in the log."""

from __future__ import annotations

import logging
import tracemalloc

import pytest

from soapmail import Invoice, ResponseError, SoapFault, document
from soapmail.document import Answer
from soapmail.extract import rows, scalar, strings, table

from .support import (
    LIST,
    array_xml,
    envelope,
    invoices_answer,
    many_rows,
    recorded,
    row_xml,
    text_answer,
)


def description(data: bytes, charset: str | None = None) -> str | None:
    (one,) = table(Answer(data, charset), Invoice)
    return one.invoices_description


def named(text: str, declared: str = "ISO-8859-1") -> str:
    return invoices_answer([{"invoices_description": text}], declared=declared).decode()


PLAIN = named("x").encode()
WARNINGS = {
    "text before": (b"Notice: x\n" + PLAIN, "text before the envelope was put aside"),
    "text after": (PLAIN + b"Notice", "text after the envelope was put aside"),
    "control": (named("a\x01b\x02").encode(), "2 characters that XML forbids became U+FFFD"),
    "references": (
        PLAIN.replace(b">x<", b">&#1;&#x2;&#9;<"),
        "2 characters that XML forbids became U+FFFD",
    ),
    "bad utf-8": (
        named("é").encode().replace(b"ISO-8859-1", b"UTF-8") + b"<!-- \xff -->",
        "1 characters are not utf-8 and became U+FFFD",
    ),
    "bad utf-16": (
        named("x").encode("utf-16").replace(b">\0x\0<", b">\0\x00\xd8<"),
        "1 characters are not utf-16-le and became U+FFFD",
    ),
    "windows": (
        named("é", "UTF-8").encode("latin-1"),
        "the answer is not UTF-8 and was read as Windows-1252",
    ),
    "cut": (PLAIN[:-1], "the end was cut off, and only closing tags were missing"),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_each_repair_is_one_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, repair = WARNINGS[name]
    assert len(table(Answer(data, operation=LIST), Invoice)) == 1
    found = [(record.name, record.levelno, record.message) for record in caplog.records]
    after = [("soapmail", logging.WARNING, f"{LIST}: repaired: {WARNINGS['text after'][1]}")]
    expected = [("soapmail", logging.WARNING, f"{LIST}: repaired: {repair}")]
    assert found == expected + (after if name == "bad utf-8" else [])


def test_two_repairs_are_two_warnings(caplog: pytest.LogCaptureFixture) -> None:
    rows(b"x" + PLAIN + b"y", Invoice)
    assert [record.message for record in caplog.records] == [
        "answer: repaired: text before the envelope was put aside",
        "answer: repaired: text after the envelope was put aside",
    ]


@pytest.mark.parametrize(
    "data",
    [
        named("Café €").encode(),
        named("Café").encode("latin-1"),
        named("Café", "windows-1252").encode("cp1252"),
        named("Café").encode("utf-16"),
        b"\xef\xbb\xbf" + PLAIN,
        b"\n<?xml version='1.0'?><!-- a --><?b c?>" + PLAIN.partition(b"?>")[2] + b"\r\n \t",
        named("\ufffd\ufffd").encode() + b"\xef\xbf\xbd"[:0],
        named("\ufffd").encode("utf-16"),
    ],
)
def test_what_needs_no_repair_is_not_warned_of(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(rows(data, Invoice)) == 1
    assert caplog.records == []


def test_nothing_is_warned_of_where_the_answer_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ResponseError):
        rows(b"x" + PLAIN.replace(b"</item>", b"</itm>"), Invoice)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("declared", "charset", "found"),
    [
        ("ISO-8859-2", "ISO-8859-5", "ž"),
        ("x-none", "ISO-8859-5", "О"),
        ("", "ISO-8859-5", "О"),
        ("", None, "¾"),
        ("x-none", "x-none", "¾"),
        ("base64", "ISO-8859-5", "О"),
        ("euc-jp", "ISO-8859-5", "О"),
        ("ISO-8859-1", "ISO-8859-5", "¾"),
        ("us-ascii", None, "¾"),
        ("UTF-8", "ISO-8859-5", "¾"),
    ],
)
def test_the_declaration_counts_before_the_header(
    declared: str, charset: str | None, found: str
) -> None:
    data = named("@").encode().replace(b"@", b"\xbe")
    wanted = f' encoding="{declared}"' if declared else ""
    data = data.replace(b' encoding="ISO-8859-1"', wanted.encode())
    assert description(data, charset) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"\xe9 caf\xc3\xa9", "é cafÃ©"),  # as many bad bytes as valid sequences: as declared
        (b"\xe9 caf\xc3\xa9 \xc3\xa9", "\ufffd café é"),
        (b"\xe9", "é"),
        (b"caf\xc3\xa9 \xf0\x9f\x98", "cafÃ©\xa0"[:0] + "caf\ufffd"[:0] + "cafÃ© ðŸ˜"),
    ],
)
def test_damaged_utf8_under_the_name_of_latin1(text: bytes, found: str) -> None:
    assert description(named("@").encode().replace(b"@", text)) == found


def test_bytes_declared_utf8_that_are_not() -> None:
    data = named("@", "UTF-8").encode()
    assert description(data.replace(b"@", b"\xe9\x80 caf\xc3\xa9 \xff\xff")) == (
        "\ufffd caf\u00e9 \ufffd\ufffd"
    )
    assert description(data.replace(b"@", b"\x93caf\xe9\x94 \x81")) == "“café” \ufffd"


def test_a_bom_counts_more_than_the_declaration() -> None:
    assert description(b"\xef\xbb\xbf" + named("é", "UTF-16").encode()) == "é"
    assert description(b"\xff\xfe" + named("é", "UTF-8").encode("utf-16-le")) == "é"


def test_latin1_means_windows_1252_where_that_fits() -> None:
    data = named("@").encode()
    assert description(data.replace(b"@", b"\x80\xe9")) == "€é"
    assert description(data.replace(b"@", b"\x80\x81\xe9")) == "\x80\x81é"


@pytest.mark.parametrize("chunk", range(1, 5))
def test_letters_across_the_edge_of_a_chunk_stay_whole(chunk: int) -> None:
    """Letters of two to four bytes lie across 32 KiB, wherever it falls in them."""
    head = len(named("").partition("<invoices_description")[0]) + 100
    text = "x" * (32 * 1024 - head - chunk) + "é€😀" * 100
    (one,) = rows(named(text).encode(), Invoice)
    assert one.invoices_description == text


# --- cut off -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("counted", [True, False])
def test_a_cut_list_is_whole_or_an_error_at_every_byte(count: int, counted: bool) -> None:
    rows_ = [{"invoices_id": n, "invoices_description": "é>"} for n in range(count)]
    data = invoices_answer(rows_)
    if not counted:
        data = data.replace(b"[%d]" % count, b"[]")
    whole = rows(data, Invoice)
    begun = data.rindex(b"</return") + 2  # "</" of the list: no row can follow
    last = data.rindex(b"</item>") + 7 if count else data.index(b']">') + 3
    accepted = 0
    for end in range(len(data)):
        try:
            found = rows(data[:end], Invoice)
        except ResponseError:
            assert end < (last if counted else begun)
            continue
        assert found == whole
        accepted += 1
    assert accepted == len(data) - (last if counted else begun)


def test_a_cut_value_is_whole_or_an_error_at_every_byte() -> None:
    data = text_answer("api_login", "e720445786c7735a")
    begun = data.index(b"</return>") + 2
    for end in range(len(data)):
        if end < begun:
            with pytest.raises(ResponseError):
                scalar(Answer(data[:end]), str)
        else:
            assert scalar(Answer(data[:end]), str) == "e720445786c7735a"


def test_a_cut_list_of_strings_is_counted() -> None:
    data = recorded("get_modules").body
    end = data.rindex(b"</item>") + len(b"</item>")
    assert len(strings(Answer(data[:end]))) == 10
    with pytest.raises(ResponseError):
        strings(Answer(data[: end - 1]))
    with pytest.raises(ResponseError, match="11 rows declared and 10 sent"):
        strings(Answer(data[:end].replace(b"[10]", b"[11]")))


def test_a_cut_answer_with_prefixed_names_is_closed_with_them() -> None:
    data = PLAIN.replace(b"<return", b"<tns:return").replace(b"</return", b"</tns:return")
    assert rows(data[: data.index(b"</tns:return") + 4], Invoice) == rows(PLAIN, Invoice)


def test_errors_of_a_cut_answer_show_its_end() -> None:
    cases = {
        PLAIN[: PLAIN.index(b"<SOAP-ENV:Body") - 3]: "cut off and not well-formed",
        PLAIN[: PLAIN.index(b"<return")]: "cut off before the value",
        text_answer("x", "a" * 200).partition(b"</return")[0]: "cut off inside the value",
    }
    for data, problem in cases.items():
        with pytest.raises(ResponseError) as caught:
            scalar(Answer(data), str)
        assert caught.value.problem == problem
        assert caught.value.value == data.decode().partition("?>")[2][-100:]
    cut = recorded("fault_invalid_session").body
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_doctype_is_refused_in_any_encoding(encoding: str) -> None:
    text = BOMB.decode() + named("&w;").partition("?>")[2]
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


@pytest.mark.parametrize(
    "data",
    [
        envelope(LIST, "<a>" * 2_000_000),
        envelope(LIST, array_xml([row_xml({"invoices_id": 1})])).replace(b">1<", b">" + b"<a>" * 2_000_000),
        BOMB + PLAIN,
        b"<![CDATA[" * 500_000 + PLAIN[60:],
        b"<!--" * 1_000_000 + PLAIN,
        b"<?" * 1_000_000 + PLAIN,
        PLAIN[:-20] + b"<![CDATA[" * 500_000,
        b"<" * 5_000_000,
        b" " * 5_000_000,
        b"&#" * 2_000_000 + PLAIN[:-5],
        b"<" + b"a" * 5_000_000,
        PLAIN.replace(b">x<", b">" + b"&#1" * 1_000_000 + b"<"),
        PLAIN.replace(b"[1]", b"[" + b"1" * 1_000_000 + b"]"),
    ],
    ids=range(13),
)  # fmt: skip
def test_hostile_answers_cost_little_memory(data: bytes) -> None:
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
            found = rows(data, Invoice)
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert found
        return peak - held

    extra(many_rows(10))
    assert extra(many_rows(8000)) < extra(many_rows(2000)) + 300_000


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("&#x41;", "A"), ("&#65;", "A"), ("&#0065;", "A"), ("&#x00041;", "A"), ("&#x10FFFF;", "\U0010ffff"),
        ("&#1114111;", "\U0010ffff"), ("&#x110000;", "\ufffd"), ("&#1114112;", "\ufffd"), ("&#0;", "\ufffd"),
        ("&#x0;", "\ufffd"), ("&#11;", "\ufffd"), ("&#x11;", "\ufffd"), ("&#10;", "\n"), ("&#99999999;", "\ufffd"),
        ("&#100000000;", "\ufffd"), ("&#x1000000041;", "\ufffd"), ("&#00000000065;", "A"),
    ],
)  # fmt: skip
def test_references_among_forbidden_ones(reference: str, found: str) -> None:
    """The second reference makes the answer one that is repaired."""
    assert description(named("@").replace("@", f"{reference}&#1;").encode()) == f"{found}\ufffd"


def test_several_pieces_of_cdata_with_references_between() -> None:
    text = "<![CDATA[&#1;]]>&#1;<![CDATA[&#2;]]>&#2;"
    assert description(named("@").replace("@", text).encode()) == "&#1;\ufffd&#2;\ufffd"


@pytest.mark.parametrize("name", ["us-ascii", "ascii", "latin1", "l1", "ISO_8859-1"])
def test_other_names_of_latin1_mean_windows_1252_too(name: str) -> None:
    data = named("@", name).encode()
    assert description(data.replace(b"@", b"\x80")) == "€"
    assert description(data.replace(b"@", b"\xe9 caf\xc3\xa9 \xc3\xa9")) == "\ufffd café é"


def test_a_declared_name_that_is_no_ascii_is_no_name() -> None:
    data = named("@").encode().replace(b"ISO-8859-1", b"\xc3\xa9-\xff")
    assert description(data.replace(b"@", b"\xbe"), "ISO-8859-5") == "О"


def test_a_declaration_counts_at_the_start_only() -> None:
    far = b" " * 1100 + named("@").encode().replace(b"@", b"\xbe").replace(b"8859-1", b"8859-5")
    assert description(far, "ISO-8859-2") == "ž"


def test_long_pages_are_shown_shortened() -> None:
    with pytest.raises(ResponseError) as caught:
        rows(b" x" + b"y" * 20_000, Invoice)
    assert caught.value.value == "x" + "y" * 98 + "…"


def test_a_nul_behind_the_first_four_bytes_does_not_mean_utf16() -> None:
    assert description(b"\n\n\n\n\x00" + PLAIN) == "x"


def test_raw_and_referenced_characters_are_counted_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert description(PLAIN.replace(b">x<", b">\x01&#2;<")) == "\ufffd\ufffd"
    assert "2 characters that XML forbids became U+FFFD" in caplog.text


def test_comments_do_not_split_values_of_answers_with_references_either() -> None:
    rows_ = [
        row_xml({"invoices_id": 1, "invoices_description": "@"}).replace("<item", '<item id="a"')
    ]
    data = envelope(LIST, array_xml([*rows_, '<item href="#a"/>']))
    found = rows(data.replace(b"@", "C<!-- x -->af<?x y?>é".encode()), Invoice)
    assert [one.invoices_description for one in found] == ["Café", "Café"]


@pytest.mark.parametrize("before", [b"", b"\r\n \t", "\ufeff".encode(), "\n\ufeff\n".encode()])
def test_blanks_before_the_envelope_are_no_repair(
    before: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert description(before + PLAIN) == "x"
    assert caplog.messages == []


def test_any_letter_before_the_envelope_is_a_repair(caplog: pytest.LogCaptureFixture) -> None:
    assert description(b"X" + PLAIN) == "x"
    assert caplog.messages == ["answer: repaired: text before the envelope was put aside"]


def test_an_end_before_the_envelope_is_not_its_end() -> None:
    comment = b"<!-- </SOAP-ENV:Envelope> -->"
    assert description(comment + PLAIN[: -len("</SOAP-ENV:Envelope>")]) == "x"


@pytest.mark.parametrize(
    "reference", ["&#" + "9" * 5000 + ";", "&#x" + "f" * 5000 + ";", "&#1114112;", "&#x110000;"]
)
def test_references_beyond_unicode_cost_one_character(reference: str) -> None:
    assert description(PLAIN.replace(b">x<", f">{reference}<".encode())) == "\ufffd"


@pytest.mark.parametrize("reference", ["&#1114109;", "&#x10FFFD;", "&#000000001114109;"])
def test_the_last_characters_of_unicode_are_kept(reference: str) -> None:
    data = PLAIN.replace(b">x<", f">&#1;{reference}<".encode())
    assert description(data) == "\ufffd\U0010fffd"


def test_a_cut_answer_with_a_wrong_number_of_rows_says_so() -> None:
    data = PLAIN.replace(b"sql_row_invoices[1]", b"sql_row_invoices[one]")
    with pytest.raises(ResponseError, match="not a number of rows") as caught:
        rows(data[: data.index(b"</return>")], Invoice)
    assert caught.value.value == "tns:sql_row_invoices[one]"


def test_a_count_is_read_up_to_18_digits() -> None:
    for digits, problem in (("9" * 18, "rows declared and 1 sent"), ("9" * 19, "not a number")):
        data = PLAIN.replace(b"sql_row_invoices[1]", f"sql_row_invoices[{digits}]".encode())
        with pytest.raises(ResponseError, match=problem):
            rows(data, Invoice)


def test_the_size_of_an_array_of_arrays_is_the_last_one() -> None:
    data = PLAIN.replace(b"sql_row_invoices[1]", b"sql_row_invoices[][1]")
    assert description(data) == "x"
    with pytest.raises(ResponseError, match="2 rows declared and 1 sent"):
        rows(data.replace(b"[][1]", b"[1][2]"), Invoice)


def test_a_codec_that_makes_no_text_is_no_encoding() -> None:
    data = named("@", "zip").encode().replace(b"@", b"\xe9")
    assert description(data) == "é"
    assert description(named("@", "rot13").encode().replace(b"@", b"\xe9"), "iso-8859-5") == "щ"


@pytest.mark.parametrize(
    "data",
    [recorded("get_client_invoices").body, many_rows(200), many_rows(200, "é€" * 30)],
    ids=["recorded", "long", "accented"],
)
def test_what_the_server_writes_well_takes_the_short_way(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repaired(answer: Answer) -> None:
        raise AssertionError(answer)

    monkeypatch.setattr(document, "_repaired", repaired)
    assert len(rows(data, Invoice)) in (12, 200)
