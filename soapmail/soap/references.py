"""References inside a response, replaced by what they stand for, in one bounded pass."""

from __future__ import annotations

import copy
import itertools
import re
from typing import TYPE_CHECKING

from ..errors import ResponseError
from .element import XPath, attribute, local_name, name_types, spaces_of

if TYPE_CHECKING:
    from lxml import etree

    from ..deadline import Deadline

_DEPTH = 64
# What references may add to a response: some, and to a large one as much as ten times its size.
_SPARE = 100_000
_GROWTH = 10
_TARGETS = XPath("//*[@*[local-name()='id']]")
_SENT_AT = XPath("string(@enc:offset | @enc:position)")
_ID = XPath("string(@*[local-name()='id'])")


class References:
    """Puts in place of each ``href`` (SOAP 1.1) or ``ref`` (1.2) the element that it names."""

    def __init__(self, root: etree._Element, data: bytes, deadline: Deadline) -> None:
        self.deadline = deadline
        self._targets: dict[str, etree._Element] = {}
        for target in _TARGETS(root):
            deadline.check()
            name = _ID(target)
            if self._targets.setdefault(name, target) is not target:
                raise ResponseError("two elements with the same id", value=name)
        for element in root.iter():
            deadline.check()
            name_types(element)
        self._left = _SPARE + _GROWTH * len(data)
        self._ends: dict[str, etree._Element] = {}

    def resolved(self, value: etree._Element) -> etree._Element:
        """Return the return element with nothing in it that stands elsewhere."""
        value = self._end(value)
        waiting = [(value, 0)]
        while waiting:
            element, depth = waiting.pop()
            if depth > _DEPTH:
                raise ResponseError("nested too deep", place=_place(element))
            for child in list(element):
                self.deadline.check()
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
        while (link := _link(element)) is not None:
            written = _SENT_AT(element)
            if written:
                problem = "a partially transmitted array"
                raise ResponseError(problem, place=_place(start), value=written)
            if link in self._ends:
                break
            target = self._targets.get(link.removeprefix("#"))
            if target is None or link in passed:
                problem = (
                    "a circular reference" if link in passed else "a reference to a missing id"
                )
                raise ResponseError(problem, place=_place(start), value=link)
            passed[link] = None
            element = target
        end = element if link is None else self._ends[link]
        self._ends.update(dict.fromkeys(passed, end))
        return end

    def _put(self, target: etree._Element, child: etree._Element) -> etree._Element:
        for element in target.iter():
            self._left -= _size(element)
        if self._left < 0:
            raise ResponseError("references that multiply the response", place=_place(child))
        made = copy.deepcopy(target)
        made.tag, made.tail = child.tag, child.tail
        parent = child.getparent()
        assert parent is not None
        parent.replace(child, made)
        return made


def _size(element: etree._Element) -> int:
    outer = element.getparent()
    inherited = {} if outer is None else spaces_of(outer)
    own = spaces_of(element).items()
    spaces = [uri or "" for prefix, uri in own if inherited.get(prefix) != uri]
    texts = [element.text or "", element.tail or "", *map(str, element.values()), *spaces]
    return 100 * (len(texts) - 1) + sum(map(len, texts))


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
        row = local_name(inner) == "item" or attribute(outer, "arrayType") is not None
        names.append(f"row {outer.index(inner) + 1}" if row else local_name(inner))
    return ", ".join(names) or "return"


def _link(element: etree._Element) -> str | None:
    if len(element) or (element.text or "").strip():
        return None
    return attribute(element, "href") or attribute(element, "ref")
