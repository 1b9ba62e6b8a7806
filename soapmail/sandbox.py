"""A loopback server with the documented data, for trying things out and for tests."""

from __future__ import annotations

import enum
import math
import secrets
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import astuple, fields, replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from . import models
from .patterns import is_count
from .soap.envelope import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USERNAME = "user@example.com"
PASSWORD = "p&ss<w>ord"
SESSION_ID = "e720445786c7735aa64392f987db2fad"
EXAMPLES = ("documented", "varied")
MODULES = (
    "domains vps backups mail licenses ssl floating_ips webhosting quickservers servers".split()
)

# invoices_id, the repeat invoice, invoices_date, invoices_service
_DOCUMENTED = (
    (7514880, 19156909, "2021-02-24 01:38:45", 8556),
    (7529153, 19158862, "2021-02-24 20:41:08", 8626),
    (7530357, 19159254, "2021-02-25 03:47:59", 8640),
    (7530371, 19159261, "2021-02-25 03:53:53", 8647),
    (7530378, 19159268, "2021-02-25 03:58:33", 8654),
    (7530434, 19159282, "2021-02-25 04:12:02", 8661),
    (7531463, 19159450, "2021-02-25 06:25:42", 8668),
    (7531484, 19159457, "2021-02-25 06:30:55", 8675),
    (7531491, 19159464, "2021-02-25 06:31:22", 8682),
    (7531540, 19159478, "2021-02-25 06:33:14", 8689),
    (7680075, 19171275, "2021-03-05 13:42:23", 9076),
    (23785939, 20555866, "2023-11-02 20:21:57", 50367),
)
_PREPAYS = (
    (1116, "2015-10-29 23:06:37"),
    (1117, "2015-10-29 23:10:23"),
    (1118, "2015-10-29 23:26:52"),
)
_PAYPAL = (
    "https://www.paypal.com/cgi-bin/webscr?cmd=_xclick&business=vps@interserver.net"
    "&item_name=%28Repeat+Invoice%3A+385928%29+INTERSERVER-EXTERNAL&custom=INVdomains10000"
    "&buyer_credit_promo_code=&buyer_credit_product_category=&buyer_credit_shipping_method="
    "&buyer_credit_user_address_change=&amount=34.00&no_shipping=0&no_note=1&currency_code=USD"
    "&lc=US&bn=PP%2dBuyNowBF&charset=UTF%2d8"
)
_ANCHOR = f'<a href="{_PAYPAL}" target=_blank>Click Here to make a PayPal payment</a>'

_HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?><SOAP-ENV:Envelope {}><SOAP-ENV:Body>'
_TAIL = "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
_ATTRIBUTES = (
    'SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"',
    'xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"',
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema"',
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
    'xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/"',
)
_WSDL = (
    'xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:tns="urn:myapi"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
)
_STRUCTS = {
    models.Invoice: "tns:sql_row_invoices",
    models.MailService: "tns:sql_row_mail",
    models.Prepay: "tns:prepays_list",
    models.Order: "tns:buy_vps_result_status",
    models.Status: "tns:result_status",
}
_PAYMENT = "tns:make_payment_return"
# XML_ERROR_UNKNOWN_ENCODING and XML_ERROR_INCORRECT_ENCODING
_ENCODINGS = (18, 19)


class _Break(enum.Enum):
    """When a connection ends: before what was asked for is done, or after."""

    BEFORE = enum.auto()
    AFTER = enum.auto()


class _Fault(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)


class _Encoding(Exception):
    """A request is in no encoding that can be read."""


class _Typed(NamedTuple):
    """A value as XML: attributes, content, and whether a type of the API itself stands in it."""

    attributes: str
    content: str
    own: bool

    def element(self, name: str) -> str:
        if self.attributes.startswith("xsi:nil"):
            return f"<{name} {self.attributes}/>"
        return f"<{name} {self.attributes}>{self.content}</{name}>"


class _Operation(NamedTuple):
    method: Callable[..., _Typed]
    parameters: int
    # What a refused session is told; None: it takes no session.
    refuse: Callable[[], _Typed] | None


_OPERATIONS: dict[str, _Operation] = {}
_Box = TypeVar("_Box", bound="Sandbox")
_Method = TypeVar("_Method", bound="Callable[..., _Typed]")


def _does(
    operation: str, refuse: Callable[[], _Typed] | None = None
) -> Callable[[_Method], _Method]:
    """Let a method answer an operation; its parameters are those after the session id."""

    def note(method: _Method) -> _Method:
        count = method.__code__.co_argcount - 1
        _OPERATIONS[operation] = _Operation(method, count, refuse)
        return method

    return note


def imitated() -> list[str]:
    """List the operations that the sandbox answers."""
    return list(_OPERATIONS)


def _by_fault() -> NoReturn:
    raise _Fault("Client", "Invalid Session ID")


def _by_nothing(kind: str) -> Callable[[], _Typed]:
    return lambda: _Typed(f'xsi:type="{kind}"', "", True)


def _by_status(kind: str) -> Callable[[], _Typed]:
    return lambda: _struct(models.Status("error", "Invalid Session ID"), kind)


class Sandbox:
    """The mail services on loopback, with the documented invoices and services.

    ``rows`` is how many invoices there are; each has a service of its own. ``example="varied"``
    adds what the documented ones lack: a paid and a deleted charge, a payment, another currency,
    an active service, and a charge that is due in three days. Use it as a context manager:
    ``endpoint``, ``username`` and ``password`` are for a Client, ``invoices``, ``services`` and
    ``prepays`` are lists that a test may change, ``sent`` holds the mails as dicts of subject,
    body, to and from. As in the real server, text outside ISO-8859-1 becomes question marks.

    >>> from soapmail import Client
    >>> with Sandbox(rows=2) as sandbox:
    ...     with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
    ...         print(client.make_payment(7514880).status_text)
    ...         sandbox.expire_sessions()  # the client logs in anew
    ...         print(len(client.get_client_unpaid_invoices()))
    Payment made
    1
    """

    username = USERNAME
    password = PASSWORD

    def __init__(self, rows: int = 12, *, port: int = 0, example: str = "documented") -> None:
        if example not in EXAMPLES:
            raise ValueError(f"example: {' or '.join(EXAMPLES)} expected, not {example!r}")
        self.invoices = [_invoice(n) for n in range(rows)]
        self.services = [_service(n) for n in range(rows)]
        self.prepays = [_prepay(id, created) for id, created in _PREPAYS]
        self.sent: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._break: _Break | None = None
        if example == "varied":
            self._vary()
        self._sessions: set[str] = set()
        self._next_session = SESSION_ID
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.sandbox = self
        self._server.kept = set()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}/api.php"

    def __enter__(self: _Box) -> _Box:
        # The short poll makes the end quick; requests are not polled for.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.close_all()

    def serve(self) -> None:
        """Serve until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._server.close_all()

    def add_invoice(self, **fields: Any) -> models.Invoice:
        """Add an invoice and return it; what is not given is as in the documented ones.

        TypeError: an invoice has no such field.
        """
        with self._lock:
            last = max((one.invoices_id or 0 for one in self.invoices), default=_DOCUMENTED[-1][0])
            made = replace(replace(_invoice(0), invoices_id=last + 1), **fields)
            self.invoices.append(made)
        return made

    def break_next(self, *, after: bool = False) -> None:
        """End the connection of the next request that is no login, in place of a response.

        ``after``: what it asks for is done before that, so that only the response is lost.
        """
        with self._lock:
            self._break = _Break.AFTER if after else _Break.BEFORE

    def expire_sessions(self) -> None:
        """Refuse all session ids given out so far."""
        with self._lock:
            self._sessions.clear()

    def answer(self, request: bytes) -> tuple[int, bytes]:
        """Give the HTTP status and the body for one posted envelope."""
        try:
            operation, values = parsed(request)
            with self._lock:
                result = self._result(operation, values)
        except _Fault as fault:
            return 500, _fault_body(*fault.args)
        except _Encoding as error:
            return 400, str(error).encode()
        attributes = [*_ATTRIBUTES, *(['xmlns:tns="urn:myapi"'] if result.own else [])]
        body = f'<ns1:{operation}Response xmlns:ns1="urn:myapi">{result.element("return")}'
        text = _HEAD.format(" ".join(attributes)) + f"{body}</ns1:{operation}Response>{_TAIL}"
        return 200, text.encode()

    def wsdl(self) -> bytes:
        """Describe the operations as their templates send them."""
        messages, types = [], []
        for operation in _OPERATIONS:
            parts = "".join(
                f'<part name="{name}" type="xsd:{kind}"/>'
                for name, kind in parameters_of(operation)
            )
            messages.append(f'<message name="{operation}">{parts}</message>')
            asked = f'<input message="tns:{operation}"/>'
            types.append(f'<operation name="{operation}">{asked}</operation>')
        body = f'{"".join(messages)}<portType name="MyAdminPortType">{"".join(types)}</portType>'
        return f"<definitions {_WSDL}>{body}</definitions>".encode()

    def responded(self, request: bytes) -> tuple[int, bytes] | None:
        """Do the same over a connection, which ``break_next`` may end: ``None``."""
        with self._lock:
            breaks = self._break if _operation_of(request) not in ("", "api_login") else None
            self._break = None if breaks else self._break
        if breaks is _Break.BEFORE:
            return None
        answer = self.answer(request)
        return None if breaks else answer

    def _vary(self) -> None:
        """Add what the documented invoices lack."""
        service = 60000
        self.services.append(
            replace(_service(0), mail_id=service, mail_status="active", mail_username="mb60000")
        )
        day = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        due = {
            "invoices_date": str(day - timedelta(11)),
            "invoices_due_date": str(day + timedelta(3)),
        }
        old = {"invoices_date": "2024-01-05 10:00:00", "invoices_due_date": "2024-01-19 10:00:00"}
        paid = self.add_invoice(**old, invoices_service=service, invoices_paid=1)
        self.add_invoice(**old, invoices_service=service, invoices_deleted=1)
        self.add_invoice(
            invoices_description="Credit Card Payment",
            invoices_type=10,
            invoices_date="2024-01-06 09:30:00",
            invoices_due_date="0000-00-00 00:00:00",
            invoices_extra=paid.invoices_id,
            invoices_service=service,
            invoices_paid=1,
        )
        self.add_invoice(invoices_amount=9.5, invoices_currency="EUR")
        self.add_invoice(**due, invoices_amount=12.0, invoices_service=service)

    def _result(self, operation: str, values: list[Any]) -> _Typed:
        known = _OPERATIONS.get(operation)
        if known is None:
            raise _Fault(
                "SOAP-ENV:Client",
                f"Operation '{operation}' is not defined in the WSDL for this service",
            )
        if known.refuse is None:
            return known.method(self, *_padded(values, known.parameters))
        sid, *rest = _padded(values, known.parameters + 1)
        return known.method(self, *rest) if sid in self._sessions else known.refuse()

    # --- operations: the parameters after the session id, by position --------------------------

    @_does("api_login")
    def _login(self, username: str, password: str) -> _Typed:
        if (username, password) != (USERNAME, PASSWORD):
            return _string("")
        sid, self._next_session = self._next_session, secrets.token_hex(16)
        self._sessions.add(sid)
        return _string(sid)._replace(own=True)

    @_does("api_mail_get_client_invoices", refuse=_by_fault)
    def _get_client_invoices(self) -> _Typed:
        return _array(self.invoices, models.Invoice)

    @_does("api_mail_get_client_unpaid_invoices", refuse=_by_fault)
    def _get_client_unpaid_invoices(self) -> _Typed:
        return _array([one for one in self.invoices if one.is_open], models.Invoice)

    @_does("api_mail_get_services", refuse=_by_fault)
    def _get_services(self) -> _Typed:
        return _array(self.services, models.MailService)

    @_does("api_mail_get_service", refuse=_by_nothing(_STRUCTS[models.MailService]))
    def _get_service(self, id: int) -> _Typed:
        for service in self.services:
            if service.mail_id == id:
                return _struct(service)
        return _Typed(f'xsi:nil="true" xsi:type="{_STRUCTS[models.MailService]}"', "", True)

    @_does("api_mail_cancel_service", refuse=_by_fault)
    def _cancel_service(self, id: int) -> _Typed:
        for n, service in enumerate(self.services):
            if service.mail_id == id and service.mail_status != "canceled":
                self.services[n] = replace(service, mail_status="canceled")
                return _Typed('xsi:type="xsd:boolean"', "true", False)
        return _Typed('xsi:type="xsd:boolean"', "false", False)

    @_does("api_send_mail", refuse=_by_status(_STRUCTS[models.Status]))
    def _send_mail(self, subject: str, body: str, to: str, from_: str) -> _Typed:
        self.sent.append({"subject": subject, "body": body, "to": to, "from": from_})
        return _struct(models.Status("ok", "Mail queued"))

    @_does("api_api_buy_mail", refuse=_by_status(_STRUCTS[models.Order]))
    def _buy_mail(self, coupon: str) -> _Typed:
        n = len(self.invoices)
        self.invoices.append(_invoice(n))
        self.services.append(replace(_service(n), mail_status="pending"))
        return _struct(models.Order("ok", "Order placed", str(self.invoices[n].invoices_id), 1.0))

    @_does("api_api_auto_zonemta_login", refuse=_by_status(_STRUCTS[models.Status]))
    def _auto_zonemta_login(self, id: int) -> _Typed:
        if any(service.mail_id == id for service in self.services):
            return _struct(models.Status("ok", "https://mail.example.com/login?a=1&b=2"))
        return _struct(models.Status("error", "Invalid Service Passed"))

    @_does("get_modules")
    def _get_modules(self) -> _Typed:
        items = "".join(_string(module).element("item") for module in MODULES)
        attributes = f'SOAP-ENC:arrayType="xsd:string[{len(MODULES)}]"'
        return _Typed(f'xsi:type="SOAP-ENC:Array" {attributes}', items, False)

    @_does("api_make_payment", refuse=_by_status(_PAYMENT))
    def _make_payment(self, module: str, invoice: int) -> _Typed:
        for n, one in enumerate(self.invoices):
            if (one.invoices_id, one.invoices_module) == (invoice, module) and one.is_open:
                self.invoices[n] = replace(one, invoices_paid=1)
                return _struct(models.Status("ok", "Payment made"), _PAYMENT)
        text = "Invalid Invoice Number Passed or missing Module information."
        return _struct(models.Status("error", text), _PAYMENT)

    @_does("api_get_paypal_url")
    def _get_paypal_url(self, module: str, invoice: int) -> _Typed:
        return _string(_ANCHOR)

    @_does("api_get_prepay_list", refuse=_by_fault)
    def _get_prepay_list(self) -> _Typed:
        return _array(self.prepays, models.Prepay)

    @_does("api_get_prepay_remaining", refuse=_by_status(_STRUCTS[models.Status]))
    def _get_prepay_remaining(self, module: str) -> _Typed:
        left = sum(one.prepay_remaining or 0 for one in self.prepays if one.prepay_module == module)
        return _struct(models.Status("ok", f"{left:.2f}"))

    @_does("api_get_prepay_paypal_fill_url", refuse=_by_fault)
    def _get_prepay_paypal_fill_url(self, module: str, id: int, amount: float) -> _Typed:
        return _string(f"https://www.paypal.com/cgi-bin/webscr?custom=PREPAY{id}&amount={amount}")

    @_does("api_add_prepay", refuse=_by_fault)
    def _add_prepay(self, module: str, given: object, automatic_use: bool) -> _Typed:
        amount = _amount(given)
        id = max(one.prepay_id or 0 for one in self.prepays) + 1
        new = replace(_prepay(id, _PREPAYS[-1][1]), prepay_module=module)
        self.prepays.append(
            replace(
                new,
                prepay_amount=amount,
                prepay_remaining=amount,
                prepay_automatic_use=int(bool(automatic_use)),
            )
        )
        return _Typed('xsi:type="xsd:int"', str(id), False)


# --- the documented data -----------------------------------------------------------------------


def _documented(n: int) -> tuple[int, int, str, int]:
    """Give the n-th documented invoice; behind the last one they go on, a day apart."""
    more = max(0, n - len(_DOCUMENTED) + 1)
    id, repeat, date, service = _DOCUMENTED[min(n, len(_DOCUMENTED) - 1)]
    moved = datetime.fromisoformat(date) + timedelta(days=more)
    return id + more, repeat + more, str(moved), service + more


def _invoice(n: int) -> models.Invoice:
    id, repeat, date, service = _documented(n)
    return models.Invoice(
        invoices_id=id,
        invoices_description=f"(Repeat Invoice: {repeat}) MailBaby Mail",
        invoices_amount=1.0,
        invoices_custid=160884,
        invoices_type=1,
        invoices_date=date,
        invoices_group=0,
        invoices_extra=repeat,
        invoices_paid=0,
        invoices_module="mail",
        invoices_due_date=str(datetime.fromisoformat(date) + timedelta(days=14)),
        invoices_service=service,
        invoices_deleted=0,
        invoices_currency="USD",
    )


def _service(n: int) -> models.MailService:
    _, repeat, date, id = _documented(n)
    return models.MailService(
        mail_id=id,
        mail_username="",
        mail_type=10880,
        mail_currency="USD",
        mail_order_date=date,
        mail_custid=160884,
        mail_quota=0,
        mail_ip="",
        mail_status="expired",
        mail_invoice=repeat,
        mail_coupon=0,
        mail_extra="[]",
        mail_server_status="",
        mail_comment="",
    )


def _prepay(id: int, created: str) -> models.Prepay:
    return models.Prepay(
        prepay_id=id,
        prepay_type=0,
        prepay_status="",
        prepay_date="2017-01-11 14:03:02",
        prepay_created=created,
        prepay_amount=10.0,
        prepay_remaining=0.0,
        prepay_service=0,
        prepay_automatic_use=1,
        prepay_module="domains",
    )


# --- requests ----------------------------------------------------------------------------------


def _has_doctype(request: bytes) -> bool:
    """Look for what SOAP forbids, and what entities need that take an old expat to its end."""
    return b"<!doctype" in request.replace(b"\0", b"").lower()


def parsed(request: bytes) -> tuple[str, list[Any]]:
    """Give the operation of a request, and its values in order."""
    if _has_doctype(request):
        raise _Fault("SOAP-ENV:Client", "a DOCTYPE, which SOAP forbids")
    try:
        found = ElementTree.fromstring(request).find("{*}Body/*")
    except ElementTree.ParseError as error:
        if error.code in _ENCODINGS:
            raise _Encoding(f"the encoding of the request is wrong: {error}") from None
        found = None
    except (LookupError, ValueError) as error:
        raise _Encoding(f"the encoding of the request is wrong: {error}") from None
    if found is None:
        raise _Fault(
            "SOAP-ENV:Client",
            "error in msg parsing:\nXML error parsing SOAP payload on line 1: > required",
        )
    return found.tag.rpartition("}")[2], [_given(one) for one in found]


def _operation_of(request: bytes) -> str:
    """Name the operation that a request asks for; empty where it cannot be read."""
    try:
        return parsed(request)[0]
    except (_Fault, _Encoding):
        return ""


def _given(element: ElementTree.Element) -> Any:
    """Read a parameter as PHP does: untyped values are text, and text is ISO-8859-1."""
    text = (element.text or "").encode("latin-1", "replace").decode("latin-1")
    kind = (element.get("{http://www.w3.org/2001/XMLSchema-instance}type") or "").rpartition(":")[2]
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        return 0
    return text not in ("false", "0", "") if kind == "boolean" else text


def _amount(given: object) -> float:
    """Read an amount as PHP does, which takes what is no number for nothing."""
    try:
        amount = float(str(given))
    except ValueError:
        return 0.0
    return amount if math.isfinite(amount) else 0.0


def _padded(values: list[Any], count: int) -> list[Any]:
    return (values + [""] * count)[:count]


# --- answers, in the byte form of NuSOAP -------------------------------------------------------


def _xml(text: str) -> str:
    return escape(text, {'"': "&quot;", "'": "&apos;"})


def _string(text: str) -> _Typed:
    return _Typed('xsi:type="xsd:string"', _xml(text), False)


def _array(rows: Sequence[Any], model: type[Any]) -> _Typed:
    kind = _STRUCTS[model]
    items = "".join(_struct(row).element("item") for row in rows)
    attributes = f'xsi:type="SOAP-ENC:Array" SOAP-ENC:arrayType="{kind}[{len(rows)}]"'
    return _Typed(attributes, items, True)


def _struct(record: Any, kind: str | None = None) -> _Typed:
    content = "".join(
        _cell(field.name, _xsd(str(field.type)), value)
        for field, value in zip(fields(record), astuple(record), strict=True)
    )
    return _Typed(f'xsi:type="{kind or _STRUCTS[type(record)]}"', content, True)


def _cell(name: str, kind: str, value: Any) -> str:
    if value is None:
        return f'<{name} xsi:nil="true" xsi:type="xsd:{kind}"/>'
    return f'<{name} xsi:type="xsd:{kind}">{_as_php(value)}</{name}>'


def _xsd(annotation: str) -> str:
    kind = annotation.partition(" ")[0]
    return "string" if kind == "str" else kind


def _as_php(value: Any) -> str:
    """Write a value as PHP does: a float without its zero fraction."""
    return f"{value:.14g}" if isinstance(value, float) else _xml(str(value))


def _fault_body(code: str, text: str) -> bytes:
    parts = (("faultcode", code), ("faultactor", ""), ("faultstring", text), ("detail", ""))
    content = "".join(_string(part).element(name) for name, part in parts)
    head = _HEAD.format("\n  ".join(_ATTRIBUTES)).replace("><SOAP-ENV:Body>", ">\n<SOAP-ENV:Body>")
    return f"{head}<SOAP-ENV:Fault>{content}</SOAP-ENV:Fault>{_TAIL}".encode()


class _Server(ThreadingHTTPServer):
    sandbox: Sandbox
    kept: set[socket.socket]
    daemon_threads = True

    def process_request(self, request: Any, client_address: Any) -> None:
        self.kept.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.kept.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close_all(self) -> None:
        """End the connections that are kept open, too."""
        self.server_close()
        for connection in list(self.kept):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body waits for the other side to acknowledge the headers.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != "/api.php?wsdl":
            self.send_error(404)
            return
        self._send(200, self.server.sandbox.wsdl())

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        coded = [name for name in ("Transfer-Encoding", "Content-Encoding") if name in self.headers]
        if coded or not is_count(length, 9):
            self.close_connection = True
            self.send_error(400)
            return
        request = self.rfile.read(int(length))
        if self.path.partition("?")[0] != "/api.php":
            self.send_error(404)
            return
        answer = self.server.sandbox.responded(request)
        if answer is None:
            self.close_connection = True
            return
        self._send(*answer)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=ISO-8859-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the request line is of no use to a user of the sandbox."""
