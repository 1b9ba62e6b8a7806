"""What one element says of itself: name, attributes, type, nil, text, and how many rows."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from lxml import etree

from ..errors import ResponseError
from ..patterns import is_count

_SCHEMA = "XMLSchema"  # in the namespace of each of its versions
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"  # SOAP 1.1 5
_ENCODING_12 = "http://www.w3.org/2003/05/soap-encoding"  # SOAP 1.2 part 2, 3
ENCODINGS = (_ENCODING, _ENCODING_12)
_STANDARDS = ("http://schemas.xmlsoap.org/", "http://www.w3.org/")
_INSTANCES = [
    f"http://www.w3.org/{year}/XMLSchema-instance" for year in ("2001", "1999", "2000/10")
]
_NOT_SIMPLE = ("anyType", "ur-type", "Array", "Struct")
MAX_DEPTH = 64
# lxml builds a dict of all namespaces in scope for each prefix that is looked up.
MAX_NAMESPACES_IN_SCOPE = 200


class XPath:
    """An XPath expression; a response that is too large for it is a ResponseError."""

    __slots__ = ("_compiled", "_expression", "_process")

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._process = 0

    def __call__(self, element: etree._Element) -> Any:
        """Find what the expression says, seen from an element."""
        # lxml holds a lock in a compiled expression while it is used. A fork in another thread
        # leaves it taken: test_a_fork_while_another_thread_reads_leaves_the_child_no_lock.
        if self._process != os.getpid():
            namespaces = {"enc": _ENCODING, "enc12": _ENCODING_12}
            self._compiled = etree.XPath(
                self._expression, smart_strings=False, namespaces=namespaces
            )
            self._process = os.getpid()
        try:
            return self._compiled(element)
        except etree.LxmlError as error:
            problem = str(error)
        raise ResponseError("larger than can be read", value=problem)


_TEXT_INSIDE = XPath("string(text()[normalize-space()])")


class XsiType(NamedTuple):
    """An ``xsi:type``: the namespace, ``None`` where its prefix means none, and the name."""

    namespace: str | None
    name: str

    @property
    def is_standard(self) -> bool:
        """Whether it is one of XML Schema or of SOAP, or may be."""
        if self.namespace is None or self.namespace in ENCODINGS:
            return True
        return self.namespace.startswith(_STANDARDS) and _SCHEMA in self.namespace

    @property
    def is_simple(self) -> bool:
        """Whether such an element holds a text, and no fields or rows."""
        return bool(self.namespace and self.is_standard and self.name not in _NOT_SIMPLE)


def type_of(element: etree._Element, name: str = "type") -> XsiType | None:
    """Return the type that an attribute names, by what its prefix means there."""
    qname = attribute(element, name)
    if qname is None:
        return None
    namespaces = element.nsmap
    if len(namespaces) > MAX_NAMESPACES_IN_SCOPE:
        problem = f"more than {MAX_NAMESPACES_IN_SCOPE} namespaces"
        raise ResponseError(problem, place=local_name(element))
    prefix, _, local = qname.strip().rpartition(":")
    return XsiType(namespaces.get(prefix or None), local)


def is_nil(element: etree._Element, place: object) -> bool:
    """Return whether an empty element means NULL."""
    nil = attribute(element, "nil")
    if nil is None or nil.strip() in ("false", "0"):
        return False
    if nil.strip() in ("true", "1"):
        return True
    raise ResponseError("invalid xsi:nil value", place=str(place), value=nil)


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def attribute(element: etree._Element, name: str) -> str | None:
    """Return an attribute by its local name: that of SOAP or XML Schema, else of no namespace.

    Without these any will do, as a namespace with a damaged letter must not hide how many rows
    there are; but ``type`` is a common name.
    """
    unqualified = foreign = None
    namespaces = _INSTANCES if name in ("type", "nil") else ENCODINGS
    for key, value in element.items():
        namespace, _, local = str(key).rpartition("}")
        if local == name:
            if namespace[1:] in namespaces:
                return str(value)
            if namespace:
                foreign = str(value)
            else:
                unqualified = str(value)
    return foreign if unqualified is None and name != "type" else unqualified


def reject_simple_type(element: etree._Element, place: object) -> None:
    """Refuse an element that says it is a text, where rows or fields belong."""
    xsi_type = type_of(element)
    if xsi_type and xsi_type.is_simple and not is_nil(element, place):
        raise ResponseError("text instead of fields", place=str(place), value=xsi_type.name)


def reject_text(text: str, place: object) -> None:
    """Refuse a text that is not empty."""
    if text:
        raise ResponseError("text between fields", place=str(place), value=text)


def reject_text_inside(element: etree._Element, place: object) -> None:
    """Refuse text between the fields of a struct or the rows of an array."""
    reject_text(_TEXT_INSIDE(element), place)


# --- arrays (SOAP 1.1 5.4.2) -----------------------------------------------------------------

_MAX_COUNT_DIGITS = 18
_COUNTS_OF_SOAP = XPath("@enc:arrayType | @enc12:arraySize | @arrayType | @arraySize")
# SOAP 1.1 5.4.2.1 and 5.4.2.2: partially transmitted and sparse arrays.
_OFFSET = XPath("string(@enc:offset | */@enc:position)")


def declared_count(array: etree._Element) -> str | None:
    """Return what an element says of its rows, such as ``xsd:string[5]``; ``None``: no array."""
    array_type = attribute(array, "arrayType")
    return attribute(array, "arraySize") if array_type is None else array_type


def row_count(array: etree._Element) -> int | None:
    """Return the number of rows that the server says there are; ``None``: it does not say."""
    count = (declared_count(array) or "").strip()
    if not count or count.endswith("[]") or count == "*":
        return None
    digits = count[:-1].rpartition("[")[2].strip() if count.endswith("]") else count
    if not is_count(digits, _MAX_COUNT_DIGITS):
        raise ResponseError("invalid number of rows", place="return", value=count)
    return int(digits)


def has_row_count(array: etree._Element) -> bool:
    """Return whether an array says by SOAP's own attributes how many rows there are."""
    return bool(_COUNTS_OF_SOAP(array)) and row_count(array) is not None


def check_row_count(array: etree._Element, sent: int, place: object) -> None:
    """Refuse an array of more or fewer rows than it declares."""
    count = row_count(array)
    if count is not None and count != sent:
        raise ResponseError(f"{count} rows declared and {sent} sent", place=str(place))


def type_of_items(array: etree._Element, own: XsiType | None = None) -> XsiType | None:
    """Return the type that an array, or else its own type, declares for its items."""
    declared = type_of(array, "arrayType") or type_of(array, "itemType")
    if declared is None and own and own.name.endswith("]"):
        declared = own
    return declared and XsiType(
        declared.namespace, declared.name.rpartition("[")[0] or declared.name
    )


def require_complete_array(array: etree._Element, place: object) -> None:
    """Refuse an array of which SOAP's own attributes say that only a part was sent."""
    offset = _OFFSET(array)
    if offset:
        raise ResponseError("a partially transmitted array", place=str(place), value=offset)
