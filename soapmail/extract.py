"""XPath extractors: the return element of a response to dataclasses and scalars."""

from __future__ import annotations

import logging
import re
import sys
from collections import deque
from dataclasses import InitVar, fields
from functools import lru_cache
from itertools import islice, repeat
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from . import models
from .deadline import Deadline
from .errors import NO_FIELDS, OperationFailed, ResponseError, SoapMailError
from .patterns import URL, is_ok
from .redaction import sanitize_error
from .soap.document import Document, Malformed
from .soap.element import (
    ARRAY,
    INSTANCE,
    OPEN,
    STRUCT,
    Claim,
    XPath,
    local_name,
    read_claim,
    read_shape,
    reject_reference,
    reject_text,
)
from .soap.repair import decode
from .soap.scalars import parse_column, parse_scalar, read_scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lxml import etree

    from .soap.document import PartialReturn

M = TypeVar("M")

_log = logging.getLogger("soapmail")

# An attribute's value as HTML 4.01 3.2.2 has it: quoted, or without white space.
_ATTRIBUTE = r"""("[^"]*"(?=[\s/>])|'[^']*'(?=[\s/>])|[^\s"'>][^\s>]*(?=[\s>]))"""
_ANCHOR = rf"""(?ix)
    <a\s+
    (?: (?!href[\s=]) [^\s"'<>=]+ (?:\s*=\s*{_ATTRIBUTE})? \s+ )*   # other attributes
    href\s*=\s*{_ATTRIBUTE}
    """
# Only what ends in ";": the server writes "&currency_code=" bare, which is no "&curren;".
_ENTITY = r"&#?\w{1,40};"
_MAX_URL_CHARACTERS = 8 * 1024
_LISTED_NAMES = 9  # of fields that are not known, in an error

_ROWS = XPath("*")
_CELLS = XPath("*/*")
# While the response is still being read, its last row may not be whole yet.
_WHOLE_ROWS = XPath("*[position()<last()]")
_WHOLE_CELLS = XPath("*[position()<last()]/*")
_TYPE = f"{{{INSTANCE}}}type"
_TEXT_BETWEEN = XPath("string(text()[normalize-space()] | */text()[normalize-space()])")


def rows(xml: bytes, model: type[M]) -> list[M]:
    """Return the rows of any operation's response as a list of ``model``, without a connection.

    ``model`` is a dataclass whose fields are ``int``, ``float``, ``Decimal`` or ``str``, or one of
    them or ``None``; they are found by name, and one that a row leaves out is ``None``. A
    ``Decimal`` keeps all digits of a number, a ``float`` up to 15. SoapFault: the response is a
    fault. ResponseError: it is not a whole and right list of such rows.

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
    try:
        deadline = Deadline()
        document = Document(decode(xml, None, deadline), None, deadline)
        records = parse_records(document, model)
    except SoapMailError as error:
        failure = sanitize_error(error)
    else:
        warn_of_repairs("response", document.repairs)
        return records
    raise failure


def warn_of_repairs(operation: str, repairs: Sequence[str]) -> None:
    """Log what had to be put right in a response that is believed."""
    for repair in repairs:
        _log.warning("%s: repaired: %s", operation, repair)


def parse_records(document: Document, model: type[M]) -> list[M]:
    """Return an array of structs as a list of ``model``; nil is an empty list."""
    try:
        return _parse_growing(document, model)
    except Malformed:
        document.repair()
    return _parse_growing(document, model)


def _parse_growing(document: Document, model: type[M]) -> list[M]:
    records: list[M] = []
    array = _GrowingArray()
    for part in document.iter_growing():
        elements = (_ROWS if part.is_whole else _WHOLE_ROWS)(part.element)
        part = part._replace(is_plain=array.are_plain(part, elements))
        if part.is_whole or elements:
            array.check(part, elements)
            reject_text(_TEXT_BETWEEN(part.element), "return")
            part.element.text = None  # looked at once, however often the array grows (test_costs)
        if elements:
            cells = (_CELLS if part.is_whole else _WHOLE_CELLS)(part.element)
            records += _build_records(model, part, elements, cells, len(records) + 1)
            count = len(elements)
            del elements, cells  # test_rows_are_freed_while_they_are_read
            del part.element[:count]
    return records


class _GrowingArray:
    """A list of which more rows arrive: what it says it is, and what is known of its rows."""

    def __init__(self) -> None:
        self._claim: Claim | None = None
        self._names: dict[str, None] = {}
        self._sent = 0
        self._is_rest_plain = False

    def are_plain(self, part: PartialReturn, rows: Sequence[etree._Element]) -> bool:
        """Return whether all bytes of the rows that are taken now were plain."""
        are_plain = self._is_rest_plain and part.is_plain
        # The row that is not whole yet begins in the newest bytes, where others before it end.
        self._is_rest_plain = part.is_plain if rows else are_plain
        return are_plain

    def check(self, part: PartialReturn, rows: Sequence[etree._Element]) -> None:
        """Refuse what says that it is no list, or rows that say that they are no records."""
        if self._claim is None:
            self._claim = read_claim(part.element, "return")
        claim = self._claim
        if claim.kind is OPEN:
            self._names.update(dict.fromkeys(map(local_name, rows)))
        for index, row in _take_one_of_each(part, rows):
            place = f"row {self._sent + index + 1}"
            own = read_claim(row, place, claim.item_type)
            if own.is_nil or own.kind not in (STRUCT, OPEN):
                problem = f"{'nil' if own.is_nil else own.kind} instead of fields"
                raise ResponseError(problem, place=place)
        self._sent += len(rows)
        if claim.is_nil:
            if self._sent:
                raise ResponseError("nil with content", place="return")
            return
        kind = claim.kind
        if kind is OPEN and (part.is_whole or len(self._names) > 1):
            kind = claim.resolve(self._sent, self._names, "return")
        if kind not in (ARRAY, OPEN):
            names = ", ".join(self._names) or None
            raise ResponseError(f"{kind} instead of a list", place="return", value=names)
        if part.is_whole:
            claim.check_count(self._sent, "return")


def _take_one_of_each(
    part: PartialReturn, elements: Sequence[etree._Element]
) -> Iterable[tuple[int, etree._Element]]:
    """Return of elements with the same attributes the last one, where they mean the same."""
    if part.is_plain:
        return {pair[1].get(_TYPE): pair for pair in enumerate(elements)}.values()
    if part.shares_namespaces:
        return {tuple(pair[1].items()): pair for pair in enumerate(elements)}.values()
    return enumerate(elements)


def parse_record(document: Document, model: type[M]) -> M | None:
    """Return a single struct as ``model``; nil is ``None``."""
    part = document.read()
    element = part.element
    shape = read_shape(element, "return")
    if shape.is_nil:
        return None
    if shape.kind not in (STRUCT, OPEN):
        raise ResponseError(f"{shape.kind} instead of fields", place="return")
    if len(element) == 0:
        raise ResponseError(NO_FIELDS, place="return")
    return _build_records(model, part, [element], list(element), None)[0]


def parse_record_with_id(document: Document, model: type[M], field: str, wanted: int) -> M | None:
    """Return a single struct as ``model``, and refuse another one than was asked for."""
    record = parse_record(document, model)
    id = getattr(record, field, None)
    if id is not None and id != wanted:
        raise ResponseError(f"the record of another id, not {wanted}", place=field, value=str(id))
    return record


def parse_single(document: Document, kind: type[M]) -> M | None:
    """Return a single value as str, int, float or bool; nil and an empty number are ``None``."""
    value: M | None = parse_scalar(kind, document.read().element, "return")
    return value


def require_single(document: Document, kind: type[M]) -> M:
    """Return a single value, which must be there: neither nil nor an empty number."""
    value = parse_single(document, kind)
    if value is None:
        raise ResponseError("no value", place="return")
    return value


def parse_url(document: Document) -> str:
    """Return the URL alone, also out of an HTML anchor."""
    text = url = require_single(document, str).strip()
    anchor = re.match(_ANCHOR, text[:_MAX_URL_CHARACTERS])
    if anchor:
        href = re.sub("^([\"'])(.*)\\1$", r"\2", anchor[2])
        url = re.sub(_ENTITY, _unescape, href)
    if len(url) > _MAX_URL_CHARACTERS or not re.fullmatch(URL, url):
        raise ResponseError("not a URL", place="return", value=text)
    return url


def _unescape(entity: re.Match[str]) -> str:
    """Return what an entity means, but not a part of a name that happens to be one."""
    from html import unescape
    from html.entities import html5

    is_entity = entity[0].startswith("&#") or entity[0][1:] in html5
    return unescape(entity[0]) if is_entity else entity[0]


def parse_status(document: Document, model: type[M]) -> M:
    """Return a status struct as ``model``; OperationFailed unless the status is "ok"."""
    record: Any = parse_record(document, model)
    status = getattr(record, "status", None)
    if status is None:
        raise ResponseError("no status", place="return")
    if not is_ok(status):
        raise OperationFailed(status, record.status_text)
    return record  # type: ignore[no-any-return]


def parse_strings(document: Document) -> list[str]:
    """Return an array of strings; nil is an empty list, but a string of it cannot be nil."""
    array = document.read(counts_rows=True).element
    shape = read_shape(array, "return")
    if not shape.is_nil and shape.kind not in (ARRAY, OPEN):
        raise ResponseError(f"{shape.kind} instead of a list", place="return")
    texts = []
    for number, row in enumerate(array, 1):
        document.deadline.check()
        text, nil = read_scalar(row, f"row {number}", shape.item_type)
        if nil:
            raise ResponseError("nil instead of a text", place=f"row {number}")
        texts.append(text)
    return texts


# --- arrays of structs -----------------------------------------------------------------------


def _build_records(
    model: type[M],
    part: PartialReturn,
    elements: Sequence[etree._Element],
    cells: Sequence[etree._Element],
    first: int | None,
) -> list[M]:
    widths = list(map(len, elements))
    names: list[Any] = [cell.tag for cell in cells]
    width = widths[0]
    if set(widths) != {width} or names != names[:width] * len(elements):
        remaining = iter(cells)
        return [
            record
            for n, element in enumerate(elements)
            for record in _build_records(
                model, part, [element], list(islice(remaining, widths[n])), first and first + n
            )
        ]
    columns = _build_columns(model, part, names[:width], cells, first)
    setters = _find_setters(model)  # type: ignore[arg-type]
    if setters is None:
        return list(map(model, *columns))
    records = list(map(model.__new__, repeat(model, len(elements))))
    for set_field, column in zip(setters, columns, strict=True):
        deque(map(set_field, records, column), maxlen=0)
    return records


def _build_columns(
    model: Any,
    part: PartialReturn,
    tags: Sequence[str],
    cells: Sequence[etree._Element],
    first: int | None,
) -> list[list[Any]]:
    plan = _plan_fields(model)
    columns: list[list[Any] | None] = [None] * len(plan)
    for n, tag in enumerate(tags):
        part.deadline.check()
        name = tag.rpartition("}")[2]
        column = cells[n :: len(tags)]
        if name not in plan:
            if not part.is_plain:
                for row, cell in _take_one_of_each(part, column):
                    reject_reference(cell, _format_cell_place(first, row, name))
            continue
        index, kind = plan[name]
        if columns[index] is not None:
            raise ResponseError("duplicate field", place=_format_cell_place(first, 0, name))
        is_plain = part.is_plain or all(
            read_claim(cell, _format_cell_place(first, row, name)).is_plain_text
            for row, cell in _take_one_of_each(part, column)
        )
        columns[index] = (parse_column(kind, column) if is_plain else None) or [
            parse_scalar(kind, cell, _format_cell_place(first, row, name))
            for row, cell in enumerate(column)
        ]
    if not any(columns):
        names = ", ".join(tags[:_LISTED_NAMES]) or "nothing"
        raise ResponseError(
            "a row without any known field", place=_format_row_place(first, 0), value=names
        )
    count = len(cells) // len(tags)
    return [column or [None] * count for column in columns]


def _format_row_place(first: int | None, offset: int) -> str:
    return "return" if first is None else f"row {first + offset}"


def _format_cell_place(first: int | None, offset: int, name: str) -> str:
    return name if first is None else f"row {first + offset}, {name}"


@lru_cache(maxsize=64)
def _find_setters(model: Any) -> list[Callable[..., None]] | None:
    """Return what sets the fields of a record; ``None``: its constructor may do more than that.

    The constructor of a frozen dataclass takes twice as long (tests/benchmark).
    """
    if model.__module__ != models.__name__:
        return None
    return [getattr(model, field.name).__set__ for field in fields(model)]


@lru_cache(maxsize=64)
def _plan_fields(model: Any) -> dict[str, tuple[int, type[Any]]]:
    # Whoever has a Decimal for a field has imported it.
    decimals = [sys.modules["decimal"].Decimal] if "decimal" in sys.modules else []
    hints = get_type_hints(model)
    plan = {}
    for name, hint in hints.items():
        if isinstance(hint, InitVar):
            raise TypeError(f"{model.__name__}.{name}: a field expected, not an InitVar")
    for index, field in enumerate(fields(model)):
        if field.kw_only or not field.init:
            raise TypeError(
                f"{model.__name__}.{field.name}: a field of the constructor, by position, expected"
            )
        hint = hints[field.name]
        either = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        kinds = [kind for kind in either if kind is not NoneType]
        if len(kinds) != 1 or kinds[0] not in (int, float, str, *decimals):
            raise TypeError(f"{model.__name__}.{field.name}: int, float, Decimal or str expected")
        plan[field.name] = (index, kinds[0])
    return plan
