"""The XML text of a response to its checked return element, or to the fault that it holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree

from ..errors import ResponseError, SoapFault
from ..patterns import BLANK
from .chunks import MAX_NAMESPACE_CHARACTERS, ByteScanner, TagLengthGuard
from .element import (
    XPath,
    has_row_count,
    local_name,
    reject_text,
    reject_text_inside,
    write_qualified_name,
)
from .repair import repair

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..deadline import Deadline
    from .repair import Text

MAX_NESTED_NAMESPACES = 1000
_EXCERPT_BYTES = 10_000  # of the end, in which a secret is found before it is shown
# XML_ERR_NO_MEMORY, as libxml2 before 2.14 calls it, and XML_ERR_RESOURCE_LIMIT.
_LIMIT_CODES = (2, 114)
# Of limits that share a code with malformed sections, and before 2.14 with other errors.
_LIMIT_WORDS = "too big found|Huge input lookup|Excessive depth"
_ENVELOPES = {
    "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
    "{http://www.w3.org/2003/05/soap-envelope}Envelope",
}

_BODY = XPath("*[local-name()='Body'][namespace-uri()=namespace-uri(..)]")
_FAULT = XPath("*[local-name()='Fault']")
_RETURN = XPath("*[1]/*")
_INDEPENDENT = XPath("*[position()>1]")
_TEXTS = XPath("*/*/text()")
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

    ``has_whole_rows``: so are all its rows, of which the last one is not to be freed yet.
    ``texts``: those of all fields, where each row has these ``tags`` and nothing else.
    ``shares_namespaces``: a prefix means the same in all rows.
    """

    element: etree._Element
    is_whole: bool
    has_whole_rows: bool
    tags: Sequence[str]
    texts: list[str]
    shares_namespaces: bool
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

    @property
    def repairs(self) -> list[str]:
        """What had to be put right."""
        return self._text.repairs

    def repair(self) -> None:
        """Begin again, without what XML forbids."""
        assert self._text.source is not None
        self._load(repair(*self._text.source, self.deadline))

    def read(self) -> PartialReturn:
        """Return the return element of the whole response.

        SoapFault: the response is a fault. ResponseError: it is not one whole SOAP response.
        """
        try:
            return list(self._iter_parts(growing=False))[-1]
        except Malformed:
            self.repair()
        return list(self._iter_parts(growing=False))[-1]

    def iter_growing(self) -> Iterator[PartialReturn]:
        """Yield the return element again and again while it grows, so that rows can be freed.

        Malformed: the text has to be repaired, and read from the start.
        """
        return self._iter_parts(growing=self._text.is_whole)

    def _iter_parts(self, *, growing: bool) -> Iterator[PartialReturn]:
        data = self._text.data
        scanner = ByteScanner(data, self._text.start)
        parser = _make_parser(scanner.is_usual)
        reader = _EventReader(parser)
        guard = TagLengthGuard(data)
        is_last_taken = False
        try:
            for at, chunk in scanner.iter_chunks():
                self.deadline.check()
                guard.check(at, at + len(chunk))
                before = 0 if reader.value is None else len(reader.value)
                parser.feed(chunk)
                reader.read_events()
                if not growing or reader.value is None:
                    continue
                self._check_operation(reader.value.getparent())
                if is_last_taken:
                    # While no other row has begun, the parser may not have left it.
                    if len(reader.value) < 2:
                        continue
                    _free_first(reader.value)
                    before -= 1
                rows = scanner.find_plain_rows(chunk, reader.value, before)
                is_last_taken = rows is not None
                yield PartialReturn(
                    reader.value,
                    is_whole=False,
                    has_whole_rows=is_last_taken,
                    tags=() if rows is None else rows.tags,
                    texts=[] if rows is None or before else _TEXTS(reader.value),
                    shares_namespaces=scanner.have_same_namespaces(reader.value),
                    deadline=self.deadline,
                )
            if not self._text.is_whole:
                parser.feed(self._make_missing_end_tags(reader))
            root = parser.close()
        except etree.LxmlError as error:
            problem, limit = str(error), _find_limit(error)
        else:
            value = self._validate(root)
            if is_last_taken:
                _free_first(value)
            are_same = scanner.have_same_namespaces(value)
            yield PartialReturn(value, True, True, (), [], are_same, self.deadline)
            return
        if limit is not None:
            raise ResponseError(f"{limit}, which is over a limit of libxml2")
        if self._text.source is not None:
            raise Malformed
        if self._text.is_whole:
            raise ResponseError("not well-formed XML", value=problem)
        raise ResponseError("cut off and not well-formed", value=self._excerpt_end())

    def _excerpt_end(self) -> str:
        return "…" + self._text.data[-_EXCERPT_BYTES:].decode(errors="ignore")

    def _make_missing_end_tags(self, reader: _EventReader) -> bytes:
        """Return the closing tags that are missing, where the rows tell that nothing else is."""
        data, body, value = self._text.data, reader.body, reader.value
        for fault in _find_faults(body):
            if re.search(_FAULT_TEXT_END, data):
                raise _parse_fault(fault)
            raise ResponseError("a fault whose text is cut off", value=self._excerpt_end())
        if value is None:
            raise ResponseError("cut off before the value", value=self._excerpt_end())
        if not has_row_count(value):
            raise ResponseError("cut off", value=self._excerpt_end())
        elements = [value, *value.iterancestors()]
        tags = "".join(f"</{write_qualified_name(element)}>" for element in elements).encode()
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
        if _INDEPENDENT(body):
            problem = "more than one response in the body"
            raise ResponseError(f"{problem} (multi-reference values are not supported)")
        values: list[etree._Element] = _RETURN(body)
        if len(values) != 1:
            raise ResponseError(f"{len(values)} return values where one belongs")
        return values[0]

    def _check_operation(self, result: etree._Element | None) -> None:
        name = "" if result is None else local_name(result)
        if self._operation is not None and name != f"{self._operation}Response":
            raise ResponseError("the response to another operation", value=name)


def _free_first(value: etree._Element) -> None:
    """Remove a row that is read already, and refuse a text behind it."""
    reject_text((value[0].tail or "").strip(BLANK), "return")
    del value[0]


def _find_limit(error: etree.LxmlError) -> str | None:
    """Return what is larger than libxml2 reads; ``None``: a response is malformed."""
    words = str(error)
    is_limit = getattr(error, "code", 0) in _LIMIT_CODES or re.search(_LIMIT_WORDS, words)
    if not is_limit:
        return None
    return "deep nesting" if "depth" in words else "a text of more than 10000000 bytes"


def _check_namespace(name: str, depth: int) -> None:
    """Refuse a namespace that makes a look for a prefix take long."""
    if depth > MAX_NESTED_NAMESPACES:
        raise ResponseError(f"more than {MAX_NESTED_NAMESPACES} namespaces, one inside another")
    if len(name) > MAX_NAMESPACE_CHARACTERS:
        problem = f"a namespace of more than {MAX_NAMESPACE_CHARACTERS} characters"
        raise ResponseError(problem, value=name)


def _make_parser(is_usual: bool) -> etree.XMLPullParser:
    """Return a parser that has begun.

    Events of elements and of namespaces take a seventh of the parser's time each. Where they are
    not needed, a comment comes first, as whose neighbour the envelope is found.
    """
    if not is_usual:
        return etree.XMLPullParser(
            ("start", "start-ns", "end-ns"), tag="{*}Envelope", **_SAFE_OPTIONS
        )
    options = {**_SAFE_OPTIONS, "remove_comments": False}
    parser = etree.XMLPullParser(("comment",), **options)
    parser.feed(b"<!---->")
    return parser


class _EventReader:
    def __init__(self, parser: etree.XMLPullParser) -> None:
        self.body: etree._Element | None = None
        self.value: etree._Element | None = None
        self._parser = parser
        self._comment: etree._Element | None = None
        self._root: etree._Element | None = None
        self._namespaces = 0

    def read_events(self) -> None:
        """Find what has arrived of the response."""
        if self.value is not None and self._comment is not None:
            return
        events: Iterator[tuple[str, Any]] = self._parser.read_events()
        for event, element in events:
            if event == "start-ns":
                self._namespaces += 1
                _check_namespace(element[1], self._namespaces)
            elif event == "end-ns":
                self._namespaces -= 1
            elif event == "comment":
                self._comment = element
            else:
                self._root = self._root if self._root is not None else element
        if self._root is None and self._comment is not None:
            self._root = self._comment.getnext()
        if self._root is not None and self.body is None:
            self.body = next((child for child in self._root if _is_body(child, self._root)), None)
        if self.value is None and self.body is not None:
            result = next(iter(self.body), None)
            if result is not None and local_name(result) != "Fault":
                self.value = next(iter(result), None)


def _is_body(element: etree._Element, root: etree._Element) -> bool:
    own = str(root.tag).removesuffix("Envelope") + "Body"
    return element.tag == own


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
