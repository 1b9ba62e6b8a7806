"""The XML text of an answer to its checked return element, references resolved, or a fault."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from .decoding import repaired
from .element import declared_rows, etree, local_name
from .errors import ResponseError, SoapFault
from .references import References, has_references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .deadline import Deadline
    from .decoding import Text

XPath = etree.XPath

# Small enough that the rows of one chunk stay in the processor's cache.
_CHUNK = 32 * 1024
_FAR = 10_000  # in which a secret is found before the end of it is shown
_ENVELOPES = {
    "{http://schemas.xmlsoap.org/soap/envelope/}Envelope",
    "{http://www.w3.org/2003/05/soap-envelope}Envelope",
}

_BODY = XPath("*[local-name()='Body'][namespace-uri()=namespace-uri(..)]")
_FAULT = XPath("*[local-name()='Body']/*[local-name()='Fault'][namespace-uri()=namespace-uri(/*)]")
_RESULT = XPath("*[local-name()='Body']/*[1]")
_RETURN = XPath("*[local-name()='Body']/*[1]/*")
_INDEPENDENT = XPath("*[local-name()='Body']/*[position()>1][not(@*[local-name()='id'])]")
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
_FAULT_TEXT_END = rb"</(?:[\w.-]+:)?(?:faultstring|Reason)\s*>"


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


class Part(NamedTuple):
    """The return element with all that has arrived of it; ``whole`` on the last one.

    ``encoded``: there may be texts in base64, as SOAP::Lite writes what is not ASCII.
    """

    element: etree._Element
    whole: bool
    encoded: bool


class Malformed(Exception):
    """A text is no XML as it came, and was not repaired yet."""


class Document:
    """The answer to one operation; ``None`` as the operation: to any."""

    def __init__(self, text: Text, operation: str | None, deadline: Deadline) -> None:
        self._operation = operation
        self.deadline = deadline
        self._take(text)

    def _take(self, text: Text) -> None:
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
        self._take(repaired(*self._text.source))

    def whole(self) -> Part:
        """Give the return element of the whole answer.

        SoapFault: the answer is a fault. ResponseError: it is not one whole SOAP answer.
        """
        try:
            return list(self._parts(growing=False))[-1]
        except Malformed:
            self.repair()
        return list(self._parts(growing=False))[-1]

    def growing(self) -> Iterator[Part]:
        """Give the return element again and again while it grows, so that rows can be freed.

        References may point anywhere, so an answer that has some comes as a whole. Malformed: it
        has to be repaired, and read from the start.
        """
        return self._parts(growing=self._text.whole and not self._linked)

    def _parts(self, *, growing: bool) -> Iterator[Part]:
        parser = etree.XMLPullParser(events=("start",), tag=("{*}Envelope", "{*}Body"), **_SAFE)
        reader = _Reader()
        data = self._text.data
        try:
            for at in range(self._text.start, len(data), _CHUNK):
                self.deadline.check()
                parser.feed(data[at : at + _CHUNK])
                reader.look(parser)
                if growing and reader.value is not None:
                    self._check_operation(reader.value.getparent())
                    yield Part(reader.value, whole=False, encoded=self._encoded)
            if not self._text.whole:
                parser.feed(self._closing(reader))
            root = parser.close()
        except etree.LxmlError as error:
            problem = str(error)
        else:
            yield Part(self._checked(root), whole=True, encoded=self._encoded)
            return
        if self._text.source is not None:
            raise Malformed
        if self._text.whole:
            raise ResponseError("not well-formed XML", value=problem)
        raise ResponseError("cut off and not well-formed", value=self._end())

    def _end(self) -> str:
        return "…" + self._text.data[-_FAR:].decode(errors="ignore")

    def _closing(self, reader: _Reader) -> bytes:
        """Give the closing tags that are missing, if it is certain that nothing else is."""
        data, root, value = self._text.data, reader.root, reader.value
        if root is None:
            raise ResponseError("cut off and not well-formed", value=self._end())
        for fault in _FAULT(root):
            if re.search(_FAULT_TEXT_END, data):
                raise _fault(fault)
            raise ResponseError("a fault whose text is cut off", value=self._end())
        if value is None:
            raise ResponseError("cut off before the value", value=self._end())
        elements = [value, *value.iterancestors()]
        closing = "".join(f"</{_written(element)}>" for element in elements).encode()
        kept = max(n for n in range(len(closing)) if data.endswith(closing[:n]))
        # "</" of the return element rules out further rows; without it only the count can.
        if kept < 2 and declared_rows(value) is None:
            raise ResponseError("cut off inside the value", value=self._end())
        return closing[kept:]

    def _checked(self, root: etree._Element) -> etree._Element:
        """Return the one return element of a whole envelope."""
        if root.tag not in _ENVELOPES:
            raise ResponseError("not a SOAP envelope", value=str(root.tag))
        if len(_BODY(root)) != 1:
            raise ResponseError(f"{len(_BODY(root))} bodies in the envelope")
        for fault in _FAULT(root):
            raise _fault(fault)
        for result in _RESULT(root):
            self._check_operation(result)
        if _INDEPENDENT(root):
            raise ResponseError("more than one answer in the body")
        values: list[etree._Element] = _RETURN(root)
        if len(values) != 1:
            raise ResponseError(f"{len(values)} return values where one belongs")
        if self._linked:
            return References(root, self._text.data, self.deadline).resolved(values[0])
        return values[0]

    def _check_operation(self, result: etree._Element | None) -> None:
        found = "" if result is None else local_name(result)
        if self._operation is not None and found != f"{self._operation}Response":
            raise ResponseError("the answer to another operation", value=found)


class _Reader:
    """Finds root and return element of a tree that grows, and looks at nothing twice."""

    def __init__(self) -> None:
        self.root: etree._Element | None = None
        self.value: etree._Element | None = None
        self._body: etree._Element | None = None

    def look(self, parser: etree.XMLPullParser) -> None:
        for _, element in parser.read_events():
            if self.root is None:
                self.root = element
            elif self._body is None and element.getparent() is self.root:
                self._body = element
        if self.value is None and self._body is not None:
            result = next(iter(self._body), None)
            if result is not None and local_name(result) != "Fault":
                self.value = next(iter(result), None)


def _fault(fault: etree._Element) -> SoapFault:
    parts = (_FAULT_CODE, _FAULT_TEXT, _FAULT_ACTOR, _FAULT_DETAIL)
    return SoapFault(*(str(part(fault)) for part in parts))


def _written(element: etree._Element) -> str:
    name = local_name(element)
    return f"{element.prefix}:{name}" if element.prefix else name
