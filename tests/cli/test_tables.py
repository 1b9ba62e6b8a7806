"""Tables: widths, what gives way, and what may reach a terminal."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from soapmail.cli import terminal as terminal_module
from soapmail.cli.tables import Kind, make_table
from soapmail.cli.terminal import printable, write
from soapmail.cli.widths import cut_to_width, measure_width

from ..commands import ACCOUNT, Terminal

if TYPE_CHECKING:
    from soapmail.sandbox import Sandbox

# --- widths ------------------------------------------------------------------------------------------

# Of Unicode 16 they are wide, of those of older Pythons narrow; scripts that have joined later.
CHANGED = (*range(0x2630, 0x2638), *range(0x268A, 0x2690), *range(0x4DC0, 0x4E00), *range(0x1D300, 0x1D380))  # fmt: skip


def test_each_letter_is_as_wide_as_wcwidth_says() -> None:
    wrong = []
    for number in range(0x20, 0x110000):
        letter = chr(number)
        if number in CHANGED or not letter.isprintable():
            continue
        if measure_width(letter) != wcwidth.wcwidth(letter):
            wrong.append(hex(number))
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3), ("日本", 4), ("e\u0301é", 2), ("한국어", 6), ("नि", 2), ("क्ष", 2), ("ที่", 1), ("👍🏽", 2), ("🇩🇪🇫🇷", 4),
        ("❤\ufe0f", 2), ("1\ufe0f\u20e3", 2), ("a\ufe0f", 1), ("", 0), ("\u0301", 0), ("⚠\ufe0f x", 4), ("日🏽", 4),
    ],
)  # fmt: skip
def test_what_belongs_together_is_as_wide_as_wcwidth_says(text: str, width: int) -> None:
    assert measure_width(text) == wcwidth.wcswidth(text) == width


@given(st.text(st.sampled_from("aé日한नि\u0301\u094d👍🏽🇩🇪🇫⚠x "), max_size=12))
def test_mixtures_are_as_wide_as_wcwidth_says(text: str) -> None:
    assert measure_width(text) == wcwidth.wcswidth(text)


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"),
        ("ab", 1, "…"), ("e\u0301e\u0301e\u0301", 2, "e\u0301…"), ("👍🏽👍🏽", 3, "👍🏽…"), ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
    ],
)  # fmt: skip
def test_shortening(text: str, width: int, cut: str) -> None:
    assert cut_to_width(text, width) == cut


@given(st.text(st.sampled_from("ab日e\u0301👍🏽 "), max_size=20), st.integers(1, 12))
def test_a_cut_text_fits_and_is_a_beginning(text: str, columns: int) -> None:
    cut = cut_to_width(text, columns)
    assert measure_width(cut) <= columns
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))
    assert (cut == text) == (measure_width(text) <= columns)


# --- what gives way ----------------------------------------------------------------------------------

KINDS = [Kind.ID, Kind.DAY, Kind.MONEY, Kind.FLAG, Kind.NAME, Kind.TEXT]
NAMES = ["id", "day", "cost", "paid", "name", "text"]
ROW = ["7514880", "2021-03-10", "1.00 USD", "no", "n" * 20, "t" * 30]


@pytest.mark.parametrize(
    ("limit", "line", "left_out"),
    [
        (None, [*ROW], []),
        (87, [*ROW], []),
        (86, [*ROW[:5], "t" * 28 + "…"], []),
        (65, [*ROW[:5], "ttttttt…"], []),
        (64, [*ROW[:4], "n" * 18 + "…", "ttttttt…"], []),
        (53, [*ROW[:4], "nnnnnnn…", "ttttttt…"], []),
        (52, [*ROW[:4], "n" * 16 + "…"], ["text"]),
        (43, [*ROW[:4], "nnnnnnn…"], ["text"]),
        (42, [*ROW[:4]], ["name", "text"]),
        (32, [*ROW[:3]], ["paid", "name", "text"]),
        (28, [ROW[0], ROW[2]], ["day", "paid", "name", "text"]),
        (16, [ROW[0]], ["day", "cost", "paid", "name", "text"]),
        (3, [ROW[0]], ["day", "cost", "paid", "name", "text"]),
    ],
)
def test_texts_give_way_then_names_then_whole_columns(
    limit: int | None, line: list[str], left_out: list[str]
) -> None:
    table = make_table(NAMES, KINDS, [ROW], limit=limit, has_header=False)
    assert table.lines[0].split("  ") == line
    assert table.left_out == left_out
    if limit is not None and len(line) > 1:
        assert len(table.lines[0]) <= limit


def test_numbers_stand_to_the_right() -> None:
    table = make_table(["id", "cost", "name"], [Kind.ID, Kind.MONEY, Kind.NAME], [["5", "1", "x"]])
    assert table.lines == ["id  cost  name", " 5     1  x"]
    assert make_table(["id"], [Kind.ID], [], has_header=False).lines == []


def test_wide_letters_keep_columns_aligned() -> None:
    rows = [["a", "b"], ["日本", "x"], ["e\u0301é", "y"], ["abcd", "z"]]
    table = make_table(["", ""], [Kind.NAME, Kind.NAME], rows, has_header=False)
    assert table.lines == ["a     b", "日本  x", "e\u0301é    y", "abcd  z"]


def test_the_widest_of_a_kind_gives_way_first() -> None:
    """Eight letters of each stay."""
    row = ["x" * 8, "y" * 9, "z" * 30]
    kinds = [Kind.TEXT] * 3
    table = make_table(["a", "b", "c"], kinds, [row], limit=39, has_header=False)
    assert [len(cell) for cell in table.lines[0].split("  ")] == [8, 9, 18]
    table = make_table(["a", "b", "c"], kinds, [row], limit=28, has_header=False)
    assert [len(cell) for cell in table.lines[0].split("  ")] == [8, 8, 8]
    assert table.left_out == []


# --- what may reach a terminal -----------------------------------------------------------------------


def test_what_moves_the_cursor_is_not_printed() -> None:
    assert printable("a\x1b[31mb\r\n\u202e\x07c") == "a [31mb    c"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_writer_cleans_what_a_terminal_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\ufeffa\x1b[31m\x9b\u202e\tb\r\nc\rd\n"
    for stream, written in ((Screen(), "a [31m  \tb\nc d\n"), (io.StringIO(newline=""), text)):
        monkeypatch.setattr(sys, "stdout", stream)
        write(text)
        assert stream.getvalue() == written


@pytest.mark.parametrize(
    "words",
    [
        "invoices", "invoices --format json", "invoices --format jsonl", "invoices --format csv", "invoices --format tsv",
        "check --all-services", "check --all-services --format json", "check --all-services --format prometheus",
        "summary currency --format tsv", "invoice 7514880", "pay --open --all-services --dry-run", "services --format csv",
        "pay-url 7514880", "call api_mail_get_client_invoices",
    ],
)  # fmt: skip
def test_no_format_moves_the_cursor_of_a_terminal(sandbox: Sandbox, words: str) -> None:
    evil = "a\x85\x9b31m\u202eb"
    sandbox.invoices = [
        replace(sandbox.invoices[0], invoices_description=evil, invoices_currency="U\u202eD")
    ]
    sandbox.services[0] = replace(sandbox.services[0], mail_comment=evil)
    environment = {**ACCOUNT, "SOAPMAIL_ENDPOINT": sandbox.endpoint, "NO_COLOR": "1"}
    _, out = Terminal(*words.split(), columns=300, environment=environment).end()
    assert {letter for letter in out if not letter.isprintable()} <= {"\n", "\t"}
    assert out.count("\n") >= 1


def test_nothing_of_this_package_writes_to_stdout_but_the_writer() -> None:
    """Each place that prints goes through ``write``, which knows what stdout is."""
    from pathlib import Path

    folder = Path(terminal_module.__file__).parent
    places = [
        f"{path.name}: {line.strip()}"
        for path in sorted(folder.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if ("print(" in line or "stdout.write" in line) and "def print" not in line
    ]
    assert places == [
        "terminal.py: print(line, file=sys.stderr, flush=True)",
        "terminal.py: sys.stdout.write(_colour_red(text) if is_red else text)",
        'terminal.py: print(question, end="", file=sys.stderr, flush=True)',
    ]


def test_a_long_text_is_cut_in_linear_time() -> None:
    """Four times as long a text takes about four times as long, and not sixteen times."""

    def count_steps(length: int) -> int:
        steps = 0

        def count(*args: object) -> object:
            nonlocal steps
            steps += 1
            return count

        previous = sys.gettrace()
        sys.settrace(count)  # type: ignore[arg-type]
        try:
            make_table(["t"], [Kind.TEXT], [["é" * length]] * 2, limit=20)
        finally:
            sys.settrace(previous)
        return steps

    assert count_steps(4000) < 5 * count_steps(1000)
