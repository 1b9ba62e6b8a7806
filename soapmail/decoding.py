"""Response bytes to the XML text of one envelope, and the list of what was repaired for that."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from . import patterns
from .errors import ResponseError

_CHUNK = 32 * 1024
_LONG_PROLOG = 4096
_DECLARING = 1024  # in which a declaration counts
_LATIN = "cp1252"
_UTF16 = ("utf-16-le", "utf-16-be")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Up to the envelope: an older libxml2 would believe the encoding that a declaration names.
_PLAIN = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?(?=<((?:[\w.-]+:)?Envelope)[\s>])")
# Compiled where they are first needed, which most answers never do.
_ENVELOPE = r"<((?:[\w.-]+:)?Envelope)(?=[\s/>])"
_DECLARED = rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)["']"""
_PROLOG = r"(?s)<\?.*?\?>|<!--.*?-->"
_REFERENCE = r"&#(?:x([0-9a-fA-F]+)|([0-9]+));"


class Text(NamedTuple):
    """One envelope in UTF-8, from ``start`` on; ``whole`` unless its end is missing.

    ``source``: the bytes and the header's encoding, where nothing was looked at but the encoding.
    """

    data: bytes
    start: int
    whole: bool
    repairs: list[str]
    source: tuple[bytes, str | None] | None = None


def decode(data: bytes, charset: str | None = None) -> Text:
    """Give the text of an answer; ``charset`` is what its HTTP header says.

    ResponseError: there is no envelope, or a DOCTYPE before it.
    """
    plain = _PLAIN.match(data)
    ended = plain and data[-_CHUNK:].rstrip().endswith(b"</" + plain[1] + b">")
    if plain and ended and _is_utf8(data):
        return Text(data, plain.end(), whole=True, repairs=[], source=(data, charset))
    return repaired(data, charset)


def repaired(data: bytes, charset: str | None) -> Text:
    """Give the text of an answer without what XML forbids, which the server lets through."""
    return _repaired(*_decoded(data, charset))


def has_envelope(data: bytes, charset: str | None = None) -> bool:
    """Tell a SOAP answer from a page of any other kind."""
    return bool(re.search(_ENVELOPE, _decoded(data, charset)[0]))


def _is_utf8(data: bytes) -> bool:
    """Check piece by piece: a decoded copy of a large answer would double its memory."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _CHUNK):
            decoder.decode(data[start : start + _CHUNK])
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(data: bytes, charset: str | None) -> tuple[str, list[str]]:
    """Decide the encoding; the one place where bytes become text."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _replaced(data[len(bom) :], name)
    if 0 in data[:4]:
        return _replaced(data, _UTF16[data[0] == 0])
    try:
        return data.decode(), []
    except UnicodeDecodeError:
        return _not_utf8(data, charset)


def _replaced(data: bytes, encoding: str) -> tuple[str, list[str]]:
    text = data.decode(encoding, "replace")
    bad = text.count("\ufffd") - data.count("\ufffd".encode(encoding))
    return text, [f"{bad} characters are not {encoding} and became U+FFFD"] if bad > 0 else []


def _not_utf8(data: bytes, charset: str | None) -> tuple[str, list[str]]:
    """Read bytes that are not UTF-8, by the declared encoding unless it is plainly wrong.

    NuSOAP declares ISO-8859-1 and writes UTF-8, so where valid multi-byte sequences outnumber the
    bad bytes, the text is damaged UTF-8 and not ISO-8859-1.
    """
    written = re.search(_DECLARED, data[:_DECLARING])
    names = [name for name in (written and written[1].decode(), charset) if name]
    text, notes = _replaced(data, "utf-8")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    for name in names:
        declared = _codec(name)
        if declared == "utf-8":
            break
        if declared and not (declared == "iso8859-1" and good > bad):
            try:
                return _strict(data, declared), []
            except (ValueError, LookupError):  # LookupError: codecs from bytes to bytes
                continue
    if good:
        return text, notes
    return data.decode(_LATIN, "replace"), ["the answer is not UTF-8 and was read as Windows-1252"]


def _codec(name: str) -> str | None:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _strict(data: bytes, name: str) -> str:
    """Decode; ISO-8859-1 means Windows-1252 where the bytes allow that, as it does on the web."""
    if name == "iso8859-1":
        try:
            return data.decode(_LATIN)
        except UnicodeDecodeError:
            pass
    return data.decode(name)


def _repaired(text: str, repairs: list[str]) -> Text:
    """Keep the envelope alone, as XML allows it."""
    start = re.search(_ENVELOPE, text)
    if start is None:
        shown = text.strip()
        raise ResponseError("no SOAP envelope" if shown else "an empty answer", value=shown or None)
    prolog = text[: start.start()]
    if "<!doctype" in prolog.lower():
        raise ResponseError("a DOCTYPE, which SOAP forbids")
    if len(prolog) > _LONG_PROLOG or re.sub(_PROLOG, "", prolog).strip("\ufeff \t\r\n"):
        repairs.append("text before the envelope was put aside")
    end = re.compile(re.escape(f"</{start[1]}") + r"\s*>").match(
        text, text.rfind(f"</{start[1]}", start.end())
    )
    if end and text[end.end() :].strip():
        repairs.append("text after the envelope was put aside")
    text, count = re.subn(
        patterns.FORBIDDEN, "\ufffd", text[start.start() : end.end() if end else None]
    )
    text, references = _without_forbidden_references(text)
    if count + references:
        repairs.append(f"{count + references} characters that XML forbids became U+FFFD")
    if not end:
        repairs.append("the end was cut off, and only closing tags were missing")
    return Text(text.encode(), 0, whole=end is not None, repairs=repairs)


def _without_forbidden_references(text: str) -> tuple[str, int]:
    """Replace references such as ``&#1;``, except in CDATA, where they are plain text."""
    first, *sections = text.split("<![CDATA[")
    pieces = [re.sub(_REFERENCE, _allowed, first)]
    for section in sections:
        inside, end, outside = section.partition("]]>")
        pieces += ["<![CDATA[", inside, end, re.sub(_REFERENCE, _allowed, outside)]
    repaired = "".join(pieces)
    return repaired, repaired.count("\ufffd") - text.count("\ufffd")


def _allowed(reference: re.Match[str]) -> str:
    digits = (reference[1] or reference[2]).lstrip("0")
    # Eight digits are too many in either base, and a server may write thousands.
    code = int(digits[:8] or "0", 16 if reference[1] else 10)
    if code > 0x10FFFF or re.match(patterns.FORBIDDEN, chr(code)):
        return "\ufffd"
    return reference[0]
