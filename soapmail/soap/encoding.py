"""Bytes of an envelope to UTF-8: what each byte means that is not UTF-8.

The server writes texts as it stores them, damaged ones too. So no byte decides how another is read:

=====================================  ====================================================
UTF-16 or UTF-32, by its first bytes   ResponseError that names it
a declared encoding of 7 bits or of    the same: the server declares ISO-8859-1 or UTF-8
several bytes a character
a valid sequence of several bytes      UTF-8, whatever is declared
a surrogate pair in CESU-8             the one character that it means
the rest of a cut sequence, among      U+FFFD
valid ones
any other byte, by the declared        its character there, or U+FFFD where there is none;
encoding of single bytes               ISO-8859-1 and US-ASCII mean Windows-1252
the same, where none is declared       U+FFFD among valid sequences, else Windows-1252
=====================================  ====================================================

The rest of a cut sequence is plain where a text ends (``<`` or ``]]>`` follows): several bytes that
only begin a sequence, or one byte 0xC2 to 0xDE, 0xE2 or 0xF0, as hardly a word ends in those
letters. Half a surrogate pair is one anywhere. Other first bytes end many words, as 0xE9 does a
Latin-1 "Café". The XML declares before the HTTP header (RFC 7303 3.2 has it the other way, but the
header of this server is the same for all that it sends).
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from ..errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..deadline import Deadline

_PIECE_BYTES = 32 * 1024
_DECLARATION_BYTES = 1024  # at the beginning, in which a declaration counts
# XML 1.0 appendix F.1: with a byte order mark, or by what "<?" or "<" is there. UTF-32 first: its
# little-endian mark begins with that of UTF-16.
_WIDE_STARTS = {
    "utf-32-le": (codecs.BOM_UTF32_LE, b"<\0\0\0"),
    "utf-32-be": (codecs.BOM_UTF32_BE, b"\0\0\0<\0"),
    "utf-16-le": (codecs.BOM_UTF16_LE, b"<\0?\0", b"<\0S\0"),
    "utf-16-be": (codecs.BOM_UTF16_BE, b"\0<\0?", b"\0<\0S"),
}
# By the names of Python's codecs; of these some warn, and some make no text.
_UNSUPPORTED = re.compile(
    r"""utf-(?:7|16.*|32.*) | hz | iso2022_\w+              # 7 bits, or a NUL in each letter
      | big5\w* | cp9(?:32|49|50) | euc_\w+ | gb\w+ | johab | shift_\w+  # several bytes""",
    re.VERBOSE,
)
_SINGLE_BYTE = r"ascii|iso8859-\d+|cp\d+|koi8-\w|mac-\w+|tis-620|kz1048|ptcp154|hp-roman8"
_NAME = r"[A-Za-z0-9][\w.:-]{0,39}"
_DECLARATION = rb"""<\?xml\s[^>]*?\bencoding\s*=\s*["'](%b)["']""" % _NAME.encode()

# Bytes that are not UTF-8 in the form of "surrogateescape" (PEP 383): 0xE9 is U+DCE9.
_VALID = "[^\udc80-\udcff]+"
# CESU-8 (Unicode TR 26): each half of a surrogate pair as three bytes.
_PAIR = "\udced[\udca0-\udcaf][\udc80-\udcbf]\udced[\udcb0-\udcbf][\udc80-\udcbf]"
_PAIR_BYTES = rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf]"
# What may begin a sequence and does not end it (Unicode 16, table 3-7).
_BROKEN = (
    "\udced[\udca0-\udcbf][\udc80-\udcbf]"
    "|(?:\udce0[\udca0-\udcbf]|[\udce1-\udcef][\udc80-\udcbf]"
    "|\udcf0[\udc90-\udcbf][\udc80-\udcbf]?|[\udcf1-\udcf3][\udc80-\udcbf]{1,2}"
    "|\udcf4[\udc80-\udc8f][\udc80-\udcbf]?)"
)
_CUT = f"{_BROKEN}(?=<|]]>)|[\udcc2-\udcde\udce2\udcf0](?=<|]]>)"


def is_utf8(data: bytes, start: int, end: int) -> bool:
    """Return whether bytes are UTF-8, piece by piece: a decoded copy would double the memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(start, end, _PIECE_BYTES):
            stop = min(at + _PIECE_BYTES, end)
            decoder.decode(data[at:stop], stop == end)
    except UnicodeError:
        return False
    return True


def detect_wide_encoding(data: bytes) -> str | None:
    """Return the name of UTF-16 or UTF-32 where the first bytes are of it, else ``None``."""
    return next((name for name, starts in _WIDE_STARTS.items() if data.startswith(starts)), None)


def find_declarations(prolog: bytes, charset: str | None) -> list[str]:
    """Return the encodings that are declared, the one to believe first.

    A mark says that it is UTF-8, else the XML and the HTTP header do.
    """
    if prolog.startswith(codecs.BOM_UTF8):
        return ["utf-8"]
    in_xml = re.search(_DECLARATION, re.sub(rb"(?s)<!--.*?-->", b"", prolog[:_DECLARATION_BYTES]))
    names = (in_xml and in_xml[1].decode(), charset)
    return [name for name in names if name and re.fullmatch(_NAME, name, re.ASCII)]


def make_unsupported_error(name: str) -> ResponseError:
    """Return the error for an encoding that the server never writes."""
    return ResponseError("an encoding that is not supported", value=name)


class ByteDecoder:
    """Reads the bytes of one envelope by the table above."""

    def __init__(
        self, data: bytes, start: int, end: int, names: list[str], deadline: Deadline
    ) -> None:
        self.data, self.start, self.end = data, start, end
        self._deadline = deadline
        self._joined = self._by_encoding = self._lost = 0
        self._encoding = _choose_encoding(names)
        self.is_utf8 = is_utf8(data, start, end)
        self._has_sequences = not self.is_utf8 and self._holds_sequences()
        self._is_as_declared = bool(self._encoding) and not self._has_sequences
        if not (self.is_utf8 or self._has_sequences or self._encoding):
            self._encoding = "cp1252"
        characters = "\ufffd" * 128
        if self._encoding:
            characters = bytes(range(0x80, 0x100)).decode(self._encoding, "replace")
        self._characters = dict(enumerate(characters, 0xDC80))

    @property
    def repairs(self) -> list[str]:
        """How many characters were not UTF-8, and what became of them."""
        name = "Windows-1252" if self._encoding == "cp1252" else self._encoding
        endings = (f"read as {name}", "joined from CESU-8", "replaced by U+FFFD")
        counts = zip((self._by_encoding, self._joined, self._lost), endings, strict=True)
        parts = ", ".join(f"{count} {ending}" for count, ending in counts if count)
        is_expected = not parts or (self._is_as_declared and not self._lost)
        return [] if is_expected else [f"characters that are not UTF-8: {parts}"]

    def iter_utf8(self, start: int, end: int) -> Iterator[bytes]:
        """Yield a part of the envelope in UTF-8; no sequence may lie across its borders."""
        for first, last in self._iter_pieces(start, end):
            piece = self.data[first:last]
            if not (self.is_utf8 or piece.isascii()):
                piece = self._repair(piece, self.data.startswith((b"<", b"]]>"), last))
            yield piece

    def _iter_pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Cut where no sequence is, and where a text that ends has its end in sight."""
        while end - start > _PIECE_BYTES:
            last = start + _PIECE_BYTES
            cut = self.data.rfind(b">", start, last) + 1
            if cut == 0:
                cut = next((at for at in range(last, last - 8, -1) if self._may_cut(at)), last)
            yield start, cut
            start = cut
        yield start, end

    def _may_cut(self, at: int) -> bool:
        second_half = re.compile(_PAIR_BYTES).match(self.data, max(at - 3, 0))
        # What stands before "]]>" is looked at with it.
        closes_section = self.data.startswith(b"]", at - 1)
        return not (0x80 <= self.data[at] < 0xC2 or second_half or closes_section)

    def _holds_sequences(self) -> bool:
        for start, end in self._iter_pieces(self.start, self.end):
            self._deadline.check()
            piece = self.data[start:end]
            if not piece.isascii():
                text = piece.decode("utf-8", "surrogateescape")
                if re.search("[^\0-\x7f\udc80-\udcff]", text) or re.search(_PAIR, text):
                    return True
        return False

    def _repair(self, piece: bytes, text_ends: bool) -> bytes:
        # A piece may end with a text: its mark is put behind, and taken off again (test_encoding).
        text = piece.decode("utf-8", "surrogateescape") + "<" * text_ends
        text, joined = re.subn(_PAIR, _join_surrogates, text)
        self._joined += joined
        if self._has_sequences:
            text, cut = re.subn(_CUT if self._encoding else _BROKEN, "\ufffd", text)
            self._lost += cut
        invalid = len(re.sub(_VALID, "", text))
        lost = -text.count("\ufffd")
        text = text.translate(self._characters)
        lost += text.count("\ufffd")
        self._lost += lost
        self._by_encoding += invalid - lost
        return text[: len(text) - text_ends].encode()


def _choose_encoding(names: list[str]) -> str:
    """Return the encoding of single bytes that is declared first; empty: UTF-8, or none."""
    for name in names:
        codec = _find_codec(name)
        if _UNSUPPORTED.fullmatch(codec):
            raise make_unsupported_error(name)
        if _is_single_byte(codec):
            # The server's texts come from web forms: HTML reads both as Windows-1252 (WHATWG).
            return "cp1252" if codec in ("iso8859-1", "ascii") else codec
        if codec.startswith("utf-8"):
            break
    return ""


def _find_codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""


def _is_single_byte(codec: str) -> bool:
    if not re.fullmatch(_SINGLE_BYTE, codec):
        return False
    letters = bytes(range(256)).decode(codec, "replace")
    return len(letters) == 256 and letters.startswith(bytes(range(128)).decode())


def _join_surrogates(pair: re.Match[str]) -> str:
    halves = pair[0].encode("utf-8", "surrogateescape").decode("utf-8", "surrogatepass")
    return halves.encode("utf-16", "surrogatepass").decode("utf-16")
