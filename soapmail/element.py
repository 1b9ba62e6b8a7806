"""One element to one value: names, attributes, nil, text, numbers, and how many rows there are."""

from __future__ import annotations

import math
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

_BLANK = " \t\r\n"
_SHORT = 16
_BASE64_TYPES = ("base64Binary", "base64")
_BOOLS = {"true": True, "1": True, "false": False, "0": False}
_TEXT_INSIDE = etree.XPath("string(text()[normalize-space()])", smart_strings=False)


def is_nil(element: etree._Element, place: object) -> bool:
    """Tell whether an empty element means NULL."""
    written = mark(element, "nil")
    if written is None or written.strip() in ("false", "0"):
        return False
    if written.strip() in ("true", "1"):
        return True
    raise ResponseError("neither nil nor not", place=str(place), value=written)


def local_name(element: etree._Element) -> str:
    """Give an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def mark(element: etree._Element, name: str) -> str | None:
    """Give an attribute by its local name: prefixes and namespaces vary between servers."""
    for key, value in element.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return None


def declared_rows(array: etree._Element) -> int | None:
    """Give the number of rows that the server says there are; None where it does not say."""
    written = mark(array, "arrayType") or mark(array, "arraySize")
    if written is None or written.rstrip().endswith("[]") or written.strip() == "*":
        return None
    digits = written.strip()
    if digits.endswith("]"):
        digits = digits[:-1].rpartition("[")[2].strip()
    if not patterns.is_count(digits, 18):
        raise ResponseError("not a number of rows", place="return", value=written)
    return int(digits)


def check_count(array: etree._Element, found: int, place: object) -> None:
    """Refuse an array of more or fewer rows than it declares."""
    declared = declared_rows(array)
    if declared is not None and declared != found:
        raise ResponseError(f"{declared} rows declared and {found} sent", place=str(place))


def no_text(text: str, place: object) -> None:
    """Refuse a text."""
    if text:
        raise ResponseError("text where fields belong", place=str(place), value=text)


def no_text_inside(element: etree._Element, place: object) -> None:
    """Refuse text between the fields of a struct or the rows of an array."""
    no_text(_TEXT_INSIDE(element), place)


class _Value(NamedTuple):
    text: str
    nil: bool


def value(element: etree._Element, place: object, *, encoded: bool) -> _Value:
    """Give the text of one element, and whether it is nil."""
    if len(element):
        inner = local_name(element[0])
        raise ResponseError("a nested element in a value", place=str(place), value=inner)
    text = element.text or ""
    if encoded and (mark(element, "type") or "").rpartition(":")[2] in _BASE64_TYPES:
        text = _from_base64(text, place)
    return _Value(text, not text and is_nil(element, place))


def number(kind: type[Any], text: str, place: object) -> Any:
    """Give an int, float or bool; ``None`` for an empty text."""
    written = text.strip(_BLANK)
    if not written:
        return None
    if kind is bool and written in _BOOLS:
        return _BOOLS[written]
    if kind is int and re.fullmatch(patterns.INT, written):
        return int(written)
    if kind is float and re.fullmatch(patterns.FLOAT, written) and math.isfinite(float(written)):
        return float(written)
    raise ResponseError(f"not a valid {kind.__name__}", place=str(place), value=text)


def _from_base64(text: str, place: object) -> str:
    from base64 import b64decode

    try:
        return b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        pass
    raise ResponseError("not text in base64", place=str(place), value=text)


def cell(kind: type[Any], element: etree._Element, place: str, *, encoded: bool) -> Any:
    """Give a str, int, float or bool; ``None`` for nil and an empty number."""
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
    except ValueError:
        return None
