"""Whether what soapmail believes of the server is true: read only, a line for each belief."""

from __future__ import annotations

import re
import ssl
import time
from dataclasses import fields
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ... import models
from ...client import Client
from ...deadline import Deadline
from ...errors import AuthenticationError, OperationFailed, SoapFault, SoapMailError, TransportError
from ...observe import notify
from ...redaction import sanitize_error
from ...sandbox import list_operations
from ...session import AttemptResult
from ...soap.document import Document
from ...soap.dynamic import parse_by_type
from ...soap.envelope import read_parameters
from ...soap.repair import decode
from ...transport import Delivery, Outgoing, describe_status
from ..exit_codes import OK, REFUSED, error_message
from ..output import format_json
from ..terminal import pluralize, print_or_raise, printable, write_line
from ..versions import list_versions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from ...observe import ObservedExchange
    from ...session import ProcessState
    from ...transport.delivery import Tls
    from ..accounts import Account, AccountSelection

_OK, _NOTE, _WRONG = "ok", "note", "WRONG"
_SOON_DAYS = 14  # until a certificate ends
_SECONDS_A_DAY = 86400
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"  # WSDL 1.1 1.2

Parameters = list[tuple[str, str]]


class Finding(NamedTuple):
    """One line: what was looked at, whether it is as believed, and what was seen."""

    what: str
    state: str
    seen: str


def run_doctor(args: argparse.Namespace, selection: AccountSelection) -> int:
    """Look at everything once; exit with 1 where anything is wrong."""
    account = selection.account()
    exchanges: list[ObservedExchange] = []
    observe = selection.make_observer(account, exchanges.append)
    findings: list[Finding] = []
    with selection.make_client(account, on_exchange=observe) as client:
        for finding in _examine(client, account, args.timeout, observe, exchanges):
            findings.append(finding)
            if args.format == "text":
                print_or_raise(f"{finding.state:5}  {finding.what}: {printable(finding.seen)}\n")
    if args.format == "json":
        write_line(format_json([finding._asdict() for finding in findings]))
    return REFUSED if any(finding.state == _WRONG for finding in findings) else OK


def _examine(
    client: Client,
    account: Account,
    timeout: float,
    observe: Callable[[ObservedExchange], None],
    exchanges: list[ObservedExchange],
) -> Iterator[Finding]:
    yield Finding("versions", _OK, ", ".join(list_versions()))
    login = _ask("api_login", client.login, exchanges=exchanges)
    yield _examine_tls(account.endpoint, exchanges, login)
    yield login
    if login.state != _WRONG:
        # Before the operations: the last recorded list, which a replay repeats, is not refused.
        yield _examine_refusal(account.endpoint, timeout, observe)
        yield from _examine_operations(client, exchanges)
    yield from _examine_wsdl(client, observe)


# --- the connection --------------------------------------------------------------------------


def _examine_tls(endpoint: str, exchanges: list[ObservedExchange], login: Finding) -> Finding:
    """Look at the connection of the login, whose certificate was verified."""
    if urlsplit(endpoint).scheme != "https":
        return Finding("TLS", _NOTE, "none: this is a loopback host")
    for exchange in exchanges:
        if exchange.tls is not None:
            return _describe_tls(exchange.tls, time.time())
    return Finding("TLS", _WRONG, login.seen.removeprefix("api_login: "))


def _describe_tls(tls: Tls, now: float) -> Finding:
    not_after = tls.certificate.get("notAfter")
    if not_after is None:
        return Finding("TLS", _NOTE, f"{tls.version}, of a certificate that nobody looked at")
    end = ssl.cert_time_to_seconds(str(not_after))
    day = datetime.fromtimestamp(end, timezone.utc).date()
    days = int((end - now) // _SECONDS_A_DAY)
    state = _OK if days >= _SOON_DAYS else _NOTE
    return Finding("TLS", state, f"{tls.version}, certificate valid until {day} ({days} days)")


# --- the operations --------------------------------------------------------------------------


def _examine_operations(client: Client, exchanges: list[ObservedExchange]) -> Iterator[Finding]:
    invoices: list[models.Invoice] = []
    services: list[models.MailService] = []
    prepays: list[models.Prepay] = []
    ask = partial(_ask, exchanges=exchanges)
    yield ask("api_mail_get_client_invoices", client.get_client_invoices, models.Invoice, invoices)
    name = "api_mail_get_client_unpaid_invoices"
    yield ask(name, client.get_client_unpaid_invoices, models.Invoice)
    yield ask("api_mail_get_services", client.get_services, models.MailService, services)
    for id in [service.mail_id for service in services if service.mail_id][:1]:
        name = "api_mail_get_service"
        yield ask(name, partial(client.get_service, id), models.MailService)
        yield ask("api_api_auto_zonemta_login", partial(client.auto_zonemta_login, id))
    yield ask("get_modules", client.get_modules)
    for id in [invoice.invoices_id for invoice in invoices if invoice.invoices_id][:1]:
        yield ask("api_get_paypal_url", partial(client.get_paypal_url, id))
    yield ask("api_get_prepay_list", client.get_prepay_list, models.Prepay, prepays)
    yield ask("api_get_prepay_remaining", client.get_prepay_remaining)
    for id in [prepay.prepay_id for prepay in prepays if prepay.prepay_id][:1]:
        name = "api_get_prepay_paypal_fill_url"
        yield ask(name, partial(client.get_prepay_paypal_fill_url, id, 1))


def _ask(
    what: str,
    ask: Callable[[], Any],
    model: type[Any] | None = None,
    records: list[Any] | None = None,
    *,
    exchanges: list[ObservedExchange],
) -> Finding:
    """Ask once, and return how long it took, how much came, and what was odd about it."""
    exchanges.clear()
    started = time.monotonic()
    try:
        value = ask()
    except (OperationFailed, SoapFault) as error:
        return Finding(what, _NOTE, f"refused: {error_message(error)}")
    except (SoapMailError, ValueError) as error:
        return Finding(what, _WRONG, error_message(error))
    facts = [f"{(time.monotonic() - started) * 1000:.0f} ms"]
    notes = []
    if isinstance(value, list):
        facts.append(pluralize(len(value), "row"))
        if records is not None:
            records += value
    if value is None:
        notes.append("there is none")
    if len(exchanges) > 1:
        notes.append(f"{len(exchanges)} attempts")
    for exchange in exchanges:
        notes += [f"repaired: {repair}" for repair in exchange.repairs]
    if model is not None and exchanges and value:
        notes += _compare_fields(exchanges[-1], model)
    return Finding(what, _NOTE if notes else _OK, "; ".join([*facts, *notes]))


def _compare_fields(exchange: ObservedExchange, model: type[Any]) -> list[str]:
    deadline = Deadline()
    try:
        document = Document(decode(exchange.response, None, deadline), None, deadline)
        value = parse_by_type(document)
    except SoapMailError:
        return []
    rows = [row for row in (value if isinstance(value, list) else [value]) if isinstance(row, dict)]
    names = {str(name) for row in rows for name in row}
    documented = {field.name for field in fields(model)}
    unknown, missing = sorted(names - documented), sorted(documented - names)
    notes = [f"unknown fields: {', '.join(unknown)}"] if unknown else []
    return [*notes, *([f"missing fields: {', '.join(missing)}"] if missing else [])]


def _examine_refusal(
    endpoint: str, timeout: float, observe: Callable[[ObservedExchange], None]
) -> Finding:
    what = "a wrong session"
    options: Mapping[str, Any] = {"endpoint": endpoint, "timeout": timeout, "retries": 0}
    with Client(session_id="0" * 32, on_exchange=observe, **options) as client:
        try:
            rows = client.get_client_invoices()
        except AuthenticationError:
            return Finding(what, _OK, "is refused in words")
        except SoapFault as error:
            return Finding(what, _NOTE, f"is refused by {error_message(error)}")
        except SoapMailError as error:
            return Finding(what, _WRONG, error_message(error))
    if rows:
        return Finding(what, _WRONG, f"is given {pluralize(len(rows), 'invoice')}")
    return Finding(what, _NOTE, "is given an empty list")


# --- the server's own description ------------------------------------------------------------


def _examine_wsdl(client: Client, observe: Callable[[ObservedExchange], None]) -> Iterator[Finding]:
    try:
        described = parse_wsdl(fetch_wsdl(client._state(), observe))
    except (SoapMailError, ValueError) as error:
        yield Finding("WSDL", _WRONG, error_message(error))
        return
    yield Finding("WSDL", _OK, f"{pluralize(len(described), 'operation')} described")
    for operation in list_operations():
        parameters = read_parameters(operation)
        yield compare_parameters(operation, parameters, described.get(operation))


def fetch_wsdl(state: ProcessState, observe: Callable[[ObservedExchange], None]) -> bytes:
    """Return the server's own description of its operations; TransportError: it sent none."""
    outgoing = Outgoing("wsdl")
    started = time.monotonic()
    # Once, and so not over a connection that the server may just have closed.
    deadline = Deadline(state.timeout)
    response = state.transport.send(outgoing, Delivery(deadline), fresh=True)
    seconds = time.monotonic() - started
    problem = response.problem or response.unusable or response.ended_early
    if problem is None and response.status != 200:
        problem = f"HTTP status {response.status}{describe_status(response.status)}"
    error = None if problem is None else TransportError(problem)
    result = AttemptResult(error=error)
    notify(observe, outgoing, response, seconds, result, state.secrets, deadline)
    if error is not None:
        raise sanitize_error(error, state.secrets)
    return response.data


def compare_parameters(operation: str, ours: Parameters, theirs: Parameters | None) -> Finding:
    """Return how the parameters of a template differ from those of the server."""
    what = f"WSDL of {operation}"
    if theirs is None:
        return Finding(what, _WRONG, "the operation is gone")
    if ours == theirs:
        return Finding(what, _OK, "the same parameters")
    names, now = [name for name, _ in ours], [name for name, _ in theirs]
    if sorted(names) == sorted(now) and names != now:
        return Finding(what, _WRONG, f"in another order: {', '.join(now)}")
    if names == now:
        types = [f"{name} is {type}" for name, type in theirs if (name, type) not in ours]
        return Finding(what, _WRONG, f"of another type: {', '.join(types)}")
    more = [f"more: {name}" for name in now if name not in names]
    less = [f"gone: {name}" for name in names if name not in now]
    return Finding(what, _WRONG, f"other parameters; {', '.join([*more, *less])}")


def parse_wsdl(wsdl: bytes) -> dict[str, Parameters]:
    """Return for each operation of a WSDL its parameters, in order; ValueError: it is none."""
    if re.search(rb"(?i)<!doctype", wsdl):
        raise ValueError("a DOCTYPE, which is not read")
    try:
        root = ElementTree.fromstring(wsdl)
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"no XML: {error}") from None
    messages = {
        message.get("name"): [
            (part.get("name", ""), _strip_prefix(part.get("type", "")))
            for part in message.iterfind(f"{_WSDL}part")
        ]
        for message in root.iterfind(f"{_WSDL}message")
    }
    described: dict[str, Parameters] = {}
    for operation in root.iterfind(f"{_WSDL}portType/{_WSDL}operation"):
        message = operation.find(f"{_WSDL}input")
        qname = "" if message is None else message.get("message", "")
        described[operation.get("name", "")] = messages.get(_strip_prefix(qname), [])
    if not described:
        raise ValueError("no WSDL: it describes no operation")
    return described


def _strip_prefix(name: str) -> str:
    return name.rpartition(":")[2]
