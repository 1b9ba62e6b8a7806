"""XPath extractors: the return element of a response to dataclasses and scalars."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import InitVar, fields
from functools import lru_cache
from itertools import islice
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .deadline import Deadline
from .errors import NO_FIELDS, OperationFailed, ResponseError, SoapMailError
from .patterns import URL
from .redaction import outgoing
from .soap.arrays import all_sent, check_count, type_of_items
from .soap.document import Document, Malformed
from .soap.element import XPath, is_nil, no_simple_type, no_text, no_text_inside
from .soap.repair import decode
from .soap.scalars import cell, column, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

    from .soap.document import Part

M = TypeVar("M")

_log = logging.getLogger("soapmail")

_VALUE = r"""("[^"]*"(?=[\s/>])|'[^']*'(?=[\s/>])|[^\s"'>][^\s>]*(?=[\s>]))"""
_ANCHOR = rf"""(?i)<a\s+(?:(?!href[\s=])[^\s"'<>=]+(?:\s*=\s*{_VALUE})?\s+)*href\s*=\s*{_VALUE}"""
# Only what ends in ";": the server writes "&currency_code=" bare, which is no "&curren;".
_ENTITY = r"&#?\w{1,40};"
_LONG_URL = 8 * 1024

_ROWS = XPath("*")
_CELLS = XPath("*/*")
# While the response is still being read, its last row may not be whole yet.
_WHOLE_ROWS = XPath("*[position()<last()]")
_WHOLE_CELLS = XPath("*[position()<last()]/*")
_TEXT_BETWEEN = XPath("string(text()[normalize-space()] | */text()[normalize-space()])")


def rows(xml: bytes, model: type[M]) -> list[M]:
    """Map the rows of any operation's response to a list of ``model``, without a connection.

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
        found = table(document, model)
    except SoapMailError as error:
        failure = outgoing(error)
    else:
        warn_of_repairs("response", document.repairs)
        return found
    raise failure


def warn_of_repairs(operation: str, repairs: Sequence[str]) -> None:
    """Say what had to be put right in a response that is believed."""
    for repair in repairs:
        _log.warning("%s: repaired: %s", operation, repair)


def table(document: Document, model: type[M]) -> list[M]:
    """Map an array of structs to a list of ``model``; nil is an empty list."""
    try:
        return _table(document, model)
    except Malformed:
        document.repair()
    return _table(document, model)


def _table(document: Document, model: type[M]) -> list[M]:
    found: list[M] = []
    for part in document.growing():
        array = part.element
        all_sent(array, "return")
        some = (_ROWS if part.whole else _WHOLE_ROWS)(array)
        if part.whole or some:
            no_text(_TEXT_BETWEEN(array), "return")
            array.text = None  # looked at once, however often the array grows
        if some:
            cells = (_CELLS if part.whole else _WHOLE_CELLS)(array)
            found += _records(model, part, some, cells, len(found) + 1)
            count = len(some)
            del some, cells  # a row can be freed only when nothing points into it
            del array[:count]
        if part.whole:
            no_simple_type(array, "return")
            check_count(array, len(found), "return")
    return found


def struct(document: Document, model: type[M]) -> M | None:
    """Map a single struct to ``model``; nil is ``None``."""
    part = document.whole()
    element = part.element
    no_simple_type(element, "return")
    no_text_inside(element, "return")
    if len(element) == 0:
        if is_nil(element, "return"):
            return None
        raise ResponseError(NO_FIELDS, place="return")
    return _records(model, part, [element], list(element), None)[0]


def named(document: Document, model: type[M], field: str, wanted: int) -> M | None:
    """Do the same, and refuse the record of something else than what was asked for."""
    record = struct(document, model)
    found = getattr(record, field, None)
    if found is not None and found != wanted:
        raise ResponseError(
            f"the record of another id, not {wanted}", place=field, value=str(found)
        )
    return record


def scalar(document: Document, kind: type[M]) -> M | None:
    """Give a single value as str, int, float or bool; nil and an empty number are ``None``."""
    part = document.whole()
    found: M | None = cell(kind, part.element, "return", encoded=part.encoded)
    return found


def boolean(document: Document) -> bool:
    """Give a single value that is true or false."""
    return _required(document, bool)


def integer(document: Document) -> int:
    """Give a single whole number."""
    return _required(document, int)


def _required(document: Document, kind: type[M]) -> M:
    found = scalar(document, kind)
    if found is None:
        raise ResponseError("no value", place="return")
    return found


def url(document: Document) -> str:
    """Give the URL alone, also out of an HTML anchor."""
    text = found = _required(document, str).strip()
    anchor = re.match(_ANCHOR, text[:_LONG_URL])
    if anchor:
        written = re.sub("^([\"'])(.*)\\1$", r"\2", anchor[2])
        found = re.sub(_ENTITY, _unescaped, written)
    if len(found) > _LONG_URL or not re.fullmatch(URL, found):
        raise ResponseError("not a URL", place="return", value=text)
    return found


def _unescaped(entity: re.Match[str]) -> str:
    """Undo an entity, but not the part of a name that happens to be one."""
    from html import unescape
    from html.entities import html5

    known = entity[0].startswith("&#") or entity[0][1:] in html5
    return unescape(entity[0]) if known else entity[0]


def status(document: Document, model: type[M]) -> M:
    """Map a status struct to ``model``; OperationFailed unless the status is "ok"."""
    record: Any = struct(document, model)
    written = getattr(record, "status", None)
    if written is None:
        raise ResponseError("no status", place="return")
    if written.strip().encode().lower() != b"ok":  # of ASCII alone: there are other letters K
        raise OperationFailed(written, record.status_text)
    return record  # type: ignore[no-any-return]


def strings(document: Document) -> list[str]:
    """Give an array of strings; nil is an empty list, but a string of it cannot be nil."""
    part = document.whole(counted=True)
    array = part.element
    no_simple_type(array, "return")
    no_text_inside(array, "return")
    all_sent(array, "return")
    declared = type_of_items(array)
    found = []
    for n, row in enumerate(array, 1):
        document.deadline.check()
        text, nil = value(row, f"row {n}", declared, encoded=part.encoded)
        if nil:
            raise ResponseError("nil instead of a text", place=f"row {n}")
        found.append(text)
    check_count(array, len(found), "return")
    return found


# --- arrays of structs -----------------------------------------------------------------------


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
        for n, row in enumerate(some):
            part.deadline.check()
            no_text_inside(row, _row(first, n))
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
        part.deadline.check()
        name = tag.rpartition("}")[2]
        if name not in plan:
            continue
        index, kind = plan[name]
        if columns[index] is not None:
            raise ResponseError("duplicate field", place=_cell_place(first, 0, name))
        some = cells[n :: len(names)]
        columns[index] = (None if part.encoded else column(kind, some)) or [
            cell(kind, one, _cell_place(first, row, name), encoded=part.encoded)
            for row, one in enumerate(some)
        ]
    if not any(columns):
        shown = ", ".join(names[:9]) or "nothing"
        raise ResponseError("a row without any known field", place=_row(first, 0), value=shown)
    return [made or [None] * count for made in columns]


def _row(first: int | None, offset: int) -> str:
    return "return" if first is None else f"row {first + offset}"


def _cell_place(first: int | None, offset: int, name: str) -> str:
    return name if first is None else f"row {first + offset}, {name}"


@lru_cache(maxsize=64)
def _plan(model: Any) -> dict[str, tuple[int, type[Any]]]:
    """Say at which place each field stands, and of which kind it is."""
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
