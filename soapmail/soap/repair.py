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
    from .encoding import ByteDecoder

_END_BYTES = 32 * 1024
_PROLOG_BYTES = 4096
_PAGE_BYTES = 256 * 1024  # of a page that is no envelope, in which secrets are looked for
# Where one of these is declared, bytes that are valid UTF-8 are UTF-8.
_USUAL_ENCODINGS = "utf-8|iso-8859-1|us-ascii|windows-1252"

# Up to the envelope: libxml2 before 2.14 would believe the encoding that a declaration names.
_PLAIN_START = re.compile(
    rb"""\s{0,99}
    (<\?xml[^>]{0,150}\?>\s{0,99})?              # 1: the XML declaration
    (?=<((?:[\w.-]{1,99}:)?Envelope)[\s>])       # 2: the name of the envelope""",
    re.VERBOSE,
)
# Those below are compiled where they are first needed, which most responses never do.
_ENVELOPE_TAG = rb"<!--|<%b((?:[\w.\x80-\xff-]+:)?Envelope)(?=[\s/>])"
_PROLOG = r"(?s)<\?.*?\?>|<!--.*?-->"
_SECTION_ENDS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_SECTION = b"|".join(map(re.escape, _SECTION_ENDS))
# XML 1.0 2.2 in UTF-8: the control characters, U+FFFE and U+FFFF.
_FORBIDDEN = rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]"
_CHARACTER_REFERENCE = rb"&#(?:x([0-9a-fA-F]+)|([0-9]+));"
_SUSPICIOUS = rb"&\x00-\x08\x0b\x0c\x0e-\x1f\x80-\xff"
# A tag up to its first byte that may need repair. The alternatives are disjoint, and a longer tag
# is refused by chunks.TagLengthGuard, so matching is linear (test_costs).
_SUSPICIOUS_TAG = (
    rb"""<[^<>"'%b]{0,9999}(?:"[^"<%b]*"[^<>"'%b]{0,9999}|'[^'<%b]*'[^<>"'%b]{0,9999}){0,9999}"""
    rb"""(?:"[^"<%b]*|'[^'<%b]*)?[%b]"""
).replace(b"%b", _SUSPICIOUS)
_REPLACEMENT = "\ufffd".encode()


class Text(NamedTuple):
    """One envelope in UTF-8, from ``start`` on; ``is_whole`` unless its end is missing.

    ``source``: the bytes and the header's encoding, where nothing was looked at but the encoding.
    """

    data: bytes
    start: int
    is_whole: bool
    repairs: list[str]
    source: tuple[bytes, str | None] | None = None


def decode(data: bytes, charset: str | None, deadline: Deadline) -> Text:
    """Return the text of a response; ``charset`` is what its HTTP header says."""
    plain = _PLAIN_START.match(data)
    ends = plain and data[-_END_BYTES:].rstrip().endswith(b"</" + plain[2] + b">")
    if plain and ends and _is_usual_declaration(plain[1] or b"", charset) and _is_utf8(data):
        return Text(data, plain.end(), is_whole=True, repairs=[], source=(data, charset))
    return repair(data, charset, deadline)


def _is_usual_declaration(declaration: bytes, charset: str | None) -> bool:
    if b"encoding" in declaration:
        usual = rf"""(?i)\sencoding=["'](?:{_USUAL_ENCODINGS})["']""".encode()
        return bool(re.search(usual, declaration))
    return charset is None or bool(re.fullmatch(_USUAL_ENCODINGS, charset, re.IGNORECASE))


def repair(data: bytes, charset: str | None, deadline: Deadline) -> Text:
    """Return the text of a response without what XML forbids, which the server lets through."""
    from .encoding import (
        ByteDecoder,
        detect_wide_encoding,
        find_declarations,
        make_unsupported_error,
    )

    wide = detect_wide_encoding(data)
    if wide is not None:
        raise make_unsupported_error(wide.upper())
    tag = _find_envelope_tag(data, 0, deadline)
    if tag is None:
        page = data[:_PAGE_BYTES].strip()
        decoder = ByteDecoder(page, 0, len(page), [], deadline)
        text = b"".join(decoder.iter_utf8(0, len(page))).decode()
        raise ResponseError("no SOAP envelope" if text else "an empty response", value=text or None)
    start = tag.start()
    end = _find_envelope_end(data, tag, deadline)
    names = find_declarations(data[:start], charset)
    repairs = _check_surroundings(data, tag, end, deadline)
    decoder = ByteDecoder(data, start, len(data) if end is None else end, names, deadline)
    repairer = _Repairer(decoder, deadline)
    envelope = repairer.repair()
    repairs += decoder.repairs
    if repairer.forbidden:
        repairs.append(f"characters that XML forbids, replaced by U+FFFD: {repairer.forbidden}")
    if end is None:
        repairs.append("added the closing tags missing at the end")
    return Text(envelope, 0, is_whole=end is not None, repairs=repairs)


def has_envelope(data: bytes, deadline: Deadline) -> bool:
    """Return whether it is a SOAP response, and no page of any other kind."""
    from .encoding import detect_wide_encoding

    if detect_wide_encoding(data) is not None:  # whose encoding decode() will name
        data = data.replace(b"\0", b"")
    return _find_envelope_tag(data, 0, deadline) is not None


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    from .encoding import is_utf8

    return is_utf8(data, 0, len(data))


def _find_envelope_tag(
    data: bytes, at: int, deadline: Deadline, *, or_end: bool = False
) -> re.Match[bytes] | None:
    """Find the start tag of an envelope, or its end tag, which no comment holds."""
    tags = re.compile(_ENVELOPE_TAG.replace(b"%b", b"/?" * or_end))
    comments_end = True
    while (match := tags.search(data, at)) and not match[1]:
        deadline.check()
        at = match.end()
        end = data.find(b"-->", at) if comments_end else -1
        comments_end = end >= 0
        at = end + 3 if comments_end else at
    return match


def _find_envelope_end(data: bytes, tag: re.Match[bytes], deadline: Deadline) -> int | None:
    ends = re.compile(b"(</" + re.escape(tag[1]) + rb"\s*>)|" + _SECTION)
    at = tag.end()
    while match := ends.search(data, at):
        if match[1]:
            return match.end()
        deadline.check()
        at = data.find(_SECTION_ENDS[match[0]], match.end())
        if at < 0:
            break
    return None


def _check_surroundings(
    data: bytes, tag: re.Match[bytes], end: int | None, deadline: Deadline
) -> list[str]:
    start = tag.start()
    if re.compile(rb"(?i)<!doctype").search(data, 0, start):
        raise ResponseError("a DOCTYPE, which SOAP forbids")  # SOAP 1.1 3
    notes = []
    prolog = data[:start].decode(errors="replace") if start <= _PROLOG_BYTES else "long"
    if re.sub(_PROLOG, "", prolog).strip("\ufeff \t\r\n"):
        notes.append("ignored text before the envelope")
    # Behind a cut envelope another one is no part of it.
    behind = tag.end() if end is None else end
    if _find_envelope_tag(data, behind, deadline, or_end=end is not None):
        raise ResponseError("more than one envelope in the response")
    if end is not None and re.compile(rb"\S").search(data, end):
        notes.append("ignored text after the envelope")
    return notes


class _Repairer:
    def __init__(self, decoder: ByteDecoder, deadline: Deadline) -> None:
        self.forbidden = 0
        self._decoder = decoder
        self._deadline = deadline
        self._copy = io.BytesIO()

    def repair(self) -> bytes:
        decoder = self._decoder
        span = (decoder.data, decoder.start, decoder.end)
        suspicious = rb"&#|\xef\xbf\xbd|" + _FORBIDDEN
        if decoder.is_utf8 and not re.compile(suspicious).search(*span):
            return decoder.data[decoder.start : decoder.end]
        tokens = re.compile(b"|".join((_SECTION, _SUSPICIOUS_TAG, _CHARACTER_REFERENCE)))
        tag = re.compile(patterns.TAG + b"?")
        copied = at = decoder.start
        while token := tokens.search(decoder.data, at, decoder.end):
            self._deadline.check()
            at = token.end()
            if token[0] in _SECTION_ENDS:
                end = decoder.data.find(_SECTION_ENDS[token[0]], at, decoder.end)
                at = decoder.end if end < 0 else end
            elif token[0].startswith(b"&"):
                if _is_forbidden(token):
                    self._append(copied, token.start())
                    self._copy.write(_REPLACEMENT)
                    self.forbidden += 1
                    copied = at
            else:
                at = _require_intact(tag.match(decoder.data, token.start(), decoder.end))
        self._append(copied, decoder.end)
        return self._copy.getvalue()

    def _append(self, start: int, end: int) -> None:
        for piece in self._decoder.iter_utf8(start, end):
            self._deadline.check()
            piece, count = re.subn(_FORBIDDEN, _REPLACEMENT, piece)
            self.forbidden += count
            self._copy.write(piece)


def _require_intact(tag: re.Match[bytes] | None) -> int:
    assert tag is not None
    is_damaged = re.search(_FORBIDDEN, tag[0]) or _REPLACEMENT in tag[0]
    if is_damaged or not _is_utf8(tag[0]):
        raise ResponseError("an invalid byte in a tag", value=tag[0].decode("latin-1"))
    return tag.end()


def _is_forbidden(reference: re.Match[bytes]) -> bool:
    """Return whether a character reference names what XML 1.0 4.1 does not allow."""
    digits = (reference[1] or reference[2]).lstrip(b"0")
    # Eight digits are too many in either base, and a server may write thousands.
    code = int(digits[:8] or b"0", 16 if reference[1] else 10)
    return code > 0x10FFFF or bool(re.match(patterns.FORBIDDEN, chr(code)))
