"""What each byte of a text means: the table of ``soapmail.soap.encoding``, row by row."""

from __future__ import annotations

import codecs
import logging
import tracemalloc
from collections.abc import Sequence

import pytest

from soapmail import Invoice, ResponseError
from soapmail.deadline import Deadline
from soapmail.extract import parse_records, rows
from soapmail.soap.repair import decode

from ..support import (
    load_document,
    make_invoices_response,
    make_many_rows,
    make_text_response,
    wrap_in_envelope,
)

E_ACUTE = "é".encode()  # a valid sequence in another row makes the envelope a mixed one
FFFD = "\ufffd"


def response(*texts: bytes, declared: str | None) -> bytes:
    """Give rows with these bytes as their texts."""
    data = make_invoices_response([{"invoices_description": f"@{n}@"} for n in range(len(texts))])
    for n, text in enumerate(texts):
        data = data.replace(b"@%d@" % n, text)
    old = b' encoding="ISO-8859-1"'
    return data.replace(old, b"" if declared is None else b' encoding="%b"' % declared.encode())


def read(data: bytes, charset: str | None = None) -> list[str | None]:
    """Give the texts of the rows."""
    return [
        row.invoices_description for row in parse_records(load_document(data, charset), Invoice)
    ]


# What is declared in the XML and in the header, the bytes of the texts, the texts, the warning.
Row = tuple[str | None, str | None, Sequence[bytes], Sequence[str], str | None]
TABLE: dict[str, Row] = {
    # --- valid sequences are UTF-8, whatever is declared
    "utf-8 as utf-8": ("UTF-8", None, [b"Caf\xc3\xa9"], ["Café"], None),
    "utf-8 as latin-1": ("ISO-8859-1", None, [b"\xe2\x82\xac \xf0\x9f\x98\x80"], ["€ 😀"], None),
    "utf-8 as another": ("ISO-8859-5", "koi8-r", [b"Caf\xc3\xa9"], ["Café"], None),
    "utf-8 as nothing": (None, None, [b"Caf\xc3\xa9"], ["Café"], None),
    "a replacement that the server wrote": ("ISO-8859-1", None, [b"a\xef\xbf\xbdb", b"c\xe9d"],
        ["a\ufffdb", "céd"], "1 read as Windows-1252"),
    # --- single bytes, in an envelope without any valid sequence
    "latin-1": ("ISO-8859-1", None, [b"Caf\xe9", b"\x80\x93x\x94"], ["Café", "€“x”"], None),
    "ascii": ("us-ascii", None, [b"Caf\xe9"], ["Café"], None),
    "latin-2": ("ISO-8859-2", None, [b"\xaelu\xbbou\xe8k\xfd"], ["Žluťoučký"], None),
    "the header": (None, "iso-8859-5", [b"\xbe"], ["О"], None),
    "the declaration before the header": ("ISO-8859-2", "iso-8859-5", [b"\xbe"], ["ž"], None),
    "an unknown name": ("x-none", "iso-8859-5", [b"\xbe"], ["О"], None),
    "utf-8 that is not": ("UTF-8", "iso-8859-5", [b"Caf\xe9 \x80"], ["Café €"],
        "2 read as Windows-1252"),
    "nothing declared": (None, None, [b"Caf\xe9"], ["Café"], "1 read as Windows-1252"),
    "no letter": ("ISO-8859-1", None, [b"x\x81\x80"], ["x\ufffd€"],
        "1 read as Windows-1252, 1 replaced by U+FFFD"),
    "no letter in another": ("ISO-8859-3", None, [b"x\xa5\xa6"], ["x\ufffdĤ"],
        "1 read as iso8859-3, 1 replaced by U+FFFD"),
    "half a sequence alone": ("ISO-8859-1", None, [b"Z\xc3"], ["ZÃ"], None),
    # --- both in one envelope
    "both": ("ISO-8859-1", None, [E_ACUTE, b"Caf\xe9", b"M\xfcller"], ["é", "Café", "Müller"],
        "2 read as Windows-1252"),
    "both in one text": ("ISO-8859-1", None, [b"\xe9\xc3\xa9\xe9"], ["ééé"],
        "2 read as Windows-1252"),
    "both in latin-2": ("ISO-8859-2", None, [E_ACUTE, b"\xbbx"], ["é", "ťx"],
        "1 read as iso8859-2"),
    "both as utf-8": ("UTF-8", None, [E_ACUTE, b"Caf\xe9", b"\xff\xff"], ["é", "Caf\ufffd", "\ufffd\ufffd"],
        "3 replaced by U+FFFD"),
    "a bad byte in windows-1252": ("windows-1252", None, [E_ACUTE, b"x\x8fy"], ["é", "x\ufffdy"],
        "1 replaced by U+FFFD"),
    # --- what PHP's substr leaves of a letter
    "cut after 1 of 2": ("ISO-8859-1", None, [E_ACUTE, b"Z\xc3"], ["é", "Z\ufffd"], "1 replaced by U+FFFD"),
    "cut after 1 of 3": ("ISO-8859-1", None, [E_ACUTE, b"5 \xe2"], ["é", "5 \ufffd"], "1 replaced by U+FFFD"),
    "cut after 2 of 3": ("ISO-8859-1", None, [E_ACUTE, b"5 \xe2\x82"], ["é", "5 \ufffd"], "1 replaced by U+FFFD"),
    "cut after 1 of 4": ("ISO-8859-1", None, [E_ACUTE, b"\xf0"], ["é", FFFD], "1 replaced by U+FFFD"),
    "cut after 2 of 4": ("ISO-8859-1", None, [E_ACUTE, b"\xf0\x9f"], ["é", FFFD], "1 replaced by U+FFFD"),
    "cut after 3 of 4": ("ISO-8859-1", None, [E_ACUTE, b"\xf0\x9f\x98"], ["é", FFFD], "1 replaced by U+FFFD"),
    "cut in cdata": ("ISO-8859-1", None, [E_ACUTE, b"<![CDATA[Z\xc3]]>"], ["é", "Z\ufffd"], "1 replaced by U+FFFD"),
    "cut, declared as utf-8": ("UTF-8", None, [E_ACUTE, b"5 \xe2\x82 x"], ["é", "5 \ufffd x"],
        "1 replaced by U+FFFD"),
    "no end, so not cut": ("ISO-8859-1", None, [E_ACUTE, b"S\xc3O caf\xe9\x92s"], ["é", "SÃO café’s"],
        "3 read as Windows-1252"),
    # --- surrogates in CESU-8
    "cesu-8": ("ISO-8859-1", None, ["\ud83d\ude00".encode("utf-8", "surrogatepass")], ["😀"],
        "1 joined from CESU-8"),
    "cesu-8 and more": ("UTF-8", None, ["a\ud83d\ude00b".encode("utf-8", "surrogatepass"), b"\xff"],
        ["a😀b", FFFD], "1 joined from CESU-8, 1 replaced by U+FFFD"),
    "half of it": ("ISO-8859-1", None, [E_ACUTE, "a\ud83db".encode("utf-8", "surrogatepass")],
        ["é", "a\ufffdb"], "1 replaced by U+FFFD"),
    "the halves swapped": ("ISO-8859-1", None, [E_ACUTE, "\ude00\ud83d".encode("utf-8", "surrogatepass")],
        ["é", "\ufffd\ufffd"], "2 replaced by U+FFFD"),
    # --- names that are no encoding of a text, or one without ASCII's signs
    "zip": ("zip", None, [b"\xe9"], ["é"], "1 read as Windows-1252"),
    "rot13": ("rot13", "iso-8859-5", [b"\xe9"], ["щ"], None),
    "unicode_escape": ("unicode_escape", None, [b"\\d\xe9"], ["\\dé"], "1 read as Windows-1252"),
    "ebcdic": ("cp037", None, [b"\xe9"], ["é"], "1 read as Windows-1252"),
    "a long name": ("x" * 41, None, [b"\xe9"], ["é"], "1 read as Windows-1252"),
    "a module's name": ("__init__", None, [b"\xe9"], ["é"], "1 read as Windows-1252"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_the_table(case: str, caplog: pytest.LogCaptureFixture) -> None:
    declared, charset, written, texts, warning = TABLE[case]
    data = response(*written, declared=declared)
    assert read(data, charset) == texts
    document_ = load_document(data, charset)
    parse_records(document_, Invoice)
    if warning is None:
        assert document_.repairs == []
    else:
        (repair,) = document_.repairs
        assert warning in repair
        if charset is None:
            rows(data, Invoice)
            (record,) = caplog.records
            assert (record.levelno, record.message) == (
                logging.WARNING,
                f"response: repaired: {repair}",
            )


UNSUPPORTED = [
    "UTF-7", "ISO-2022-JP", "hz", "GBK", "GB18030", "Big5", "Shift_JIS", "euc-jp", "cp932", "johab", "UTF-16",
    "utf-16-le", "UTF-32",
]  # fmt: skip


@pytest.mark.parametrize("name", UNSUPPORTED)
@pytest.mark.parametrize("text", [b"plain", E_ACUTE, b"\xd6\xd0"])
def test_an_encoding_that_the_server_never_writes_is_named(name: str, text: bytes) -> None:
    """Declared in the XML or in the header, whether or not the bytes would fit it."""
    for data, charset in ((response(text, declared=name), "UTF-8"), (response(text, declared=None), name)):  # fmt: skip
        with pytest.raises(ResponseError, match="^an encoding that is not supported: ") as caught:
            read(data, charset)
        assert caught.value.value == name


def test_a_header_that_names_no_encoding_is_left_aside() -> None:
    for charset in ("", "no name", "'iso-8859-2'", "x" * 41, "é"):
        assert read(response(b"\xbe", declared="ISO-8859-2"), charset) == ["ž"]
        assert read(response(b"plain", declared=None), charset) == ["plain"]


def test_the_xml_declares_before_the_header() -> None:
    assert read(response(b"\xbe", declared="ISO-8859-2"), "GBK") == ["ž"]
    assert read(response(E_ACUTE, declared="UTF-8"), "Shift_JIS") == ["é"]
    with pytest.raises(ResponseError, match="'GBK'"):
        read(response(E_ACUTE, declared="x-none"), "GBK")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", [True, False])
def test_utf16_and_utf32_are_named(name: str, *, mark: bool) -> None:
    text = response(E_ACUTE, declared=None).decode()
    with pytest.raises(ResponseError, match="^an encoding that is not supported: ") as caught:
        read(("\ufeff" * mark + text).encode(name))
    assert caught.value.value == name.upper()


@pytest.mark.parametrize("junk", [b"\0", b"\0\0", b"\n\0", b"a\0", b"\0\n\n"])
def test_a_nul_before_the_envelope_says_nothing_of_its_encoding(junk: bytes) -> None:
    """XML 1.0 appendix F: UTF-16 begins with 3C 00 3F 00 or 00 3C 00 3F, UTF-32 with three NULs."""
    assert read(junk + response(b"Caf\xe9", declared="ISO-8859-1")) == ["Café"]


@pytest.mark.parametrize(
    "declaration",
    ['encoding  =  "iso-8859-5"', " " * 60 + 'encoding="iso-8859-5"', "encoding='ISO-8859-5'"],
)
def test_a_declaration_counts_however_it_is_written(declaration: str) -> None:
    data = response(b"\xbe", declared="ISO-8859-5")
    other = data.replace(b'encoding="ISO-8859-5"', declaration.encode())
    assert other != data
    assert read(other) == ["О"]


@pytest.mark.parametrize(
    "before", [b"", b"<!-- @ -->", b"<?xml-stylesheet href='x' encoding='ISO-8859-5'?>"]
)
def test_only_the_declaration_of_the_response_itself_counts(before: bytes) -> None:
    no = b'<?xml version="1.0" encoding="ISO-8859-5"?>'
    data = response(b"<![CDATA[" + no + b"]]>\xe9", declared=None)
    data = before.replace(b"@", no) + data.partition(b"?>")[2]
    (text,) = read(data, "ISO-8859-1")
    assert text == no.decode() + "é"


def test_half_surrogates_are_lost_wherever_a_piece_ends() -> None:
    for half in (b"\xed\xb0\x80", b"\xed\xa0\x80"):
        (value, _) = read(response(half * 30_000, E_ACUTE, declared="ISO-8859-1"))
        assert value == FFFD * 30_000


# --- every byte alone ------------------------------------------------------------------------------

NEIGHBOURS = {"nothing": b"", "ascii": b"a", "utf-8": b"\xc3\xbc", "latin-1": b"\xfc"}


def meant(byte: int, after: bytes, *, mixed: bool, declared: str) -> str:
    """Say what one byte between such neighbours is, by the words of the issue's rules."""
    if byte < 0x80:
        return chr(byte)
    ends = after == b""
    if mixed and ends and (0xC2 <= byte <= 0xDE or byte in (0xE2, 0xF0)):
        return FFFD
    return bytes([byte]).decode("cp1252" if declared == "ISO-8859-1" else declared, "replace")


@pytest.mark.parametrize("declared", ["ISO-8859-1", "ISO-8859-2", "koi8-r"])
@pytest.mark.parametrize("before", NEIGHBOURS)
@pytest.mark.parametrize("after", NEIGHBOURS)
@pytest.mark.parametrize("mixed", [True, False])
def test_every_byte_alone(declared: str, before: str, after: str, *, mixed: bool) -> None:
    left, right = NEIGHBOURS[before], NEIGHBOURS[after]
    texts, expected = [], []
    mixed = mixed or b"\xc3\xbc" in (left, right)
    name = "cp1252" if declared == "ISO-8859-1" else declared
    for byte in [9, 32, *range(0x2F, 0x3C), *range(0x3F, 0x80), *range(0x80, 0x100)]:
        text = left + bytes([byte]) + right
        shown = [part.decode("utf-8" if part == b"\xc3\xbc" else name) for part in (left, right)]
        texts.append(text)
        expected.append(shown[0] + meant(byte, right, mixed=mixed, declared=declared) + shown[1])
    if mixed:
        texts.append(E_ACUTE)
        expected.append("é")
    assert read(response(*texts, declared=declared)) == expected


def test_no_byte_changes_how_another_is_read() -> None:
    """The same rows, one more of any byte among them, in an envelope that is mixed anyway."""
    same = [E_ACUTE, b"Caf\xe9", b"Z\xc3", b"\x81", b"\xf0\x9f"]
    for byte in range(0x80, 0x100):
        value = read(response(*same, bytes([byte]) + b"x", declared="ISO-8859-1"))
        assert value[:5] == ["é", "Café", "Z\ufffd", FFFD, FFFD]


# --- the borders of pieces ---------------------------------------------------------------------------

PIECE = 32 * 1024


@pytest.mark.parametrize(
    "unit", ["é".encode(), "€".encode(), "😀".encode(), b"\xed\xa0\xbd\xed\xb8\x80", b"\xe9a"]
)
@pytest.mark.parametrize("shift", range(7))
def test_letters_across_the_border_of_a_piece(unit: bytes, shift: int) -> None:
    meant = {b"\xed\xa0\xbd\xed\xb8\x80": "😀", b"\xe9a": "éa"}.get(unit) or unit.decode()
    count = 3 * PIECE // len(unit)
    text = b"x" * shift + unit * count
    (value, _) = read(response(text, b"\xe9\xc3\xa9", declared="ISO-8859-1"))
    assert value == "x" * shift + meant * count


@pytest.mark.slow
def test_a_text_that_ends_at_the_border_of_a_piece() -> None:
    for shift in range(4):
        texts = [b"x" * (PIECE - 400 + n) + b"Z\xc3" for n in range(shift * 64, shift * 64 + 64)]
        value = read(response(E_ACUTE, *texts, declared="ISO-8859-1"))
        assert value[1:] == [text[:-1].decode() + FFFD for text in texts]


# --- with a mark --------------------------------------------------------------------------------------


def test_a_mark_of_utf8_says_that_nothing_is_latin1() -> None:
    data = codecs.BOM_UTF8 + response(E_ACUTE, b"Caf\xe9", declared="ISO-8859-1")
    assert read(data, "ISO-8859-1") == ["é", "Caf\ufffd"]
    assert read(codecs.BOM_UTF8 + response(b"Caf\xe9", declared="ISO-8859-5")) == ["Café"]


# --- only texts are mended -------------------------------------------------------------------------

TAG = "an invalid byte in a tag"


@pytest.mark.parametrize("byte", [b"\x01", b"\x00", b"\xff", b"\xe9", b"\xef\xbf\xbe"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<invoices_description", b"<invoices@_description"),
        (b"</invoices_description", b"</invoices_description@"),
        (b"<item xsi:type=", b"<item xsi:t@ype="),
        (b'"tns:sql_row_invoices"', b'"tns:@"'),
        (b'"tns:sql_row_invoices"', b'"> @"'),
        (b'"tns:sql_row_invoices"', b"'>\"@'"),
        (b"SOAP-ENC:arrayType", b"SOAP-ENC:arrayT@ype"),
        (b"<item ", b"<@item "),
        (b"<item ", b"<item a='x' @"),
    ],
)
def test_a_damaged_tag_is_an_error(byte: bytes, old: bytes, new: bytes) -> None:
    data = response(b"a\x02", E_ACUTE, b"<![CDATA[<a \x01>]]>", declared="UTF-8")
    assert read(data) == ["a\ufffd", "é", "<a \ufffd>"]
    damaged = data.replace(old, new.replace(b"@", byte), 1)
    assert damaged != data
    with pytest.raises(ResponseError, match=f"^{TAG}: "):
        read(damaged)


def test_a_tag_is_utf8_whatever_is_declared() -> None:
    data = response(b"\xe9", declared="ISO-8859-1").replace(b"<item ", b'<item a="@" ')
    assert read(data.replace(b"@", "é".encode())) == ["é"]
    with pytest.raises(ResponseError, match=f"^{TAG}"):
        read(data.replace(b"@", b"\xe9"))


def test_a_forbidden_reference_in_a_tag_is_an_error() -> None:
    data = response(b"&#1;", declared="UTF-8")
    assert read(data) == [FFFD]
    with pytest.raises(ResponseError, match="^not well-formed XML"):
        read(data.replace(b"<item ", b'<item a="&#1;" '))


def test_sections_that_hold_signs_of_markup_are_mended_as_texts() -> None:
    for text in (b"<!-- <a \x01> &#1; -->x", b"<?p <a \x01> ?>x", b"<![CDATA[<a \x01>]]>x"):
        value = read(response(text, declared="UTF-8"))
        assert value == (["<a \ufffd>x"] if b"CDATA" in text else ["x"])


def test_a_response_without_an_envelope_is_shown_as_it_can_be_read() -> None:
    for page, shown in ((b"<p>Caf\xe9 \x01</p>", "<p>Café \x01</p>"), (b"\xc3\xa9", "é")):
        with pytest.raises(ResponseError, match="^no SOAP envelope") as caught:
            read(page)
        assert caught.value.value == shown


def test_a_long_text_is_not_taken_for_a_tag() -> None:
    for text in ("x" * 100_000, "é" * 50_000, "> " * 50_000, "< " + "x" * 50_000):
        data = make_text_response("api_x", text)
        assert wrap_in_envelope("api_x", "")[:20] == data[:20]
        xml = f"<![CDATA[{text}]]>" if "<" in text else text.replace(">", "&gt;")
        assert read(response(xml.encode(), declared="UTF-8")) == [text]


LARGE: dict[str, bytes] = {
    "junk around": b"x" + make_many_rows(2000) + b"x",
    "junk alone": b"x" * 2**21,
    "mixed": response(b"\xe9\xc3\xa9@" * 4000, b"Z\xc3", declared="ISO-8859-1"),
    "one text": response(b"\xff" + "€".encode() * 2**20, declared="UTF-8"),
    "rows": make_many_rows(2000).replace(b"MailBaby", b"Mail\xe9\xc3\xa9\x01"),
    "latin-1": make_many_rows(2000).replace(b"MailBaby", b"Mail\xe9"),
    "references": make_many_rows(2000).replace(b"MailBaby", b"Mail&#233;&#1;"),
    "plain": make_many_rows(2000, "é"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_decoding_takes_one_copy_of_the_response_beside_it(name: str) -> None:
    data = LARGE[name]
    deadline = Deadline()

    def peak() -> int:
        tracemalloc.start()
        try:
            if name == "junk alone":
                with pytest.raises(ResponseError):
                    decode(data, None, deadline)
            else:
                decode(data, None, deadline)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    decode(make_many_rows(1), None, deadline)  # what is imported only once
    assert peak() < 1.1 * len(data) + 2**19
