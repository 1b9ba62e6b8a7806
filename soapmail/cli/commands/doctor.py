"""Whether what soapmail believes of the server is true: read only, a line for each belief."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
import time
from dataclasses import fields
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

import requests
from urllib3.exceptions import HTTPError

from ... import models
from ...client import Client
from ...deadline import Deadline
from ...errors import AuthenticationError, OperationFailed, SoapFault, SoapMailError
from ...operations import checked_endpoint
from ...sandbox import imitated
from ...soap.document import Document
from ...soap.dynamic import by_type
from ...soap.envelope import parameters_of
from ...soap.repair import decode
from ..exit_codes import OK, REFUSED, counted, words_of
from ..output import json_text
from ..terminal import shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from ...observe import ObservedExchange
    from ..accounts import Reach

_OK, _NOTE, _WRONG = "ok", "note", "WRONG"
_LARGE = 16 * 2**20
_SOON = 14
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"

Parameters = list[tuple[str, str]]


class Finding(NamedTuple):
    """One line: what was looked at, whether it is as believed, and what was seen."""

    what: str
    state: str
    seen: str


def doctor(args: argparse.Namespace, reach: Reach) -> int:
    """Look at everything once; exit with 1 where anything is wrong."""
    account = reach.one()
    watched: list[ObservedExchange] = []

    def watch(exchange: ObservedExchange) -> None:
        watched.append(exchange)
        if reach.dump is not None:
            reach.dump(exchange)

    found: list[Finding] = []
    with account.client(on_exchange=watch) as client:
        for finding in _findings(client, account.endpoint, args.timeout, watched):
            found.append(finding)
            if args.format == "text":
                print(f"{finding.state:5}  {finding.what}: {shown(finding.seen)}", flush=True)
    if args.format == "json":
        print(json_text([finding._asdict() for finding in found]))
    return REFUSED if any(finding.state == _WRONG for finding in found) else OK


def _findings(
    client: Client, endpoint: str, timeout: float, watched: list[ObservedExchange]
) -> Iterator[Finding]:
    yield _tls(endpoint, timeout)
    login = _asked("api_login", client.login, watched)
    yield login
    if login.state != _WRONG:
        yield from _reading(client, watched)
        yield _refusal(endpoint, timeout)
    yield from _wsdl(endpoint, timeout)


# --- the connection --------------------------------------------------------------------------


def _tls(endpoint: str, timeout: float) -> Finding:
    """Look at the certificate of the server itself."""
    parts = urlsplit(endpoint)
    if parts.scheme != "https":
        return Finding("TLS", _NOTE, "none: this is a loopback host")
    if requests.utils.get_environ_proxies(endpoint):
        return Finding("TLS", _NOTE, "behind a proxy, so the certificate was not looked at")
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    trusted = bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH
    folder = os.path.isdir(trusted)
    try:
        context = ssl.create_default_context(
            cafile=None if folder else trusted, capath=trusted if folder else None
        )
        address = (parts.hostname or "", parts.port or 443)
        with (
            socket.create_connection(address, timeout) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            version, certificate = secure.version(), secure.getpeercert()
    except OSError as error:
        return Finding("TLS", _WRONG, str(error.strerror or error))
    return _validity(version, certificate, time.time())


def _validity(version: str | None, certificate: Mapping[str, Any] | None, now: float) -> Finding:
    end = ssl.cert_time_to_seconds(str((certificate or {})["notAfter"]))
    day = datetime.fromtimestamp(end, timezone.utc).date()
    left = int((end - now) // 86400)
    state = _OK if left >= _SOON else _NOTE
    return Finding("TLS", state, f"{version}, certificate valid until {day} ({left} days)")


# --- the operations --------------------------------------------------------------------------


def _reading(client: Client, watched: list[ObservedExchange]) -> Iterator[Finding]:
    """Ask for everything that can be read, once."""
    invoices: list[models.Invoice] = []
    services: list[models.MailService] = []
    prepays: list[models.Prepay] = []
    name = "api_mail_get_client_invoices"
    yield _asked(name, client.get_client_invoices, watched, models.Invoice, invoices)
    name = "api_mail_get_client_unpaid_invoices"
    yield _asked(name, client.get_client_unpaid_invoices, watched, models.Invoice)
    yield _asked(
        "api_mail_get_services", client.get_services, watched, models.MailService, services
    )
    for service in [one.mail_id for one in services if one.mail_id][:1]:
        name = "api_mail_get_service"
        yield _asked(name, partial(client.get_service, service), watched, models.MailService)
        name = "api_api_auto_zonemta_login"
        yield _asked(name, partial(client.auto_zonemta_login, service), watched)
    yield _asked("get_modules", client.get_modules, watched)
    for invoice in [one.invoices_id for one in invoices if one.invoices_id][:1]:
        yield _asked("api_get_paypal_url", partial(client.get_paypal_url, invoice), watched)
    yield _asked("api_get_prepay_list", client.get_prepay_list, watched, models.Prepay, prepays)
    yield _asked("api_get_prepay_remaining", client.get_prepay_remaining, watched)
    for prepay in [one.prepay_id for one in prepays if one.prepay_id][:1]:
        name = "api_get_prepay_paypal_fill_url"
        yield _asked(name, partial(client.get_prepay_paypal_fill_url, prepay, 1), watched)


def _asked(
    what: str,
    ask: Callable[[], Any],
    watched: list[ObservedExchange],
    model: type[Any] | None = None,
    kept: list[Any] | None = None,
) -> Finding:
    """Ask once, and say how long it took, how much came, and what was odd about it."""
    watched.clear()
    started = time.monotonic()
    try:
        value = ask()
    except (OperationFailed, SoapFault) as error:
        return Finding(what, _NOTE, f"refused: {words_of(error)}")
    except (SoapMailError, ValueError) as error:
        return Finding(what, _WRONG, words_of(error))
    seen = [f"{(time.monotonic() - started) * 1000:.0f} ms"]
    notes = []
    if isinstance(value, list):
        seen.append(counted(len(value), "row"))
        if kept is not None:
            kept += value
    if value is None:
        notes.append("there is none")
    if len(watched) > 1:
        notes.append(f"{len(watched)} attempts")
    for exchange in watched:
        notes += [f"repaired: {repair}" for repair in exchange.repairs]
    if model is not None and watched and value:
        notes += _fields(watched[-1], model)
    return Finding(what, _NOTE if notes else _OK, "; ".join([*seen, *notes]))


def _fields(exchange: ObservedExchange, model: type[Any]) -> list[str]:
    """Say which fields of the records are not documented, and which documented ones are missing."""
    deadline = Deadline()
    try:
        found = by_type(Document(decode(exchange.response, None, deadline), None, deadline))
    except SoapMailError:
        return []
    rows = [row for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]
    names = {str(name) for row in rows for name in row}
    known = {field.name for field in fields(model)}
    unknown, missing = sorted(names - known), sorted(known - names)
    said = [f"unknown fields: {', '.join(unknown)}"] if unknown else []
    return [*said, *([f"missing fields: {', '.join(missing)}"] if missing else [])]


def _refusal(endpoint: str, timeout: float) -> Finding:
    """Ask with a session id that is none."""
    what = "a wrong session"
    with Client(session_id="0" * 32, endpoint=endpoint, timeout=timeout, retries=0) as client:
        try:
            rows = client.get_client_invoices()
        except AuthenticationError:
            return Finding(what, _OK, "is refused in words")
        except SoapFault as error:
            return Finding(what, _NOTE, f"is refused by {words_of(error)}")
        except SoapMailError as error:
            return Finding(what, _WRONG, words_of(error))
    if rows:
        return Finding(what, _WRONG, f"is given {counted(len(rows), 'invoice')}")
    return Finding(what, _NOTE, "is given an empty list")


# --- the server's own description ------------------------------------------------------------


def _wsdl(endpoint: str, timeout: float) -> Iterator[Finding]:
    """Compare each template with what the server says of its operation today."""
    try:
        described = described_by(_fetched(endpoint, timeout))
    except (OSError, ValueError, HTTPError) as error:  # those of requests are OSErrors
        yield Finding("WSDL", _WRONG, " ".join(str(error).split())[:200])
        return
    yield Finding("WSDL", _OK, f"{counted(len(described), 'operation')} described")
    for operation in imitated():
        yield compared(operation, parameters_of(operation), described.get(operation))


def compared(operation: str, ours: Parameters, theirs: Parameters | None) -> Finding:
    """Hold the parameters of a template against those of the server."""
    what = f"WSDL of {operation}"
    if theirs is None:
        return Finding(what, _WRONG, "the operation is gone")
    if ours == theirs:
        return Finding(what, _OK, "the same parameters")
    names, now = [name for name, _ in ours], [name for name, _ in theirs]
    if sorted(names) == sorted(now) and names != now:
        return Finding(what, _WRONG, f"in another order: {', '.join(now)}")
    if names == now:
        kinds = [f"{one[0]} is {one[1]}" for one in theirs if one not in ours]
        return Finding(what, _WRONG, f"of another type: {', '.join(kinds)}")
    more = [f"more: {name}" for name in now if name not in names]
    less = [f"gone: {name}" for name in names if name not in now]
    return Finding(what, _WRONG, f"other parameters; {', '.join([*more, *less])}")


def _fetched(endpoint: str, timeout: float) -> bytes:
    """Get the WSDL within the time limit, however slowly it comes."""
    fetched: list[bytes | Exception] = []

    def fetch() -> None:
        try:
            fetched.append(_downloaded(endpoint, timeout))
        except Exception as error:
            fetched.append(error)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(timeout)
    found = fetched[0] if fetched else ValueError("timed out")
    if isinstance(found, Exception):
        raise found
    return found


def _downloaded(endpoint: str, timeout: float) -> bytes:
    """Get the WSDL, without redirects, cookies or a netrc; of limited size."""
    with requests.Session() as session:
        session.trust_env = not checked_endpoint(endpoint)
        session.auth = lambda request: request
        response = session.get(
            f"{endpoint}?wsdl", timeout=timeout, allow_redirects=False, stream=True
        )
        with response:
            if response.status_code != 200:
                raise ValueError(f"HTTP status {response.status_code}")
            data = response.raw.read(_LARGE + 1, decode_content=True)
    if len(data) > _LARGE:
        raise ValueError(f"more than {_LARGE} bytes")
    return bytes(data)


def described_by(wsdl: bytes) -> dict[str, Parameters]:
    """Give for each operation of a WSDL its parameters, in order; ValueError: it is none."""
    if re.search(rb"(?i)<!doctype", wsdl):
        raise ValueError("a DOCTYPE, which is not read")
    try:
        root = ElementTree.fromstring(wsdl)
    except (ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"no XML: {error}") from None
    messages = {
        message.get("name"): [
            (part.get("name", ""), _local(part.get("type", "")))
            for part in message.iterfind(f"{_WSDL}part")
        ]
        for message in root.iterfind(f"{_WSDL}message")
    }
    found: dict[str, Parameters] = {}
    for operation in root.iterfind(f"{_WSDL}portType/{_WSDL}operation"):
        message = operation.find(f"{_WSDL}input")
        written = "" if message is None else message.get("message", "")
        found[operation.get("name", "")] = messages.get(_local(written), [])
    if not found:
        raise ValueError("no WSDL: it describes no operation")
    return found


def _local(name: str) -> str:
    return name.rpartition(":")[2]
