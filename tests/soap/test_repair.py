"""Decoding and repair: decided in one place, and told in the log."""

from __future__ import annotations

import logging

import pytest

from soapmail import Invoice, ResponseError
from soapmail.deadline import Deadline, DeadlineExceeded
from soapmail.extract import parse_records, rows
from soapmail.soap import repair as decoding

from ..support import (
    load_document,
    make_invoices_response,
    make_many_rows,
    read_recording,
)


def description(data: bytes, charset: str | None = None) -> str | None:
    (record,) = (
        rows(data, Invoice)
        if charset is None
        else parse_records(load_document(data, charset), Invoice)
    )
    return record.invoices_description


def name_row(text: str, declared: str = "ISO-8859-1") -> str:
    return make_invoices_response([{"invoices_description": text}], declared=declared).decode()


PLAIN = name_row("x").encode()


WARNINGS = {
    "text before": (b"Notice: x\n" + PLAIN, "ignored text before the envelope"),
    "text after": (PLAIN + b"Notice", "ignored text after the envelope"),
    "control": (
        name_row("a\x01b\x02").encode(),
        "characters that XML forbids, replaced by U+FFFD: 2",
    ),
    "references": (
        PLAIN.replace(b">x<", b">&#1;&#x2;&#9;<"),
        "characters that XML forbids, replaced by U+FFFD: 2",
    ),
    "bad utf-8 behind it": (
        name_row("é").encode().replace(b"ISO-8859-1", b"UTF-8") + b"<!-- \xff -->",
        "ignored text after the envelope",
    ),
    "windows": (
        name_row("é", "UTF-8").encode("latin-1"),
        "characters that are not UTF-8: 1 read as Windows-1252",
    ),
    "cut": (PLAIN[:-1], "added the closing tags missing at the end"),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_each_repair_is_one_warning(name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, repair = WARNINGS[name]
    assert len(rows(data, Invoice)) == 1
    found = [(record.name, record.levelno, record.message) for record in caplog.records]
    assert found == [("soapmail", logging.WARNING, f"response: repaired: {repair}")]


def test_two_repairs_are_two_warnings(caplog: pytest.LogCaptureFixture) -> None:
    rows(b"x" + PLAIN + b"y", Invoice)
    assert [record.message for record in caplog.records] == [
        "response: repaired: ignored text before the envelope",
        "response: repaired: ignored text after the envelope",
    ]


@pytest.mark.parametrize(
    "data",
    [
        name_row("Café €").encode(),
        name_row("Café").encode("latin-1"),
        name_row("Café", "windows-1252").encode("cp1252"),
        b"\xef\xbb\xbf" + PLAIN,
        b"\n<?xml version='1.0'?><!-- a --><?b c?>" + PLAIN.partition(b"?>")[2] + b"\r\n \t",
        name_row("\ufffd\ufffd").encode(),
    ],
)
def test_what_needs_no_repair_is_not_warned_of(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(rows(data, Invoice)) == 1
    assert caplog.records == []


def test_nothing_is_warned_of_where_the_response_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ResponseError):
        rows(b"x" + PLAIN.replace(b"</item>", b"</itm>"), Invoice)
    assert caplog.records == []


def test_a_bom_counts_more_than_the_declaration() -> None:
    assert description(b"\xef\xbb\xbf" + name_row("é", "UTF-16").encode()) == "é"


@pytest.mark.parametrize("chunk", range(1, 5))
def test_letters_across_the_edge_of_a_chunk_stay_whole(chunk: int) -> None:
    """Letters of two to four bytes lie across 32 KiB, wherever it falls in them."""
    head = len(name_row("").partition("<invoices_description")[0]) + 100
    text = "x" * (32 * 1024 - head - chunk) + "é€😀" * 100
    (record,) = rows(name_row(text).encode(), Invoice)
    assert record.invoices_description == text


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
    """The second reference makes the response one that is repaired."""
    assert description(name_row("@").replace("@", f"{reference}&#1;").encode()) == f"{found}\ufffd"


def test_several_pieces_of_cdata_with_references_between() -> None:
    text = "<![CDATA[&#1;]]>&#1;<![CDATA[&#2;]]>&#2;"
    assert description(name_row("@").replace("@", text).encode()) == "&#1;\ufffd&#2;\ufffd"


def test_a_declared_name_that_is_no_ascii_is_no_name() -> None:
    data = name_row("@").encode().replace(b"ISO-8859-1", b"\xc3\xa9-\xff")
    assert description(data.replace(b"@", b"\xbe"), "ISO-8859-5") == "О"


def test_a_declaration_counts_at_the_start_only() -> None:
    far = b" " * 1100 + name_row("@").encode().replace(b"@", b"\xbe").replace(b"8859-1", b"8859-5")
    assert description(far, "ISO-8859-2") == "ž"


def test_a_nul_behind_the_first_four_bytes_does_not_mean_utf16() -> None:
    assert description(b"\n\n\n\n\x00" + PLAIN) == "x"


def test_raw_and_referenced_characters_are_counted_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert description(PLAIN.replace(b">x<", b">\x01&#2;<")) == "\ufffd\ufffd"
    assert "characters that XML forbids, replaced by U+FFFD: 2" in caplog.text


@pytest.mark.parametrize("before", [b"", b"\r\n \t", "\ufeff".encode(), "\n\ufeff\n".encode()])
def test_blanks_before_the_envelope_are_no_repair(
    before: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert description(before + PLAIN) == "x"
    assert caplog.messages == []


def test_any_letter_before_the_envelope_is_a_repair(caplog: pytest.LogCaptureFixture) -> None:
    assert description(b"X" + PLAIN) == "x"
    assert caplog.messages == ["response: repaired: ignored text before the envelope"]


@pytest.mark.parametrize(
    "reference", ["&#" + "9" * 5000 + ";", "&#x" + "f" * 5000 + ";", "&#1114112;", "&#x110000;"]
)
def test_references_beyond_unicode_cost_one_character(reference: str) -> None:
    assert description(PLAIN.replace(b">x<", f">{reference}<".encode())) == "\ufffd"


@pytest.mark.parametrize("reference", ["&#1114109;", "&#x10FFFD;", "&#000000001114109;"])
def test_the_last_characters_of_unicode_are_kept(reference: str) -> None:
    data = PLAIN.replace(b">x<", f">&#1;{reference}<".encode())
    assert description(data) == "\ufffd\U0010fffd"


@pytest.mark.parametrize(
    "data",
    [
        read_recording("get_client_invoices").body,
        make_many_rows(200),
        make_many_rows(200, "é€" * 30),
    ],
    ids=["recorded", "long", "accented"],
)
def test_what_the_server_writes_well_takes_the_short_way(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repair(*text: object) -> None:
        raise AssertionError(text)

    monkeypatch.setattr(decoding, "repair", repair)
    assert len(rows(data, Invoice)) in (12, 200)


def test_the_deadline_is_looked_at_while_a_text_is_mended() -> None:
    with pytest.raises(DeadlineExceeded):
        decoding.decode(b"x" + name_row("a\x01").encode(), None, Deadline(0))
