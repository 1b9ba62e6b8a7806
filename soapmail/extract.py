"""XPath extractors: the return element of a response to dataclasses and scalars."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter, deque
from dataclasses import InitVar, fields
from functools import lru_cache, partial
from itertools import islice, repeat
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .deadline import Deadline
from .errors import NO_FIELDS, OperationFailed, ResponseError, SoapMailError
from .patterns import URL, is_ok
from .redaction import sanitize_error
from .soap.document import Document, Malformed
from .soap.element import (
    OPEN,
    Claim,
    XPath,
    check_content,
    local_name,
    read_claim,
    read_shape,
    reject_text,
)
from .soap.repair import decode
from .soap.scalars import parse_scalar, parse_texts, read_scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from lxml import etree

    from .soap.document import PartialReturn
    from .soap.element import XsiType

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
_TEXT_BETWEEN = XPath("string(text()[normalize-space()] | */text()[normalize-space()])")


def rows(xml: bytes, model: type[M]) -> list[M]:
    """Return the rows of any operation's response as a list of ``model``, without a connection.

    ``model`` is a dataclass whose fields are ``int``, ``float``, ``Decimal`` or ``str``, or one of
    them or ``None``; they are found by name, and one that a row leaves out is ``None``. A
    ``Decimal`` keeps all digits of a number, a ``float`` those that PHP writes for one. SoapFault:
    the response is a fault. ResponseError: it is not a whole and right list of such rows.

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
        plain = _build_plain_records(model, part, len(records) + 1)
        if plain is not None:
            records += plain
            del part.element[:-1]
            continue
        elements = (_ROWS if part.has_whole_rows else _WHOLE_ROWS)(part.element)
        if part.is_whole or elements:
            array.check(part, elements, len(records))
            reject_text(_TEXT_BETWEEN(part.element), "return")
            part.element.text = None  # looked at once, however often the array grows (test_costs)
        if elements:
            cells = (_CELLS if part.has_whole_rows else _WHOLE_CELLS)(part.element)
            records += _build_records(model, part, elements, cells, len(records) + 1)
            count = len(elements) - part.has_whole_rows
            del elements, cells  # test_rows_are_freed_while_they_are_read
            del part.element[:count]
    return records


class _GrowingArray:
    """A list of which more rows arrive: what it says it is, and how its rows are called."""

    def __init__(self) -> None:
        self._claim: Claim | None = None
        self._names: dict[str, None] = {}

    def check(self, part: PartialReturn, rows: Sequence[etree._Element], before: int) -> None:
        """Refuse what says that it is no list, or rows that say that they are no records."""
        if self._claim is None:
            self._claim = read_claim(part.element, "return")
        if self._claim.kind is OPEN:
            self._names.update(dict.fromkeys(map(local_name, part.element)))
        sent = before + len(rows)
        if part.is_whole and not sent:
            check_content(part.element, self._claim, "return")
        self._check_list(self._claim, sent, is_whole=part.is_whole)
        name_row = partial(_format_row_place, before + 1)
        claims, each = _read_claims(part, rows, name_row, self._claim.item_type)
        if not all(claim.is_struct for claim in claims):
            for n, (row, claim) in enumerate(zip(rows, each, strict=True)):
                check_content(row, claim, name_row(n)).require_fields(name_row(n))

    def _check_list(self, claim: Claim, sent: int, *, is_whole: bool) -> None:
        if is_whole:
            claim.check_count(sent, "return")
        if claim.is_nil and sent:
            raise ResponseError("nil with content", place="return")
        kind = claim.kind
        if kind is OPEN and (is_whole or len(self._names) > 1):
            # The last row may not be taken yet.
            kind = claim.resolve(max(sent, len(self._names)), self._names, "return")
        claim.require_list(kind, "return", self._names)


def _read_claims(
    part: PartialReturn,
    elements: Sequence[etree._Element],
    name_place: Callable[[int], str],
    declared: XsiType | None = None,
) -> tuple[Collection[Claim], Iterable[Claim]]:
    """Return what the attributes of elements say, each claim once, and the claim of each element.

    The same attributes say the same where a prefix means the same.
    """
    attributes: list[Any] = [tuple(element.items()) for element in elements]
    if not part.shares_namespaces:
        attributes = list(range(len(elements)))
    claims: dict[Any, Claim] = {}
    for n, key in enumerate(attributes):
        if key not in claims:
            claims[key] = read_claim(elements[n], name_place(n), declared)
    return claims.values(), map(claims.__getitem__, attributes)


def parse_record(document: Document, model: type[M]) -> M | None:
    """Return a single struct as ``model``; nil is ``None``."""
    part = document.read()
    element = part.element
    shape = read_shape(element, "return")
    if shape.is_nil:
        return None
    shape.require_fields("return")
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
    element = document.read().element
    value: M | None = parse_scalar(kind, element, read_claim(element, "return"), "return")
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
    array = document.read().element
    shape = read_shape(array, "return")
    shape.require_list(shape.kind, "return", dict.fromkeys(map(local_name, array)))
    texts = []
    for number, row in enumerate(array, 1):
        document.deadline.check()
        place = f"row {number}"
        text = read_scalar(row, read_claim(row, place, shape.item_type), place)
        if text is None:
            raise ResponseError("nil instead of a text", place=place)
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
    return list(map(model, *_build_columns(model, part, names[:width], cells, first)))


def _build_plain_records(model: type[M], part: PartialReturn, first: int) -> list[M] | None:
    """Return the records of plain rows; ``None``: they have to be looked at one by one."""
    width, count = len(part.tags), len(part.element)
    if not part.texts or len(part.texts) != count * width:
        return None
    part.deadline.check()
    plan = _plan_fields(model)  # type: ignore[arg-type]
    columns: list[list[Any] | None] = [None] * len(plan)
    for n, tag in enumerate(part.tags):
        name = tag.rpartition("}")[2]
        if name in plan:
            index, kind = plan[name]
            place = partial(_format_cell_place, first, name=name)
            columns[index] = parse_texts(kind, part.texts[n::width], place)
    return _make_records(model, _fill(columns, count), count)


def _make_records(model: type[M], columns: Sequence[list[Any]], count: int) -> list[M]:
    """Return records of plain rows; without its init, a frozen one is made in half the time."""
    if model.__module__ != f"{__package__}.models":  # an own init may do more than set fields
        return list(map(model, *columns))
    records = list(map(model.__new__, repeat(model, count)))
    for field, column in zip(fields(model), columns, strict=True):  # type: ignore[arg-type]
        deque(map(getattr(model, field.name).__set__, records, column), maxlen=0)
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
    names = [tag.rpartition("}")[2] for tag in tags]
    for name, times in Counter(names).items():
        if times > 1:
            raise ResponseError("duplicate field", place=_format_cell_place(first, 0, name))
    for n, name in enumerate(names):
        part.deadline.check()
        column = cells[n :: len(tags)]
        place = partial(_format_cell_place, first, name=name)
        unique, claims = _read_claims(part, column, place)
        if name not in plan:
            for row, (cell, claim) in enumerate(zip(column, claims, strict=True)):
                check_content(cell, claim, place(row))
            continue
        index, kind = plan[name]
        if all(claim.is_plain_text for claim in unique) and not any(map(len, column)):
            columns[index] = parse_texts(kind, [cell.text or "" for cell in column], place)
        else:
            columns[index] = [
                parse_scalar(kind, cell, claim, place(row))
                for row, (cell, claim) in enumerate(zip(column, claims, strict=True))
            ]
    if not any(columns):
        listed = ", ".join(tags[:_LISTED_NAMES]) or "nothing"
        problem = "a row without any known field"
        raise ResponseError(problem, place=_format_row_place(first, 0), value=listed)
    return _fill(columns, len(cells) // len(tags))


def _fill(columns: Sequence[list[Any] | None], count: int) -> list[list[Any]]:
    """Return columns in which a field that was not sent is ``None``."""
    return [column or [None] * count for column in columns]


def _format_row_place(first: int | None, offset: int) -> str:
    return "return" if first is None else f"row {first + offset}"


def _format_cell_place(first: int | None, offset: int, name: str) -> str:
    return name if first is None else f"row {first + offset}, {name}"


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
