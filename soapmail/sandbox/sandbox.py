"""The mail services with the documented data: what each operation does and answers."""

from __future__ import annotations

import enum
import math
import secrets
import threading
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from .. import models
from ..patterns import is_count
from ..soap.envelope import read_parameters
from .data import (
    DOCUMENTED_INVOICES,
    MODULES,
    PASSWORD,
    PAYPAL_ANCHOR,
    PREPAYS,
    SESSION_ID,
    USERNAME,
    describe_renewal,
    make_invoice,
    make_prepay,
    make_service,
)
from .nusoap import (
    ENVELOPE_ATTRIBUTES,
    ENVELOPE_HEAD,
    ENVELOPE_TAIL,
    PAYMENT_STRUCT,
    STRUCTS,
    Fault,
    TypedXml,
    UnreadableEncoding,
    parse_request,
    read_operation,
    write_array,
    write_fault,
    write_string,
    write_struct,
)
from .server import LoopbackServer, Reply
from .varied import add_varied
from .wsdl import write_wsdl

if TYPE_CHECKING:
    from collections.abc import Callable


EXAMPLES = ("documented", "varied")


class _Break(enum.Enum):
    BEFORE = enum.auto()
    AFTER = enum.auto()


class _OperationEntry(NamedTuple):
    method: Callable[..., TypedXml]
    parameters: int
    # Its type in the WSDL.
    returns: str
    # What a refused session is told, in this type; None: it takes no session.
    refuse: Callable[[str], TypedXml] | None


_OPERATIONS: dict[str, _OperationEntry] = {}
_Box = TypeVar("_Box", bound="Sandbox")
_Method = TypeVar("_Method", bound="Callable[..., TypedXml]")


def _operation(
    operation: str, returns: str, refuse: Callable[[str], TypedXml] | None = None
) -> Callable[[_Method], _Method]:
    """Let a method answer an operation; its parameters are those after the session id."""

    def register(method: _Method) -> _Method:
        count = method.__code__.co_argcount - 1
        _OPERATIONS[operation] = _OperationEntry(method, count, returns, refuse)
        return method

    return register


def list_operations() -> list[str]:
    """Return the operations that the sandbox answers."""
    return list(_OPERATIONS)


def _refuse_with_fault(kind: str) -> NoReturn:
    raise Fault("Client", "Invalid Session ID")


def _refuse_with_nothing(kind: str) -> TypedXml:
    return TypedXml(f'xsi:type="{kind}"', "", True)


def _refuse_with_status(kind: str) -> TypedXml:
    return write_struct(models.Status("error", "Invalid Session ID"), kind)


class Sandbox:
    """The mail services on loopback, with the documented invoices and services.

    ``rows`` is how many invoices there are; each has a service of its own. ``example="varied"``
    adds what the documented ones lack: paid and deleted charges, payments, another currency, active
    services, a charge that is due in three days, and one of each kind that ``billing.audit`` finds.
    Use it as a context manager:
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
        self.invoices = [make_invoice(n) for n in range(rows)]
        self.services = [make_service(n) for n in range(rows)]
        self.prepays = [make_prepay(id, created) for id, created in PREPAYS]
        self.sent: list[dict[str, str]] = []
        self._lock = threading.Lock()
        self._break: _Break | None = None
        if example == "varied":
            add_varied(self, datetime.now().date())
        self._sessions: set[str] = set()
        self._next_session = SESSION_ID
        self._server = LoopbackServer(self._reply, port)
        self.endpoint = self._server.endpoint

    def __enter__(self: _Box) -> _Box:
        # The short poll makes the end quick; requests are not polled for.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.close_all()

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.serve()

    def add_invoice(self, **fields: Any) -> models.Invoice:
        """Add an invoice and return it; its id and its repeat invoice are new ones.

        What else is not given is as in the first documented one. TypeError: an invoice has no such
        field.
        """
        with self._lock:
            repeats = [row.invoices_extra or 0 for row in self.invoices if row.is_charge]
            last = max(repeats, default=DOCUMENTED_INVOICES[-1][1])
            repeat = fields.get("invoices_extra", last + 1)
            text = describe_renewal(repeat)
            new = replace(make_invoice(0), invoices_extra=repeat, invoices_description=text)
            return self._add(new, fields)

    def add_payment(self, charge: models.Invoice, **fields: Any) -> models.Invoice:
        """Add a payment of a charge, or a refund of a payment, and return it.

        What is not given is as in the charge, which is not changed: where it should be marked as
        paid, add it with ``invoices_paid=1``. TypeError: an invoice has no such field.
        """
        payment = replace(
            charge,
            invoices_description="Credit Card Payment",
            invoices_type=10,
            invoices_extra=charge.invoices_id,
            invoices_due_date="0000-00-00 00:00:00",
            invoices_paid=1,
            invoices_deleted=0,
        )
        with self._lock:
            return self._add(payment, fields)

    def _add(self, invoice: models.Invoice, fields: dict[str, Any]) -> models.Invoice:
        ids = [row.invoices_id or 0 for row in self.invoices]
        last = max(ids, default=DOCUMENTED_INVOICES[-1][0])
        invoice = replace(invoice, **{"invoices_id": last + 1, **fields})
        self.invoices.append(invoice)
        return invoice

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
        """Return the HTTP status and the body for one posted envelope."""
        try:
            operation, values = parse_request(request)
            with self._lock:
                result = self._result(operation, values)
        except Fault as fault:
            return 500, write_fault(*fault.args)
        except UnreadableEncoding as error:
            return 400, str(error).encode()
        attributes = [*ENVELOPE_ATTRIBUTES, *(['xmlns:tns="urn:myapi"'] if result.own else [])]
        body = f'<ns1:{operation}Response xmlns:ns1="urn:myapi">{result.element("return")}'
        text = (
            ENVELOPE_HEAD.format(" ".join(attributes))
            + f"{body}</ns1:{operation}Response>{ENVELOPE_TAIL}"
        )
        return 200, text.encode()

    def wsdl(self) -> bytes:
        """Return the description of its operations, for clients that read one."""
        returns = {operation: entry.returns for operation, entry in _OPERATIONS.items()}
        return write_wsdl(returns, self.endpoint)

    def _reply(self, operation: str, request: bytes) -> Reply | None:
        if operation == "wsdl":
            return Reply(200, self.wsdl())
        answer = self.respond(request)
        return None if answer is None else Reply(*answer)

    def respond(self, request: bytes) -> tuple[int, bytes] | None:
        """Return what ``answer`` does, or ``None`` where ``break_next`` ends the connection."""
        with self._lock:
            breaks = self._break if read_operation(request) not in ("", "api_login") else None
            self._break = None if breaks else self._break
        if breaks is _Break.BEFORE:
            return None
        answer = self.answer(request)
        return None if breaks else answer

    def _result(self, operation: str, values: list[Any]) -> TypedXml:
        entry = _OPERATIONS.get(operation)
        if entry is None:
            raise Fault(
                "SOAP-ENV:Client",
                f"Operation '{operation}' is not defined in the WSDL for this service",
            )
        kinds = [kind for _, kind in read_parameters(operation)]
        values = [_read_number(value, kind) for value, kind in zip(values, kinds, strict=False)]
        if entry.refuse is None:
            return entry.method(self, *_pad(values, entry.parameters))
        sid, *rest = _pad(values, entry.parameters + 1)
        return entry.method(self, *rest) if sid in self._sessions else entry.refuse(entry.returns)

    # --- operations: the parameters after the session id, by position --------------------------

    @_operation("api_login", "xsd:string")
    def _login(self, username: str, password: str) -> TypedXml:
        if (username, password) != (self.username, self.password):
            return write_string("")
        sid, self._next_session = self._next_session, secrets.token_hex(16)
        self._sessions.add(sid)
        return write_string(sid)._replace(own=True)

    @_operation("api_mail_get_client_invoices", "tns:array_sql_row_invoices", _refuse_with_fault)
    def _get_client_invoices(self) -> TypedXml:
        return write_array(self.invoices, models.Invoice)

    @_operation(
        "api_mail_get_client_unpaid_invoices", "tns:array_sql_row_invoices", _refuse_with_fault
    )
    def _get_client_unpaid_invoices(self) -> TypedXml:
        return write_array(
            [invoice for invoice in self.invoices if invoice.is_open], models.Invoice
        )

    @_operation("api_mail_get_services", "tns:array_sql_row_mail", _refuse_with_fault)
    def _get_services(self) -> TypedXml:
        return write_array(self.services, models.MailService)

    @_operation("api_mail_get_service", "tns:sql_row_mail", _refuse_with_nothing)
    def _get_service(self, id: int) -> TypedXml:
        for service in self.services:
            if service.mail_id == id:
                return write_struct(service)
        return TypedXml(f'xsi:nil="true" xsi:type="{STRUCTS[models.MailService]}"', "", True)

    @_operation("api_mail_cancel_service", "xsd:boolean", _refuse_with_fault)
    def _cancel_service(self, id: int) -> TypedXml:
        for n, service in enumerate(self.services):
            if service.mail_id == id and service.mail_status != "canceled":
                self.services[n] = replace(service, mail_status="canceled")
                return TypedXml('xsi:type="xsd:boolean"', "true", False)
        return TypedXml('xsi:type="xsd:boolean"', "false", False)

    @_operation("api_send_mail", "tns:result_status", _refuse_with_status)
    def _send_mail(self, subject: str, body: str, to: str, from_: str) -> TypedXml:
        self.sent.append({"subject": subject, "body": body, "to": to, "from": from_})
        return write_struct(models.Status("ok", "Mail queued"))

    @_operation("api_api_buy_mail", "tns:buy_vps_result_status", _refuse_with_status)
    def _buy_mail(self, coupon: str) -> TypedXml:
        n = len(self.invoices)
        self.invoices.append(make_invoice(n))
        self.services.append(replace(make_service(n), mail_status="pending"))
        return write_struct(
            models.Order("ok", "Order placed", str(self.invoices[n].invoices_id), 1.0)
        )

    @_operation("api_api_auto_zonemta_login", "tns:result_status", _refuse_with_status)
    def _auto_zonemta_login(self, id: int) -> TypedXml:
        if any(service.mail_id == id for service in self.services):
            return write_struct(models.Status("ok", "https://mail.example.com/login?a=1&b=2"))
        return write_struct(models.Status("error", "Invalid Service Passed"))

    # The provider's WSDL says so of a list, and there is no such type.
    @_operation("get_modules", "xsd:Array")
    def _get_modules(self) -> TypedXml:
        items = "".join(write_string(module).element("item") for module in MODULES)
        attributes = f'SOAP-ENC:arrayType="xsd:string[{len(MODULES)}]"'
        return TypedXml(f'xsi:type="SOAP-ENC:Array" {attributes}', items, False)

    @_operation("api_make_payment", PAYMENT_STRUCT, _refuse_with_status)
    def _make_payment(self, module: str, invoice: int) -> TypedXml:
        for n, row in enumerate(self.invoices):
            if (row.invoices_id, row.invoices_module) == (invoice, module) and row.is_open:
                self.invoices[n] = replace(row, invoices_paid=1)
                return write_struct(models.Status("ok", "Payment made"), PAYMENT_STRUCT)
        text = "Invalid Invoice Number Passed or missing Module information."
        return write_struct(models.Status("error", text), PAYMENT_STRUCT)

    @_operation("api_get_paypal_url", "xsd:string")
    def _get_paypal_url(self, module: str, invoice: int) -> TypedXml:
        return write_string(PAYPAL_ANCHOR)

    @_operation("api_get_prepay_list", "tns:array_prepays_list", _refuse_with_fault)
    def _get_prepay_list(self) -> TypedXml:
        return write_array(self.prepays, models.Prepay)

    @_operation("api_get_prepay_remaining", "tns:result_status", _refuse_with_status)
    def _get_prepay_remaining(self, module: str) -> TypedXml:
        prepays = [prepay for prepay in self.prepays if prepay.prepay_module == module]
        remaining = sum(prepay.prepay_remaining or 0 for prepay in prepays)
        return write_struct(models.Status("ok", f"{remaining:.2f}"))

    @_operation("api_get_prepay_paypal_fill_url", "xsd:string", _refuse_with_fault)
    def _get_prepay_paypal_fill_url(self, module: str, id: int, amount: float) -> TypedXml:
        return write_string(
            f"https://www.paypal.com/cgi-bin/webscr?custom=PREPAY{id}&amount={amount}"
        )

    @_operation("api_add_prepay", "xsd:int", _refuse_with_fault)
    def _add_prepay(self, module: str, value: object, automatic_use: bool) -> TypedXml:
        amount = _read_amount(value)
        id = max(prepay.prepay_id or 0 for prepay in self.prepays) + 1
        new = replace(make_prepay(id, PREPAYS[-1][1]), prepay_module=module)
        self.prepays.append(
            replace(
                new,
                prepay_amount=amount,
                prepay_remaining=amount,
                prepay_automatic_use=int(bool(automatic_use)),
            )
        )
        return TypedXml('xsi:type="xsd:int"', str(id), False)


def _read_number(value: Any, kind: str) -> Any:
    """Return a parameter, of which PHP takes a text for a number where it wants a number."""
    if kind == "int" and isinstance(value, str):
        return int(value) if is_count(value, 18) else 0
    return value


def _read_amount(value: object) -> float:
    try:
        amount = float(str(value))
    except ValueError:
        return 0.0
    return amount if math.isfinite(amount) else 0.0


def _pad(values: list[Any], count: int) -> list[Any]:
    return (values + [""] * count)[:count]
