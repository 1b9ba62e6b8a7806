"""Bytes of an envelope to UTF-8: what each byte means that is not UTF-8.

The server writes texts as it stores them, damaged ones too. So no byte decides how another is read:

=====================================  ====================================================
a byte order mark; NUL in the first 4  the whole response as that encoding says
a declared 7-bit encoding, if it fits  the whole envelope as that encoding says
another declared encoding of several   the same; ResponseError where the bytes are UTF-8 too,
bytes, if it fits                      and that says something else
a valid sequence of several bytes      UTF-8, whatever is declared
a surrogate pair in CESU-8             the one character that it means
the rest of a cut sequence, among      U+FFFD
valid ones
any other byte, by the declared        its letter there, or U+FFFD where there is none;
encoding of single bytes               ISO-8859-1 and US-ASCII mean Windows-1252
the same, where none is declared       U+FFFD among valid sequences, else Windows-1252
=====================================  ====================================================

The rest of a cut sequence is plain where a text ends (``<`` or ``]]>`` follows): several bytes that
only begin a sequence, or one byte 0xC2 to 0xDE, 0xE2 or 0xF0, as hardly a word ends in those
letters. Half a surrogate pair is one anywhere. Other first bytes end many words, as 0xE9 does a
Latin-1 "Café". The XML declares before the HTTP header.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import TYPE_CHECKING

from ..errors import ResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..deadline import Deadline

_PIECE = 32 * 1024
_DECLARING = 1024  # in which a declaration counts
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")  # in this order, as marks overlap
# By name only: of Python's codecs some warn, and some make no text.
_SEVEN_BIT = r"hz|iso2022_\w+|utf-7"
_SEVERAL = r"big5\w*|cp9(?:32|49|50)|euc_\w+|gb\w+|johab|shift_\w+"
_SINGLE = r"ascii|iso8859-\d+|cp\d+|koi8-\w|mac-\w+|tis-620|kz1048|ptcp154|hp-roman8"
_NAME = r"[A-Za-z0-9][\w.:-]{0,39}"
_DECLARED = rb"""<\?xml\s[^>]*?\bencoding\s*=\s*["'](%b)["']""" % _NAME.encode()
# Bytes that are not UTF-8 in the form of "surrogateescape": 0xE9 is U+DCE9.
_OTHER = "[^\udc80-\udcff]+"
_PAIR = "\udced[\udca0-\udcaf][\udc80-\udcbf]\udced[\udcb0-\udcbf][\udc80-\udcbf]"
_PAIR_BYTES = rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf]"
_BROKEN = (
    "\udced[\udca0-\udcbf][\udc80-\udcbf]"
    "|(?:\udce0[\udca0-\udcbf]|[\udce1-\udcef][\udc80-\udcbf]"
    "|\udcf0[\udc90-\udcbf][\udc80-\udcbf]?|[\udcf1-\udcf3][\udc80-\udcbf]{1,2}"
    "|\udcf4[\udc80-\udc8f][\udc80-\udcbf]?)"
)
_CUT = f"{_BROKEN}(?=<|]]>)|[\udcc2-\udcde\udce2\udcf0](?=<|]]>)"


def is_utf8(data: bytes) -> bool:
    """Check piece by piece: a decoded copy of a large response would double its memory."""
    return data.isascii() or _strictly((data, 0, len(data)), "utf-8", None)


def unmarked(data: bytes, deadline: Deadline) -> tuple[bytes, str | None, list[str]]:
    """Give a response so that ``<`` is one byte, its encoding, and what was lost on the way.

    The encoding is ``None`` unless the bytes themselves say it.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data, "utf-8", []
    for name in _WIDE:
        if data.startswith("\ufeff".encode(name)):
            return _replaced(data, name, deadline)
    if 0 in data[:4]:
        return _replaced(data, _WIDE[2 + (data[0] == 0)], deadline)
    return data, None, []


def declared(prolog: bytes, charset: str | None) -> list[str]:
    """Name the encodings that the XML and the HTTP header declare, the one to believe first."""
    written = re.search(_DECLARED, re.sub(rb"(?s)<!--.*?-->", b"", prolog[:_DECLARING]))
    names = (written and written[1].decode(), charset)
    return [name for name in names if name and re.fullmatch(_NAME, name, re.ASCII)]


def unshifted(
    data: bytes, first: re.Match[bytes], names: list[str], deadline: Deadline
) -> tuple[bytes, list[str]]:
    """Decode what is in a 7-bit encoding, where a letter may look like a tag.

    Only the envelope, as what stands behind it is in no encoding that anybody declared.
    """
    known = _codec(names[0]) if names else ""
    if not re.fullmatch(_SEVEN_BIT, known):
        return data, names
    last = re.compile(b"</" + re.escape(first[1]) + rb"\s*>").search(data, first.end())
    start, end = first.start(), last.end() if last else len(data)
    made = io.BytesIO()
    made.write(data[:start])
    if not data[start:end].isascii() or not _strictly((data, start, end), known, made, deadline):
        return data, names
    made.write(data[end:])
    return made.getvalue(), ["utf-8"]


class Letters:
    """Reads the bytes of one envelope by the table above."""

    def __init__(
        self, data: bytes, start: int, end: int, names: list[str], deadline: Deadline
    ) -> None:
        self.data, self.start, self.end = data, start, end
        self._deadline = deadline
        self._name = ""
        self._letters = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")
        self._joined = self._read = self._lost = 0
        self._follow(names)
        whole = (self.data, self.start, self.end)
        self.plain = self.data.isascii() or _strictly(whole, "utf-8", None)
        self._mixed = not self.plain and self._holds_sequences()
        self._as_declared = bool(self._name) and not self._mixed
        if not (self.plain or self._mixed or self._name):
            self._believe("cp1252")

    @property
    def repairs(self) -> list[str]:
        """Say how many characters were not UTF-8, and what became of them."""
        whats = (f"read as {self._name}", "joined from CESU-8", "replaced by U+FFFD")
        counts = zip((self._read, self._joined, self._lost), whats, strict=True)
        parts = ", ".join(f"{count} {what}" for count, what in counts if count)
        expected = not parts or (self._as_declared and not self._lost)
        return [] if expected else [f"characters that are not UTF-8: {parts}"]

    def utf8(self, start: int, end: int) -> Iterator[bytes]:
        """Give a part of the envelope in UTF-8; no sequence may lie across its borders."""
        for begin, cut in self._pieces(start, end):
            piece = self.data[begin:cut]
            if not (self.plain or piece.isascii()):
                piece = self._mended(piece, self.data.startswith((b"<", b"]]>"), cut))
            yield piece

    def _follow(self, names: list[str]) -> None:
        """Believe the first declaration that fits."""
        for known in map(_codec, names):
            if _is_single(known):
                self._believe(known)
            elif not (known.startswith("utf-8") or self._decoded(known)):
                continue
            return

    def _decoded(self, name: str) -> bool:
        """Decode the whole envelope, if it fits."""
        made = io.BytesIO()
        whole = (self.data, self.start, self.end)
        if not re.fullmatch(_SEVERAL, name) or not _strictly(whole, name, made, self._deadline):
            return False
        text = made.getvalue()
        if memoryview(self.data)[self.start : self.end] != text and _strictly(whole, "utf-8", None):
            raise ResponseError(f"a text that is valid as UTF-8 and as {name}")
        self.data, self.start, self.end = text, 0, len(text)
        return True

    def _believe(self, name: str) -> None:
        name = "cp1252" if name in ("iso8859-1", "ascii") else name
        self._name = "Windows-1252" if name == "cp1252" else name
        letters = bytes(range(0x80, 0x100)).decode(name, "replace")
        self._letters = dict(enumerate(letters, 0xDC80))

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Cut where no sequence is, and where a text that ends has its end in sight."""
        while end - start > _PIECE:
            last = start + _PIECE
            cut = self.data.rfind(b">", start, last) + 1
            if cut == 0:
                cut = next((at for at in range(last, last - 8, -1) if self._begins(at)), last)
            yield start, cut
            start = cut
        yield start, end

    def _begins(self, at: int) -> bool:
        later_half = re.compile(_PAIR_BYTES).match(self.data, max(at - 3, 0))
        # What stands before "]]>" is looked at with it.
        closing = self.data.startswith(b"]", at - 1)
        return not (0x80 <= self.data[at] < 0xC2 or later_half or closing)

    def _holds_sequences(self) -> bool:
        for start, end in self._pieces(self.start, self.end):
            self._deadline.check()
            piece = self.data[start:end]
            if not piece.isascii():
                text = piece.decode("utf-8", "surrogateescape")
                if re.search("[^\0-\x7f\udc80-\udcff]", text) or re.search(_PAIR, text):
                    return True
        return False

    def _mended(self, piece: bytes, text_ends: bool) -> bytes:
        # The mark of a text's end is put behind the piece for the patterns, and taken off again.
        text = piece.decode("utf-8", "surrogateescape") + "<" * text_ends
        text, joined = re.subn(_PAIR, _of_pair, text)
        self._joined += joined
        if self._mixed:
            text, cut = re.subn(_CUT if self._name else _BROKEN, "\ufffd", text)
            self._lost += cut
        bad = len(re.sub(_OTHER, "", text))
        lost = -text.count("\ufffd")
        text = text.translate(self._letters)
        lost += text.count("\ufffd")
        self._lost += lost
        self._read += bad - lost
        return text[: len(text) - text_ends].encode()


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""


def _is_single(name: str) -> bool:
    """Tell whether an encoding has a letter a byte, and the first 128 are those of ASCII."""
    signs = bytes(range(256)).decode(name, "replace") if re.fullmatch(_SINGLE, name) else ""
    return len(signs) == 256 and signs.startswith(bytes(range(128)).decode())


def _strictly(
    part: tuple[bytes, int, int],
    name: str,
    made: io.BytesIO | None,
    deadline: Deadline | None = None,
) -> bool:
    """Decode a part of the bytes, and tell whether that is possible."""
    data, start, end = part
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for at in range(start, end, _PIECE):
            if deadline is not None:
                deadline.check()
            stop = min(at + _PIECE, end)
            text = decoder.decode(data[at:stop], stop == end)
            if made is not None:
                made.write(text.encode())
    except UnicodeError:
        return False
    return True


def _replaced(data: bytes, name: str, deadline: Deadline) -> tuple[bytes, str, list[str]]:
    """Decode UTF-16 or UTF-32; what is not valid there becomes U+FFFD."""
    decoders = [codecs.getincrementaldecoder(name)(how) for how in ("replace", "ignore")]
    made, lost = io.BytesIO(), 0
    for at in range(0, len(data), _PIECE):
        deadline.check()
        last = at + _PIECE >= len(data)
        text, valid = (decoder.decode(data[at : at + _PIECE], last) for decoder in decoders)
        made.write(text.encode())
        lost += text.count("\ufffd") - valid.count("\ufffd")
    notes = [f"characters that are not {name}, replaced by U+FFFD: {lost}"] if lost else []
    return made.getvalue(), "utf-8", notes


def _of_pair(pair: re.Match[str]) -> str:
    halves = pair[0].encode("utf-8", "surrogateescape").decode("utf-8", "surrogatepass")
    return halves.encode("utf-16", "surrogatepass").decode("utf-16")
