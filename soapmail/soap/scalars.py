"""One element, or a column of them, to a text, a number or a boolean."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import patterns
from ..errors import ResponseError
from .element import Type, attribute, is_nil, local_name, type_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from lxml import etree


_BLANK = " \t\r\n"
_SHORT = 16
_BASE64_TYPES = ("base64Binary", "base64")
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


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
