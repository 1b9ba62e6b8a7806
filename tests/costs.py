"""What a hostile response costs to read: as a program it shows n and 4n side by side.

    python -m tests.costs 20000

Time and memory may grow five times where the response grows four times.
"""

from __future__ import annotations

import logging
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

from soapmail import Invoice, SoapMailError, Status
from soapmail.extract import (
    parse_record,
    parse_records,
    parse_single,
    parse_status,
    parse_strings,
    parse_url,
)
from soapmail.redaction import redact
from soapmail.soap.dynamic import parse_by_type

from .support import (
    LIST,
    load_document,
    make_text_response,
    wrap_in_envelope,
    write_array,
    write_row,
)

if TYPE_CHECKING:
    from collections.abc import Callable

READERS: dict[str, Callable[[Any], object]] = {
    "table": lambda text: parse_records(text, Invoice),
    "struct": lambda text: parse_record(text, Invoice),
    "status": lambda text: parse_status(text, Status),
    "scalar": lambda text: parse_single(text, float),
    "url": parse_url,
    "strings": parse_strings,
    "by type": parse_by_type,
}
ROW = write_row({"invoices_id": 1, "invoices_description": "x"})
END = b"</SOAP-ENV:Body>"
BODY = b"<SOAP-ENV:Body>"
# A look for a prefix takes as long as there are namespaces, of which there are at most 200 in
# scope and 1000 one inside another: below these limits, all n share the same number.
_NAMESPACES_IN_SCOPE = 25
_NAMESPACES_OF_A_LEVEL = 15


def _list(*rows: str) -> bytes:
    return wrap_in_envelope(LIST, write_array(rows))


def _reference_rows(n: int, target: str) -> bytes:
    """Give rows that all refer to one element."""
    return _list(*['<item href="#a"/>'] * n).replace(END, target.encode() + END)


def _spaces(n: int) -> str:
    return "".join(f' xmlns:n{i}="u{i}"' for i in range(n))


def _attributes(n: int, value: str = "1") -> str:
    return "".join(f' a{i}="{value}"' for i in range(n))


def _return(content: str, attributes: str = "") -> bytes:
    return wrap_in_envelope("x", f"<return{attributes}>{content}</return>")


def _chain(n: int) -> bytes:
    """Give rows that each refer to the start of a chain of references."""
    links = "".join(f'<m id="{i}" href="#{i + 1}"/>' for i in range(n))
    last = f'<m id="{n}"><invoices_id>1</invoices_id></m>'
    rows = ['<item href="#0"/>'] * n
    return _list(*rows).replace(END, f"{links}{last}".encode() + END)


def _wide_target(n: int) -> bytes:
    """Give rows that all refer to one wide row."""
    target = f'<m id="a">{"".join(f"<f{i}>1</f{i}>" for i in range(n))}</m>'
    return _reference_rows(n, target)


def _namespaces(n: int) -> bytes:
    values = "".join(f'<v{i} xsi:type="n{i % _NAMESPACES_IN_SCOPE}:x"/>' for i in range(n))
    return _return(values, _spaces(_NAMESPACES_IN_SCOPE))


def _long_target(n: int) -> bytes:
    """Give rows that all refer to one row of many attributes and a long text."""
    text = f"<invoices_description>{'x' * n}</invoices_description>"
    return _reference_rows(n, f'<m id="a"{_attributes(500)}>{text}</m>')


def _nested_namespaces(n: int) -> bytes:
    """Declare namespaces on every level, and then use them in many places."""
    opened = f"<a{_spaces(_NAMESPACES_OF_A_LEVEL)}>" * 50
    values = "".join(f'<v{i} xsi:type="n{i % _NAMESPACES_OF_A_LEVEL}:x"/>' for i in range(n))
    return _return(f"{opened}{values}{'</a>' * 50}")


def _encode(n: int) -> bytes:
    cell = '<invoices_description xsi:type="xsd:base64Binary">eA==</invoices_description>'
    data = _list(*[f"<item>{cell}</item>"] * n)
    return data.replace(b"<return", f"<return{_spaces(_NAMESPACES_IN_SCOPE)}".encode())


def _text(text: bytes) -> bytes:
    return _list(ROW).replace(b">x<", b">" + text + b"<")


GROWTHS: dict[str, Callable[[int], bytes]] = {
    "rows": lambda n: _list(*[ROW] * n),
    "fields": lambda n: _return("".join(f"<f{i}/>" for i in range(n))),
    "blanks before the rows": lambda n: _list(" " * 20 * n, *[ROW] * n),
    "cut off": lambda n: _list(*[ROW] * n)[:-40],
    # --- texts
    "one long text": lambda n: _return("x" * 20 * n),
    "a text of letters": lambda n: _return("€" * 20 * n),
    "a text of sections": lambda n: _return("<![CDATA[x]]>" * n),
    "a text of references": lambda n: _return("&#233;" * n),
    "a text of forbidden ones": lambda n: _return("\x01" * 20 * n),
    "a text that is not UTF-8": lambda n: _text("€".encode() * n + b"\xe9a\xff\xe2\x82" * n),
    "a text of halves": lambda n: _text(b"\xed\xa0\x80" * 5 * n),
    "a text in UTF-7": lambda n: _return("+" + "AGEA" * 5 * n + "-").replace(
        b"ISO-8859-1", b"UTF-7"
    ),
    "quotes in a tag": lambda n: _return("x", '""' * 20 * n + "\x01"),
    "blanks in the declaration": lambda n: b'<?xml encoding="' + b"a" * 40 + b'"?>' + b" " * 20 * n,
    "a text of open sections": lambda n: _text(b"<![CDATA[" * n + b"\x01"),
    "an anchor": lambda n: make_text_response("x", "<a " + "b='c' href " * n),
    "digits": lambda n: make_text_response("x", "1" * 20 * n, "double"),
    # --- tags
    "attributes": lambda n: _return("<a>1</a>", _attributes(n)),
    "attributes that hold signs": lambda n: _return("<a>1</a>", _attributes(n, ">")),
    "attributes of many rows": lambda n: _list(
        *[ROW.replace("<item", f"<item{_attributes(500)}")] * (n // 100)
    ),
    "a long attribute": lambda n: _return("<a>1</a>", f' a="{"x" * 40 * n}"'),
    "a long name": lambda n: _return(f"<{'a' * 40 * n}/>"),
    "a long name in many places": lambda n: _return(f"<{'a' * 5000}/>" * (n // 100)),
    "quotes in a damaged tag": lambda n: _return("<a>1</a>", " a='\"'" * n + "\x01"),
    "open tags": lambda n: _text(b"\x01" + b"<a " * n),
    # --- namespaces
    "a long namespace": lambda n: _return("<a/>" * n, f' xmlns="{"a" * n}"'),
    "namespaces": _namespaces,
    "namespaces on every level": _nested_namespaces,
    "namespaces and base64": _encode,
    "namespaces of many rows": lambda n: _list(
        *[ROW.replace("<item", f'<item xmlns:x="u{i}"') for i in range(n)]
    ),
    "namespaces of one referenced row": lambda n: _reference_rows(
        n, f'<m id="a">{f"<b{_spaces(100)}/>" * 9}</m>'
    ),
    # --- beside the rows
    "siblings before the body": lambda n: _list(*[ROW] * n).replace(BODY, b"<h/>" * n + BODY),
    "bodies before the body": lambda n: _list(*[ROW] * n).replace(
        BODY, b'<x:Body xmlns:x="x"/>' * n + BODY
    ),
    "siblings behind the body": lambda n: _list(*[ROW] * n).replace(END, END + b"<h/>" * n),
    "siblings in the body": lambda n: _list(*[ROW] * n).replace(END, b'<m id="a"/>' * n + END),
    "faults": lambda n: _list(*[ROW] * n).replace(END, b"<SOAP-ENV:Fault/>" * n + END),
    "text before the envelope": lambda n: b"<b>Notice</b> &#1; <?x " * n + _list(ROW),
    "comments before the envelope": lambda n: b"<!-- <Envelope> -->" * n + _list(ROW),
    "open comments before it": lambda n: b"<!--" * 5 * n + _list(ROW),
    "blanks in the closing tag": lambda n: (_list(ROW)[:-1] + b" " * 20 * n) * 2,
    # --- references
    "a chain of references": _chain,
    "references to one wide row": _wide_target,
    "references to one long row": _long_target,
    "names that look like references": lambda n: _list(*[ROW.replace(">x<", "> ref = href <")] * n),
    # --- many small damages
    "forbidden characters": lambda n: _list(*[ROW] * n).replace(b">x<", b">\x01&#2;<"),
    "not UTF-8": lambda n: _list(*[ROW] * n).replace(b">x<", b">\xe9\xc3\xa9<"),
    "cut letters": lambda n: _list(*[ROW] * n).replace(b">x<", b">\xc3\xa9\xe2\x82<"),
    "surrogates": lambda n: _list(*[ROW] * n).replace(b">x<", b">\xed\xa0\xbd\xed\xb8\x80<"),
}


def cost(data: bytes, reader: Callable[[Any], object]) -> tuple[float, float]:
    """Give the seconds and the MiB that it takes to read a response, or to refuse it."""

    def read() -> None:
        try:
            reader(load_document(data))
        except SoapMailError as error:
            redact(str(error), ["p&ss<w>ord"])

    started = time.process_time()
    read()
    seconds = time.process_time() - started
    tracemalloc.start()
    try:
        read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return seconds, peak / 2**20


def main(n: int) -> None:
    """Print what each reader takes for each growth."""
    logging.disable(logging.CRITICAL)
    for name, growth in GROWTHS.items():
        small, large = growth(n), growth(4 * n)
        for kind, reader in READERS.items():
            (time1, memory1), (time4, memory4) = cost(small, reader), cost(large, reader)
            print(
                f"{name:34} {kind:8} {time1:7.3f} s {time4:7.3f} s {time4 / max(time1, 1e-4):5.1f}"
                f" {memory1:7.1f} MiB {memory4:7.1f} MiB {memory4 / max(memory1, 0.1):5.1f}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]))
