"""A response read a second time, with expat and without a thought of speed: the oracle of fuzzing.

It follows the rules that ``soapmail.soap.encoding`` and the README state, and shares no code with the
package. ``read`` gives the rows, or ``None`` where the response has to be an error.
"""

from __future__ import annotations

import bisect
import codecs
import math
import re
from decimal import Decimal
from typing import Any
from xml.parsers import expat

SOAP = ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
ENCODINGS = (
    "http://schemas.xmlsoap.org/soap/encoding/",
    "http://www.w3.org/2003/05/soap-encoding",
)
INSTANCES = tuple(
    f"http://www.w3.org/{year}/XMLSchema-instance" for year in ("2001", "1999", "2000/10")
)
UNSUPPORTED = {"gbk", "shift_jis", "euc_jp", "big5", "utf-7", "utf-16", "utf-32"}
SINGLE = {"ascii", "koi8-r", "koi8-u", *(f"cp{n}" for n in range(1250, 1259))}
SINGLE |= {f"iso8859-{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)}
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
BLANK = " \t\r\n"
RUNS = rb"[\x00-\x7f]+|[\x80-\xff]+"
PARTS = (
    r"<!--.*?(?:-->|$)|<!\[CDATA\[.*?(?:\]\]>|$)|<\?.*?(?:\?>|$)"
    r"|(?P<tag><(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*>?)"
    r"|(?P<ref>&#(?:x([0-9a-fA-F]+)|([0-9]+));)|[^<&]+|[<&]"
)
Fields = dict[str, type]
Rows = list[dict[str, Any]]


class Wrong(Exception):
    """The response has to be an error."""


def read(data: bytes, fields: Fields) -> Rows | None:
    """Give the rows of a response, each with all fields; None where it is an error."""
    try:
        text, whole = envelope(data)
        return rows_of(tree(text, whole=whole), fields)
    except (Wrong, expat.ExpatError):
        return None


# --- bytes to the text of one envelope --------------------------------------------------------


def envelope(data: bytes) -> tuple[str, bool]:
    """Give the text of the envelope, and whether it has an end."""
    wide = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
    if data.startswith(wide):
        raise Wrong
    names = ["utf-8"] if data.startswith(codecs.BOM_UTF8) else None
    start, end = bounds(data)
    letters = characters(data[start:end], encodings(data[:start]) if names is None else names)
    return mend(letters), end is not None


def encodings(data: bytes) -> list[str]:
    """Give the encoding that a response declares."""
    head = re.sub(rb"(?s)<!--.*?-->", b"", data[:1024])
    match = re.search(rb"<\?xml\s[^>]*\bencoding\s*=\s*[\"']([\w.:-]+)[\"']", head)
    try:
        return [codecs.lookup(match[1].decode()).name] if match else []
    except (LookupError, UnicodeError):
        return []


def bounds(data: bytes) -> tuple[int, int | None]:
    """Find the one envelope."""
    tag = rb"<!--.*?-->|(<(?P<name>(?:[\w.\x80-\xff-]+:)?Envelope)(?=[\s/>]))"
    starts = [found for found in re.finditer(tag, data, re.DOTALL) if found[1]]
    if not starts or b"<!doctype" in data[: starts[0].start()].lower():
        raise Wrong
    start, name = starts[0].start(), re.escape(starts[0]["name"])
    closing = rb"<!--.*?(?:-->|$)|<!\[CDATA\[.*?(?:\]\]>|$)|<\?.*?(?:\?>|$)|(</%b\s*>)" % name
    for found in re.compile(closing, re.DOTALL).finditer(data, starts[0].end()):
        if found[1]:
            rest = re.sub(rb"(?s)<!--.*?-->", b"", data[found.end() :])
            if re.search(rb"</?(?:[\w.\x80-\xff-]+:)?Envelope[\s/>]", rest):
                raise Wrong
            return start, found.end()
    return start, None


ByteDecoder = list[tuple[str, bool]]


def characters(data: bytes, names: list[str]) -> ByteDecoder:
    """Give the text in parts, and whether each was guessed."""
    name = names[0] if names else ""
    if name in UNSUPPORTED:
        raise Wrong
    runs: list[tuple[bytes, list[tuple[str, bytes]]]] = [
        (run, [] if run.isascii() else sequences(run)) for run in re.findall(RUNS, data)
    ]
    mixed = any(letter for _, units in runs for letter, _ in units)
    declared = {"iso8859-1": "cp1252", "ascii": "cp1252"}.get(name, name)
    single = declared if name in SINGLE else "" if mixed else "cp1252"
    made: ByteDecoder = []
    for at, (run, units) in enumerate(runs):
        if run.isascii():
            made.append((run.decode(), False))
        for n, (letter, raw) in enumerate(units):
            last = n == len(units) - 1 and at + 1 < len(runs)
            ends = last and runs[at + 1][0].startswith((b"<", b"]]>"))
            if letter:
                made.append((letter, len(raw) == 6))
            elif mixed and rest_of_a_cut(raw, ends=ends, everywhere=not single):
                made.append(("\ufffd", True))
            else:
                made += [(one_byte(byte, single), True) for byte in raw]
    return made


def one_byte(byte: int, encoding: str) -> str:
    """Give what one byte is in an encoding of single bytes."""
    return bytes([byte]).decode(encoding, "replace") if encoding else "\ufffd"


def sequences(data: bytes) -> list[tuple[str, bytes]]:
    """Split bytes into valid sequences, and into others with no letter: begun ones, single bytes."""
    units: list[tuple[str, bytes]] = []
    at = 0
    while at < len(data):
        for size in (1, 2, 3, 4, 6):
            raw = data[at : at + size]
            try:
                pair = raw.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
                letter = raw.decode() if size < 6 else pair.decode("utf-16-le")
            except UnicodeDecodeError:
                continue
            if len(letter) == 1 and len(raw) == size:
                units.append((letter, raw))
                break
        else:
            raw = begin_sequence(data, at)
            units.append(("", raw))
        at += len(raw)
    return units


def begin_sequence(data: bytes, at: int) -> bytes:
    """Give half a surrogate pair, or the bytes that begin a sequence without its end, or one."""
    half = data[at : at + 3]
    if re.fullmatch(rb"\xed[\xa0-\xbf][\x80-\xbf]", half):
        return half
    for size in (3, 2):
        raw = data[at : at + size]
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            if len(raw) == size and decoder.decode(raw) == "":
                return raw
        except UnicodeDecodeError:
            continue
    return data[at : at + 1]


def rest_of_a_cut(raw: bytes, *, ends: bool, everywhere: bool) -> bool:
    """Tell whether bytes are plainly what is left of a letter."""
    if re.fullmatch(rb"\xed[\xa0-\xbf].", raw, re.DOTALL):
        return True
    if len(raw) > 1:
        return ends or everywhere
    return ends and (0xC2 <= raw[0] <= 0xDE or raw[0] in (0xE2, 0xF0))


def mend(letters: ByteDecoder) -> str:
    """Replace what XML forbids in texts; in tags it is an error, as is any guess."""
    text = "".join(letter for letter, _ in letters)
    guesses, at = [], 0
    for letter, guess in letters:
        guesses += [at] * guess
        at += len(letter)
    if not (guesses or FORBIDDEN.search(text) or "&#" in text or "\ufffd" in text):
        return text
    made: list[str] = []
    for part in re.finditer(PARTS, text, re.DOTALL):
        if part["tag"]:
            first = bisect.bisect_left(guesses, part.start())
            guessed = guesses[first : first + 1] and guesses[first] < part.end()
            if guessed or FORBIDDEN.search(part[0]) or "\ufffd" in part[0]:
                raise Wrong
            made.append(part[0])
        elif part["ref"]:
            digits = part[3] or part[4]
            code = int(digits, 16 if part[3] else 10)
            fits = code <= 0x10FFFF and not 0xD800 <= code < 0xE000
            bad = not fits or FORBIDDEN.match(chr(code))
            made.append("\ufffd" if bad else part[0])
        else:
            # Of names expat knows an older list, and nobody reads processing instructions.
            mark = "x" if part[0].startswith("<?") else "\ufffd"
            made.append(FORBIDDEN.sub(mark, part[0].replace("\ufffd", mark)))
    return "".join(made)


# --- text to a tree --------------------------------------------------------------------------------


class Node:
    """An element: its name and its attributes as (namespace, local name), what it holds."""

    def __init__(self, name: str, attributes: dict[str, str], spaces: dict[str, str]) -> None:
        self.space, self.name = split(name)
        self.attributes = {split(key): value for key, value in attributes.items()}
        self.spaces = spaces
        self.children: list[Node] = []
        self.texts = [""]

    def attribute(self, *names: str) -> str | None:
        """Give the first attribute of one of these local names."""
        for name in names:
            for (_, local), value in self.attributes.items():
                if local == name:
                    return value
        return None

    @property
    def text(self) -> str:
        """Give the text of an element without children."""
        return "".join(self.texts)


def split(name: str) -> tuple[str, str]:
    """Split a name as expat writes it."""
    space, _, local = name.rpartition(" ")
    return space, local


def tree(text: str, *, whole: bool) -> Node:
    """Parse the text of an envelope; what lacks its end is completed where rows were counted."""
    if whole:
        return parse(text)
    opened: list[str] = []
    path: list[str] = []
    parser = expat.ParserCreate("utf-8")

    def start(name: str, attributes: dict[str, str]) -> None:
        opened.append(name)
        if len(opened) == len(path) + 1 and len(path) < 4:
            path.append(name)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: opened.pop()
    parser.Parse(text.encode(), False)
    closing = "".join(f"</{name}>" for name in reversed(path))
    if len(path) < 4:
        raise Wrong
    kept = max(n for n in range(len(closing)) if text.endswith(closing[:n]))
    root = parse(text + closing[kept:])
    value = value_of(root)
    if count_of(value) is None:
        raise Wrong
    return root


def parse(text: str) -> Node:
    """Parse a whole text with expat."""
    parser = expat.ParserCreate("utf-8", " ")
    parser.buffer_text = True
    roots: list[Node] = []
    opened: list[Node] = []
    spaces: list[tuple[str | None, str]] = [("xml", "")]

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(name, attributes, {prefix or "": uri for prefix, uri in spaces})
        (opened[-1].children if opened else roots).append(node)
        opened.append(node)

    def end(_: str) -> None:
        opened.pop()
        if opened:
            opened[-1].texts.append("")

    def characters(text: str) -> None:
        opened[-1].texts[-1] += text

    def close(prefix: str | None) -> None:
        spaces.reverse()
        spaces.remove(next(space for space in spaces if space[0] == prefix))
        spaces.reverse()

    def refuse(*_: object) -> None:
        raise Wrong

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartNamespaceDeclHandler = lambda prefix, uri: spaces.append((prefix, uri or ""))
    parser.EndNamespaceDeclHandler = close
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(text.encode(), True)
    return roots[0]


# --- a tree to rows ----------------------------------------------------------------------------------


def value_of(root: Node) -> Node:
    """Find the one return element."""
    bodies = [node for node in root.children if (node.space, node.name) == (root.space, "Body")]
    if root.space not in SOAP or root.name != "Envelope" or len(bodies) != 1:
        raise Wrong
    results = bodies[0].children
    if any(node.name == "Fault" for node in (*results, *root.children)):
        raise Wrong
    for node in (root, bodies[0], *results[:1]):
        if any(text.strip(BLANK) for text in node.texts):
            raise Wrong
    if len(results) != 1 or len(results[0].children) != 1:
        raise Wrong
    return results[0].children[0]


def is_reference(node: Node) -> bool:
    """Tell whether an element stands for another one."""
    target = node.attribute("href") or node.attribute("ref")
    return target is not None and not node.children and not node.text.strip()


def count_of(value: Node) -> int | None:
    """Give the number of rows that the server declares."""
    counts = set()
    for (_, name), written in value.attributes.items():
        if name not in ("arrayType", "arraySize"):
            continue
        if written.rstrip().endswith("[]") or written.strip() == "*":
            continue
        inner = re.fullmatch(r"(?s)\s*(?:.*\[\s*)?([0-9]{1,18})\s*\]?\s*", written)
        if not inner or ("[" in written) != written.rstrip().endswith("]"):
            raise Wrong
        counts.add(int(inner[1]))
    if len(counts) > 1:
        raise Wrong
    return counts.pop() if counts else None


SIMPLE, COMPLEX, PAIRS, ROWS, NAMED = "simple", "complex", "pairs", "rows", "named"


def kind_of(node: Node, declared: str | None = None) -> str | None:
    """Give what the attributes of an element say; None: nothing. Wrong: they contradict."""
    known = ("type", "nil", "null", "schemaLocation", "noNamespaceSchemaLocation")
    for space, name in node.attributes:
        if space in INSTANCES and name not in known:
            raise Wrong
    if node.attributes.get((ENCODINGS[0], "offset")) or node.attributes.get(
        (ENCODINGS[0], "position")
    ):
        raise Wrong
    if is_reference(node):
        raise Wrong
    types = [node.attributes.get((space, "type")) for space in (*INSTANCES, "")]
    written = next((one for one in types if one is not None), None)
    kind = declared if written is None else meaning(node, written)
    if any(name in ("arrayType", "arraySize") for _, name in node.attributes):
        if kind in (SIMPLE, COMPLEX, PAIRS):
            raise Wrong
        kind = ROWS
    count_of(node)
    if nil(node) and (node.children or any(text.strip(BLANK) for text in node.texts)):
        raise Wrong
    return kind


def meaning(node: Node, written: str) -> str | None:
    """Give what elements of a type hold."""
    prefix, _, name = written.strip(BLANK).rpartition(":")
    space = node.spaces.get(prefix, "")
    schema = space.startswith(("http://schemas.xmlsoap.org/", "http://www.w3.org/"))
    standard = (schema and "XMLSchema" in space) or space in ENCODINGS
    if name == "Map" and space in ("", "http://xml.apache.org/xml-soap"):
        return PAIRS
    if not standard:
        return NAMED
    if name in ("anyType", "ur-type"):
        return None
    if name == "Array" and space in ENCODINGS:
        return ROWS
    return COMPLEX if name == "Struct" and space in ENCODINGS else SIMPLE


def item_kind(value: Node) -> str | None:
    """Give what a list says of all its items."""
    written = value.attribute("arrayType")
    return None if written is None else meaning(value, written.rpartition("[")[0])


def rows_of(root: Node, fields: Fields) -> Rows:
    """Map the rows of a list."""
    value = value_of(root)
    kind = kind_of(value)
    names = {row.name for row in value.children}
    if not nil(value):
        if kind in (SIMPLE, COMPLEX, PAIRS) or (kind is NAMED and len(value.children) < 2):
            raise Wrong
        if kind is not ROWS and len(names) > 1:
            raise Wrong
    if any(text.strip(BLANK) for node in (value, *value.children) for text in node.texts):
        raise Wrong
    for row in value.children:
        if nil(row) or kind_of(row, item_kind(value)) in (SIMPLE, PAIRS, ROWS):
            raise Wrong
    found = [record(row, fields) for row in value.children]
    if count_of(value) not in (None, len(found)):
        raise Wrong
    return found


def nil(node: Node) -> bool:
    """Tell whether an element says that it is nil."""
    said = set()
    for (space, name), written in node.attributes.items():
        if name == "nil" or (name == "null" and space in INSTANCES):
            if written.strip(BLANK) not in ("true", "1", "false", "0"):
                raise Wrong
            said.add(written.strip(BLANK) in ("true", "1"))
    if len(said) > 1:
        raise Wrong
    return True in said


def record(row: Node, fields: Fields) -> dict[str, Any]:
    """Map one row."""
    made: dict[str, Any] = {}
    if len({cell.name for cell in row.children}) < len(row.children):
        raise Wrong
    for cell in row.children:
        if cell.name in fields:
            made[cell.name] = convert(cell, fields[cell.name])
        else:
            judge(cell)
    if not made:
        raise Wrong
    return {name: made.get(name) for name in fields}


def judge(cell: Node) -> None:
    """Look at a field that nobody knows; Wrong: its content is not what its attributes say."""
    said = kind_of(cell)
    has_text = any(text.strip(BLANK) for text in cell.texts)
    if cell.children and (said is SIMPLE or has_text):
        raise Wrong
    if has_text and said in (COMPLEX, PAIRS, ROWS):
        raise Wrong
    if count_of(cell) not in (None, len(cell.children)):
        raise Wrong
    names = {child.name for child in cell.children}
    may_repeat = said in (PAIRS, ROWS) or (said is not COMPLEX and len(names) == 1)
    if len(names) < len(cell.children) and not may_repeat:
        raise Wrong


def convert(cell: Node, kind: type) -> Any:
    """Map one field."""
    text = cell.text
    said = kind_of(cell)
    if nil(cell):
        return None
    if cell.children or said in (COMPLEX, PAIRS, ROWS) or (said is NAMED and not text.strip(BLANK)):
        raise Wrong
    written = text.strip(BLANK)
    if kind is str:
        return text
    if not written:
        return None
    if kind is int and re.fullmatch("[+-]?[0-9]{1,40}", written):
        return int(written)
    real = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
    if kind is not float or not re.fullmatch(real, written) or not math.isfinite(float(written)):
        raise Wrong
    value = float(written)
    ways = {Decimal(f"{value:.{digits}g}") for digits in (15, 16, 17)} | {Decimal(repr(value))}
    if Decimal(written) not in ways:
        raise Wrong
    return value
