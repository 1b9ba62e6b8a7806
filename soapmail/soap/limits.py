"""What a response may not hold, as reading it would take more than linear time."""

from __future__ import annotations

import re

from ..errors import ResponseError
from ..patterns import TAG

MAX_DEPTH = 64
# libxml2 2.9 compares each attribute of a tag with those before it, and each element repeats its
# namespace (test_costs).
MAX_TAG_BYTES = 8 * 1024
_SEARCH_STEP_BYTES = 4 * 1024
MAX_NAMESPACE_CHARACTERS = 200
MAX_NESTED_NAMESPACES = 1000
# lxml builds a dict of all of them for each prefix that is looked up.
MAX_NAMESPACES_IN_SCOPE = 200


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


def check_namespace(name: str, depth: int) -> None:
    """Refuse a namespace that makes a look for a prefix take long."""
    if depth > MAX_NESTED_NAMESPACES:
        problem = f"more than {MAX_NESTED_NAMESPACES} namespaces, one inside another"
        raise ResponseError(problem)
    if len(name) > MAX_NAMESPACE_CHARACTERS:
        problem = f"a namespace of more than {MAX_NAMESPACE_CHARACTERS} characters"
        raise ResponseError(problem, value=name)
