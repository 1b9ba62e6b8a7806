"""The client: one short method for each operation, and the session."""

from __future__ import annotations

import math
import os
import threading
import time

from .errors import (
    NO_FIELDS,
    AuthenticationError,
    OperationFailed,
    ResponseError,
    SoapFault,
    SoapMailError,
    TransportError,
    outcome_unknown,
)
from .models import Invoice, MailService, Order, Prepay, Status

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal
    from typing import Any, TypeVar

    import requests

    from .document import Answer
    from .envelope import Value
    from .transport import Transport

    T = TypeVar("T")

ENDPOINT = "https://my.interserver.net/api.php"

# An empty list from a session of this age, in seconds, is an account without rows.
_FRESH = 600.0
_CHANGING = {
    "api_mail_cancel_service",
    "api_send_mail",
    "api_api_buy_mail",
    "api_make_payment",
    "api_add_prepay",
}
_WITHOUT_SESSION = {"api_login", "api_get_license_types", "api_get_paypal_url"}


def changes(operation: str) -> bool:
    """Tell, where only the name is known, whether an operation may change something."""
    return not operation.startswith("get_") and "_get_" not in operation


def takes_session(operation: str) -> bool:
    """Tell whether an operation's first parameter is the session id."""
    return operation.startswith("api_") and operation not in _WITHOUT_SESSION


class Client:
    """A client of the mail services; a context manager, safe to share between threads.

    It logs in when the first call needs it, and anew when the server refuses its session.

    - ``password`` may be the account's API key. Without both, only what needs no session works.
    - ``endpoint`` is https, or http on a loopback host.
    - ``timeout``: the seconds that one method call may take in all, whatever the server does.
    - ``retries``: how often a reading call is repeated when its connection breaks, nothing comes,
      or the server is busy (HTTP 429, 502, 503, 504).
    - ``session``: a ``requests.Session`` with proxies or certificates; used, and never closed.
    - ``session_id``: of an earlier login; used until the server refuses it.
    - ``max_response_bytes``: an answer over this size, decompressed, is an error.

    Methods raise TransportError, ResponseError, SoapFault, AuthenticationError; those that return a
    status or an order OperationFailed too, and changing ones OutcomeUnknown. Wrong arguments are
    ValueError or TypeError, and text that the server will not keep is a LossyTextWarning, before
    anything is sent.

    >>> Client("user@example.com", "secret", timeout=10)
    Client('user@example.com', endpoint='https://my.interserver.net/api.php')
    """

    def __init__(
        self,
        username: str | None = None,
        password: str | None = None,
        *,
        endpoint: str = ENDPOINT,
        timeout: float = 60.0,
        retries: int = 2,
        session: requests.Session | None = None,
        session_id: str | None = None,
        max_response_bytes: int = 64 * 2**20,
    ) -> None:
        for name, value in (
            ("username", username),
            ("password", password),
            ("session_id", session_id),
        ):
            if value is not None:
                _filled(name, value)
        if (username is None) != (password is None):
            raise ValueError("username and password are given together or not at all")
        if session is not None and not hasattr(session, "get_adapter"):
            raise TypeError("session: requests.Session expected")
        self._username = username
        self._password = password
        self._loopback = _checked_endpoint(endpoint)
        self._endpoint = endpoint
        self._timeout = _seconds(timeout)
        self._retries = _whole("retries", retries, 0)
        self._caller_session = session
        self._session_id = session_id
        self._max_response_bytes = _whole("max_response_bytes", max_response_bytes, 1)
        self._logged_in = -math.inf
        self._start()

    def _start(self) -> None:
        self._closed = False
        self._lock = threading.Lock()  # held while logging in
        self._guard = threading.Lock()
        self._transport: Transport | None = None
        self._secrets = {text for text in (self._password, self._session_id) if text}

    @classmethod
    def from_env(cls, **options: Any) -> Client:
        """Make a client from SOAPMAIL_USERNAME, SOAPMAIL_PASSWORD and, if set, SOAPMAIL_ENDPOINT.

        ``options`` are those of ``Client``, such as ``timeout``. ValueError: one of the first two
        variables is missing.
        """
        names = ("SOAPMAIL_USERNAME", "SOAPMAIL_PASSWORD")
        missing = [name for name in names if not os.environ.get(name)]
        if missing:
            raise ValueError(f"not set in the environment: {', '.join(missing)}")
        username, password = (os.environ[name] for name in names)
        endpoint = os.environ.get("SOAPMAIL_ENDPOINT") or ENDPOINT
        return cls(username, password, **{"endpoint": endpoint, **options})

    def __repr__(self) -> str:
        return f"Client({self._username!r}, endpoint={self._endpoint!r})"

    def __enter__(self) -> Client:
        self._check_open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, but not a caller's ``session``; the client is of no use after."""
        with self._guard:
            self._closed = True
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in ("_lock", "_guard", "_transport", "_secrets"):
            del state[name]
        # The age of the session is of this process's clock.
        state["_logged_in"] = -math.inf
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        closed = state["_closed"]
        self.__dict__.update(state)
        self._start()
        self._closed = closed

    # --- the operations ----------------------------------------------------------------------

    def login(self) -> str:
        """Log in and return the session id (``api_login``); later calls use it.

        AuthenticationError: the server does not accept username and password.
        """
        self._check_open()
        deadline = time.monotonic() + self._timeout

        def log_in() -> str:
            with _Held(self._lock, deadline):
                return self._log_in(deadline)

        return _plainly(log_in)

    def get_client_invoices(self) -> list[Invoice]:
        """List all invoices of the mail services (``api_mail_get_client_invoices``).

        ResponseError: the list is not whole, or a row is not what the contract promises.
        """
        return self._table("api_mail_get_client_invoices", Invoice)

    def get_client_unpaid_invoices(self) -> list[Invoice]:
        """List the unpaid invoices (``api_mail_get_client_unpaid_invoices``).

        ResponseError: the list is not whole, or a row is not what the contract promises.
        """
        return self._table("api_mail_get_client_unpaid_invoices", Invoice)

    def get_services(self) -> list[MailService]:
        """List the mail services (``api_mail_get_services``)."""
        return self._table("api_mail_get_services", MailService)

    def get_service(self, id: int) -> MailService | None:
        """Return one mail service (``api_mail_get_service``); ``None``: there is no such service.

        SoapFault "unable to serialize result": the server may also mean that there is none.
        """
        from .extract import struct

        values: dict[str, Value] = {"id": _id("id", id)}
        return self._invoke(
            "api_mail_get_service", values, lambda answer: struct(answer, MailService)
        )

    def cancel_service(self, id: int) -> bool:
        """Cancel a mail service (``api_mail_cancel_service``); whether the server did so.

        OutcomeUnknown: check the service before you repeat it.
        """
        from .extract import required

        values: dict[str, Value] = {"id": _id("id", id)}
        return self._invoke(
            "api_mail_cancel_service", values, lambda answer: required(answer, bool)
        )

    def send_mail(self, subject: str, body: str, to: str, from_: str) -> Status:
        """Send a mail (``api_send_mail``).

        OperationFailed: the server did not take it. OutcomeUnknown: it may or may not have been
        sent. LossyTextWarning: the server will not keep all of the text.
        """
        values: dict[str, Value] = {
            "subject": _line("subject", subject),
            "body": _text("body", body),
            "to": _filled("to", _line("to", to)),
            "from": _filled("from_", _line("from_", from_)),
        }
        return self._status("api_send_mail", values, Status)

    def buy_mail(self, coupon: str = "") -> Order:
        """Order a mail service (``api_api_buy_mail``); this makes an invoice.

        OperationFailed: the order was refused. OutcomeUnknown: check the services before you repeat
        it.
        """
        return self._status("api_api_buy_mail", {"coupon": _text("coupon", coupon)}, Order)

    def auto_zonemta_login(self, id: int) -> Status:
        """Make a login URL of a mail service (``api_api_auto_zonemta_login``), in ``status_text``.

        OperationFailed: the server made none.
        """
        return self._status("api_api_auto_zonemta_login", {"id": _id("id", id)}, Status)

    def get_modules(self) -> list[str]:
        """List the modules that invoices can be for (``get_modules``); needs no session."""
        from .extract import strings

        return self._invoke("get_modules", {}, strings)

    def make_payment(self, invoice: int, module: str = "mail") -> Status:
        """Pay an invoice from the account's funds (``api_make_payment``).

        OperationFailed: it was not paid. OutcomeUnknown: check the invoice before you repeat it.
        """
        values: dict[str, Value] = {
            "module": _filled("module", module),
            "invoice": _id("invoice", invoice),
        }
        return self._status("api_make_payment", values, Status)

    def get_paypal_url(self, invoice: int, module: str = "mail") -> str:
        """Return the URL that pays an invoice by PayPal (``api_get_paypal_url``); needs no session.

        ResponseError: the server sent no URL.
        """
        from .extract import url

        values: dict[str, Value] = {
            "module": _filled("module", module),
            "invoice": _id("invoice", invoice),
        }
        return self._invoke("api_get_paypal_url", values, url)

    def get_prepay_list(self) -> list[Prepay]:
        """List the prepaid balances (``api_get_prepay_list``)."""
        return self._table("api_get_prepay_list", Prepay)

    def get_prepay_remaining(self, module: str = "mail") -> Status:
        """Say how much prepaid balance is left (``api_get_prepay_remaining``), in ``status_text``.

        The amount is in the account's currency. OperationFailed: the server says nothing.
        """
        values: dict[str, Value] = {"module": _filled("module", module)}
        return self._status("api_get_prepay_remaining", values, Status)

    def get_prepay_paypal_fill_url(
        self, prepay_id: int, amount: float | Decimal, module: str = "mail"
    ) -> str:
        """Return the URL that fills a prepay by PayPal (``api_get_prepay_paypal_fill_url``).

        ``amount`` is in the account's currency. ResponseError: the server sent no URL.
        """
        from .extract import url

        values: dict[str, Value] = {
            "module": _filled("module", module),
            "prepay_id": _id("prepay_id", prepay_id),
            "amount": _amount(amount),
        }
        return self._invoke("api_get_prepay_paypal_fill_url", values, url)

    def add_prepay(
        self, amount: float | Decimal, module: str = "mail", automatic_use: bool = True
    ) -> int:
        """Add a prepaid balance (``api_add_prepay``) and return its id.

        ``amount`` is in the account's currency. OutcomeUnknown: check the list of prepays before
        you repeat it.
        """
        from .extract import required

        if not isinstance(automatic_use, bool):
            raise TypeError(f"automatic_use: bool expected, not {type(automatic_use).__name__}")
        values: dict[str, Value] = {
            "module": _filled("module", module),
            "amount": _amount(amount),
            "automatic_use": automatic_use,
        }
        return self._invoke("api_add_prepay", values, lambda answer: required(answer, int))

    def call(self, operation: str, /, **parameters: Value) -> Any:
        """Do any operation of the API and return its result by ``xsi:type``.

        ``call("api_get_dns_records", domain_id=5)``: the session id is put first where the
        operation takes one; then come the parameters in the order given here, which is what the
        server goes by, as boolean, int, float (Decimal too) or string. Unless its name starts with
        ``get_`` or holds ``_get_``, the operation counts as changing and is not repeated once it
        was sent. In the result, structs are dicts, arrays lists, and ``None`` is nil or a number
        that is empty; a status that is not "ok" is a result like any other.

        OutcomeUnknown: look at the account before you repeat it.
        """
        from . import envelope
        from .extract import by_type

        envelope.checked_name("operation", operation)
        if takes_session(operation) and "sid" in parameters:
            raise ValueError("sid: the session id is put in by the client")
        texts = {
            envelope.checked_name("parameter", name): envelope.typed(name, value)
            for name, value in parameters.items()
        }

        def body(sid: str | None) -> bytes:
            first = {} if sid is None else {"sid": envelope.typed("sid", sid)}
            return envelope.call(operation, {**first, **texts})

        secrets = [str(value) for name, value in parameters.items() if "pass" in name]
        return _plainly(lambda: self._run(operation, body, by_type, changes(operation), secrets))

    # --- one call ----------------------------------------------------------------------------

    def _table(self, operation: str, model: type[T]) -> list[T]:
        from .extract import table

        return self._invoke(operation, {}, lambda answer: table(answer, model))

    def _status(self, operation: str, values: dict[str, Value], model: type[T]) -> T:
        from .extract import status

        return self._invoke(operation, values, lambda answer: status(answer, model))

    def _invoke(self, operation: str, values: dict[str, Value], read: Callable[[Answer], T]) -> T:
        from . import envelope

        texts = {name: envelope.escaped(name, value) for name, value in values.items()}

        def body(sid: str | None) -> bytes:
            first = {} if sid is None else {"sid": envelope.escaped("sid", sid)}
            return envelope.operation(operation, {**first, **texts})

        return _plainly(lambda: self._run(operation, body, read, operation in _CHANGING))

    def _run(
        self,
        operation: str,
        body: Callable[[str | None], bytes],
        read: Callable[[Answer], T],
        changing: bool,
        secrets: Sequence[str] = (),
    ) -> T:
        self._check_open()
        deadline = time.monotonic() + self._timeout
        if not takes_session(operation):
            return self._post(operation, body(None), read, deadline, changing, secrets)
        sid, logged_in = self._session(None, deadline)
        last = False
        while True:
            outcome: Any
            try:
                outcome = self._post(operation, body(sid), read, deadline, changing, secrets)
            except (SoapFault, OperationFailed, ResponseError) as error:
                outcome = error
            refused = _refused(outcome)
            if not refused and not _ambiguous(outcome):
                break
            if changing and not refused:
                outcome = outcome_unknown(
                    operation, f"the answer may mean a refused session ({outcome})"
                )
                break
            if refused and (last or self._password is None):
                hint = "right after a login" if last else "and there is no password to log in with"
                outcome = AuthenticationError(f"{operation}: the session was refused {hint}")
                break
            fresh = time.monotonic() - logged_in < _FRESH
            if last or (fresh and outcome == []):
                break
            if self._password is None:
                if not isinstance(outcome, SoapMailError):
                    _warn_of_nothing(operation)
                break
            sid, logged_in = self._session(sid, deadline)
            last = True
        if isinstance(outcome, SoapMailError):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    def _post(
        self,
        operation: str,
        body: bytes,
        read: Callable[[Answer], T],
        deadline: float,
        changing: bool = False,
        secrets: Sequence[str] = (),
    ) -> T:
        from .transport import Call

        def hide(text: str) -> str:
            return _hidden(text, [*self._secrets, *secrets])

        call = Call(operation, body, changing, deadline, hide)
        return self._connection().post(call, read)

    def _connection(self) -> Transport:
        from . import __version__
        from .transport import Transport

        with self._guard:
            self._check_open()
            if self._transport is None:
                self._transport = Transport(
                    self._endpoint,
                    loopback=self._loopback,
                    user_agent=f"soapmail/{__version__}",
                    retries=self._retries,
                    max_response_bytes=self._max_response_bytes,
                    session=self._caller_session,
                )
            return self._transport

    # --- the session -------------------------------------------------------------------------

    def _session(self, refused: str | None, deadline: float) -> tuple[str, float]:
        """Return a session id other than the refused one, and when it was made.

        Of the threads that wait here, only the first one logs in.
        """
        with _Held(self._lock, deadline):
            if self._session_id is None or self._session_id == refused:
                self._log_in(deadline)
            assert self._session_id is not None
            return self._session_id, self._logged_in

    def _log_in(self, deadline: float) -> str:
        from . import envelope
        from .extract import scalar

        username, password = self._credentials()
        values = {"username": username, "password": password}
        texts = {name: envelope.escaped(name, value) for name, value in values.items()}
        body = envelope.operation("api_login", texts)
        started = time.monotonic()
        sid = self._post("api_login", body, lambda answer: scalar(answer, str), deadline)
        if sid is None or not sid.strip():
            raise AuthenticationError("api_login: the server does not accept username and password")
        self._secrets.add(sid)
        self._session_id = sid
        self._logged_in = started
        return sid

    def _credentials(self) -> tuple[str, str]:
        if self._username is None or self._password is None:
            raise ValueError("username and password, or a session_id, are needed for this")
        return self._username, self._password

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this soapmail client is closed")


def _warn_of_nothing(operation: str) -> None:
    import logging

    log = logging.getLogger("soapmail")
    log.warning("%s: nothing came, which may mean a refused session", operation)


def _plainly(work: Callable[[], T]) -> T:
    """Raise errors from here, without the frames below, whose variables hold secrets."""
    try:
        return work()
    except SoapMailError as error:
        failure = error
    raise failure.with_traceback(None)


class _Held:
    """Holds a lock, waiting for it no longer than the deadline."""

    def __init__(self, lock: threading.Lock, deadline: float) -> None:
        self._lock = lock
        self._deadline = deadline

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=max(0.0, self._deadline - time.monotonic())):
            raise TransportError("api_login: timed out")

    def __exit__(self, *error: object) -> None:
        self._lock.release()


# --- signs of a refused session --------------------------------------------------------------


def _refused(outcome: object) -> bool:
    """Tell whether an answer says in words that the session is not valid."""
    reason = _reason(outcome)
    return isinstance(reason, str) and "invalid session" in reason.lower()


def _reason(outcome: object) -> object:
    """Give the words in which an answer says no."""
    if isinstance(outcome, SoapFault):
        return outcome.text
    if isinstance(outcome, OperationFailed):
        return outcome.status_text
    if isinstance(outcome, dict):
        status = outcome.get("status")
        if isinstance(status, str) and status.strip().lower() != "ok":
            return outcome.get("status_text")
    return None


def _ambiguous(outcome: object) -> bool:
    """Tell whether an answer may mean a refused session, or just what it says."""
    if isinstance(outcome, SoapFault):
        return "unable to serialize result" in outcome.text.lower()
    if isinstance(outcome, ResponseError):
        return outcome.problem == NO_FIELDS
    return outcome == [] or outcome == {}


_LONG_SECRET = 100
_LONG_TEXT = 100_000
# What a refused session is known by stays readable, however short a secret is.
_SIGNS = "(?i)(invalid session|unable to serialize result)"


def _hidden(text: str, secrets: list[str]) -> str:
    """Write ``***`` for each secret, also where it stands escaped."""
    import re

    pieces = re.split(_SIGNS, text)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        pieces[::2] = [_without(piece, secret) for piece in pieces[::2]]
    return "".join(pieces)


def _without(text: str, secret: str) -> str:
    """Hide one secret: in its whole forms anywhere, and with some letters escaped in short texts.

    A pattern takes the square of long texts and secrets, which a server might choose.
    """
    import re
    from html import escape
    from urllib.parse import quote, quote_plus

    xml = escape(secret)
    forms = {secret, xml, escape(secret, quote=False), escape(xml), repr(secret)[1:-1]}
    forms |= {quote(secret), quote(secret, ""), quote_plus(secret)}
    for form in sorted(forms, reverse=True):  # what begins with another one before it
        text = text.replace(form, "***")
    if len(secret) > _LONG_SECRET or len(text) > _LONG_TEXT:
        return text
    return re.sub("".join(map(_forms, secret)), "***", text)


def _forms(letter: str) -> str:
    """Give a pattern for one letter as it is, in XML, in XML twice, and in a URL."""
    import re
    from html import escape
    from urllib.parse import quote, quote_plus

    code = ord(letter)
    forms = {letter, escape(letter), escape(escape(letter)), f"&#{code};", f"&#x{code:x};"}
    forms |= {quote(letter), quote_plus(letter)}
    if letter == "'":
        forms.add("&apos;")
    return f"(?:{'|'.join(map(re.escape, sorted(forms, reverse=True)))})"


# --- arguments -------------------------------------------------------------------------------


def _text(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: str expected, not {type(value).__name__}")
    return value


def _filled(name: str, value: str) -> str:
    if not _text(name, value).strip():
        raise ValueError(f"{name}: empty")
    return value


def _line(name: str, value: str) -> str:
    _text(name, value)
    if "\r" in value or "\n" in value:
        raise ValueError(f"{name}: a line break would add headers to the mail")
    return value


def _id(name: str, value: int) -> int:
    return _whole(name, value, 1)


def _whole(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: int expected, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name}: {value} is less than {least}")
    return value


def _amount(value: float | Decimal) -> float | Decimal:
    from decimal import Decimal

    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise TypeError(f"amount: int, float or Decimal expected, not {type(value).__name__}")
    if not _finite(value) or value <= 0:
        raise ValueError(f"amount: {value} is not a positive number")
    return value


def _seconds(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout: a number of seconds expected, not {type(value).__name__}")
    if not _finite(value) or not 0 < value <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout: {value} is not a positive number of seconds")
    return float(value)


def _finite(value: float | Decimal) -> bool:
    try:
        return math.isfinite(value)
    except (OverflowError, ValueError):  # an int too large, a signalling NaN
        return False


def _checked_endpoint(endpoint: str) -> bool:
    """Check where passwords will go, and tell whether that is this very machine."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    if not isinstance(endpoint, str):
        raise TypeError(f"endpoint: str expected, not {type(endpoint).__name__}")
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
        wrong = not host or parts.port == 0 or "@" in parts.netloc
    except ValueError:
        host, wrong = "", True
    if wrong or any(not "!" <= letter <= "~" or letter == "\\" for letter in endpoint):
        raise ValueError("endpoint: a URL such as https://host/path expected, without user info")
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise ValueError("endpoint: https expected (http only on a loopback host)")
    return loopback
