"""One element, or a column of them, to a text, a number or a boolean."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import patterns
from ..errors import ResponseError
from .element import XsiType, declared_count, is_nil, local_name, type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

_BLANK = " \t\r\n"  # XML 1.0 2.3; other white space is no part of a number
_FAST_DIGITS = 16  # fewer digits than these lose nothing in a float (IEEE 754: 15)
_BASE64_TYPES = ("base64Binary", "base64")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}  # XML Schema part 2, 3.2.2


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
    xsi_type = (type_of(element) or declared) if has_base64 else None
    if xsi_type and xsi_type.name in _BASE64_TYPES and xsi_type.is_standard:
        text = _decode_base64(text, place)
    nil = not text and is_nil(element, place)
    if not (text or nil) and declared_count(element) is not None:
        raise ResponseError("a list instead of a text", place=str(place))
    return Scalar(text, nil)


def parse_number(kind: type[Any], text: str, place: object) -> Any:
    """Return an int, float, Decimal or bool; ``None`` for an empty text."""
    number = text.strip(_BLANK)
    if not number:
        return None
    if kind is bool and number in _BOOLEANS:
        return _BOOLEANS[number]
    if kind is int and re.fullmatch(patterns.INT, number):
        return int(number)
    if kind not in (bool, int) and re.fullmatch(patterns.FLOAT, number):
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
