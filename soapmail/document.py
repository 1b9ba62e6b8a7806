"""Answer bytes to a checked SOAP body: decoding, repair, safe parsing, faults."""

from __future__ import annotations

import codecs
import logging
import re
from typing import TYPE_CHECKING, NamedTuple, TypedDict, TypeVar

from .errors import ResponseError, SoapFault, unimportable

try:
    from lxml import etree
except ImportError as error:
    raise unimportable("lxml", error) from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

XPath = etree.XPath
_log = logging.getLogger("soapmail")

# Small enough that the rows of one chunk stay in the processor's cache.
_CHUNK = 32 * 1024
_SHOWN = 100
_FAR = 10_000  # in which the secrets are looked for before a text is shortened
_LONG_PROLOG = 4096
_DECLARING = 1024  # in which a declaration counts
_LATIN = "cp1252"
_UTF16 = ("utf-16-le", "utf-16-be")
_BASE64 = b"base64"
_ENVELOPES = {
    "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
    "{http://www.w3.org/2003/05/soap-envelope}Envelope",
}

_BODY = XPath("*[local-name()='Body'][namespace-uri()=namespace-uri(..)]")
_FAULT = XPath("*[local-name()='Body']/*[local-name()='Fault'][namespace-uri()=namespace-uri(/*)]")
_RESULT = XPath("*[local-name()='Body']/*[1]")
_RETURN = XPath("*[local-name()='Body']/*[1]/*")
_INDEPENDENT = XPath("*[local-name()='Body']/*[position()>1][not(@*[local-name()='id'])]")
_TARGETS = XPath("//*[@*[local-name()='id']]")
_ID = XPath("string(@*[local-name()='id'])", smart_strings=False)
_FAULT_CODE = XPath(
    "string(*[local-name()='faultcode'] | *[local-name()='Code']/*[local-name()='Value'])",
    smart_strings=False,
)
_FAULT_TEXT = XPath(
    "string(*[local-name()='faultstring'] | *[local-name()='Reason']/*[local-name()='Text'])",
    smart_strings=False,
)
_FAULT_ACTOR = XPath(
    "string(*[local-name()='faultactor'] | *[local-name()='Role'])", smart_strings=False
)
_FAULT_DETAIL = XPath(
    "string(*[local-name()='detail'] | *[local-name()='Detail'])", smart_strings=False
)

# Up to the envelope: an older libxml2 would believe the encoding that a declaration names.
_PLAIN = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?(?=<(?:[\w.-]+:)?Envelope[\s>])")
# Compiled where they are first needed, which most answers never do.
_ENVELOPE = r"<((?:[\w.-]+:)?Envelope)(?=[\s/>])"
_DECLARED = rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)["']"""
_PROLOG = r"(?s)<\?.*?\?>|<!--.*?-->"
_FAULT_TEXT_END = r"</(?:[\w.-]+:)?(?:faultstring|Reason)\s*>"
_FORBIDDEN = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_REFERENCE = r"&#(?:x([0-9a-fA-F]+)|([0-9]+));"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class _Referenced(Exception):
    """A value stands elsewhere in the answer, so the tree is needed whole."""


class Answer(NamedTuple):
    """The bytes of one answer and what is known of them."""

    data: bytes
    charset: str | None = None
    operation: str | None = None
    hide: Callable[[str], str] = str

    def error(
        self, problem: str, place: str | None = None, value: str | None = None
    ) -> ResponseError:
        """Say what is wrong where; secrets go before the value is shortened."""
        if value is not None:
            value = self.hide(value)
            value = value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…"
        return ResponseError(problem, self.operation, place, value)


class Part(NamedTuple):
    """The return element with all that has arrived of it; ``whole`` on the last one.

    ``encoded``: there may be texts in base64, as SOAP::Lite writes what is not ASCII.
    """

    answer: Answer
    element: etree._Element
    whole: bool
    encoded: bool
    targets: Mapping[str, etree._Element] | None = None

    def real(self, element: etree._Element, place: str) -> etree._Element:
        """Follow ``href`` (SOAP 1.1) or ``ref`` (1.2) to the element that holds the value."""
        seen = set()
        while len(element) == 0 and not (element.text or "").strip():
            link = mark(element, "href") or mark(element, "ref")
            if link is None:
                break
            if self.targets is None:
                raise _Referenced
            target = self.targets.get(link.removeprefix("#"))
            if target is None or link in seen:
                problem = "a reference in a circle" if link in seen else "a reference to nothing"
                raise self.answer.error(problem, place, link)
            seen.add(link)
            element = target
        return element


def is_nil(answer: Answer, element: etree._Element, place: str) -> bool:
    """Tell whether an empty element means NULL."""
    written = mark(element, "nil")
    if written is None or written.strip() in ("false", "0"):
        return False
    if written.strip() in ("true", "1"):
        return True
    raise answer.error("neither nil nor not", place, written)


def local_name(element: etree._Element) -> str:
    """Give an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def mark(element: etree._Element, name: str) -> str | None:
    """Give an attribute by its local name: prefixes and namespaces vary between servers."""
    for key, value in element.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return None


def declared_rows(answer: Answer, array: etree._Element) -> int | None:
    """Give the number of rows that the server says there are; None where it does not say."""
    written = mark(array, "arrayType") or mark(array, "arraySize")
    if written is None or written.rstrip().endswith("[]") or written.strip() == "*":
        return None
    digits = written.strip()
    if digits.endswith("]"):
        digits = digits[:-1].rpartition("[")[2].strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise answer.error("not a number of rows", "return", written)
    return int(digits)


def has_envelope(answer: Answer) -> bool:
    """Tell a SOAP answer from a page of any other kind."""
    return bool(re.search(_ENVELOPE, _decoded(answer)[0]))


def read(answer: Answer, take: Callable[[Iterator[Part]], T]) -> T:
    """Check an answer and return what ``take`` makes of its parts.

    ``take`` may be called again from the start when the answer turns out to need repair. Raises
    SoapFault for a fault, ResponseError for what is not a whole SOAP answer.
    """
    plain = _PLAIN.match(answer.data)
    if plain and _is_utf8(answer.data):
        try:
            return _taken(answer, answer.data, plain.end(), take)
        except etree.XMLSyntaxError:
            pass
    text, repairs = _repaired(answer)
    try:
        result = _taken(answer, text.encode(), 0, take)
    except etree.XMLSyntaxError as error:
        problem = str(error)
    else:
        for repair in repairs:
            _log.warning("%s: repaired: %s", answer.operation or "answer", repair)
        return result
    raise answer.error("not well-formed XML", value=problem)


def _taken(answer: Answer, data: bytes, start: int, take: Callable[[Iterator[Part]], T]) -> T:
    try:
        return take(_parts(answer, data, start))
    except _Referenced:
        pass
    return take(iter([_whole(answer, data[start:])]))


class _Safe(TypedDict):
    encoding: str
    remove_comments: bool
    remove_pis: bool
    resolve_entities: bool
    no_network: bool


# Comments and processing instructions would split a value's text.
_SAFE = _Safe(
    encoding="utf-8",
    remove_comments=True,
    remove_pis=True,
    resolve_entities=False,
    no_network=True,
)


def _parser() -> etree.XMLPullParser:
    return etree.XMLPullParser(events=("start",), tag="{*}Envelope", **_SAFE)


def _parts(answer: Answer, data: bytes, start: int) -> Iterator[Part]:
    """Parse chunk by chunk, so that rows can be taken and freed before the next ones come."""
    parser = _parser()
    encoded = _BASE64 in data
    root: etree._Element | None = None
    value: etree._Element | None = None
    for at in range(start, len(data), _CHUNK):
        parser.feed(data[at : at + _CHUNK])
        if root is None:
            root = _root(parser)
        if root is not None and value is None and not _FAULT(root):
            value = next(iter(_RETURN(root)), None)
            _check_operation(answer, root)
        if value is not None:
            yield Part(answer, value, whole=False, encoded=encoded)
    yield Part(answer, _checked(answer, parser.close()), whole=True, encoded=encoded)


def _root(parser: etree.XMLPullParser) -> etree._Element | None:
    return next((element for _, element in parser.read_events()), None)


def _whole(answer: Answer, data: bytes) -> Part:
    root = etree.fromstring(data, etree.XMLParser(**_SAFE))
    targets: dict[str, etree._Element] = {}
    for target in _TARGETS(root):
        if targets.setdefault(_ID(target), target) is not target:
            raise answer.error("two elements with the same id", value=_ID(target))
    value = _checked(answer, root)
    return Part(answer, value, whole=True, encoded=_BASE64 in data, targets=targets)


def _checked(answer: Answer, root: etree._Element) -> etree._Element:
    """Return the one return element of a whole envelope."""
    if root.tag not in _ENVELOPES:
        raise answer.error("not a SOAP envelope", value=str(root.tag))
    if len(_BODY(root)) != 1:
        raise answer.error(f"{len(_BODY(root))} bodies in the envelope")
    for fault in _FAULT(root):
        raise _fault(answer, fault)
    _check_operation(answer, root)
    if _INDEPENDENT(root):
        raise answer.error("more than one answer in the body")
    values: list[etree._Element] = _RETURN(root)
    if len(values) != 1:
        raise answer.error(f"{len(values)} return values where one belongs")
    return values[0]


def _check_operation(answer: Answer, root: etree._Element) -> None:
    for result in _RESULT(root):
        found = local_name(result)
        if answer.operation is not None and found != f"{answer.operation}Response":
            raise answer.error("the answer to another operation", value=found)


def _fault(answer: Answer, fault: etree._Element) -> SoapFault:
    parts = (_FAULT_CODE, _FAULT_TEXT, _FAULT_ACTOR, _FAULT_DETAIL)
    return SoapFault(*(answer.hide(str(part(fault))) for part in parts))


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


def _decoded(answer: Answer) -> tuple[str, list[str]]:
    """Decide the encoding; the one place where bytes become text."""
    data = answer.data
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _replaced(data[len(bom) :], name)
    if 0 in data[:4]:
        return _replaced(data, _UTF16[data[0] == 0])
    try:
        return data.decode(), []
    except UnicodeDecodeError:
        return _not_utf8(data, answer.charset)


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


def _repaired(answer: Answer) -> tuple[str, list[str]]:
    """Return the text of the envelope alone as XML allows it, and what had to be repaired."""
    text, repairs = _decoded(answer)
    start = re.search(_ENVELOPE, text)
    if start is None:
        shown = text.strip()[:_FAR]
        raise answer.error("no SOAP envelope" if shown else "an empty answer", value=shown or None)
    prolog = text[: start.start()]
    if "<!doctype" in prolog.lower():
        raise answer.error("a DOCTYPE, which SOAP forbids")
    if len(prolog) > _LONG_PROLOG or re.sub(_PROLOG, "", prolog).strip("\ufeff \t\r\n"):
        repairs.append("text before the envelope was put aside")
    end = re.compile(re.escape(f"</{start[1]}") + r"\s*>").match(
        text, text.rfind(f"</{start[1]}", start.end())
    )
    if end and text[end.end() :].strip():
        repairs.append("text after the envelope was put aside")
    text, count = re.subn(_FORBIDDEN, "\ufffd", text[start.start() : end.end() if end else None])
    text, references = _without_forbidden_references(text)
    if count + references:
        repairs.append(f"{count + references} characters that XML forbids became U+FFFD")
    if not end:
        text = _completed(answer, text)
        repairs.append("the end was cut off, and only closing tags were missing")
    return text, repairs


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
    if code > 0x10FFFF or re.match(_FORBIDDEN, chr(code)):
        return "\ufffd"
    return reference[0]


def _completed(answer: Answer, text: str) -> str:
    """Add the closing tags that are missing, if it is certain that nothing else is."""
    parser = _parser()
    last = answer.hide(text[-_FAR:])[-_SHOWN:]
    try:
        parser.feed(text.encode())
        root = _root(parser)
    except etree.XMLSyntaxError:
        root = None
    if root is None:
        raise answer.error("cut off and not well-formed", value=last)
    for fault in _FAULT(root):
        if re.search(_FAULT_TEXT_END, text):
            raise _fault(answer, fault)
        raise answer.error("a fault whose text is cut off", value=last)
    value = next(iter(_RETURN(root)), None)
    if value is None:
        raise answer.error("cut off before the value", value=last)
    elements = [value, *value.iterancestors()]
    closing = "".join(f"</{_written(element)}>" for element in elements)
    kept = max(n for n in range(len(closing)) if text.endswith(closing[:n]))
    # "</" of the return element rules out further rows; without it only the count can.
    if kept < 2 and declared_rows(answer, value) is None:
        raise answer.error("cut off inside the value", value=last)
    return text + closing[kept:]


def _written(element: etree._Element) -> str:
    name = local_name(element)
    return f"{element.prefix}:{name}" if element.prefix else name
