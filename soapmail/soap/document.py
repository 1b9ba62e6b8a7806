"""The XML text of a response to its checked return element, or to the fault that it holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree

from ..errors import ResponseError, SoapFault
from ..patterns import TAG
from .element import XPath, attribute, has_row_count, local_name, reject_text_inside
from .repair import repair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..deadline import Deadline
    from .repair import Text

# Small enough that the rows of one chunk stay in the processor's cache.
_CHUNK_BYTES = 32 * 1024
# libxml2 2.9 compares each attribute of a tag with those before it, and each element repeats its
# namespace (test_costs).
MAX_TAG_BYTES = 8 * 1024
_SEARCH_STEP_BYTES = 4 * 1024
MAX_NAMESPACE_CHARACTERS = 200
MAX_NESTED_NAMESPACES = 1000
_EXCERPT_BYTES = 10_000  # of the end, in which a secret is found before it is shown
_ENVELOPES = {
    "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
    "{http://www.w3.org/2003/05/soap-envelope}Envelope",
}

_BODY = XPath("*[local-name()='Body'][namespace-uri()=namespace-uri(..)]")
_FAULT = XPath("*[local-name()='Fault']")
_RETURN = XPath("*[1]/*")
_INDEPENDENT = XPath("*[position()>1]")
_FAULT_PARTS = [
    XPath(f"string({path})")
    for path in (
        "*[local-name()='faultcode'] | *[local-name()='Code']/*[local-name()='Value']",
        "*[local-name()='faultstring'] | *[local-name()='Reason']/*[local-name()='Text']",
        "*[local-name()='faultactor'] | *[local-name()='Role']",
        "*[local-name()='detail'] | *[local-name()='Detail']",
    )
]
_FAULT_TEXT_END = rb"</(?:[\w.-]+:)?(?:faultstring|Reason)\s*>"


# Comments and processing instructions would split a value's text in lxml's tree.
_SAFE_OPTIONS: dict[str, Any] = {
    "encoding": "utf-8",
    "remove_comments": True,
    "remove_pis": True,
    "resolve_entities": False,
    "no_network": True,
}


class PartialReturn(NamedTuple):
    """The return element with all that has arrived of it; ``is_whole`` on the last one.

    ``has_base64``: there may be texts in base64.
    """

    element: etree._Element
    is_whole: bool
    has_base64: bool
    deadline: Deadline


class Malformed(Exception):
    """A text is no XML as it came, and was not repaired yet."""


class Document:
    """The response to one operation; ``None`` as the operation: to any."""

    def __init__(self, text: Text, operation: str | None, deadline: Deadline) -> None:
        self._operation = operation
        self.deadline = deadline
        self._load(text)

    def _load(self, text: Text) -> None:
        # XML 1.0 2.11; libxml2 2.9 keeps a carriage return in CDATA.
        if b"\r" in text.data:
            data = text.data[text.start :].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            text = text._replace(data=data, start=0)
        self._text = text
        self._has_base64 = b"base64" in text.data
        self._may_have_references = _may_have_references(text.data)

    @property
    def repairs(self) -> list[str]:
        """What had to be put right."""
        return self._text.repairs

    def repair(self) -> None:
        """Begin again, without what XML forbids."""
        assert self._text.source is not None
        self._load(repair(*self._text.source, self.deadline))

    def read(self, *, counts_rows: bool = False) -> PartialReturn:
        """Return the return element of the whole response.

        ``counts_rows``: the reader does, so that a response may lack its last closing tags.
        SoapFault: the response is a fault. ResponseError: it is not one whole SOAP response.
        """
        try:
            return list(self._iter_parts(growing=False, counts_rows=counts_rows))[-1]
        except Malformed:
            self.repair()
        return list(self._iter_parts(growing=False, counts_rows=counts_rows))[-1]

    def iter_growing(self) -> Iterator[PartialReturn]:
        """Yield the return element again and again while it grows, so that rows can be freed.

        Malformed: the text has to be repaired, and read from the start.
        """
        growing = self._text.is_whole and not self._may_have_references
        return self._iter_parts(growing=growing, counts_rows=True)

    def _iter_parts(self, *, growing: bool, counts_rows: bool) -> Iterator[PartialReturn]:
        names = ("{*}Envelope", "{*}Body")
        parser = etree.XMLPullParser(("start", "start-ns", "end-ns"), tag=names, **_SAFE_OPTIONS)
        reader = _EventReader()
        data = self._text.data
        guard = _TagLengthGuard(data)
        try:
            for at in range(self._text.start, len(data), _CHUNK_BYTES):
                self.deadline.check()
                guard.check(at, min(at + _CHUNK_BYTES, len(data)))
                parser.feed(data[at : at + _CHUNK_BYTES])
                reader.read_events(parser)
                if growing and reader.value is not None:
                    self._check_operation(reader.value.getparent())
                    yield PartialReturn(reader.value, False, self._has_base64, self.deadline)
            if not self._text.is_whole:
                parser.feed(self._make_missing_end_tags(reader, counts_rows=counts_rows))
            root = parser.close()
        except etree.LxmlError as error:
            problem = str(error)
        else:
            yield PartialReturn(self._validate(root), True, self._has_base64, self.deadline)
            return
        if self._text.source is not None:
            raise Malformed
        if self._text.is_whole:
            raise ResponseError("not well-formed XML", value=problem)
        raise ResponseError("cut off and not well-formed", value=self._excerpt_end())

    def _excerpt_end(self) -> str:
        return "…" + self._text.data[-_EXCERPT_BYTES:].decode(errors="ignore")

    def _make_missing_end_tags(self, reader: _EventReader, *, counts_rows: bool) -> bytes:
        """Return the closing tags that are missing, where the rows tell that nothing else is."""
        data, body, value = self._text.data, reader.body, reader.value
        for fault in _find_faults(body):
            if re.search(_FAULT_TEXT_END, data):
                raise _parse_fault(fault)
            raise ResponseError("a fault whose text is cut off", value=self._excerpt_end())
        if value is None:
            raise ResponseError("cut off before the value", value=self._excerpt_end())
        if not counts_rows or not has_row_count(value):
            raise ResponseError("cut off", value=self._excerpt_end())
        elements = [value, *value.iterancestors()]
        tags = "".join(f"</{_write_qualified_name(element)}>" for element in elements).encode()
        # The text may end inside one (test_document).
        return tags[max(n for n in range(len(tags)) if data.endswith(tags[:n])) :]

    def _validate(self, root: etree._Element) -> etree._Element:
        if root.tag not in _ENVELOPES:
            raise ResponseError("not a SOAP envelope", value=str(root.tag))
        bodies: list[etree._Element] = _BODY(root)
        if len(bodies) != 1:
            raise ResponseError(f"{len(bodies)} bodies in the envelope")
        (body,) = bodies
        for fault in _find_faults(body):
            raise _parse_fault(fault)
        if _FAULT(root):
            raise ResponseError("a fault outside the body")
        for result in body[:1]:
            self._check_operation(result)
        for element in (root, body, *body[:1]):
            reject_text_inside(element, local_name(element))
        if self._may_have_references:
            _reject_references(root, self.deadline)
        if _INDEPENDENT(body):
            raise ResponseError("more than one response in the body")
        values: list[etree._Element] = _RETURN(body)
        if len(values) != 1:
            raise ResponseError(f"{len(values)} return values where one belongs")
        return values[0]

    def _check_operation(self, result: etree._Element | None) -> None:
        name = "" if result is None else local_name(result)
        if self._operation is not None and name != f"{self._operation}Response":
            raise ResponseError("the response to another operation", value=name)


class _TagLengthGuard:
    """Refuses a tag that is too long, before the parser takes it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._last_tag = self._checked_tag = -1

    def check(self, start: int, end: int) -> None:
        """Look at the next bytes: where no tag begins for long, one may not have ended."""
        for at in range(start, end, _SEARCH_STEP_BYTES):
            tag = self._data.rfind(b"<", at, min(at + _SEARCH_STEP_BYTES, end))
            if tag >= 0:
                self._last_tag = tag
            elif self._checked_tag != self._last_tag:
                self._checked_tag = self._last_tag
                self._check_length()

    def _check_length(self) -> None:
        data, start = self._data, self._last_tag
        limit = start + MAX_TAG_BYTES
        if data[start + 1 : start + 2] in b"!? \t\n" or len(data) < limit:  # not a tag
            return
        if not re.compile(TAG).match(data, start, limit):
            tag = data[start:limit].decode(errors="ignore")
            raise ResponseError(f"a tag of more than {MAX_TAG_BYTES} bytes", value=tag)


def _check_namespace(name: str, depth: int) -> None:
    """Refuse a namespace that makes a look for a prefix take long."""
    if depth > MAX_NESTED_NAMESPACES:
        raise ResponseError(f"more than {MAX_NESTED_NAMESPACES} namespaces, one inside another")
    if len(name) > MAX_NAMESPACE_CHARACTERS:
        problem = f"a namespace of more than {MAX_NAMESPACE_CHARACTERS} characters"
        raise ResponseError(problem, value=name)


class _EventReader:
    def __init__(self) -> None:
        self.body: etree._Element | None = None
        self.value: etree._Element | None = None
        self._root: etree._Element | None = None
        self._namespaces = 0

    def read_events(self, parser: etree.XMLPullParser) -> None:
        events: Iterator[tuple[str, Any]] = parser.read_events()
        for event, element in events:
            if event == "start-ns":
                self._namespaces += 1
                _check_namespace(element[1], self._namespaces)
            elif event == "end-ns":
                self._namespaces -= 1
            elif self._root is None:
                self._root = element
            elif self.body is None and _is_body(element, self._root):
                self.body = element
        if self.value is None and self.body is not None:
            result = next(iter(self.body), None)
            if result is not None and local_name(result) != "Fault":
                self.value = next(iter(result), None)


def _may_have_references(data: bytes) -> bool:
    at = data.find(b"ref")
    while at >= 0:
        if re.compile(rb"ref\s*=").match(data, at):
            return True
        at = data.find(b"ref", at + 3)
    return False


def _reject_references(root: etree._Element, deadline: Deadline) -> None:
    """Refuse an empty element that names another one (SOAP 1.1 5.4.1, SOAP 1.2 part 2 3.1.5).

    NuSOAP reads them (class.soap_parser.php) and never writes them.
    """
    for element in root.iter():
        deadline.check()
        target = attribute(element, "href")
        if target is None:
            target = attribute(element, "ref")
        if target is not None and not len(element) and not (element.text or "").strip():
            problem = "multi-reference values are not supported"
            raise ResponseError(problem, place=local_name(element), value=target)


def _is_body(element: etree._Element, root: etree._Element) -> bool:
    own = str(root.tag).removesuffix("Envelope") + "Body"
    return element.tag == own and element.getparent() is root


def _find_faults(body: etree._Element | None) -> list[etree._Element]:
    if body is None:
        return []
    faults: list[etree._Element] = _FAULT(body)
    tags = ("Fault", str(body.tag).removesuffix("Body") + "Fault")
    for fault in faults:
        if fault.tag not in tags:
            raise ResponseError("a fault outside SOAP's namespaces", value=str(fault.tag))
    return faults


def _parse_fault(fault: etree._Element) -> SoapFault:
    return SoapFault(*(str(part(fault)) for part in _FAULT_PARTS))


def _write_qualified_name(element: etree._Element) -> str:
    name = local_name(element)
    return f"{element.prefix}:{name}" if element.prefix else name
