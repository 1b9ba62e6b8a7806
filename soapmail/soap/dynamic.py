"""The return element to Python by ``xsi:type``, for operations that have no record of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ResponseError
from .element import (
    ARRAY,
    INTEGERS,
    MAP,
    MAX_DEPTH,
    OTHER_NUMBERS,
    STRUCT,
    XsiType,
    local_name,
    read_shape,
)
from .scalars import parse_number, read_text

if TYPE_CHECKING:
    from lxml import etree

    from ..deadline import Deadline
    from .document import Document


def parse_by_type(document: Document) -> Any:
    """Return whatever the response holds: structs as dicts, arrays as lists, nil as ``None``."""
    part = document.read()
    return _Parser(document.deadline).parse(part.element, _Place(None, "return"), 0)


class _Place(NamedTuple):
    """Where a value stands; written out only for an error, as names may be long."""

    outer: _Place | None
    name: str

    def __str__(self) -> str:
        return self.name if self.outer is None else f"{self.outer}, {self.name}"


class _Parser:
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def parse(
        self, element: etree._Element, place: _Place, depth: int, declared: XsiType | None = None
    ) -> Any:
        """Return an element's value; ``declared`` is what its array says of it."""
        self._deadline.check()
        if depth > MAX_DEPTH:
            raise ResponseError("nested too deep", place=str(place))
        shape = read_shape(element, place, declared)
        if shape.kind is ARRAY:
            return [
                self.parse(row, _Place(place, f"row {number}"), depth + 1, shape.item_type)
                for number, row in enumerate(element, 1)
            ]
        if shape.is_nil:
            return None
        if shape.kind is MAP:
            return self._parse_map(element, place, depth + 1)
        if shape.kind is STRUCT or len(element):
            return self._parse_fields(element, place, depth + 1)
        text = read_text(element, shape, place)
        name = shape.type.name if shape.type and shape.type.is_standard else ""
        kind = int if name in INTEGERS else OTHER_NUMBERS.get(name)
        return parse_number(kind, text, place) if kind else text

    def _parse_fields(self, element: etree._Element, place: _Place, depth: int) -> dict[str, Any]:
        named = {local_name(child): child for child in element}
        return {
            name: self.parse(child, _Place(place, name), depth) for name, child in named.items()
        }

    def _parse_map(self, element: etree._Element, place: _Place, depth: int) -> dict[Any, Any]:
        entries: dict[Any, Any] = {}
        for item in element:
            pair = self.parse(item, place, depth - 1)  # an entry is no level of its own
            key = pair.get("key") if isinstance(pair, dict) and len(pair) == 2 else None
            if not isinstance(key, (str, int)) or "value" not in pair or key in entries:
                raise ResponseError("a map with nested or duplicate keys", place=str(place))
            entries[key] = pair["value"]
        return entries
