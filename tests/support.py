"""What the tests share: recorded responses, the contract, and responses in the server's form."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

from soapmail import Client, Invoice, models
from soapmail.deadline import Deadline
from soapmail.sandbox import SESSION_ID
from soapmail.soap.document import Document
from soapmail.soap.repair import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data"
# What is hidden or built is no part of a checkout.
IGNORED = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__")
CONTRACT: dict[str, Any] = json.loads((DATA / "contract.json").read_text())
OPERATIONS: dict[str, dict[str, Any]] = CONTRACT["operations"]
SAMPLES: dict[str, Any] = CONTRACT["samples"]
LIST = "api_mail_get_client_invoices"
FIELDS: dict[str, str] = CONTRACT["structs"]["sql_row_invoices"]

NAMES = sorted({path.stem for path in (ROOT / "templates").glob("*.xml")} - {"call", "envelope"})
# Good arguments, by the name of the parameter or else by its type.
EXAMPLES: dict[str, Any] = {
    "id": 8556, "invoice": 7514880, "prepay_id": 1116, "module": "mail", "to": "a@b", "from": "c@d",
    "string": "text", "int": 5, "float": 12.5, "bool": False,
}  # fmt: skip


def method_of(operation: str) -> str:
    """Give the name of an operation's method."""
    return re.sub("^api_(?:api_|mail_)?", "", operation)


def _arguments(operation: str) -> dict[str, Any]:
    taken = signature(getattr(Client, method_of(operation))).parameters
    found = {}
    for name, kind in OPERATIONS[operation]["params"].items():
        argument = name if name in taken else f"{name}_"
        if argument in taken:
            found[argument] = EXAMPLES.get(name, EXAMPLES[kind])
    return found


# Method, operation and one set of good arguments.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    method_of(name): (name, _arguments(name)) for name in NAMES
}
CHANGING = {"cancel_service", "send_mail", "buy_mail", "make_payment", "add_prepay"}


# Each struct of the contract that has a record, as the record's own words say.
RECORDS: dict[str, type[Any]] = {
    struct: record
    for record in (getattr(models, name) for name in models.__all__)
    for struct in re.findall(r"``(\w+)``", record.__doc__.partition("\n")[0])
}


@contextmanager
def raise_alarm_after(after: float, handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Let a signal come some time after the start of what is tried."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def signal_main_thread(number: int) -> None:
    """Send a signal to where it interrupts what waits; ``raise_signal`` goes to its own thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)


def checkout(folder: Path) -> None:
    """Make a clean copy of this project."""
    shutil.copytree(ROOT, folder, ignore=IGNORED)
    shutil.copytree(ROOT / ".ci", folder / ".ci")


def load_document(
    data: bytes, charset: str | None = None, operation: str | None = None
) -> Document:
    """Give what an extractor reads of some bytes."""
    deadline = Deadline()
    return Document(decode(data, charset, deadline), operation, deadline)


class Recorded(NamedTuple):
    """One recorded HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


def read_recording(name: str) -> Recorded:
    """Read one recorded response."""
    head, _, body = (DATA / "wire" / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Recorded(int(first.split()[1]), headers, body)


def wrap_in_envelope(operation: str, content: str, *, declared: str = "ISO-8859-1") -> bytes:
    """Wrap a return element as the server does."""
    return (
        f'<?xml version="1.0" encoding="{declared}"?><SOAP-ENV:Envelope '
        'SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/" '
        'xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/" xmlns:tns="urn:myapi">'
        f'<SOAP-ENV:Body><ns1:{operation}Response xmlns:ns1="urn:myapi">{content}'
        f"</ns1:{operation}Response></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    ).encode()


def make_text_response(operation: str, text: str, kind: str = "string") -> bytes:
    """Give a response with one scalar."""
    return wrap_in_envelope(operation, f'<return xsi:type="xsd:{kind}">{escape(text)}</return>')


def make_status_response(operation: str, status: str, text: str) -> bytes:
    """Give a response with a status struct."""
    return wrap_in_envelope(
        operation,
        '<return xsi:type="tns:result_status">'
        f'<status xsi:type="xsd:string">{escape(status)}</status>'
        f'<status_text xsi:type="xsd:string">{escape(text)}</status_text></return>',
    )


def make_fault_response(text: str, code: str = "Client") -> bytes:
    """Give a fault in the server's form."""
    body = read_recording("fault_invalid_session").body.decode()
    body = body.replace("Invalid Session ID", escape(text))
    return body.replace(">Client<", f">{escape(code)}<").encode()


def write_field(name: str, value: object) -> str:
    """Give one field in the server's form; None is nil."""
    kind = FIELDS.get(name, "string")
    if value is None:
        return f'<{name} xsi:nil="true" xsi:type="xsd:{kind}"/>'
    return f'<{name} xsi:type="xsd:{kind}">{escape(str(value))}</{name}>'


def write_row(fields: Mapping[str, object], tag: str = "item") -> str:
    """Give one row in the server's form."""
    cells = "".join(write_field(name, value) for name, value in fields.items())
    return f'<{tag} xsi:type="tns:sql_row_invoices">{cells}</{tag}>'


def write_array(rows: Iterable[str], count: int | None = None) -> str:
    """Give an array in the server's form."""
    rows = list(rows)
    number = len(rows) if count is None else count
    return (
        '<return xsi:type="SOAP-ENC:Array" '
        f'SOAP-ENC:arrayType="tns:sql_row_invoices[{number}]">{"".join(rows)}</return>'
    )


def make_invoices_response(
    rows: Iterable[Mapping[str, object]], operation: str = LIST, *, declared: str = "ISO-8859-1"
) -> bytes:
    """Give a response with a list of invoices."""
    return wrap_in_envelope(operation, write_array(map(write_row, rows)), declared=declared)


def make_many_rows(count: int, description: str | None = None) -> bytes:
    """Give the documented invoices over and over."""
    samples = SAMPLES[LIST]
    rows = (dict(samples[n % 12]) for n in range(count))
    if description is not None:
        rows = ({**row, "invoices_description": description} for row in rows)
    return make_invoices_response(rows)


def make_sample_invoices(rows: Iterable[Mapping[str, Any]]) -> list[Invoice]:
    """Make invoices with the documented types out of the contract's sample values."""
    kinds: dict[str, Any] = {"int": int, "float": float, "string": str}
    return [
        Invoice(**{name: kinds[FIELDS[name]](value) for name, value in row.items()}) for row in rows
    ]


LOGIN = read_recording("login").body
SID = SESSION_ID


def write_chunks(*parts: bytes) -> bytes:
    """Return a chunked body (RFC 9112 7.1)."""
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    return b"".join([*chunks, b"0\r\n\r\n"])


def run_module(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the programs beside the tests, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"tests.{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def run_in_child(work: Callable[[], object]) -> Any:
    """Do something in a child process, and return what it returns."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the tests have
        process = os.fork()
    if process == 0:
        try:
            os.write(writing, pickle.dumps(work()))
        except BaseException as error:
            os.write(writing, pickle.dumps(repr(error)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(process, 0)
    return pickle.loads(data)
