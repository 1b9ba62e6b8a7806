"""Records in, and out in the form that was asked for: a table, JSON, CSV and their like."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from dataclasses import fields
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from .exit_codes import UsageError
from .terminal import shortened, shown, width

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

_STREAMED = ("jsonl", "csv", "tsv")
_NARROW = 8
_MARK = "! "
_TSV = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class Column(NamedTuple):
    """One column: its name, how it comes out of a record, and whether it holds numbers."""

    name: str
    get: Callable[[Any], Any]
    number: bool = False


class Listing(NamedTuple):
    """All columns of one kind of record; which are shown unless others are asked for.

    ``table`` are those that a person reads, under names for a person; ``marked`` tells of a record
    whether it stands out on a terminal, and ``mark`` what that means.
    """

    columns: Sequence[Column]
    documented: int
    table: Sequence[Column]
    marked: Callable[[Any], bool] = lambda record: False
    mark: str = ""


def documented(model: type[Any], path: str = "") -> list[Column]:
    """Give the columns of the documented fields of a model."""
    return [
        Column(one.name, attrgetter(path + one.name), not str(one.type).startswith("str"))
        for one in fields(model)
    ]


class Output:
    """What is printed of the records of one command; UsageError: of unknown columns."""

    def __init__(
        self, args: argparse.Namespace, listing: Listing, *, named: bool, single: bool = False
    ) -> None:
        self._format: str = args.format
        self._listing = listing
        self._single = single
        self._header = not args.no_header
        self._columns = _chosen(args, listing, named=named, single=single)
        self._sort = _sorting(args.sort, listing, named=named)
        self._streamed = self._format in _STREAMED and self._sort is None
        self._rows: list[tuple[str | None, Any]] = []
        self._begun = False
        self.count = 0

    def add(self, account: str | None, records: Iterable[Any]) -> None:
        """Take the records of one account, and print them now where that is possible."""
        rows = [(account, record) for record in records]
        self.count += len(rows)
        if self._streamed:
            self._write(rows)
        else:
            self._rows += rows

    def end(self) -> None:
        """Print what is not printed yet."""
        if self._sort is not None:
            column, backwards = self._sort
            keyed = [(column.get(row), row) for row in self._rows]
            known = [one for one in keyed if one[0] is not None]
            known.sort(key=itemgetter(0), reverse=backwards)
            self._rows = [row for _, row in known] + [row for key, row in keyed if key is None]
        if self._format == "table":
            self._table()
        elif self._format == "json":
            names = [column.name for column in self._columns]
            print(
                json_text([dict(zip(names, self._values(row), strict=True)) for row in self._rows])
            )
        else:
            self._write(self._rows)

    def _values(self, row: tuple[str | None, Any]) -> list[Any]:
        return [column.get(row) for column in self._columns]

    # --- a line a record -----------------------------------------------------------------------

    def _write(self, rows: Sequence[tuple[str | None, Any]]) -> None:
        names = [column.name for column in self._columns]
        if self._format == "jsonl":
            for row in rows:
                sys.stdout.write(
                    _json_line(dict(zip(names, self._values(row), strict=True))) + "\n"
                )
            return
        begins, self._begun = not self._begun, True
        if self._format == "tsv":
            lines = [map(_tsv, self._values(row)) for row in rows]
            heads = [names] if begins and self._header else []
            sys.stdout.writelines("\t".join(line) + "\n" for line in [*heads, *lines])
            return
        writer = csv.writer(sys.stdout)
        if begins:
            sys.stdout.write("\ufeff")  # by which a spreadsheet knows UTF-8
            if self._header:
                writer.writerow(names)
        writer.writerows(map(_csv, self._values(row)) for row in rows)

    # --- for a person --------------------------------------------------------------------------

    def _table(self) -> None:
        if self._single:
            self._records()
            return
        terminal = sys.stdout.isatty()
        heads = [column.name for column in self._columns]
        numbers = [column.number for column in self._columns]
        table = [list(map(shown, self._values(row))) for row in self._rows]
        marked = [terminal and self._listing.marked(record) for _, record in self._rows]
        limit = shutil.get_terminal_size().columns if terminal else None
        if any(marked) and limit is not None:
            limit -= len(_MARK)
        lines = aligned([heads] * self._header + table, numbers, limit)
        for line, mark in zip(lines, [False] * self._header + marked, strict=True):
            space = " " * len(_MARK) if any(marked) else ""
            print(_coloured(_MARK + line) if mark else space + line)
        if any(marked):
            print(_MARK + self._listing.mark)

    def _records(self) -> None:
        """Print one field a line."""
        names = [column.name for column in self._columns]
        for n, row in enumerate(self._rows):
            if n:
                print()
            pairs = [
                [name, shown(value)] for name, value in zip(names, self._values(row), strict=True)
            ]
            for line in aligned(pairs, [False, False], None):
                print(line)


def _chosen(
    args: argparse.Namespace, listing: Listing, *, named: bool, single: bool
) -> list[Column]:
    own = list(map(_in_row, listing.columns))
    known = {one.name: one for one in ([_ACCOUNT, *own] if named else own)}
    if args.columns is None and args.format == "table" and not single:
        chosen = list(map(_in_row, listing.table))
    elif args.columns is None:
        chosen = own[: listing.documented]
    elif args.columns.strip() == "all":
        chosen = own
    else:
        names = [name.strip() for name in args.columns.split(",")]
        for name in names:
            _check(name, known, "--columns")
            if names.count(name) > 1:
                raise UsageError(f"--columns: duplicate column {name}")
        chosen = [known[name] for name in names]
    return chosen if not named or _ACCOUNT in chosen else [_ACCOUNT, *chosen]


def _sorting(written: str | None, listing: Listing, *, named: bool) -> tuple[Column, bool] | None:
    if written is None:
        return None
    known = {one.name: _in_row(one) for one in listing.columns}
    if named:
        known["account"] = _ACCOUNT
    name = written.removeprefix("-")
    _check(name, known, "--sort")
    return known[name], written.startswith("-")


def _check(name: str, known: Iterable[str], option: str) -> None:
    if name not in known:
        raise UsageError(f"{option}: no column {name!r}; there are: {', '.join(known)}")


def _in_row(column: Column) -> Column:
    """Give the same column of a row, which is an account and a record."""
    return column._replace(get=lambda row: column.get(row[1]))


_ACCOUNT = Column("account", itemgetter(0))


# --- forms of a value ----------------------------------------------------------------------


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _csv(value: Any) -> str:
    """Keep a spreadsheet from taking text for a formula."""
    formula = isinstance(value, str) and value.startswith(_FORMULAS)
    return f"'{value}" if formula else _plain(value)


def _tsv(value: Any) -> str:
    return "\\N" if value is None else _plain(value).translate(_TSV)


def _float(value: object) -> float:
    assert isinstance(value, Decimal)
    return float(value)  # it came from one


def json_text(value: object) -> str:
    """Write JSON in which what could move a terminal's cursor is escaped."""
    return _printable(json.dumps(value, ensure_ascii=False, indent=2, default=_float))


def _json_line(value: object) -> str:
    return _printable(json.dumps(value, ensure_ascii=False, default=_float))


def _printable(text: str) -> str:
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in text
    )


def aligned(
    table: Sequence[Sequence[str]], numbers: Sequence[bool], limit: int | None
) -> list[str]:
    """Align columns; where they are wider than the limit, the widest texts are cut."""
    widths = [max(map(width, column)) for column in zip(*table, strict=True)] if table else []
    if limit is not None:
        _narrow(widths, numbers, limit - 2 * (len(widths) - 1))
    lines = []
    for row in table:
        cells = []
        for text, number, columns in zip(row, numbers, widths, strict=True):
            text = text if number else shortened(text, columns)
            gap = " " * (columns - width(text))
            cells.append(gap + text if number else text + gap)
        lines.append("  ".join(cells).rstrip())
    return lines


def _narrow(widths: list[int], numbers: Sequence[bool], limit: int) -> None:
    texts = [n for n, number in enumerate(numbers) if not number and widths[n] > _NARROW]
    while texts and sum(widths) > limit:
        # Of the widest ones, the last.
        widest = max(texts, key=lambda n: (widths[n], n))
        widths[widest] -= 1
        if widths[widest] <= _NARROW:
            texts.remove(widest)


def _coloured(line: str) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return line if plain else f"\x1b[31m{line}\x1b[0m"
