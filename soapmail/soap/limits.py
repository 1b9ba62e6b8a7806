"""What a response may not hold, as reading it would take more than linear time."""

from __future__ import annotations

import re

from ..errors import ResponseError
from ..patterns import TAG

# Older parsers take the square of a tag's attributes, and each element repeats its namespace.
_LONG_TAG = 8 * 1024
_STEP = 4 * 1024
_LONG_SPACE = 200
_SPACES = 1000


class _Tags:
    """Refuses a tag that is too long, before the parser takes it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._last = self._known = -1

    def check(self, start: int, end: int) -> None:
        """Look at the next bytes: where no tag begins for long, one may not have ended."""
        for at in range(start, end, _STEP):
            begun = self._data.rfind(b"<", at, min(at + _STEP, end))
            if begun >= 0:
                self._last = begun
            elif self._known != self._last:
                self._known = self._last
                self._check_length()

    def _check_length(self) -> None:
        data, begun = self._data, self._last
        limit = begun + _LONG_TAG
        if data[begun + 1 : begun + 2] in b"!? \t\n" or len(data) < limit:  # not a tag
            return
        if not re.compile(TAG).match(data, begun, limit):
            shown = data[begun:limit].decode(errors="ignore")
            raise ResponseError(f"a tag of more than {_LONG_TAG} bytes", value=shown)


def _check_space(name: str, inside: int) -> None:
    """Refuse what makes a look for a prefix take long."""
    if inside > _SPACES:
        raise ResponseError(f"more than {_SPACES} namespaces, one inside another")
    if len(name) > _LONG_SPACE:
        raise ResponseError(f"a namespace of more than {_LONG_SPACE} characters", value=name)
