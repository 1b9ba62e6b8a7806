"""One element to one value: names, attributes, nil, text, numbers, and how many rows there are."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from . import patterns
from .errors import ResponseError, unimportable

try:
    from lxml import etree as etree
except ImportError as error:
    raise unimportable("lxml", error) from None

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

_BLANK = " \t\r\n"
_SHORT = 16
_SCHEMA = "XMLSchema"  # in the namespace of each of its versions
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_ENCODINGS = (_ENCODING, "http://www.w3.org/2003/05/soap-encoding")
_KNOWN = ("http://schemas.xmlsoap.org/", "http://www.w3.org/")
_INSTANCES = [
    f"http://www.w3.org/{year}/XMLSchema-instance" for year in ("2001", "1999", "2000/10")
]
_NOT_SIMPLE = ("anyType", "ur-type", "Array", "Struct")
_TYPED = ("type", "arrayType", "itemType")
_BASE64_TYPES = ("base64Binary", "base64")
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


class XPath:
    """An XPath expression; a response that is too large for it is a ResponseError."""

    __slots__ = ("_expression", "_find", "_process")

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._process = 0

    def __call__(self, element: etree._Element) -> Any:
        """Find what the expression says, seen from an element."""
        # lxml locks a compiled expression while it is used: after a fork in another thread for ever
        if self._process != os.getpid():
            spaces = {"enc": _ENCODING, "new": _ENCODINGS[1]}
            self._find = etree.XPath(self._expression, smart_strings=False, namespaces=spaces)
            self._process = os.getpid()
        try:
            return self._find(element)
        except etree.LxmlError as error:
            problem = str(error)
        raise ResponseError("larger than can be read", value=problem)


_TEXT_INSIDE = XPath("string(text()[normalize-space()])")
_COUNTED = XPath("@enc:arrayType | @new:arraySize | @arrayType | @arraySize")
_PARTLY_SENT = XPath("string(@enc:offset | */@enc:position)")


class Type(NamedTuple):
    """An ``xsi:type``: the namespace, ``None`` where its prefix means none, and the name."""

    space: str | None
    name: str

    @property
    def is_standard(self) -> bool:
        """Tell whether it is one of XML Schema or of SOAP, or may be."""
        schema = self.space and self.space.startswith(_KNOWN) and _SCHEMA in self.space
        return self.space is None or bool(schema) or self.space in _ENCODINGS

    @property
    def is_simple(self) -> bool:
        """Tell whether such an element holds a text, and no fields or rows."""
        return bool(self.space and self.is_standard and self.name not in _NOT_SIMPLE)


def spaces_of(element: etree._Element) -> dict[str | None, str]:
    """Give the namespaces in sight, which takes its time for each of them."""
    spaces = element.nsmap
    if len(spaces) > 200:
        raise ResponseError("more than 200 namespaces", place=local_name(element))
    return spaces


def type_of(element: etree._Element, name: str = "type") -> Type | None:
    """Give the type that an attribute names, by what its prefix means there."""
    written = attribute(element, name)
    if written is None:
        return None
    if written.startswith("{"):
        space, _, name = written[1:].rpartition("}")
        return Type(space, name)
    prefix, _, name = written.strip().rpartition(":")
    return Type(spaces_of(element).get(prefix or None), name)


def name_types(element: etree._Element) -> None:
    """Write the namespace in place of a type's prefix, which means something else elsewhere."""
    for key, written in element.items():
        if str(key).rpartition("}")[2] in _TYPED and not written.startswith("{"):
            prefix, _, name = written.strip().rpartition(":")
            space = spaces_of(element).get(prefix or None)
            if space is not None:
                element.set(key, f"{{{space}}}{name}")


def is_nil(element: etree._Element, place: object) -> bool:
    """Tell whether an empty element means NULL."""
    written = attribute(element, "nil")
    if written is None or written.strip() in ("false", "0"):
        return False
    if written.strip() in ("true", "1"):
        return True
    raise ResponseError("invalid xsi:nil value", place=str(place), value=written)


def local_name(element: etree._Element) -> str:
    """Give an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def attribute(element: etree._Element, name: str) -> str | None:
    """Give an attribute by its local name: that of SOAP or XML Schema, else of no namespace.

    Without these any will do, as a namespace with a damaged letter must not hide how many rows
    there are; but ``type`` is a common name.
    """
    found = other = None
    known = _INSTANCES if name in ("type", "nil") else _ENCODINGS
    for key, value in element.items():
        space, _, local = str(key).rpartition("}")
        if local == name:
            if space[1:] in known:
                return str(value)
            if space:
                other = str(value)
            else:
                found = str(value)
    return other if found is None and name != "type" else found


def declared_rows(array: etree._Element) -> int | None:
    """Give the number of rows that the server says there are; None where it does not say."""
    written = attribute(array, "arrayType") or attribute(array, "arraySize")
    if written is None or written.rstrip().endswith("[]") or written.strip() == "*":
        return None
    digits = written.strip()
    if digits.endswith("]"):
        digits = digits[:-1].rpartition("[")[2].strip()
    if not patterns.is_count(digits, 18):
        raise ResponseError("invalid number of rows", place="return", value=written)
    return int(digits)


def is_counted(array: etree._Element) -> bool:
    """Tell whether an array says by SOAP's own attributes how many rows there are."""
    return bool(_COUNTED(array)) and declared_rows(array) is not None


def check_count(array: etree._Element, found: int, place: object) -> None:
    """Refuse an array of more or fewer rows than it declares."""
    declared = declared_rows(array)
    if declared is not None and declared != found:
        raise ResponseError(f"{declared} rows declared and {found} sent", place=str(place))


def type_of_items(array: etree._Element, kind: Type | None = None) -> Type | None:
    """Give the type that an array, or else its own type, declares for its items."""
    declared = type_of(array, "arrayType") or type_of(array, "itemType")
    if declared is None and kind and kind.name.endswith("]"):
        declared = kind
    return declared and Type(declared.space, declared.name.rpartition("[")[0] or declared.name)


def all_sent(array: etree._Element, place: object) -> None:
    """Refuse an array of which SOAP's own attributes say that only a part was sent."""
    written = _PARTLY_SENT(array)
    if written:
        raise ResponseError("a partially transmitted array", place=str(place), value=written)


def no_simple_type(element: etree._Element, place: object) -> None:
    """Refuse an element that says it is a text, where rows or fields belong."""
    kind = type_of(element)
    if kind and kind.is_simple and not is_nil(element, place):
        raise ResponseError("text instead of fields", place=str(place), value=kind.name)


def no_text(text: str, place: object) -> None:
    """Refuse a text."""
    if text:
        raise ResponseError("text between fields", place=str(place), value=text)


def no_text_inside(element: etree._Element, place: object) -> None:
    """Refuse text between the fields of a struct or the rows of an array."""
    no_text(_TEXT_INSIDE(element), place)


class _Value(NamedTuple):
    text: str
    nil: bool


def value(
    element: etree._Element, place: object, declared: Type | None = None, *, encoded: bool
) -> _Value:
    """Give the text of one element, and whether it is nil; its array may declare its type."""
    if len(element):
        inner = local_name(element[0])
        raise ResponseError("a nested element in a value", place=str(place), value=inner)
    text = element.text or ""
    kind = (type_of(element) or declared) if encoded else None
    if kind and kind.name in _BASE64_TYPES and kind.is_standard:
        text = _from_base64(text, place)
    nil = not text and is_nil(element, place)
    if not (text or nil) and attribute(element, "arrayType") is not None:
        raise ResponseError("a list instead of a text", place=str(place))
    return _Value(text, nil)


def number(kind: type[Any], text: str, place: object) -> Any:
    """Give an int, float, Decimal or bool; ``None`` for an empty text."""
    written = text.strip(_BLANK)
    if not written:
        return None
    if kind is bool and written in _BOOLS:
        return _BOOLS[written]
    if kind is int and re.fullmatch(patterns.INT, written):
        return int(written)
    if kind not in (bool, int) and re.fullmatch(patterns.FLOAT, written):
        exact, found = _decimal(written)
        if kind is not float:
            return exact
        if math.isfinite(found):
            if exact != _decimal(repr(found))[0]:
                problem = "more digits than a float keeps"
                raise ResponseError(problem, place=str(place), value=text)
            return found
    raise ResponseError(f"not a valid {kind.__name__}", place=str(place), value=text)


def _decimal(written: str) -> tuple[Decimal, float]:
    from decimal import Decimal  # most numbers are short, and take the way of a column

    return Decimal(written), float(written)


def _from_base64(text: str, place: object) -> str:
    from base64 import b64decode

    try:
        return b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        pass
    raise ResponseError("not text in base64", place=str(place), value=text)


def cell(kind: type[Any], element: etree._Element, place: str, *, encoded: bool) -> Any:
    """Give a str, int, float, Decimal or bool; ``None`` for nil and an empty number."""
    text, nil = value(element, place, encoded=encoded)
    if nil:
        return None
    return text if kind is str else number(kind, text, place)


def column(kind: type[Any], cells: Sequence[etree._Element]) -> list[Any] | None:
    """Convert a column in C; ``None`` where any cell is anything but the plain usual form."""
    if any(map(len, cells)):
        return None
    texts: list[Any] = [cell.text for cell in cells]
    if None in texts:
        return None
    if kind is str:
        return texts
    digits = "".join(texts).replace(".", "")
    if not (digits.isascii() and digits.isdigit() and max(map(len, texts)) < _SHORT):
        return None
    try:
        return list(map(kind, texts))
    except (ValueError, ArithmeticError):  # more than one point
        return None
