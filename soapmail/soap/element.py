"""One element to one value: names, attributes, nil, text, numbers, and how many rows there are."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from lxml import etree

from ..errors import ResponseError

_SCHEMA = "XMLSchema"  # in the namespace of each of its versions
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_ENCODINGS = (_ENCODING, "http://www.w3.org/2003/05/soap-encoding")
_KNOWN = ("http://schemas.xmlsoap.org/", "http://www.w3.org/")
_INSTANCES = [
    f"http://www.w3.org/{year}/XMLSchema-instance" for year in ("2001", "1999", "2000/10")
]

_NOT_SIMPLE = ("anyType", "ur-type", "Array", "Struct")
_TYPED = ("type", "arrayType", "itemType")


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
