"""How many columns of a terminal a text takes (Unicode annexes 11, 29 and 51)."""

from __future__ import annotations

import unicodedata
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_EMOJI_STYLE = "\ufe0f"
_VIRAMA = 9  # the canonical combining class (Unicode 4.3)
_OTHER_EMOJI = frozenset("#*0123456789©®‼⁉™ℹ〰〽")
_FLAG_LETTERS = frozenset(map(chr, range(0x1F1E6, 0x1F200)))
_SKINS = frozenset(map(chr, range(0x1F3FB, 0x1F400)))
# Vowels and finals of Hangul stand in the square of the consonant before them; fillers are empty.
_HANGUL_PARTS = frozenset(
    map(chr, [*range(0x1160, 0x1200), *range(0xD7B0, 0xD800), 0x3164, 0xFFA0])
)


def measure_width(text: str) -> int:
    """Return how many columns a text takes, by the rules of wcwidth."""
    if text.isascii():
        return len(text)
    return deque(_iter_widths(text), 1).pop()


def cut_to_width(text: str, columns: int) -> str:
    """Return a text that takes so many columns at most."""
    if len(text) <= columns and measure_width(text) <= columns:
        return text
    length = fitting = 0
    for end, width in enumerate(_iter_widths(text), 1):
        if width > columns:
            return f"{text[:fitting]}…"
        length = end
        if width < columns:
            fitting = end
    return text[:length]


def _iter_widths(text: str) -> Iterator[int]:
    """Yield after each character how many columns the text takes up to there."""
    done = cluster = flags = 0
    base = ""
    # Whether what follows may widen the base, or is a consonant that joins it.
    is_open = is_joined = False
    for letter in text:
        width = _measure_letter(letter)
        flags = flags + 1 if letter in _FLAG_LETTERS else 0
        if letter == _EMOJI_STYLE:
            cluster = 2 if is_open and (base in _OTHER_EMOJI or _is_symbol(base)) else cluster
            is_open = False
        elif (flags and flags % 2 == 0) or (letter in _SKINS and _is_symbol(base)):
            pass  # the second half of a flag, or the colour of a skin
        elif width:
            if is_joined:
                cluster = 2
            else:
                done, cluster = done + cluster, width
            base, is_open, is_joined = letter, True, False
        elif unicodedata.combining(letter) == _VIRAMA:
            is_joined = True
        else:
            if is_open and unicodedata.category(letter) == "Mc":
                cluster, is_open = 2, False
            is_joined = False
        yield done + cluster


def _measure_letter(letter: str) -> int:
    if letter in _HANGUL_PARTS or unicodedata.category(letter) in ("Mn", "Mc", "Me"):
        return 0
    return 1 + (unicodedata.east_asian_width(letter) in "WF" or letter in _FLAG_LETTERS)


def _is_symbol(letter: str) -> bool:
    """Return whether a letter may be an emoji, as far as categories tell."""
    return letter >= "\u2190" and unicodedata.category(letter) in ("So", "Sm")
