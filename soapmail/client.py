"""The client: one short method for each operation, and the life of a client."""

from __future__ import annotations

import os
from functools import partial

from . import arguments, errors, models, redaction
from .operations import ENDPOINT, check_endpoint

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from typing import Any, TypeVar

    import requests

    from .call import Call
    from .observe import ObservedExchange
    from .session import ProcessState
    from .soap.document import Document
    from .soap.envelope import Value

    C = TypeVar("C", bound="Client")
    T = TypeVar("T")


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
    - ``max_response_bytes``: a response over this size, decompressed, is an error.
    - ``on_exchange``: is told of each request and what came of it, without secrets, as an
      ``observe.ObservedExchange``; what it raises is logged.

    Methods raise TransportError, ResponseError, SoapFault, AuthenticationError; those that return a
    status or an order OperationFailed too, and changing ones OutcomeUnknown. Wrong arguments are
    ValueError or TypeError, and text that the server will not keep is a LossyTextWarning, before
    anything is sent. RuntimeError: the client was closed before.

    >>> Client("user@example.com", "secret", timeout=10)
    Client('user@example.com', endpoint='https://my.interserver.net/api.php')
    """

    _closed = False
    _username: str | None = None
    _endpoint = ENDPOINT

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
        on_exchange: Callable[[ObservedExchange], object] | None = None,
    ) -> None:
        self._username = username
        self._states: dict[object, ProcessState] = {}
        try:
            self._session_id = arguments.optional_text("session_id", session_id)
            self._options: dict[str, Any] = {
                "transport": {
                    "loopback": check_endpoint(endpoint),
                    "endpoint": endpoint,
                    "session": arguments.http_session(session),
                    "max_response_bytes": arguments.positive_int(
                        "max_response_bytes", max_response_bytes
                    ),
                },
                "calls": {
                    "credentials": arguments.credentials(username, password),
                    "timeout": arguments.timeout(timeout),
                    "retries": arguments.positive_int("retries", retries, least=0),
                    "on_exchange": arguments.callable_or_none("on_exchange", on_exchange),
                },
            }
            self._endpoint = endpoint
            return
        except BaseException as error:
            failure = redaction.drop_frames(error)
        finally:
            password, session_id, endpoint = None, None, ""  # which a traceback would show
        raise failure

    @classmethod
    def from_env(
        cls,
        *,
        endpoint: str | None = None,
        timeout: float = 60.0,
        retries: int = 2,
        session: requests.Session | None = None,
        session_id: str | None = None,
        max_response_bytes: int = 64 * 2**20,
        on_exchange: Callable[[ObservedExchange], object] | None = None,
    ) -> Client:
        """Make a client from SOAPMAIL_USERNAME, SOAPMAIL_PASSWORD and, if set, SOAPMAIL_ENDPOINT.

        Without SOAPMAIL_PASSWORD, the first line of the file SOAPMAIL_PASSWORD_FILE is the
        password. The options are those of ``Client``. ValueError: a variable is missing, or that
        line is no password. OSError: the file cannot be read.
        """
        from .secret import read_credentials

        try:
            return cls(
                *read_credentials(os.environ),
                endpoint=endpoint or os.environ.get("SOAPMAIL_ENDPOINT") or ENDPOINT,
                timeout=timeout,
                retries=retries,
                session=session,
                session_id=session_id,
                max_response_bytes=max_response_bytes,
                on_exchange=on_exchange,
            )
        finally:
            # As above.
            endpoint = session_id = None

    def __repr__(self) -> str:
        return f"Client({self._username!r}, endpoint={self._endpoint!r})"

    def __enter__(self: C) -> C:
        self._check_open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, but not a caller's ``session``; the client is of no use after.

        It takes no lock, so a signal's handler may call it.
        """
        self._closed = True
        if self._states:
            from .session import identify_process

            state = self._states.pop(identify_process(), None)
            if state is not None:
                state.transport.close()

    def __getstate__(self) -> dict[str, Any]:
        from .session import find_session

        # Not its connections, nor its age (test_session).
        session = find_session(self._states, self._session_id)
        return {**self.__dict__, "_states": {}, "_session_id": session and session.sid}

    def login(self) -> str:
        """Log in and return the session id (``api_login``); later calls use it.

        AuthenticationError: the server does not accept username and password.
        """
        sid: str = self._run(self._prepare("api_login", {}, None))
        return sid

    def get_client_invoices(self) -> list[models.Invoice]:
        """List all invoices of the mail services (``api_mail_get_client_invoices``).

        ResponseError: the list is not whole, or a row is not what the contract promises.
        """
        return self._get_records("api_mail_get_client_invoices", models.Invoice)

    def get_client_unpaid_invoices(self) -> list[models.Invoice]:
        """List the unpaid invoices (``api_mail_get_client_unpaid_invoices``).

        ResponseError: the list is not whole, or a row is not what the contract promises.
        """
        return self._get_records("api_mail_get_client_unpaid_invoices", models.Invoice)

    def get_invoice(self, id: int) -> models.Invoice | None:
        """Return one invoice (``api_mail_get_client_invoices``, of which it keeps this one).

        ``None``: there is no such invoice. ResponseError: the list is not whole, or holds the
        invoice twice.
        """
        arguments.positive_int("id", id)
        rows = [row for row in self.get_client_invoices() if row.invoices_id == id]
        if len(rows) > 1:
            problem, operation = "an invoice listed twice", "api_mail_get_client_invoices"
            raise errors.ResponseError(problem, operation, "invoices_id", str(id))
        return rows[0] if rows else None

    def get_services(self) -> list[models.MailService]:
        """List the mail services (``api_mail_get_services``)."""
        return self._get_records("api_mail_get_services", models.MailService)

    def get_service(self, id: int) -> models.MailService | None:
        """Return one mail service (``api_mail_get_service``); ``None``: there is no such service.

        SoapFault "unable to serialize result": the server may also mean that there is none.
        """
        from .extract import parse_record_with_id

        values: dict[str, Value] = {"id": arguments.positive_int("id", id)}
        parse = partial(parse_record_with_id, model=models.MailService, field="mail_id", wanted=id)
        return self._run(self._prepare("api_mail_get_service", values, parse))

    def cancel_service(self, id: int) -> bool:
        """Cancel a mail service (``api_mail_cancel_service``); return whether the server did so.

        OutcomeUnknown: check the service before you repeat it.
        """
        from .extract import require_single

        values: dict[str, Value] = {"id": arguments.positive_int("id", id)}
        parse = partial(require_single, kind=bool)
        return self._run(self._prepare("api_mail_cancel_service", values, parse))

    def send_mail(self, subject: str, body: str, to: str, from_: str) -> models.Status:
        """Send a mail (``api_send_mail``).

        OperationFailed: the server did not take it. OutcomeUnknown: it may or may not have been
        sent. LossyTextWarning: the server will not keep all of the text.
        """
        values: dict[str, Value] = {
            "subject": arguments.header_line("subject", subject),
            "body": arguments.text("body", body),
            "to": arguments.nonblank_text("to", arguments.header_line("to", to)),
            "from": arguments.nonblank_text("from_", arguments.header_line("from_", from_)),
        }
        return self._run(self._prepare_status("api_send_mail", values, models.Status))

    def buy_mail(self, coupon: str = "") -> models.Order:
        """Order a mail service (``api_api_buy_mail``); this makes an invoice.

        OperationFailed: the order was refused. OutcomeUnknown: check the services before you repeat
        it.
        """
        values: dict[str, Value] = {"coupon": arguments.text("coupon", coupon)}
        return self._run(self._prepare_status("api_api_buy_mail", values, models.Order))

    def auto_zonemta_login(self, id: int) -> models.Status:
        """Make a login URL of a mail service (``api_api_auto_zonemta_login``), in ``status_text``.

        OperationFailed: the server made none.
        """
        values: dict[str, Value] = {"id": arguments.positive_int("id", id)}
        return self._run(self._prepare_status("api_api_auto_zonemta_login", values, models.Status))

    def get_modules(self) -> list[str]:
        """List the modules that invoices can be for (``get_modules``); needs no session."""
        from .extract import parse_strings

        return self._run(self._prepare("get_modules", {}, parse_strings))

    def make_payment(self, invoice: int, module: str = "mail") -> models.Status:
        """Pay an invoice from the account's funds (``api_make_payment``).

        OperationFailed: it was not paid. OutcomeUnknown: check the invoice before you repeat it.
        """
        return self._run(self._prepare_payment(invoice, module))

    def _prepare_payment(self, invoice: int, module: str) -> Call[models.Status]:
        values = _check_invoice(invoice, module)
        return self._prepare_status("api_make_payment", values, models.Status)

    def get_paypal_url(self, invoice: int, module: str = "mail") -> str:
        """Return the URL that pays an invoice by PayPal (``api_get_paypal_url``); needs no session.

        ResponseError: the server sent no URL.
        """
        from .extract import parse_url

        values = _check_invoice(invoice, module)
        return self._run(self._prepare("api_get_paypal_url", values, parse_url))

    def get_prepay_list(self) -> list[models.Prepay]:
        """List the prepaid balances (``api_get_prepay_list``)."""
        return self._get_records("api_get_prepay_list", models.Prepay)

    def get_prepay_remaining(self, module: str = "mail") -> models.Status:
        """Return what is left of the prepaid balance (``api_get_prepay_remaining``).

        It is ``status_text``, in the account's currency. OperationFailed: the server did not say.
        """
        values: dict[str, Value] = {"module": arguments.nonblank_text("module", module)}
        return self._run(self._prepare_status("api_get_prepay_remaining", values, models.Status))

    def get_prepay_paypal_fill_url(
        self, prepay_id: int, amount: float | Decimal, module: str = "mail"
    ) -> str:
        """Return the URL that fills a prepay by PayPal (``api_get_prepay_paypal_fill_url``).

        ``amount`` is in the account's currency. ResponseError: the server sent no URL.
        """
        from .extract import parse_url

        values: dict[str, Value] = {
            "module": arguments.nonblank_text("module", module),
            "prepay_id": arguments.positive_int("prepay_id", prepay_id),
            "amount": arguments.amount(amount),
        }
        return self._run(self._prepare("api_get_prepay_paypal_fill_url", values, parse_url))

    def add_prepay(
        self, amount: float | Decimal, module: str = "mail", automatic_use: bool = True
    ) -> int:
        """Add a prepaid balance (``api_add_prepay``) and return its id.

        ``amount`` is in the account's currency. OutcomeUnknown: check the list of prepays before
        you repeat it.
        """
        from .extract import require_single

        values: dict[str, Value] = {
            "module": arguments.nonblank_text("module", module),
            "amount": arguments.amount(amount),
            "automatic_use": arguments.boolean("automatic_use", automatic_use),
        }
        parse = partial(require_single, kind=int)
        return self._run(self._prepare("api_add_prepay", values, parse))

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
        from .soap.dynamic import parse_by_type

        return self._run(self._prepare(operation, parameters, parse_by_type, template=False))

    def _get_records(self, operation: str, model: type[T]) -> list[T]:
        from .extract import parse_records

        return self._run(self._prepare(operation, {}, partial(parse_records, model=model)))

    def _prepare_status(self, operation: str, values: dict[str, Value], model: type[T]) -> Call[T]:
        from .extract import parse_status

        return self._prepare(operation, values, partial(parse_status, model=model))

    def _prepare(
        self,
        operation: str,
        values: dict[str, Value],
        parse: Callable[[Document], T] | None,
        *,
        template: bool = True,
    ) -> Call[T]:
        """Return a call that ``_run`` does, and that can be asked whether it may have happened."""
        try:
            state = self._state()
            from .call import make_call

            return make_call(state, operation, values, parse, template=template)
        except BaseException as error:
            failure = redaction.drop_frames(error)
        finally:
            values.clear()  # as above: it is the dict of the caller's frame
        raise failure

    def _run(self, call: Call[T]) -> T:
        """Do one call; errors leave without the frames below, whose variables hold secrets."""
        try:
            try:
                return call.run()
            except BaseException as error:
                failure = call.to_public_error(error)
            raise failure
        except BaseException as error:
            if error is call.failure:
                raise
            late = error  # a signal came while the failure was made
        raise call.to_public_error(late)

    def _state(self) -> ProcessState:
        """Return what the calls of this process have in common."""
        self._check_open()
        from .session import get_process_state

        return get_process_state(self._states, self._options, self._session_id)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("a closed client cannot be used again")


def _check_invoice(invoice: int, module: str) -> dict[str, Value]:
    return {
        "module": arguments.nonblank_text("module", module),
        "invoice": arguments.positive_int("invoice", invoice),
    }
