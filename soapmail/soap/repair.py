"""Response bytes to the XML text of one envelope, and the list of what was repaired for that.

What XML forbids becomes U+FFFD in texts alone: in a tag a changed byte is another name.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, NamedTuple

from .. import patterns
from ..errors import ResponseError

if TYPE_CHECKING:
    from ..deadline import Deadline
    from .encoding import Letters

_END = 32 * 1024
_LONG_PROLOG = 4096
_SHOWN = 256 * 1024  # of a page, in which secrets are found
# Where these are declared, bytes that are valid UTF-8 are that.
_USUAL = "utf-8|iso-8859-1|us-ascii|windows-1252"
# Up to the envelope: an older libxml2 would believe the encoding that a declaration names.
_PLAIN = re.compile(
    rb"\s{0,99}(<\?xml[^>]{0,150}\?>\s{0,99})?(?=<((?:[\w.-]{1,99}:)?Envelope)[\s>])"
)
# Compiled where they are first needed, which most responses never do.
_ENVELOPE = rb"<!--|<%b((?:[\w.\x80-\xff-]+:)?Envelope)(?=[\s/>])"
_PROLOG = r"(?s)<\?.*?\?>|<!--.*?-->"
_SECTION_ENDS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_SECTION = b"|".join(map(re.escape, _SECTION_ENDS))
_FORBIDDEN = rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]"
_REFERENCE = rb"&#(?:x([0-9a-fA-F]+)|([0-9]+));"
# As far as the first byte that needs a look. No two parts take the same byte, and a longer tag is
# refused later, so this is linear.
_TAG_TO_LOOK_AT = (
    rb"""<[^<>"'%b]{0,9999}(?:"[^"<%b]*"[^<>"'%b]{0,9999}|'[^'<%b]*'[^<>"'%b]{0,9999}){0,9999}"""
    rb"""(?:"[^"<%b]*|'[^'<%b]*)?[%b]"""
)
_TO_LOOK_AT = rb"&\x00-\x08\x0b\x0c\x0e-\x1f\x80-\xff"
_REPLACEMENT = "\ufffd".encode()


class Text(NamedTuple):
    """One envelope in UTF-8, from ``start`` on; ``whole`` unless its end is missing.

    ``source``: the bytes and the header's encoding, where nothing was looked at but the encoding.
    """

    data: bytes
    start: int
    whole: bool
    repairs: list[str]
    source: tuple[bytes, str | None] | None = None


def decode(data: bytes, charset: str | None, deadline: Deadline) -> Text:
    """Give the text of a response; ``charset`` is what its HTTP header says."""
    plain = _PLAIN.match(data)
    ended = plain and data[-_END:].rstrip().endswith(b"</" + plain[2] + b">")
    if plain and ended and _is_usual(plain[1] or b"", charset) and _is_utf8(data):
        return Text(data, plain.end(), whole=True, repairs=[], source=(data, charset))
    return repaired(data, charset, deadline)


def _is_usual(declaration: bytes, charset: str | None) -> bool:
    if b"encoding" in declaration:
        declared = rf"""(?i)\sencoding=["'](?:{_USUAL})["']""".encode()
        return bool(re.search(declared, declaration))
    return charset is None or bool(re.fullmatch(_USUAL, charset, re.IGNORECASE))


def repaired(data: bytes, charset: str | None, deadline: Deadline) -> Text:
    """Give the text of a response without what XML forbids, which the server lets through."""
    from .encoding import Letters, declared, unmarked, unshifted

    data, encoding, repairs = unmarked(data, deadline)
    first = _tag(data, 0, deadline)
    if first is None:
        page = data[:_SHOWN].strip()
        shown = b"".join(Letters(page, 0, len(page), [], deadline).utf8(0, len(page))).decode()
        problem = "no SOAP envelope" if shown else "an empty response"
        raise ResponseError(problem, value=shown or None)
    start = first.start()
    names = declared(data[:start], charset) if encoding is None else [encoding]
    data, names = unshifted(data, first, names, deadline)
    end = _end(data, first, deadline)
    repairs += _around_envelope(data, first, end, deadline)
    letters = Letters(data, start, len(data) if end is None else end, names, deadline)
    mending = _Mending(letters, deadline)
    text = mending.text()
    repairs += letters.repairs
    if mending.forbidden:
        repairs.append(f"characters that XML forbids, replaced by U+FFFD: {mending.forbidden}")
    if end is None:
        repairs.append("added the closing tags missing at the end")
    return Text(text, 0, whole=end is not None, repairs=repairs)


def has_envelope(data: bytes, deadline: Deadline) -> bool:
    """Tell a SOAP response from a page of any other kind."""
    from .encoding import unmarked

    return _tag(unmarked(data, deadline)[0], 0, deadline) is not None


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    from .encoding import is_utf8

    return is_utf8(data)


def _tag(
    data: bytes, at: int, deadline: Deadline, *, end_too: bool = False
) -> re.Match[bytes] | None:
    """Find the start tag of an envelope, or its end tag, which no comment holds."""
    tags = re.compile(_ENVELOPE.replace(b"%b", b"/?" * end_too))
    comments_end = True
    while (found := tags.search(data, at)) and not found[1]:
        deadline.check()
        at = found.end()
        end = data.find(b"-->", at) if comments_end else -1
        comments_end = end >= 0
        at = end + 3 if comments_end else at
    return found


def _end(data: bytes, first: re.Match[bytes], deadline: Deadline) -> int | None:
    """Find where the envelope ends."""
    tags = re.compile(b"(</" + re.escape(first[1]) + rb"\s*>)|" + _SECTION)
    at = first.end()
    while found := tags.search(data, at):
        if found[1]:
            return found.end()
        deadline.check()
        at = data.find(_SECTION_ENDS[found[0]], found.end())
        if at < 0:
            break
    return None


def _around_envelope(
    data: bytes, first: re.Match[bytes], end: int | None, deadline: Deadline
) -> list[str]:
    """Say what stands beside the envelope; ResponseError where that may be a response too."""
    start = first.start()
    if re.compile(rb"(?i)<!doctype").search(data, 0, start):
        raise ResponseError("a DOCTYPE, which SOAP forbids")
    notes = []
    prolog = data[:start].decode(errors="replace") if start <= _LONG_PROLOG else "long"
    if re.sub(_PROLOG, "", prolog).strip("\ufeff \t\r\n"):
        notes.append("ignored text before the envelope")
    # Behind a cut envelope another one is no part of it.
    if _tag(data, first.end() if end is None else end, deadline, end_too=end is not None):
        raise ResponseError("more than one envelope in the response")
    if end is not None and re.compile(rb"\S").search(data, end):
        notes.append("ignored text after the envelope")
    return notes


class _Mending:
    """Copies an envelope in UTF-8, without what XML forbids in texts."""

    def __init__(self, letters: Letters, deadline: Deadline) -> None:
        self.forbidden = 0
        self._letters = letters
        self._deadline = deadline
        self._made = io.BytesIO()

    def text(self) -> bytes:
        letters = self._letters
        span = (letters.data, letters.start, letters.end)
        if letters.plain and not re.compile(rb"&#|\xef\xbf\xbd|" + _FORBIDDEN).search(*span):
            return letters.data[letters.start : letters.end]
        look = _TAG_TO_LOOK_AT.replace(b"%b", _TO_LOOK_AT)
        tokens = re.compile(b"|".join((_SECTION, look, _REFERENCE)))
        tag = re.compile(patterns.TAG + b"?")
        copied = at = letters.start
        while found := tokens.search(letters.data, at, letters.end):
            self._deadline.check()
            at = found.end()
            if found[0] in _SECTION_ENDS:
                end = letters.data.find(_SECTION_ENDS[found[0]], at, letters.end)
                at = letters.end if end < 0 else end
            elif found[0].startswith(b"&"):
                if _is_forbidden(found):
                    self._copy(copied, found.start())
                    self._made.write(_REPLACEMENT)
                    self.forbidden += 1
                    copied = at
            else:
                at = _end_of_tag(tag.match(letters.data, found.start(), letters.end))
        self._copy(copied, letters.end)
        return self._made.getvalue()

    def _copy(self, start: int, end: int) -> None:
        for piece in self._letters.utf8(start, end):
            self._deadline.check()
            piece, count = re.subn(_FORBIDDEN, _REPLACEMENT, piece)
            self.forbidden += count
            self._made.write(piece)


def _end_of_tag(tag: re.Match[bytes] | None) -> int:
    """Find where a tag ends; ResponseError where a byte in it is damaged."""
    assert tag is not None
    damaged = re.search(_FORBIDDEN, tag[0]) or _REPLACEMENT in tag[0]
    if damaged or not _is_utf8(tag[0]):
        problem = "an invalid byte in a tag"
        raise ResponseError(problem, value=tag[0].decode("latin-1"))
    return tag.end()


def _is_forbidden(reference: re.Match[bytes]) -> bool:
    digits = (reference[1] or reference[2]).lstrip(b"0")
    # Eight digits are too many in either base, and a server may write thousands.
    code = int(digits[:8] or b"0", 16 if reference[1] else 10)
    return code > 0x10FFFF or bool(re.match(patterns.FORBIDDEN, chr(code)))
