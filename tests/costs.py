"""What a hostile answer costs to read: as a program it shows n and 4n side by side.

    python -m tests.costs 20000

Time and memory may grow five times where the answer grows four times.
"""

from __future__ import annotations

import logging
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

from soapmail import Invoice, SoapMailError, Status
from soapmail.extract import scalar, status, strings, struct, table
from soapmail.redaction import hidden
from soapmail.values import by_type

from .support import LIST, array_xml, document, envelope, row_xml

if TYPE_CHECKING:
    from collections.abc import Callable

READERS: dict[str, Callable[[Any], object]] = {
    "table": lambda text: table(text, Invoice),
    "struct": lambda text: struct(text, Invoice),
    "status": lambda text: status(text, Status),
    "scalar": lambda text: scalar(text, str),
    "strings": strings,
    "by type": by_type,
}
ROW = row_xml({"invoices_id": 1, "invoices_description": "x"})
END = b"</SOAP-ENV:Body>"
BODY = b"<SOAP-ENV:Body>"


def _list(*rows: str) -> bytes:
    return envelope(LIST, array_xml(rows))


def _chain(n: int) -> bytes:
    """Give rows that each refer to the start of a chain of references."""
    links = "".join(f'<m id="{i}" href="#{i + 1}"/>' for i in range(n))
    last = f'<m id="{n}"><invoices_id>1</invoices_id></m>'
    rows = ['<item href="#0"/>'] * n
    return _list(*rows).replace(END, f"{links}{last}".encode() + END)


def _wide_target(n: int) -> bytes:
    """Give rows that all refer to one wide row."""
    target = f'<m id="a">{"".join(f"<f{i}>1</f{i}>" for i in range(n))}</m>'
    return _list(*['<item href="#a"/>'] * n).replace(END, target.encode() + END)


def _namespaces(n: int) -> bytes:
    spaces = "".join(f' xmlns:n{i}="u{i}"' for i in range(n // 10))
    values = "".join(f'<v{i} xsi:type="n{i % (n // 10)}:x"/>' for i in range(n))
    return envelope("x", f"<return{spaces}>{values}</return>")


GROWTHS: dict[str, Callable[[int], bytes]] = {
    "rows": lambda n: _list(*[ROW] * n),
    "fields": lambda n: envelope("x", f"<return>{''.join(f'<f{i}/>' for i in range(n))}</return>"),
    "one long text": lambda n: envelope("x", f"<return>{'x' * 20 * n}</return>"),
    "blanks before the rows": lambda n: _list(" " * 20 * n, *[ROW] * n),
    "siblings before the body": lambda n: _list(*[ROW] * n).replace(BODY, b"<h/>" * n + BODY),
    "siblings behind the body": lambda n: _list(*[ROW] * n).replace(END, END + b"<h/>" * n),
    "siblings in the body": lambda n: _list(*[ROW] * n).replace(END, b'<m id="a"/>' * n + END),
    "a chain of references": _chain,
    "references to one wide row": _wide_target,
    "namespaces": _namespaces,
    "forbidden characters": lambda n: _list(*[ROW] * n).replace(b">x<", b">\x01&#2;<"),
    "not UTF-8": lambda n: _list(*[ROW] * n).replace(b">x<", b">\xe9\xc3\xa9<"),
    "text before the envelope": lambda n: b"<b>Notice</b> &#1; <?x " * n + _list(ROW),
    "names that look like references": lambda n: _list(*[ROW.replace(">x<", "> ref = href <")] * n),
    "cut off": lambda n: _list(*[ROW] * n)[:-40],
}


def cost(data: bytes, reader: Callable[[Any], object]) -> tuple[float, float]:
    """Give the seconds and the MiB that it takes to read an answer, or to refuse it."""

    def read() -> None:
        try:
            reader(document(data))
        except SoapMailError as error:
            hidden(str(error), ["p&ss<w>ord"])

    seconds = []
    for _ in range(3):
        started = time.process_time()
        read()
        seconds.append(time.process_time() - started)
    tracemalloc.start()
    try:
        read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return min(seconds), peak / 2**20


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
