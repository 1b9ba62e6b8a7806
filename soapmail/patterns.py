"""What XML, numbers and secrets look like in writing: each pattern and each check stands once.

The patterns are compiled where they are first needed: that takes longer than the rest of a call.
"""

from __future__ import annotations

# What XML 1.0 cannot carry, not even as a reference.
FORBIDDEN = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
NAME = f"[{_START}][{_START}\\-.0-9\u00b7\u0300-\u036f\u203f\u2040]*"
INT = r"[+-]?[0-9]{1,40}"
FLOAT = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
URL = r"https?://[^\s<>\ufffd]+"
# A whole tag; a value may hold ">".
TAG = rb"""<[^<>"']*(?:"[^"<]*"[^<>"']*|'[^'<]*'[^<>"']*){0,9999}>"""


def is_count(text: str, most: int = 19) -> bool:
    """Tell whether a text is a number of plain digits, and no more of them than ``most``."""
    return text.isascii() and text.isdigit() and len(text) <= most
