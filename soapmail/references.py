"""References inside an answer, replaced by what they stand for, in one bounded pass."""

from __future__ import annotations

import copy
import itertools
import re
from typing import TYPE_CHECKING

from .element import etree, local_name, mark
from .errors import ResponseError

if TYPE_CHECKING:
    from .deadline import Deadline

_DEPTH = 64
# What references may add to an answer: some, and in large answers as much as ten times that much.
_SPARE = 100_000
_GROWTH = 10

_TARGETS = etree.XPath("//*[@*[local-name()='id']]")
_ID = etree.XPath("string(@*[local-name()='id'])", smart_strings=False)


class References:
    """Puts in place of each ``href`` (SOAP 1.1) or ``ref`` (1.2) the element that it names."""

    def __init__(self, root: etree._Element, data: bytes, deadline: Deadline) -> None:
        self.deadline = deadline
        self._targets: dict[str, etree._Element] = {}
        for target in _TARGETS(root):
            if self._targets.setdefault(_ID(target), target) is not target:
                raise ResponseError("two elements with the same id", value=_ID(target))
        self._left = _SPARE + _GROWTH * len(data)
        self._ends: dict[str, etree._Element] = {}
        self._sizes: dict[etree._Element, int] = {}

    def resolved(self, value: etree._Element) -> etree._Element:
        """Return the return element with nothing in it that stands elsewhere."""
        value = self._end(value)
        waiting = [(value, 0)]
        while waiting:
            element, depth = waiting.pop()
            if depth > _DEPTH:
                raise ResponseError("nested too deep", place=_place(element))
            for child in list(element):
                target = self._end(child)
                if target is not child:
                    child = self._put(target, child)
                if len(child):
                    waiting.append((child, depth + 1))
        return value

    def _end(self, element: etree._Element) -> etree._Element:
        """Follow references from one to the next, each of them once in all."""
        start = element
        passed: dict[str, None] = {}
        while (link := _link(element)) is not None and link not in self._ends:
            target = self._targets.get(link.removeprefix("#"))
            if target is None or link in passed:
                problem = "a reference in a circle" if link in passed else "a reference to nothing"
                raise ResponseError(problem, place=_place(start), value=link)
            passed[link] = None
            element = target
        end = element if link is None else self._ends[link]
        self._ends.update(dict.fromkeys(passed, end))
        return end

    def _put(self, target: etree._Element, child: etree._Element) -> etree._Element:
        self.deadline.check()
        if target not in self._sizes:
            self._sizes[target] = sum(100 + len(one.text or "") for one in target.iter())
        self._left -= self._sizes[target]
        if self._left < 0:
            raise ResponseError("references that multiply the answer", place=_place(child))
        made = copy.deepcopy(target)
        made.tag, made.tail = child.tag, child.tail
        parent = child.getparent()
        assert parent is not None
        parent.replace(child, made)
        return made


def has_references(data: bytes) -> bool:
    """Tell whether an attribute ``href`` or ``ref`` may be there; text that looks so may be too."""
    at = data.find(b"ref")
    while at >= 0:
        if data[at + 3 : at + 4] in (b"=", b" ", b"\t", b"\r", b"\n") and re.compile(
            rb"ref\s*="
        ).match(data, at):
            return True
        at = data.find(b"ref", at + 3)
    return False


def _place(element: etree._Element) -> str:
    """Say where in the return element one stands: in which row, in which field."""
    path = [element, *element.iterancestors()][:-3]
    names = []
    for outer, inner in itertools.pairwise(path[::-1]):
        row = local_name(inner) == "item" or mark(outer, "arrayType") is not None
        names.append(f"row {outer.index(inner) + 1}" if row else local_name(inner))
    return ", ".join(names) or "return"


def _link(element: etree._Element) -> str | None:
    if len(element) or (element.text or "").strip():
        return None
    return mark(element, "href") or mark(element, "ref")
