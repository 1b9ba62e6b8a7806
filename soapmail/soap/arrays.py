"""How many rows an array says it has, of what type, and whether all were sent (SOAP 1.1 5.4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ResponseError
from ..patterns import is_count
from .element import XPath, XsiType, attribute, type_of

if TYPE_CHECKING:
    from lxml import etree

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
