"""XPath extractors: the return element of an answer to dataclasses and scalars."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_type_hints

from .document import Answer, Part, XPath, declared_rows, is_nil, local_name, mark, read
from .errors import NO_FIELDS, OperationFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lxml import etree

M = TypeVar("M")

_BLANK = " \t\r\n"
_DEPTH = 64
_SHORT = 16
_INT = r"[+-]?[0-9]{1,40}"
_FLOAT = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
_BASE64_TYPES = ("base64Binary", "base64")
_BOOLS = {"true": True, "1": True, "false": False, "0": False}

_ANCHOR = r"""(?i)<a\s[^>]*?\bhref\s*=\s*["']([^"']*)["']"""
_URL = r"https?://\S+"

_ROWS = XPath("*")
_CELLS = XPath("*/*")
# While the answer is still being read, its last row may not be whole yet.
_WHOLE_ROWS = XPath("*[position()<last()]")
_WHOLE_CELLS = XPath("*[position()<last()]/*")
_TEXT_BETWEEN = XPath(
    "string(text()[normalize-space()] | */text()[normalize-space()])", smart_strings=False
)
_TEXT_INSIDE = XPath("string(text()[normalize-space()])", smart_strings=False)


def rows(xml: bytes, model: type[M]) -> list[M]:
    """Map the rows of any operation's answer to a list of ``model``, without a connection.

    ``model`` is a dataclass whose fields are ``int``, ``float`` or ``str``, or one of them or
    ``None``; they are found by name, and one that a row leaves out is ``None``. SoapFault: the
    answer is a fault. ResponseError: it is not a whole and right list of such rows.

    >>> from dataclasses import make_dataclass
    >>> xml = (
    ...     b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><xResponse>'
    ...     b"<return><item><size>5</size><name>a</name></item></return>"
    ...     b"</xResponse></e:Body></e:Envelope>"
    ... )
    >>> rows(xml, make_dataclass("File", [("name", str), ("size", int)]))
    [File(name='a', size=5)]
    """
    if not isinstance(xml, bytes):
        raise TypeError(f"xml: bytes expected, not {type(xml).__name__}")
    return table(Answer(xml), model)


def table(answer: Answer, model: type[M]) -> list[M]:
    """Map an array of structs to a list of ``model``; nil is an empty list."""
    return read(answer, partial(_table, model))


def struct(answer: Answer, model: type[M]) -> M | None:
    """Map a single struct to ``model``; nil is ``None``."""
    return read(answer, partial(_struct, model))


def scalar(answer: Answer, kind: type[M]) -> M | None:
    """Give a single value as str, int, float or bool; nil and an empty number are ``None``."""
    value: M | None = read(answer, partial(_scalar, kind))
    return value


def required(answer: Answer, kind: type[M]) -> M:
    """Give a single value that may not be missing."""
    value = scalar(answer, kind)
    if value is None:
        raise answer.error("no value", "return")
    return value


def url(answer: Answer) -> str:
    """Give the URL alone, also out of an HTML anchor."""
    text = required(answer, str).strip()
    anchor = re.match(_ANCHOR, text)
    found = anchor[1].replace("&amp;", "&") if anchor else text
    if not re.fullmatch(_URL, found):
        raise answer.error("not a URL", "return", text)
    return found


def status(answer: Answer, model: type[M]) -> M:
    """Map a status struct to ``model``; OperationFailed unless the status is "ok"."""
    record: Any = struct(answer, model)
    written = getattr(record, "status", None)
    if written is None:
        raise answer.error("no status", "return")
    if written.strip().lower() != "ok":
        reason = record.status_text
        raise OperationFailed(answer.hide(written), reason and answer.hide(reason))
    return record  # type: ignore[no-any-return]


def strings(answer: Answer) -> list[str]:
    """Give an array of strings; nil is an empty list."""
    return read(answer, _strings)


def by_type(answer: Answer) -> Any:
    """Give whatever the answer holds, by its ``xsi:type``."""
    return read(answer, lambda parts: _Typed(_last(parts)).value())


# --- arrays of structs -----------------------------------------------------------------------


def _table(model: type[M], parts: Iterable[Part]) -> list[M]:
    found: list[M] = []
    for part in parts:
        array = part.real(part.element, "return") if part.whole else part.element
        some = (_ROWS if part.whole else _WHOLE_ROWS)(array)
        if part.whole or some:
            _no_text(part, _TEXT_BETWEEN(array), "return")
        if some:
            cells = (_CELLS if part.whole else _WHOLE_CELLS)(array)
            found += _records(model, part, some, cells, len(found) + 1)
            count = len(some)
            del some, cells  # a row can be freed only when nothing points into it
            del array[:count]
        if part.whole:
            _check_count(part, array, len(found))
    return found


def _check_count(part: Part, array: etree._Element, found: int) -> None:
    declared = declared_rows(part.answer, array)
    if declared is not None and declared != found:
        raise part.answer.error(f"{declared} rows declared and {found} sent", "return")


def _no_text(part: Part, text: str, place: str) -> None:
    if text:
        raise part.answer.error("text where fields belong", place, text)


def _records(
    model: type[M],
    part: Part,
    some: Sequence[etree._Element],
    cells: Sequence[etree._Element],
    first: int | None,
) -> list[M]:
    """Map rows to records, a column at a time where all rows have the same fields."""
    widths = list(map(len, some))
    if 0 in widths:
        some = [part.real(row, _row(first, n)) for n, row in enumerate(some)]
        for n, row in enumerate(some):
            _no_text(part, _TEXT_INSIDE(row), _row(first, n))
        cells = [cell for row in some for cell in row]
        widths = list(map(len, some))
    names: list[Any] = [cell.tag for cell in cells]
    width = widths[0]
    if set(widths) != {width} or names != names[:width] * len(some):
        rest = iter(cells)
        return [
            record
            for n, row in enumerate(some)
            for record in _records(
                model, part, [row], list(islice(rest, widths[n])), first and first + n
            )
        ]
    return list(map(model, *_columns(model, part, names[:width], cells, len(some), first)))


def _columns(
    model: Any,
    part: Part,
    names: Sequence[str],
    cells: Sequence[etree._Element],
    count: int,
    first: int | None,
) -> list[list[Any]]:
    plan = _plan(model)
    columns: list[list[Any] | None] = [None] * len(plan)
    for n, tag in enumerate(names):
        name = tag.rpartition("}")[2]
        if name not in plan:
            continue
        index, kind = plan[name]
        if columns[index] is not None:
            raise part.answer.error("a field that stands twice", _place(first, 0, name))
        column = cells[n :: len(names)]
        fast = None if part.encoded else _fast(kind, column)
        columns[index] = fast or [
            _cell(part, kind, cell, _place(first, row, name)) for row, cell in enumerate(column)
        ]
    if not any(columns):
        shown = ", ".join(names) or "nothing"
        raise part.answer.error("a row without any known field", _row(first, 0), shown)
    return [column or [None] * count for column in columns]


def _row(first: int | None, offset: int) -> str:
    return "return" if first is None else f"row {first + offset}"


def _place(first: int | None, offset: int, name: str) -> str:
    return name if first is None else f"row {first + offset}, {name}"


@lru_cache(maxsize=64)
def _plan(model: Any) -> dict[str, tuple[int, type[Any]]]:
    """Say at which place each field stands and whether it is int, float or str."""
    hints = get_type_hints(model)
    plan = {}
    for index, field in enumerate(fields(model)):
        if field.kw_only or not field.init:
            raise TypeError(
                f"{model.__name__}.{field.name}: a field of the constructor, by position, expected"
            )
        kinds = {int, float, str} & {hints[field.name], *get_args(hints[field.name])}
        if len(kinds) != 1:
            raise TypeError(f"{model.__name__}.{field.name}: int, float or str expected")
        plan[field.name] = (index, kinds.pop())
    return plan


def _fast(kind: type[Any], cells: Sequence[etree._Element]) -> list[Any] | None:
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


# --- single values ---------------------------------------------------------------------------


class _Value(NamedTuple):
    text: str
    nil: bool


def _value(part: Part, element: etree._Element, place: str) -> _Value:
    element = part.real(element, place)
    if len(element):
        inner = local_name(element[0])
        raise part.answer.error("a nested element in a value", place, inner)
    text = element.text or ""
    if part.encoded and (mark(element, "type") or "").rpartition(":")[2] in _BASE64_TYPES:
        text = _from_base64(part, text, place)
    return _Value(text, not text and is_nil(part.answer, element, place))


def _from_base64(part: Part, text: str, place: str) -> str:
    from base64 import b64decode

    try:
        return b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        pass
    raise part.answer.error("not text in base64", place, text)


def _cell(part: Part, kind: type[Any], element: etree._Element, place: str) -> Any:
    text, nil = _value(part, element, place)
    if nil:
        return None
    return text if kind is str else _number(part, kind, text, place)


def _number(part: Part, kind: type[Any], text: str, place: str) -> Any:
    written = text.strip(_BLANK)
    if not written:
        return None
    if kind is bool and written in _BOOLS:
        return _BOOLS[written]
    if kind is int and re.fullmatch(_INT, written):
        return int(written)
    if kind is float and re.fullmatch(_FLOAT, written) and math.isfinite(float(written)):
        return float(written)
    raise part.answer.error(f"not a valid {kind.__name__}", place, text)


def _last(parts: Iterable[Part]) -> Part:
    *_, last = parts
    return last


def _struct(model: type[M], parts: Iterable[Part]) -> M | None:
    part = _last(parts)
    element = part.real(part.element, "return")
    _no_text(part, _TEXT_INSIDE(element), "return")
    if len(element) == 0:
        if is_nil(part.answer, element, "return"):
            return None
        raise part.answer.error(NO_FIELDS, "return")
    return _records(model, part, [element], list(element), None)[0]


def _scalar(kind: type[Any], parts: Iterable[Part]) -> Any:
    part = _last(parts)
    return _cell(part, kind, part.element, "return")


def _strings(parts: Iterable[Part]) -> list[str]:
    part = _last(parts)
    array = part.real(part.element, "return")
    _no_text(part, _TEXT_INSIDE(array), "return")
    texts = [_value(part, row, f"row {n}").text for n, row in enumerate(array, 1)]
    _check_count(part, array, len(texts))
    return texts


# --- values by xsi:type ----------------------------------------------------------------------


class _Typed:
    """Reads values by ``xsi:type``."""

    _INTS = frozenset(
        "int integer long short byte unsignedInt unsignedLong unsignedShort unsignedByte "
        "positiveInteger nonNegativeInteger negativeInteger nonPositiveInteger".split()
    )
    _KINDS = {"float": float, "double": float, "decimal": float, "boolean": bool}

    def __init__(self, part: Part) -> None:
        self._part = part
        # References may make an answer larger than it was sent, but not without end.
        root = part.element.getroottree().getroot()
        self._left = 10 * sum(1 for _ in root.iter())

    def value(self) -> Any:
        return self._of(self._part.element, "return", 0)

    def _of(self, element: etree._Element, place: str, depth: int) -> Any:
        element = self._part.real(element, place)
        self._left -= 1
        if depth > _DEPTH or self._left < 0:
            raise self._part.answer.error("nested too deep", place)
        return self._read(element, place, depth + 1)

    def _read(self, element: etree._Element, place: str, depth: int) -> Any:
        space, kind = self._type(element)
        if mark(element, "arrayType") is not None or kind == "Array":
            return self._list(element, place, depth)
        if len(element):
            _no_text(self._part, _TEXT_INSIDE(element), place)
            return self._dict(element, kind, place, depth)
        text, nil = _value(self._part, element, place)
        if nil:
            return None
        if not text.strip() and self._is_struct(space):
            return {}
        number = int if kind in self._INTS else self._KINDS.get(kind)
        return _number(self._part, number, text, place) if number else text

    def _type(self, element: etree._Element) -> tuple[str, str]:
        prefix, _, kind = (mark(element, "type") or "").strip().rpartition(":")
        return element.nsmap.get(prefix or None) or "", kind

    def _is_struct(self, space: str) -> bool:
        return bool(space) and "XMLSchema" not in space and "encoding" not in space

    def _list(self, element: etree._Element, place: str, depth: int) -> list[Any]:
        _no_text(self._part, _TEXT_INSIDE(element), place)
        items = [self._of(row, f"{place}, row {n}", depth) for n, row in enumerate(element, 1)]
        _check_count(self._part, element, len(items))
        return items

    def _dict(self, element: etree._Element, kind: str, place: str, depth: int) -> Any:
        names = [local_name(child) for child in element]
        if kind == "Map":
            return self._map(element, place, depth)
        if not kind and set(names) == {"item"}:
            return self._list(element, place, depth)
        if len(set(names)) != len(names):
            raise self._part.answer.error("a field that stands twice", place, ", ".join(names))
        return {
            names[n]: self._of(child, f"{place}, {names[n]}", depth)
            for n, child in enumerate(element)
        }

    def _map(self, element: etree._Element, place: str, depth: int) -> dict[Any, Any]:
        pairs = [self._dict(item, "", place, depth) for item in element]
        found = {}
        for pair in pairs:
            key = pair.get("key") if isinstance(pair, dict) and "value" in pair else None
            if not isinstance(key, (str, int)) or key in found:
                raise self._part.answer.error("a map without plain, different keys", place)
            found[key] = pair["value"]
        return found
