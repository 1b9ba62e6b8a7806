"""The bytes of a response before they are parsed: tags that are too long, and rows all alike."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ResponseError
from ..patterns import TAG
from .element import INSTANCE, read_claim, write_qualified_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lxml import etree

# Small enough that the rows of one chunk stay in the processor's cache.
_CHUNK_BYTES = 32 * 1024
# libxml2 2.9 compares each attribute of a tag with those before it, and each element repeats its
# namespace (test_costs).
MAX_TAG_BYTES = 8 * 1024
_SEARCH_STEP_BYTES = 4 * 1024
_MAX_ROW_CHARACTERS = 8 * 1024  # of a row's tags, to be looked for as a whole
_HEAD_BYTES = 4 * 1024  # in which a response usually declares all its namespaces
MAX_NAMESPACE_CHARACTERS = 200


class ByteScanner:
    """Tells by its bytes what a response does not hold, so that it need not be looked for.

    NuSOAP declares all namespaces at the beginning, and writes the same tags for each row.
    """

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._start = data, start
        self._head_end = start + _HEAD_BYTES
        declarations = data[start : self._head_end].replace(b"'", b'"').split(b"xmlns")[1:]
        has_long = any(map(_is_long_or_cut, declarations))
        has_more = re.compile(b"xmlns").search(data, self._head_end - len("xmlns"))
        has_comments = b"!" in data and b"<!--" in data
        self.is_usual = not (has_long or has_more or has_comments)
        self._shares_namespaces: bool | None = None
        self._rows: _PlainRows | None = None

    def iter_chunks(self) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes, cut behind a row where the rows are plain, and where each begins."""
        at = self._start
        while at < len(self._data):
            end = at + _CHUNK_BYTES
            if self._rows is not None:
                last_end_tag = self._data.rfind(self._rows.end_tag, at, end)
                end = end if last_end_tag < 0 else last_end_tag + len(self._rows.end_tag)
            yield at, self._data[at:end]
            at = end

    def have_same_namespaces(self, value: etree._Element) -> bool:
        """Return whether no namespace is declared inside the value."""
        if self._shares_namespaces is None and len(value):
            tag = f"<{write_qualified_name(value[0])}"
            start = max(self._data.find(tag.encode(), self._start), 0)
            has_none = self._data.find(b"xmlns", start, self._head_end) < 0
            self._shares_namespaces = self.is_usual and has_none
        return bool(self._shares_namespaces)

    def find_plain_rows(
        self, chunk: bytes, value: etree._Element, before: int
    ) -> _PlainRows | None:
        """Return what the rows are like that a chunk has added; ``None``: not like the first one.

        Inside a section, a comment or another row, the same bytes are no rows; and none is added
        where the parser has met an error, of which it tells at the end.
        """
        rows = self._rows
        if rows is None:
            if len(value) > 1 and len(self._data) > 2 * _CHUNK_BYTES:
                with suppress(ResponseError):  # whoever reads the row tells where it stands
                    self._rows = _describe_plain_rows(value[0])
            return None
        is_added = rows.pattern.fullmatch(chunk) and len(value) > before
        return rows if is_added and len(value[-1]) == len(rows.tags) else None


class _PlainRows(NamedTuple):
    """Rows as NuSOAP writes them: each field has a type and a text."""

    tags: Sequence[str]
    pattern: re.Pattern[bytes]
    end_tag: bytes


def _describe_plain_rows(row: etree._Element) -> _PlainRows | None:
    """Return what all rows are like if they are like the first; ``None``: it is not plain.

    Of a run of such rows, those that came first were asked what they are.
    """
    cells = ""
    for element in (row, *row):
        is_plain = element is row or read_claim(element, "row").is_plain_text
        if not is_plain or len(cells) > _MAX_ROW_CHARACTERS:
            return None
        name = re.escape(write_qualified_name(element))
        kind = element.get(f"{{{INSTANCE}}}type")
        start = f"<{name}>" if kind is None else f'<{name} xsi:type="{re.escape(kind)}">'
        cells += start if element is row else f"{start}[^<]+</{name}>"
    end = f"</{write_qualified_name(row)}>"
    pattern = re.compile(f"(?:{cells}{re.escape(end)})+".encode())
    return _PlainRows([str(cell.tag) for cell in row], pattern, end.encode())


def _is_long_or_cut(declaration: bytes) -> bool:
    parts = declaration.split(b'"', 2)
    return len(parts) < 3 or len(parts[1]) > MAX_NAMESPACE_CHARACTERS


class TagLengthGuard:
    """Refuses a tag that is too long, before the parser takes it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._last_tag = self._checked_tag = -1

    def check(self, start: int, end: int) -> None:
        """Look at the next bytes: where no tag begins for long, one may not have ended."""
        for at in range(start, end, _SEARCH_STEP_BYTES):
            tag = self._data.rfind(b"<", at, min(at + _SEARCH_STEP_BYTES, end))
            if tag >= 0:
                self._last_tag = tag
            elif self._checked_tag != self._last_tag:
                self._checked_tag = self._last_tag
                self._check_length()

    def _check_length(self) -> None:
        data, start = self._data, self._last_tag
        limit = start + MAX_TAG_BYTES
        if data[start + 1 : start + 2] in b"!? \t\n" or len(data) < limit:  # not a tag
            return
        if not re.compile(TAG).match(data, start, limit):
            tag = data[start:limit].decode(errors="ignore")
            raise ResponseError(f"a tag of more than {MAX_TAG_BYTES} bytes", value=tag)
