"""What one element says of itself, and its value: names, types, nil, rows, texts and numbers."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree

from ..errors import ResponseError
from ..patterns import FLOAT, INT, is_count

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEMA = "XMLSchema"  # in the namespace of each of its versions
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"  # SOAP 1.1 5
_ENCODING_12 = "http://www.w3.org/2003/05/soap-encoding"  # SOAP 1.2 part 2, 3
ENCODINGS = (_ENCODING, _ENCODING_12)
_STANDARDS = ("http://schemas.xmlsoap.org/", "http://www.w3.org/")
_INSTANCES = [
    f"http://www.w3.org/{year}/XMLSchema-instance" for year in ("2001", "1999", "2000/10")
]
_NOT_SIMPLE = ("anyType", "ur-type", "Array", "Struct")
_BLANK = " \t\r\n"  # XML 1.0 2.3; other white space is no part of a number
_FAST_DIGITS = 16  # fewer digits than these lose nothing in a float (IEEE 754: 15)
_BASE64_TYPES = ("base64Binary", "base64")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}  # XML Schema part 2, 3.2.2
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
        # leaves it taken in the child (test_process).
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


def read_type(element: etree._Element, name: str = "type") -> XsiType | None:
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
    xsi_type = read_type(element)
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


def read_count_attribute(array: etree._Element) -> str | None:
    """Return what an element says of its rows, such as ``xsd:string[5]``; ``None``: no array."""
    array_type, size = attribute(array, "arrayType"), attribute(array, "arraySize")
    return size if size is not None and not array_type else array_type


def read_row_count(array: etree._Element) -> int | None:
    """Return the number of rows that the server says there are; ``None``: it does not say."""
    count = read_count_attribute(array)
    if count is None or count.rstrip().endswith("[]") or count.strip() == "*":
        return None
    digits = count.strip()
    if digits.endswith("]"):
        digits = digits[:-1].rpartition("[")[2].strip()
    if not is_count(digits, _MAX_COUNT_DIGITS):
        raise ResponseError("invalid number of rows", place="return", value=count)
    return int(digits)


def has_row_count(array: etree._Element) -> bool:
    """Return whether an array says by SOAP's own attributes how many rows there are."""
    return bool(_COUNTS_OF_SOAP(array)) and read_row_count(array) is not None


def check_row_count(array: etree._Element, sent: int, place: object) -> None:
    """Refuse an array of more or fewer rows than it declares."""
    count = read_row_count(array)
    if count is not None and count != sent:
        raise ResponseError(f"{count} rows declared and {sent} sent", place=str(place))


def read_item_type(array: etree._Element, own: XsiType | None = None) -> XsiType | None:
    """Return the type that an array, or else its own type, declares for its items."""
    declared = read_type(array, "arrayType") or read_type(array, "itemType")
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


# --- texts, numbers and booleans -------------------------------------------------------------


class Scalar(NamedTuple):
    """The text of an element, or nil."""

    text: str
    is_nil: bool


def read_scalar(
    element: etree._Element, place: object, declared: XsiType | None = None, *, has_base64: bool
) -> Scalar:
    """Return the text of one element, and whether it is nil; its array may declare its type."""
    if len(element):
        inner = local_name(element[0])
        raise ResponseError("a nested element in a value", place=str(place), value=inner)
    text = element.text or ""
    xsi_type = (read_type(element) or declared) if has_base64 else None
    if xsi_type and xsi_type.name in _BASE64_TYPES and xsi_type.is_standard:
        text = _decode_base64(text, place)
    nil = not text and is_nil(element, place)
    if not (text or nil) and read_count_attribute(element) is not None:
        raise ResponseError("a list instead of a text", place=str(place))
    return Scalar(text, nil)


def parse_number(kind: type[Any], text: str, place: object) -> Any:
    """Return an int, float, Decimal or bool; ``None`` for an empty text."""
    number = text.strip(_BLANK)
    if not number:
        return None
    if kind is bool and number in _BOOLEANS:
        return _BOOLEANS[number]
    if kind is int and re.fullmatch(INT, number):
        return int(number)
    if kind not in (bool, int) and re.fullmatch(FLOAT, number):
        from decimal import Decimal  # most numbers are short, and take the way of a column

        exact = Decimal(number)
        if kind is not float:
            return exact
        value = float(number)
        if math.isfinite(value):
            if exact != Decimal(repr(value)):
                problem = "more digits than a float keeps"
                raise ResponseError(problem, place=str(place), value=text)
            return value
    raise ResponseError(f"not a valid {kind.__name__}", place=str(place), value=text)


def _decode_base64(text: str, place: object) -> str:
    """Return a text that SOAP::Lite 1.27 sent as base64, because it is not ASCII."""
    from base64 import b64decode

    try:
        return b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        pass
    raise ResponseError("not text in base64", place=str(place), value=text)


def parse_scalar(kind: type[Any], element: etree._Element, place: str, *, has_base64: bool) -> Any:
    """Return a str, int, float, Decimal or bool; ``None`` for nil and an empty number."""
    text, nil = read_scalar(element, place, has_base64=has_base64)
    if nil:
        return None
    return text if kind is str else parse_number(kind, text, place)


def parse_column(kind: type[Any], cells: Sequence[etree._Element]) -> list[Any] | None:
    """Convert a column in C; ``None`` where any cell is anything but the plain usual form."""
    if any(map(len, cells)):
        return None
    texts: list[Any] = [cell.text for cell in cells]
    if None in texts:
        return None
    if kind is str:
        return texts
    digits = "".join(texts).replace(".", "")
    if not (digits.isascii() and digits.isdigit() and max(map(len, texts)) < _FAST_DIGITS):
        return None
    try:
        return list(map(kind, texts))
    except (ValueError, ArithmeticError):  # more than one point
        return None
