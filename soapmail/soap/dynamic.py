"""The return element to Python by ``xsi:type``, for operations that have no record of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ResponseError
from .arrays import all_sent, check_count, type_of_items
from .element import Type, attribute, local_name, no_text, no_text_inside, type_of
from .scalars import number, value

if TYPE_CHECKING:
    from lxml import etree

    from ..deadline import Deadline
    from .document import Document, Part

_DEPTH = 64
_INTS = frozenset(
    "int integer long short byte unsignedInt unsignedLong unsignedShort unsignedByte "
    "positiveInteger nonNegativeInteger negativeInteger nonPositiveInteger".split()
)
_KINDS = {"float": float, "double": float, "decimal": float, "boolean": bool}
_MAPS = (None, "http://xml.apache.org/xml-soap")


def by_type(document: Document) -> Any:
    """Give whatever the response holds: structs as dicts, arrays as lists, nil as ``None``."""
    part = document.whole(counted=True)
    return _Parser(part, document.deadline).of(part.element, _Place(None, "return"), 0)


class _Place(NamedTuple):
    """Where a value stands; written out only for an error, as names may be long."""

    outer: _Place | None
    name: str

    def __str__(self) -> str:
        return self.name if self.outer is None else f"{self.outer}, {self.name}"


class _Parser:
    def __init__(self, part: Part, deadline: Deadline) -> None:
        self._encoded = part.encoded
        self._deadline = deadline

    def of(
        self, element: etree._Element, place: _Place, depth: int, declared: Type | None = None
    ) -> Any:
        """Give an element's value; ``declared`` is what its array says of it."""
        self._deadline.check()
        if depth > _DEPTH:
            raise ResponseError("nested too deep", place=str(place))
        written = type_of(element)
        kind = written or declared
        name = kind.name if kind and kind.is_standard else ""
        if name == "Array" or name.endswith("]") or _is_counted(element):
            return self._list(element, type_of_items(element, kind), place, depth + 1)
        if len(element):
            no_text_inside(element, place)
            return self._dict(element, written, place, depth + 1)
        text, nil = value(element, place, kind, encoded=self._encoded)
        if nil:
            return None
        if kind and (name == "Struct" or not kind.is_standard):
            if name == "Struct" or _is_map(kind):
                no_text(text.strip(), place)
            if not text.strip():
                return {}
        simple = int if name in _INTS else _KINDS.get(name)
        return number(simple, text, place) if simple else text

    def _list(
        self, element: etree._Element, declared: Type | None, place: _Place, depth: int
    ) -> list[Any]:
        no_text_inside(element, place)
        all_sent(element, place)
        items = [
            self.of(row, _Place(place, f"row {n}"), depth, declared)
            for n, row in enumerate(element, 1)
        ]
        check_count(element, len(items), place)
        return items

    def _dict(self, element: etree._Element, kind: Type | None, place: _Place, depth: int) -> Any:
        if kind and _is_map(kind):
            return self._map(element, place, depth)
        if kind is None and {local_name(child) for child in element} == {"item"}:
            return self._list(element, None, place, depth)
        return self._fields(element, place, depth)

    def _fields(self, element: etree._Element, place: _Place, depth: int) -> dict[str, Any]:
        names = [local_name(child) for child in element]
        if len(set(names)) != len(names):
            shown = ", ".join(names)
            raise ResponseError("duplicate field", place=str(place), value=shown)
        return {
            name: self.of(child, _Place(place, name), depth)
            for name, child in zip(names, element, strict=True)
        }

    def _map(self, element: etree._Element, place: _Place, depth: int) -> dict[Any, Any]:
        found = {}
        for item in element:
            no_text_inside(item, place)
            pair = self._fields(item, place, depth)
            key = pair.get("key")
            if set(pair) != {"key", "value"} or not isinstance(key, (str, int)) or key in found:
                raise ResponseError("a map with nested or duplicate keys", place=str(place))
            found[key] = pair["value"]
        return found


def _is_map(kind: Type) -> bool:
    return kind.name == "Map" and kind.space in _MAPS


def _is_counted(element: etree._Element) -> bool:
    return (
        attribute(element, "arrayType") is not None or attribute(element, "arraySize") is not None
    )
