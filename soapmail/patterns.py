"""What XML, numbers and statuses look like in writing: each pattern and each check stands once.

The patterns are compiled where they are first needed: that takes longer than the rest of a call.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    from decimal import Decimal

# XML 1.0 2.2: what it cannot carry, not even as a reference.
FORBIDDEN = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# XML 1.0 2.3 (NameStartChar and NameChar), without the colon of a prefix.
_NAME_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
NAME = f"[{_NAME_START}][{_NAME_START}\\-.0-9\u00b7\u0300-\u036f\u203f\u2040]*"
BLANK = " \t\r\n"  # XML 1.0 2.3
# XML Schema part 2, 3.3.13 and 3.2.4, without NaN and INF; ASCII digits alone.
INT = r"[+-]?[0-9]{1,40}"
FLOAT = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
# The provider's dates, some of them without a time, and how MySQL writes that there is none.
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}(?: (?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})?"
NO_DATE = "0000-00-00(?: 00:00:00)?"
FLOAT_DIGITS = 15  # so many are kept by a float, whichever they are (IEEE 754)
URL = r"https?://[^\s<>\ufffd]+"
# A whole tag; a value may hold ">" (XML 1.0 2.4).
TAG = rb"""<[^<>"']*(?:"[^"<]*"[^<>"']*|'[^'<]*'[^<>"']*){0,9999}>"""


def is_count(text: str, max_digits: int = 19) -> bool:
    """Return whether a text is a number of plain digits, and no more of them than allowed."""
    return text.isascii() and text.isdigit() and len(text) <= max_digits


def is_ok(status: str) -> bool:
    """Return whether a status is "ok", of ASCII alone: there are other letters K (U+212A)."""
    return status.strip().encode().lower() == b"ok"


def is_written_of(number: Decimal, value: float) -> bool:
    """Return whether a number is a float as Python writes it, or PHP with a precision of 15 to 17.

    IEEE 754: 17 digits tell all floats apart, so 34.950000000000003 is the float 34.95.
    """
    texts = (repr(value), *(f"{value:.{digits}g}" for digits in (15, 16, 17)))
    return any(number == type(number)(text) for text in texts)
