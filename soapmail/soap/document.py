"""The XML text of a response to its checked return element, references resolved, or a fault."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree

from ..errors import ResponseError, SoapFault
from .arrays import is_counted
from .element import XPath, local_name, no_text_inside
from .limits import _check_space, _Tags
from .references import References, has_references
from .repair import repaired

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..deadline import Deadline
    from .repair import Text


# Small enough that the rows of one chunk stay in the processor's cache.
_CHUNK = 32 * 1024
_FAR = 10_000  # in which a secret is found before the end of it is shown
_ENVELOPES = {
    "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
    "{http://www.w3.org/2003/05/soap-envelope}Envelope",
}

_BODY = XPath("*[local-name()='Body'][namespace-uri()=namespace-uri(..)]")
_FAULT = XPath("*[local-name()='Fault']")
_RETURN = XPath("*[1]/*")
_INDEPENDENT = XPath("*[position()>1][not(@*[local-name()='id'])]")
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

# Comments and processing instructions would split a value's text.
_SAFE: dict[str, Any] = {
    "encoding": "utf-8",
    "remove_comments": True,
    "remove_pis": True,
    "resolve_entities": False,
    "no_network": True,
}


class Part(NamedTuple):
    """The return element with all that has arrived of it; ``whole`` on the last one.

    ``encoded``: there may be texts in base64, as SOAP::Lite writes what is not ASCII.
    """

    element: etree._Element
    whole: bool
    encoded: bool
    deadline: Deadline


class Malformed(Exception):
    """A text is no XML as it came, and was not repaired yet."""


class Document:
    """The response to one operation; ``None`` as the operation: to any."""

    def __init__(self, text: Text, operation: str | None, deadline: Deadline) -> None:
        self._operation = operation
        self.deadline = deadline
        self._take(text)

    def _take(self, text: Text) -> None:
        if b"\r" in text.data:  # which older parsers keep in CDATA
            data = text.data[text.start :].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            text = text._replace(data=data, start=0)
        self._text = text
        self._encoded = b"base64" in text.data
        self._linked = has_references(text.data)

    @property
    def repairs(self) -> list[str]:
        """Say what had to be put right."""
        return self._text.repairs

    def repair(self) -> None:
        """Begin again, without what XML forbids."""
        assert self._text.source is not None
        self._take(repaired(*self._text.source, self.deadline))

    def whole(self, *, counted: bool = False) -> Part:
        """Give the return element of the whole response.

        ``counted``: the reader counts rows, so that a response may lack its last closing tags.
        SoapFault: the response is a fault. ResponseError: it is not one whole SOAP response.
        """
        try:
            return list(self._parts(growing=False, counted=counted))[-1]
        except Malformed:
            self.repair()
        return list(self._parts(growing=False, counted=counted))[-1]

    def growing(self) -> Iterator[Part]:
        """Give the return element again and again while it grows, so that rows can be freed.

        References may point anywhere, so a response that has some comes as a whole. Malformed: it
        has to be repaired, and read from the start.
        """
        return self._parts(growing=self._text.whole and not self._linked, counted=True)

    def _parts(self, *, growing: bool, counted: bool) -> Iterator[Part]:
        names = ("{*}Envelope", "{*}Body")
        parser = etree.XMLPullParser(("start", "start-ns", "end-ns"), tag=names, **_SAFE)
        reader = _Reader()
        data = self._text.data
        tags = _Tags(data)
        try:
            for at in range(self._text.start, len(data), _CHUNK):
                self.deadline.check()
                tags.check(at, min(at + _CHUNK, len(data)))
                parser.feed(data[at : at + _CHUNK])
                reader.look(parser)
                if growing and reader.value is not None:
                    self._check_operation(reader.value.getparent())
                    yield Part(reader.value, False, self._encoded, self.deadline)
            if not self._text.whole:
                parser.feed(self._closing(reader, counted=counted))
            root = parser.close()
        except etree.LxmlError as error:
            problem = str(error)
        else:
            yield Part(self._checked(root), True, self._encoded, self.deadline)
            return
        if self._text.source is not None:
            raise Malformed
        if self._text.whole:
            raise ResponseError("not well-formed XML", value=problem)
        raise ResponseError("cut off and not well-formed", value=self._end())

    def _end(self) -> str:
        return "…" + self._text.data[-_FAR:].decode(errors="ignore")

    def _closing(self, reader: _Reader, *, counted: bool) -> bytes:
        """Give the closing tags that are missing, where the rows tell that nothing else is."""
        data, body, value = self._text.data, reader.body, reader.value
        for fault in _faults(body):
            if re.search(_FAULT_TEXT_END, data):
                raise _fault(fault)
            raise ResponseError("a fault whose text is cut off", value=self._end())
        if value is None:
            raise ResponseError("cut off before the value", value=self._end())
        if not counted or not is_counted(value):
            raise ResponseError("cut off", value=self._end())
        elements = [value, *value.iterancestors()]
        closing = "".join(f"</{_written(element)}>" for element in elements).encode()
        return closing[max(n for n in range(len(closing)) if data.endswith(closing[:n])) :]

    def _checked(self, root: etree._Element) -> etree._Element:
        """Return the one return element of a whole envelope."""
        if root.tag not in _ENVELOPES:
            raise ResponseError("not a SOAP envelope", value=str(root.tag))
        bodies: list[etree._Element] = _BODY(root)
        if len(bodies) != 1:
            raise ResponseError(f"{len(bodies)} bodies in the envelope")
        (body,) = bodies
        for fault in _faults(body):
            raise _fault(fault)
        if _FAULT(root):
            raise ResponseError("a fault outside the body")
        for result in body[:1]:
            self._check_operation(result)
        for element in (root, body, *body[:1]):
            no_text_inside(element, local_name(element))
        if _INDEPENDENT(body):
            raise ResponseError("more than one response in the body")
        values: list[etree._Element] = _RETURN(body)
        if len(values) != 1:
            raise ResponseError(f"{len(values)} return values where one belongs")
        if self._linked:
            return References(root, self._text.data, self.deadline).resolved(values[0])
        return values[0]

    def _check_operation(self, result: etree._Element | None) -> None:
        found = "" if result is None else local_name(result)
        if self._operation is not None and found != f"{self._operation}Response":
            raise ResponseError("the response to another operation", value=found)


class _Reader:
    """Finds body and return element of a tree that grows, and looks at nothing twice."""

    def __init__(self) -> None:
        self.body: etree._Element | None = None
        self.value: etree._Element | None = None
        self._root: etree._Element | None = None
        self._spaces = 0

    def look(self, parser: etree.XMLPullParser) -> None:
        events: Iterator[tuple[str, Any]] = parser.read_events()
        for event, element in events:
            if event == "start-ns":
                self._spaces += 1
                _check_space(element[1], self._spaces)
            elif event == "end-ns":
                self._spaces -= 1
            elif self._root is None:
                self._root = element
            elif self.body is None and _is_body(element, self._root):
                self.body = element
        if self.value is None and self.body is not None:
            result = next(iter(self.body), None)
            if result is not None and local_name(result) != "Fault":
                self.value = next(iter(result), None)


def _is_body(element: etree._Element, root: etree._Element) -> bool:
    own = str(root.tag).removesuffix("Envelope") + "Body"
    return element.tag == own and element.getparent() is root


def _faults(body: etree._Element | None) -> list[etree._Element]:
    """Give the faults of a body, which have its namespace or none."""
    if body is None:
        return []
    faults: list[etree._Element] = _FAULT(body)
    known = ("Fault", str(body.tag).removesuffix("Body") + "Fault")
    for fault in faults:
        if fault.tag not in known:
            raise ResponseError("a fault outside SOAP's namespaces", value=str(fault.tag))
    return faults


def _fault(fault: etree._Element) -> SoapFault:
    return SoapFault(*(str(part(fault)) for part in _FAULT_PARTS))


def _written(element: etree._Element) -> str:
    name = local_name(element)
    return f"{element.prefix}:{name}" if element.prefix else name
