"""The return element to Python by ``xsi:type``, for operations that have no record of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ResponseError
from .element import (
    MAX_DEPTH,
    XsiType,
    check_row_count,
    local_name,
    parse_number,
    read_count_attribute,
    read_item_type,
    read_scalar,
    read_type,
    reject_text,
    reject_text_inside,
    require_complete_array,
)

if TYPE_CHECKING:
    from lxml import etree

    from ..deadline import Deadline
    from .document import Document, PartialReturn

_INTEGERS = frozenset(
    "int integer long short byte unsignedInt unsignedLong unsignedShort unsignedByte "
    "positiveInteger nonNegativeInteger negativeInteger nonPositiveInteger".split()
)
_OTHER_NUMBERS = {"float": float, "double": float, "decimal": float, "boolean": bool}
# PHP's ext/soap and Axis write associative arrays as Map.
_MAP_NAMESPACES = (None, "http://xml.apache.org/xml-soap")


def parse_by_type(document: Document) -> Any:
    """Return whatever the response holds: structs as dicts, arrays as lists, nil as ``None``."""
    part = document.read(counts_rows=True)
    return _Parser(part, document.deadline).parse(part.element, _Place(None, "return"), 0)


class _Place(NamedTuple):
    """Where a value stands; written out only for an error, as names may be long."""

    outer: _Place | None
    name: str

    def __str__(self) -> str:
        return self.name if self.outer is None else f"{self.outer}, {self.name}"


class _Parser:
    def __init__(self, part: PartialReturn, deadline: Deadline) -> None:
        self._has_base64 = part.has_base64
        self._deadline = deadline

    def parse(
        self, element: etree._Element, place: _Place, depth: int, declared: XsiType | None = None
    ) -> Any:
        """Return an element's value; ``declared`` is what its array says of it."""
        self._deadline.check()
        if depth > MAX_DEPTH:
            raise ResponseError("nested too deep", place=str(place))
        own = read_type(element)
        xsi_type = own or declared
        name = xsi_type.name if xsi_type and xsi_type.is_standard else ""
        if name == "Array" or name.endswith("]") or read_count_attribute(element) is not None:
            return self._parse_list(element, read_item_type(element, xsi_type), place, depth + 1)
        if len(element):
            reject_text_inside(element, place)
            return self._parse_dict(element, own, place, depth + 1)
        text, nil = read_scalar(element, place, xsi_type, has_base64=self._has_base64)
        if nil:
            return None
        if xsi_type and (name == "Struct" or not xsi_type.is_standard):
            if name == "Struct" or _is_map(xsi_type):
                reject_text(text.strip(), place)
            if not text.strip():
                return {}
        kind = int if name in _INTEGERS else _OTHER_NUMBERS.get(name)
        return parse_number(kind, text, place) if kind else text

    def _parse_list(
        self, element: etree._Element, declared: XsiType | None, place: _Place, depth: int
    ) -> list[Any]:
        reject_text_inside(element, place)
        require_complete_array(element, place)
        items = [
            self.parse(row, _Place(place, f"row {number}"), depth, declared)
            for number, row in enumerate(element, 1)
        ]
        check_row_count(element, len(items), place)
        return items

    def _parse_dict(
        self, element: etree._Element, xsi_type: XsiType | None, place: _Place, depth: int
    ) -> Any:
        if xsi_type and _is_map(xsi_type):
            return self._parse_map(element, place, depth)
        if xsi_type is None and {local_name(child) for child in element} == {"item"}:
            return self._parse_list(element, None, place, depth)
        return self._parse_fields(element, place, depth)

    def _parse_fields(self, element: etree._Element, place: _Place, depth: int) -> dict[str, Any]:
        names = [local_name(child) for child in element]
        if len(set(names)) != len(names):
            raise ResponseError("duplicate field", place=str(place), value=", ".join(names))
        return {
            name: self.parse(child, _Place(place, name), depth)
            for name, child in zip(names, element, strict=True)
        }

    def _parse_map(self, element: etree._Element, place: _Place, depth: int) -> dict[Any, Any]:
        entries = {}
        for item in element:
            reject_text_inside(item, place)
            pair = self._parse_fields(item, place, depth)
            key = pair.get("key")
            if set(pair) != {"key", "value"} or not isinstance(key, (str, int)) or key in entries:
                raise ResponseError("a map with nested or duplicate keys", place=str(place))
            entries[key] = pair["value"]
        return entries


def _is_map(xsi_type: XsiType) -> bool:
    return xsi_type.name == "Map" and xsi_type.namespace in _MAP_NAMESPACES
