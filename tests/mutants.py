"""Responses made and damaged by chance, read by soapmail and by an oracle; as a program it fuzzes.

    python -m tests.mutants 1000000 [SEED]

The oracle is ``tests.oracle``, which parses with expat. Both have to give the same rows, or both an
error. What ever differed is kept in ``tests/data/found``, and tried again by the tests.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import sys

from soapmail import Invoice, SoapMailError
from soapmail.extract import rows

from . import oracle, support
from .support import DATA, LIST, wrap_in_envelope, write_array, write_field

KINDS: dict[str, type] = {"int": int, "float": float, "string": str}
FIELDS = {name: KINDS[kind] for name, kind in support.FIELDS.items()}
NUMBERS = [
    "1",
    "0",
    " 12 ",
    "",
    "-3",
    "1.5",
    "12a",
    "007",
    "1e2",
    ".5",
    "12345678901234567890",
    "0.1",
]
# What a text is made of, in the bytes of the wire.
PIECES = [
    b"a", b"word ", b" ", b"\n", b"]]", b"]", b"&gt;", b"&amp;", b"&lt;", b"&#233;", b"&#x1F600;", b"&#10;",
    "é".encode(), "€".encode(), "😀".encode(), "日本".encode(), "\ufffd".encode(), b"\xe9", b"\xfc", b"\x80",
    b"\x81", b"\xff", b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0\x9f", b"\xf0\x9f\x98", b"\xf0", b"\xe6\x97",
    b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xa0\xbd", b"\xed\xb8\x80", b"\xc0\x80", b"\xa9", b"\xc2\xa0",
    b"\x01", b"\x00", b"\x1f", b"&#1;", b"&#0;", b"&#xFFFF;", b"&#xD800;", b"&#99999999;", "\uffff".encode(),
    b"<![CDATA[<x \x01>&#1;&amp;]]>", b"<![CDATA[\xe9]]>", b"<![CDATA[\xc3]]>", b"<!-- c \xff <x> -->",
    b"<!---->", b"<?p \xe9 ?>", b"<!-- </SOAP-ENV:Envelope> -->", b"href=", b" ref = ", b"base64",
]  # fmt: skip
BEFORE = [
    b"", b"", b"", b"\n", b"\xef\xbb\xbf", b"<b>Warning</b>: caf\xe9 in x.php<br />\n", b"<!-- x -->",
    b"<!-- <s:Envelope> -->", b"Notice <!-- open ", b"<s:Envelope>", b"<?php ?>", b"x" * 5000, b"<!DOCTYPE x>",
]  # fmt: skip
AFTER = [
    b"", b"", b"", b"\n", b"<!-- x -->", b"<b>caf\xe9</b>", b"<x:Envelope/>", b"</x:Envelope>",
    b"<!-- <Envelope> -->", b"<!-- </SOAP-ENV:Envelope> -->", b"\x00", b"<!-- open",
]  # fmt: skip
# What an element may say of itself; the oracle knows nothing of base64.
ATTRIBUTES = [
    "", 'xsi:nil="true"', 'xsi:nil="0"', 'xsi:null="1"', 'xsi:nil="maybe"', 'xsi:nul="1"', 'arraySize="0"', 'arraySize="1"',
    'SOAP-ENC:arrayType="xsd:int[1]"', 'SOAP-ENC:arrayType="tns:x[]"', 'xsi:type="xsd:string"', 'xsi:type="xsd:int"',
    'xsi:type="xsd:anyType"', 'xsi:type="SOAP-ENC:Array"', 'xsi:type="SOAP-ENC:Struct"', 'xsi:type="tns:x"', 'xsi:type="Map"',
    'type="xsd:string"', 'SOAP-ENC:offset="[1]"', 'SOAP-ENC:position="[0]"', 'position="1"', 'xsi:schemaLocation="a b"',
]  # fmt: skip
DECLARED = [
    "ISO-8859-1", "ISO-8859-1", "ISO-8859-1", "UTF-8", "UTF-8", "windows-1252", "ISO-8859-2", "ISO-8859-5",
    "KOI8-R", "us-ascii", "x-none", "GBK", "Shift_JIS", "",
]  # fmt: skip


# Where the two parsers differ by right: libxml2 refuses a namespace that is no URI.
SPACE = rb"""xmlns[^=<>]*=\s*["']([^"']*)"""
SPACES = {
    *re.findall(SPACE, wrap_in_envelope("x", "")),
    b"http://schemas.xmlsoap.org/soap/envelope/",
}


def make_mutant(chance: random.Random) -> bytes:
    """Make a response: whole or damaged, in one of many forms."""
    data = _plain(chance)
    if chance.random() < 0.15:
        data = data.replace(b"<item", b"<item a='>' b=\"'\"", 1)
    if chance.random() < 0.3:
        data = chance.choice(BEFORE) + data + chance.choice(AFTER)
    if chance.random() < 0.1:
        data = data[: chance.randrange(len(data))]
    if data and chance.random() < 0.4:
        data = mutate(data, chance)
    if chance.random() < 0.03:
        data = data.decode("utf-8", "replace").encode(
            chance.choice(["utf-16", "utf-16-le", "utf-32"])
        )
    return data


def _plain(chance: random.Random) -> bytes:
    marks: list[bytes] = []

    def text() -> str:
        """Put a mark where the bytes come in later."""
        pieces = b"".join(chance.choices(PIECES, k=chance.choice([0, 1, 1, 2, 3, 6])))
        if chance.random() < 0.01:
            pieces += b"x" * (32 * 1024 - chance.randrange(1500)) + chance.choice(PIECES)
        marks.append(pieces)
        return f"@{len(marks) - 1}@"

    def cell(name: str) -> str:
        if chance.random() < 0.01:
            return f"<{name} {chance.choice(ATTRIBUTES)}>{chance.choice(['', ' ', '5', '<b/>'])}</{name}>"
        if chance.random() < 0.05:
            return f"<{name} xsi:nil='{chance.choice(['true', '1', 'false', '0', 'x'])}'/>"
        if FIELDS.get(name, str) is str:
            return write_field(name, "@").replace("@", text())
        return write_field(name, chance.choice(NUMBERS) if chance.random() < 0.2 else "5")

    def row(n: int) -> str:
        names = same if chance.random() < 0.8 else chance.sample(pool, chance.randrange(1, 5))
        mark = f' id="r{n}"' if linked else ""
        if chance.random() < 0.01:
            mark += f" {chance.choice(ATTRIBUTES)}"
        return f"<item{mark}>{''.join(map(cell, names))}</item>"

    pool = [*FIELDS, "unknown", "other"]
    same = chance.sample(pool, chance.randrange(1, 6))
    linked = chance.random() < 0.1
    is_long = chance.random() < 0.004  # so that rows are read many at a time
    same = [*FIELDS] if is_long else same
    items = [row(n) for n in range(300 if is_long else chance.choice([0, 1, 1, 2, 3, 5, 40]))]
    extra = ""
    if linked and items:
        at = chance.randrange(len(items))
        extra = items[at].replace("item", "multiRef") if chance.random() < 0.5 else ""
        items[at if extra else chance.randrange(len(items))] = f'<item href="#r{at}"/>'
    xml = write_array(items, len(items) if chance.random() < 0.95 else 1)
    if chance.random() < 0.1:
        counts = ("", f'arraySize="{len(items)}"', chance.choice(ATTRIBUTES))
        xml = f"<return {chance.choice(ATTRIBUTES)} {chance.choice(counts)}>{xml.partition('>')[2]}"
    if chance.random() < 0.2:
        xml = xml.replace(f"[{len(items)}]", "[]")
    data = wrap_in_envelope(LIST, xml, declared=chance.choice(DECLARED))
    data = data.replace(b"</SOAP-ENV:Body>", extra.encode() + b"</SOAP-ENV:Body>")
    data = data.replace(b' encoding=""', b"")
    if chance.random() < 0.1:
        data = data.replace(b"SOAP-ENV:", b"s:").replace(b"xmlns:SOAP-ENV", b"xmlns:s")
    for n, pieces in enumerate(marks):
        data = data.replace(b"@%d@" % n, pieces)
    return data


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change, drop or repeat one byte."""
    at = chance.randrange(len(data))
    way = chance.randrange(4)
    if way == 0:
        return data[:at] + data[at + 1 :]
    if way == 1:
        return data[: at + 1] + data[at:]
    letter = chance.randrange(256) if way == 2 else chance.choice(b"<>&\"'=/ ;:#0x[]\x00\xc3\xe9")
    return data[:at] + bytes([letter]) + data[at + 1 :]


def difference(data: bytes) -> str | None:
    """Say how soapmail and the oracle differ on a response; None where they agree."""
    expected = oracle.read(data, FIELDS)
    try:
        records = rows(data, Invoice)
    except SoapMailError as error:
        spaces = re.findall(SPACE, data.replace(b"\0", b""))
        both = expected is None or not SPACES.issuperset(spaces)
        return None if both else f"{error}, and not {expected}"
    found = [{name: getattr(one, name) for name in FIELDS} for one in records]
    return None if found == expected else f"{found}, and not {expected}"


def main(count: int, seed: int) -> None:
    """Fuzz, keep what differs, and print what became of the responses."""
    logging.disable(logging.CRITICAL)
    chance = random.Random(seed)
    different = 0
    for _ in range(count):
        data = make_mutant(chance)
        if difference(data) is not None:
            different += 1
            name = hashlib.sha256(data).hexdigest()[:12]
            (DATA / "found").mkdir(exist_ok=True)
            (DATA / "found" / name).write_bytes(data)
    print(f"{count} responses from seed {seed}: {different} differ")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20261123)
