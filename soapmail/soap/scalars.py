"""Texts, numbers and booleans of elements, one at a time or a column of rows at once."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from ..errors import ResponseError
from ..patterns import BLANK, FLOAT, FLOAT_DIGITS, INT, is_written_of
from .element import OPEN, TEXT, Claim, check_content, raise_nested

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml import etree

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}  # XML Schema part 2, 3.2.2


def read_scalar(element: etree._Element, claim: Claim, place: object) -> str | None:
    """Return the text of one element whose attributes say this; ``None``: it is nil."""
    if len(element):
        raise_nested(element, place)
    shape = check_content(element, claim, place)
    if shape.is_nil:
        return None
    if shape.kind not in (TEXT, OPEN):
        raise ResponseError(f"{shape.kind} instead of a text", place=str(place))
    return read_text(element, shape, place)


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


def parse_scalar(kind: type[Any], element: etree._Element, claim: Claim, place: str) -> Any:
    """Return a str, int, float, Decimal or bool; ``None`` for nil and an empty number."""
    text = read_scalar(element, claim, place)
    return text if text is None or kind is str else parse_number(kind, text, place)


def parse_texts(kind: type[Any], texts: list[str], name_place: Callable[[int], str]) -> list[Any]:
    """Convert the texts of a column, in C where they are of the usual form."""
    if texts.count(texts[0]) == len(texts):  # as in most columns; it is one object then
        return _parse_texts(kind, texts[:1], name_place) * len(texts)
    return _parse_texts(kind, texts, name_place)


def _parse_texts(kind: type[Any], texts: list[str], name_place: Callable[[int], str]) -> list[Any]:
    if kind is str:
        return texts
    digits = "".join(texts).replace(".", "")
    if digits.isascii() and digits.isdigit() and max(map(len, texts)) <= FLOAT_DIGITS:
        try:
            return list(map(kind, texts))
        except (ValueError, ArithmeticError):  # an empty text, or more than one point
            pass
    return [parse_number(kind, text, name_place(n)) for n, text in enumerate(texts)]
