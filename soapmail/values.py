"""The return element to Python by ``xsi:type``, for operations that have no record of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .element import check_count, etree, local_name, mark, no_text_inside, number, value
from .errors import ResponseError

if TYPE_CHECKING:
    from .deadline import Deadline
    from .document import Document, Part

_DEPTH = 64
_INTS = frozenset(
    "int integer long short byte unsignedInt unsignedLong unsignedShort unsignedByte "
    "positiveInteger nonNegativeInteger negativeInteger nonPositiveInteger".split()
)
_KINDS = {"float": float, "double": float, "decimal": float, "boolean": bool}


def by_type(document: Document) -> Any:
    """Give whatever the answer holds: structs as dicts, arrays as lists, nil as ``None``."""
    part = document.whole()
    return _Reader(part, document.deadline).of(part.element, _Place(None, "return"), 0)


class _Place(NamedTuple):
    """Where a value stands; written out only for an error, as names may be long."""

    outer: _Place | None
    name: str

    def __str__(self) -> str:
        return self.name if self.outer is None else f"{self.outer}, {self.name}"


class _Reader:
    def __init__(self, part: Part, deadline: Deadline) -> None:
        self._part = part
        self._deadline = deadline
        self._structs = _empty_structs(part.element)

    def of(self, element: etree._Element, place: _Place, depth: int) -> Any:
        if depth > _DEPTH:
            raise ResponseError("nested too deep", place=str(place))
        kind = _kind(element)
        if mark(element, "arrayType") is not None or kind == "Array":
            return self._list(element, place, depth + 1)
        if len(element):
            no_text_inside(element, place)
            return self._dict(element, kind, place, depth + 1)
        text, nil = value(element, place, encoded=self._part.encoded)
        if nil:
            return None
        if element in self._structs:
            return {}
        simple = int if kind in _INTS else _KINDS.get(kind)
        return number(simple, text, place) if simple else text

    def _list(self, element: etree._Element, place: _Place, depth: int) -> list[Any]:
        no_text_inside(element, place)
        items = []
        for n, row in enumerate(element, 1):
            self._deadline.check()
            items.append(self.of(row, _Place(place, f"row {n}"), depth))
        check_count(element, len(items), place)
        return items

    def _dict(self, element: etree._Element, kind: str, place: _Place, depth: int) -> Any:
        names = [local_name(child) for child in element]
        if kind == "Map":
            return self._map(element, place, depth)
        if not kind and set(names) == {"item"}:
            return self._list(element, place, depth)
        if len(set(names)) != len(names):
            raise ResponseError(
                "a field that stands twice", place=str(place), value=", ".join(names)
            )
        return {
            name: self.of(child, _Place(place, name), depth)
            for name, child in zip(names, element, strict=True)
        }

    def _map(self, element: etree._Element, place: _Place, depth: int) -> dict[Any, Any]:
        found = {}
        for item in element:
            self._deadline.check()
            pair = self._dict(item, "", place, depth)
            key = pair.get("key") if isinstance(pair, dict) and "value" in pair else None
            if not isinstance(key, (str, int)) or key in found:
                raise ResponseError("a map without plain, different keys", place=str(place))
            found[key] = pair["value"]
        return found


def _kind(element: etree._Element) -> str:
    return (mark(element, "type") or "").strip().rpartition(":")[2]


def _empty_structs(root: etree._Element) -> set[etree._Element]:
    """Find the elements without content whose type is one of the API itself.

    The namespaces are followed from element to element: asking each one for all it can see would
    take the square of an answer that declares many.
    """
    spaces: dict[str | None, list[str]] = {key: [uri] for key, uri in root.nsmap.items()}
    opened: list[str | None] = []
    found = set()
    walk: Any = etree.iterwalk(root, events=("start", "start-ns", "end-ns"))
    for event, item in walk:
        if event == "start-ns":
            opened.append(item[0] or None)
            spaces.setdefault(opened[-1], []).append(item[1])
        elif event == "end-ns":
            spaces[opened.pop()].pop()
        elif len(item) == 0 and not (item.text or "").strip():
            prefix = (mark(item, "type") or "").strip().rpartition(":")[0]
            space = (spaces.get(prefix or None) or [""])[-1]
            if space and "XMLSchema" not in space and "encoding" not in space:
                found.add(item)
    return found
