"""How many rows an array says it has, of what type, and whether all were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import patterns
from ..errors import ResponseError
from .element import Type, XPath, attribute, type_of

if TYPE_CHECKING:
    from lxml import etree

_COUNTED = XPath("@enc:arrayType | @new:arraySize | @arrayType | @arraySize")
_PARTLY_SENT = XPath("string(@enc:offset | */@enc:position)")


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
