"""The mail services with the documented data: what each operation does and answers."""

from __future__ import annotations

import enum
import math
import secrets
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from .. import models
from ..soap.envelope import parameters_of
from .data import (
    _ANCHOR,
    _DOCUMENTED,
    _PREPAYS,
    MODULES,
    PASSWORD,
    SESSION_ID,
    USERNAME,
    _invoice,
    _prepay,
    _service,
)
from .nusoap import (
    _ATTRIBUTES,
    _HEAD,
    _PAYMENT,
    _STRUCTS,
    _TAIL,
    _WSDL,
    _array,
    _Encoding,
    _Fault,
    _fault_body,
    _operation_of,
    _string,
    _struct,
    _Typed,
    parsed,
)
from .server import _Handler, _Server

if TYPE_CHECKING:
    from collections.abc import Callable


EXAMPLES = ("documented", "varied")


class _Break(enum.Enum):
    """When a connection ends: before what was asked for is done, or after."""

    BEFORE = enum.auto()
    AFTER = enum.auto()


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


def _amount(given: object) -> float:
    """Read an amount as PHP does, which takes what is no number for nothing."""
    try:
        amount = float(str(given))
    except ValueError:
        return 0.0
    return amount if math.isfinite(amount) else 0.0


def _padded(values: list[Any], count: int) -> list[Any]:
    return (values + [""] * count)[:count]
