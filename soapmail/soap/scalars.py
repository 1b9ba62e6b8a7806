"""Texts, numbers and booleans of elements, one at a time or a column of rows at once."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ResponseError
from ..patterns import BLANK, FLOAT, FLOAT_DIGITS, INT, is_written_of
from .element import OPEN, TEXT, Claim, XsiType, raise_nested, read_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}  # XML Schema part 2, 3.2.2


class Scalar(NamedTuple):
    """The text of an element, or nil."""

    text: str
    is_nil: bool


def read_scalar(element: etree._Element, place: object, declared: XsiType | None = None) -> Scalar:
    """Return the text of one element, and whether it is nil; its array may declare its type."""
    if len(element):
        raise_nested(element, place)
    claim = read_shape(element, place, declared)
    if claim.is_nil:
        return Scalar("", True)
    if claim.kind not in (TEXT, OPEN):
        raise ResponseError(f"{claim.kind} instead of a text", place=str(place))
    return Scalar(read_text(element, claim, place), False)


def read_text(element: etree._Element, claim: Claim, place: object) -> str:
    """Return the text of an element that is one."""
    text = element.text or ""
    return _decode_base64(text, place) if claim.is_base64 else text


def parse_number(kind: type[Any], text: str, place: object) -> Any:
    """Return an int, float, Decimal or bool; ``None`` for an empty text."""
    number = text.strip(BLANK)
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
            if not is_written_of(exact, value):
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


def parse_scalar(kind: type[Any], element: etree._Element, place: str) -> Any:
    """Return a str, int, float, Decimal or bool; ``None`` for nil and an empty number."""
    text, nil = read_scalar(element, place)
    if nil:
        return None
    return text if kind is str else parse_number(kind, text, place)


def parse_column(kind: type[Any], cells: Sequence[etree._Element]) -> list[Any] | None:
    """Convert a column of plain texts in C; ``None`` where any cell is not of the usual form."""
    texts: list[Any] = [cell.text for cell in cells]
    if None in texts or any(map(len, cells)):
        return None
    repeats = 1
    if texts.count(texts[0]) == len(texts):  # as most columns are; it is one object then
        texts, repeats = texts[:1], len(texts)
    if kind is not str:
        digits = "".join(texts).replace(".", "")
        if not (digits.isascii() and digits.isdigit() and max(map(len, texts)) <= FLOAT_DIGITS):
            return None
        try:
            texts = list(map(kind, texts))
        except (ValueError, ArithmeticError):  # more than one point
            return None
    return texts * repeats
