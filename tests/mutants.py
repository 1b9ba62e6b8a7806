"""Mutated answers and what must hold for them; run as a program it fuzzes.

    python -m tests.mutants 1000000

The oracle is Python's own ElementTree: where it can read a mutant, soapmail must read the same or
say no; where it cannot, soapmail may only lose the field that holds the changed byte.
"""

from __future__ import annotations

import logging
import random
import sys
from collections import Counter
from dataclasses import fields
from xml.etree import ElementTree

from soapmail import Invoice, SoapMailError
from soapmail.extract import rows

from .support import FIELDS, invoices_answer

NAMES = [field.name for field in fields(Invoice)]
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
KINDS = {"int": int, "float": float}


def seeds() -> list[bytes]:
    """Give whole answers of different kinds, declared as the UTF-8 that they are."""
    plain: dict[str, object] = dict.fromkeys(NAMES, "1")
    awkward = {**plain, "invoices_description": "Café & <日本> 😀 ]]>", "invoices_paid": None}
    few: dict[str, object] = {"invoices_id": 5, "invoices_description": None, "invoices_amount": ""}
    ascii_ = invoices_answer([plain, {**few, "invoices_date": "2021-02-24 01:38:45"}])
    spaced = invoices_answer([few, awkward], declared="UTF-8").replace(b"><", b">\n <")
    # The server's own label, and letters in one field only.
    labelled = invoices_answer([plain, awkward])
    return [
        ascii_,
        invoices_answer([awkward, plain, few], declared="UTF-8"),
        spaced,
        labelled,
        invoices_answer([], declared="UTF-8"),
        invoices_answer([awkward], declared="UTF-8").replace(b"SOAP-ENV", b"s"),
    ]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change, drop or repeat one byte."""
    at = chance.randrange(len(data))
    way = chance.randrange(4)
    if way == 0:
        return data[:at] + data[at + 1 :]
    if way == 1:
        return data[: at + 1] + data[at:]
    letter = chance.randrange(256) if way == 2 else chance.choice(b"<>&\"'=/ ;:#0x[]\x00\xc3\xe9")
    return data[:at] + bytes([letter]) + data[at + 1 :]


def oracle(data: bytes) -> list[Invoice] | None:
    """Read an answer with ElementTree and the least of mapping; None where that is not XML."""
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    found = []
    for row in root[0][0][0]:
        values: dict[str, object] = {}
        for cell in row:
            name = cell.tag.rpartition("}")[2]
            if name in FIELDS:
                text = cell.text or ""
                nil = not text and any(
                    key.rpartition("}")[2] == "nil" and value.strip() in ("true", "1")
                    for key, value in cell.attrib.items()
                )
                kind = KINDS.get(FIELDS[name])
                values[name] = None if nil or (kind and not text.strip()) else kind(text) if kind else text  # fmt: skip
        found.append(Invoice(**values))  # type: ignore[arg-type]
    return found


def differences(found: list[Invoice], whole: list[Invoice]) -> int:
    """Count the fields that differ."""
    return sum(
        getattr(one, name) != getattr(other, name)
        for one, other in zip(found, whole, strict=True)
        for name in NAMES
    )


def check(mutant: bytes, whole: list[Invoice], *, labelled: bool) -> str:
    """Say what became of a mutant; AssertionError where that is wrong."""
    try:
        found = rows(mutant, Invoice)
    except SoapMailError:
        return "error"
    assert len(found) == len(whole), mutant
    assert differences(found, whole) <= 1, mutant
    # ElementTree believes the server's label, which is wrong.
    expected = None if labelled else oracle(mutant)
    assert expected is None or found == expected, mutant
    return "same" if found == whole else "one field"


def main(count: int) -> None:
    """Fuzz, and print what became of the mutants."""
    logging.disable(logging.CRITICAL)
    chance = random.Random(20261122)
    answers = [(data, rows(data, Invoice)) for data in seeds()]
    ends: Counter[str] = Counter()
    for n in range(count):
        data, whole = answers[n % len(answers)]
        ends[check(mutated(data, chance), whole, labelled=b"ISO-8859-1" in data)] += 1
    print(f"{count} mutants: {dict(ends)}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
