"""Records in, and out in the form that was asked for: a table, JSON, CSV and their like."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import fields
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..patterns import DATE, NO_DATE
from .exit_codes import UsageError
from .tables import Kind, make_table
from .terminal import measure_terminal, print_error, printable, write, write_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

_STREAMED_FORMATS = ("jsonl", "csv", "tsv")
_WITH_HEADER = ("table", "csv", "tsv")
_MARK = "! "
_TSV = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, CSV injection
_KINDS = {"int | None": Kind.ID, "int": Kind.ID, "float | None": Kind.MONEY}
_SENTENCES = ("description", "comment", "extra", "text")


class Column(NamedTuple):
    """One column: its name, how it comes out of a record, and what it holds."""

    name: str
    get: Callable[[Any], Any]
    kind: Kind = Kind.NAME


class RecordFormat(NamedTuple):
    """All columns of one kind of record, and which are printed unless others are asked for.

    ``table`` are those that a person reads, under names for a person; ``is_marked`` says of a
    record whether it stands out on a terminal, and ``mark`` what that means. Only the first
    ``documented`` columns are printed for programs; ``None``: all.
    """

    columns: Sequence[Column]
    table: Sequence[Column]
    is_marked: Callable[[Any], bool] = lambda record: False
    mark: str = ""
    documented: int | None = None


def list_documented_columns(model: type[Any], path: str = "") -> list[Column]:
    """Return the columns of the documented fields of a model."""
    return [
        Column(field.name, attrgetter(path + field.name), _find_kind(field.name, str(field.type)))
        for field in fields(model)
    ]


def _find_kind(name: str, annotation: str) -> Kind:
    last = name.rpartition("_")[2]
    if annotation in _KINDS:
        return _KINDS[annotation]
    if last in ("date", "created"):
        return Kind.DAY
    return Kind.TEXT if last in _SENTENCES else Kind.NAME


class RecordWriter:
    """What is printed of the records of one command; UsageError: of unknown columns."""

    def __init__(
        self,
        args: argparse.Namespace,
        record_format: RecordFormat,
        *,
        is_named: bool,
        is_single: bool = False,
    ) -> None:
        self._format: str = args.format
        self._record_format = record_format
        self._is_single = is_single
        self._has_header = not args.no_header
        is_record = is_single and self._format == "table"
        if args.no_header and (is_record or self._format not in _WITH_HEADER):
            raise UsageError("--no-header: there is no header in this form")
        self._columns = _choose_columns(args, record_format, is_named=is_named, is_single=is_single)
        self._sort = _choose_sorting(args.sort, record_format, is_named=is_named)
        self._is_streamed = self._format in _STREAMED_FORMATS and self._sort is None
        self._rows: list[tuple[str | None, Any]] = []
        self._has_begun = False
        self.count = 0

    def add(self, account: str | None, records: Iterable[Any]) -> None:
        """Add the records of one account, and print them now where that is possible."""
        rows = [(account, record) for record in records]
        self.count += len(rows)
        if self._is_streamed:
            self._write(rows)
        else:
            self._rows += rows

    def finish(self) -> None:
        """Print what is not printed yet."""
        if self._sort is not None:
            column, backwards = self._sort
            keyed = [(_make_sort_key(column.kind, column.get(row)), row) for row in self._rows]
            with_key = [pair for pair in keyed if pair[0] is not None]
            with_key.sort(key=itemgetter(0), reverse=backwards)
            self._rows = [row for _, row in with_key] + [row for key, row in keyed if key is None]
        if self._format == "table":
            self._print_table()
        elif self._format == "json":
            write_line(format_json([self._get_fields(row) for row in self._rows]))
        else:
            self._write(self._rows)

    def _get_values(self, row: tuple[str | None, Any]) -> list[Any]:
        return [column.get(row) for column in self._columns]

    def _get_fields(self, row: tuple[str | None, Any]) -> dict[str, Any]:
        return {column.name: column.get(row) for column in self._columns}

    # --- a line a record -----------------------------------------------------------------------

    def _write(self, rows: Sequence[tuple[str | None, Any]]) -> None:
        is_first, self._has_begun = not self._has_begun, True
        names = [[column.name for column in self._columns]] * (is_first and self._has_header)
        if self._format == "jsonl":
            lines = [format_json(self._get_fields(row), indent=None) for row in rows]
            write("".join(f"{line}\n" for line in lines))
        elif self._format == "tsv":
            cells = [*names, *(map(_format_tsv, self._get_values(row)) for row in rows)]
            write("".join("\t".join(line) + "\n" for line in cells))
        else:
            text = io.StringIO(newline="")
            writer = csv.writer(text)
            writer.writerows(names)
            writer.writerows(map(_format_csv, self._get_values(row)) for row in rows)
            # By the mark a spreadsheet knows UTF-8.
            write("\ufeff" * is_first + text.getvalue())

    # --- for a person --------------------------------------------------------------------------

    def _print_table(self) -> None:
        if self._is_single:
            self._print_records()
            return
        width = measure_terminal()
        is_marked = self._record_format.is_marked
        marked = [width is not None and is_marked(record) for _, record in self._rows]
        has_marks = any(marked)
        space = " " * len(_MARK) if has_marks else ""
        table = make_table(
            [column.name for column in self._columns],
            [column.kind for column in self._columns],
            [list(map(printable, self._get_values(row))) for row in self._rows],
            limit=width and width - len(space),
            has_header=self._has_header,
        )
        if has_marks:
            marks = [False] * self._has_header + marked
            for line, is_red in zip(table.lines, marks, strict=True):
                write(f"{_MARK if is_red else space}{line}", is_red=is_red)
                write("\n")
            write_line(_MARK + self._record_format.mark)
        else:  # at once: each write asks what stdout is
            write("".join(f"{line}\n" for line in table.lines))
        report_left_out(table.left_out)

    def _print_records(self) -> None:
        names = [column.name for column in self._columns]
        for number, row in enumerate(self._rows):
            if number:
                write("\n")
            values = map(printable, self._get_values(row))
            pairs = list(zip(names, values, strict=True))
            table = make_table(["", ""], [Kind.NAME, Kind.TEXT], pairs, has_header=False)
            write("".join(f"{line}\n" for line in table.lines))


def report_left_out(names: Sequence[str]) -> None:
    """Print on stderr which columns a terminal has no room for."""
    if names:
        print_error(f"no room for the columns: {', '.join(names)}")


def _choose_columns(
    args: argparse.Namespace, record_format: RecordFormat, *, is_named: bool, is_single: bool
) -> list[Column]:
    own = list(map(_take_of_row, record_format.columns))
    columns = {column.name: column for column in ([_ACCOUNT, *own] if is_named else own)}
    if args.columns is None and args.format == "table" and not is_single:
        chosen = list(map(_take_of_row, record_format.table))
    elif args.columns is None:
        chosen = own[: record_format.documented]
    elif args.columns.strip() == "all":
        chosen = own
    else:
        names = [name.strip() for name in args.columns.split(",")]
        for name in names:
            _require_column(name, columns, "--columns")
            if names.count(name) > 1:
                raise UsageError(f"--columns: duplicate column {name}")
        chosen = [columns[name] for name in names]
    return chosen if not is_named or _ACCOUNT in chosen else [_ACCOUNT, *chosen]


def _choose_sorting(
    option: str | None, record_format: RecordFormat, *, is_named: bool
) -> tuple[Column, bool] | None:
    if option is None:
        return None
    columns = {column.name: _take_of_row(column) for column in record_format.columns}
    if is_named:
        columns["account"] = _ACCOUNT
    name = option.removeprefix("-")
    _require_column(name, columns, "--sort")
    return columns[name], option.startswith("-")


def _make_sort_key(kind: Kind, value: Any) -> Any:
    """Return what a value is sorted by; ``None``: it comes last."""
    if kind is Kind.DAY and (re.fullmatch(NO_DATE, str(value)) or not re.match(DATE, str(value))):
        return None
    return (value.casefold(), value) if isinstance(value, str) else value


def _require_column(name: str, columns: Iterable[str], option: str) -> None:
    if name not in columns:
        raise UsageError(f"{option}: no column {name!r}; there are: {', '.join(columns)}")


def _take_of_row(column: Column) -> Column:
    return column._replace(get=lambda row: column.get(row[1]))


_ACCOUNT = Column("account", itemgetter(0))


# --- forms of a value ----------------------------------------------------------------------


def _format_plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _format_csv(value: Any) -> str:
    """Return a value that no spreadsheet takes for a formula, if it is a text."""
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula else _format_plain(value)


def _format_tsv(value: Any) -> str:
    return "\\N" if value is None else _format_plain(value).translate(_TSV)


def format_json(value: object, indent: int | None = 2) -> str:
    """Return JSON in which what could move a terminal's cursor is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=_to_float)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        letter if letter == "\n" or letter.isprintable() else json.dumps(letter)[1:-1]
        for letter in text
    )


def _to_float(value: object) -> float:
    """Return the float that an amount came from; of sums that are too large, the whole number."""
    assert isinstance(value, Decimal)
    return float(value) if math.isfinite(float(value)) else int(value)
