"""Tables for a person: what a column holds decides its side, and what gives way to others."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from .widths import cut_to_width, measure_width

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = "  "
_MIN_WIDTH = 8  # of a text that is cut


class Kind(Enum):
    """What a column holds: of these, names and texts are cut where a line has no room."""

    ID = "a number that names or counts"
    DAY = "a day, or the text that stood in its place"
    MONEY = "an amount"
    FLAG = "yes or no"
    NAME = "a word"
    TEXT = "a sentence"

    @property
    def is_right(self) -> bool:
        """Whether it stands at the right side of its column."""
        return self in (Kind.ID, Kind.MONEY)


# What gives way first: by being cut, then by being left out.
_CUT = (Kind.TEXT, Kind.NAME)
_LEFT_OUT = (*_CUT, Kind.FLAG, Kind.ID, Kind.DAY, Kind.MONEY)


class Table(NamedTuple):
    """The lines of a table, and the names of the columns that it has no room for."""

    lines: list[str]
    left_out: list[str]


def make_table(
    names: Sequence[str],
    kinds: Sequence[Kind],
    rows: Sequence[Sequence[str]],
    *,
    limit: int | None = None,
    has_header: bool = True,
) -> Table:
    """Return a table that is no wider than the limit; the first column is never left out."""
    table = [list(names), *rows] if has_header else list(rows)
    natural = [max((measure_width(row[n]) for row in table), default=0) for n in range(len(names))]
    columns = list(range(len(names)))
    widths = _fit(columns, natural, kinds, limit)
    while limit is not None and len(columns) > 1 and _measure_line(widths) > limit:
        kind = next(k for k in _LEFT_OUT if any(kinds[n] is k for n in columns[1:]))
        found = [n for n in columns[1:] if kinds[n] is kind]
        # Of an invoice's two days the one that it is due on comes last.
        columns.remove(found[0 if kind is Kind.DAY else -1])
        widths = _fit(columns, natural, kinds, limit)
    lines = [
        _GAP.join(
            _pad(row[n], kinds[n], width) for n, width in zip(columns, widths, strict=True)
        ).rstrip()
        for row in table
    ]
    return Table(lines, [name for n, name in enumerate(names) if n not in columns])


def _pad(text: str, kind: Kind, width: int) -> str:
    text = cut_to_width(text, width)
    gap = " " * (width - measure_width(text))
    return gap + text if kind.is_right else text + gap


def _measure_line(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _fit(
    columns: Sequence[int], natural: Sequence[int], kinds: Sequence[Kind], limit: int | None
) -> list[int]:
    """Return the widths of columns, of which those that may be cut give way to the limit."""
    widths = {n: natural[n] for n in columns}
    for kind in _CUT:
        if limit is not None and _measure_line([*widths.values()]) > limit:
            cut = {n: width for n, width in widths.items() if kinds[n] is kind}
            room = limit - _measure_line([*widths.values()]) + sum(cut.values())
            widths |= _share(cut, room)
    return [widths[n] for n in columns]


def _share(widths: dict[int, int], room: int) -> dict[int, int]:
    """Return widths that fit into the room, the widest cut first, and none below a word's."""
    order = sorted(widths, key=lambda n: widths[n])
    shared = {}
    for rank, n in enumerate(order):
        fair = room // (len(order) - rank)
        shared[n] = min(widths[n], max(fair, _MIN_WIDTH))
        room -= shared[n]
    return shared
