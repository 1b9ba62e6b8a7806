"""The client: one short method for each operation, and the life of a client."""

from __future__ import annotations

import os
from functools import partial

from . import arguments, errors, models, redaction
from .operations import ENDPOINT, checked_endpoint

TYPE_CHECKING = False  # typing itself costs a tenth of the import
if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from typing import Any, TypeVar

    import requests

    from .call import Call
    from .observe import ObservedExchange
    from .session import Setup
    from .soap.document import Document
    from .soap.envelope import Value

    T = TypeVar("T")


class Client:
    """A client of the mail services; a context manager, safe to share between threads.

    It logs in when the first call needs it, and anew when the server refuses its session.

    - ``password`` may be the account's API key. Without both, only what needs no session works.
    - ``endpoint`` is https, or http on a loopback host.
    - ``timeout``: the seconds that one method call may take in all, whatever the server does.
    - ``retries``: how often a reading call is repeated when its connection breaks, nothing comes,
      or the server is busy (HTTP 429, 502, 503, 504).
    - ``session``: a ``requests.Session`` with proxies or certificates; used, and never closed. Its
      adapters are copied without their retries.
    - ``session_id``: of an earlier login; used until the server refuses it.
    - ``max_response_bytes``: a response over this size, decompressed, is an error.
    - ``on_exchange``: is told of each request and what came of it, without secrets, as an
      ``observed.ObservedExchange``; what it raises is logged.

    Methods raise TransportError, ResponseError, SoapFault, AuthenticationError; those that return a
    status or an order OperationFailed too, and changing ones OutcomeUnknown. Wrong arguments are
    ValueError or TypeError, and text that the server will not keep is a LossyTextWarning, before
    anything is sent. RuntimeError: the client was closed before.

    KeyboardInterrupt and its like pass; a WARNING of the logger ``soapmail`` says where a changing
    operation may have happened. A TimeoutError that your signal handler raises ends the call; if a
    changing one was sent, it is the ``__cause__`` of an OutcomeUnknown.

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
        try:
            self._username = username
            self._session_id = arguments.given("session_id", session_id)
            self._setups: dict[int, Setup] = {}
            self._options: dict[str, Any] = {
                "transport": {
                    "loopback": checked_endpoint(endpoint),
                    "endpoint": endpoint,
                    "session": arguments.http_session(session),
                    "max_response_bytes": arguments.whole("max_response_bytes", max_response_bytes),
                },
                "calls": {
                    "credentials": arguments.credentials(username, password),
                    "timeout": arguments.seconds(timeout),
                    "retries": arguments.whole("retries", retries, 0),
                },
                "on_exchange": arguments.function("on_exchange", on_exchange),
            }
            self._endpoint = endpoint
            return
        except BaseException as error:
            failure = redaction.without_frames(error)
        finally:
            # A traceback shows what the variables of this frame hold.
            password = session_id = None
            endpoint = ""
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
        password. The options are those of ``Client``. ValueError: a variable is missing. OSError:
        the file cannot be read.
        """
        try:
            return cls(
                *arguments.from_environment(os.environ),
                endpoint=endpoint or os.environ.get("SOAPMAIL_ENDPOINT") or ENDPOINT,
                timeout=timeout,
                retries=retries,
                session=session,
                session_id=session_id,
                max_response_bytes=max_response_bytes,
                on_exchange=on_exchange,
            )
        finally:
            # A traceback shows what the variables of this frame hold.
            endpoint = session_id = None

    def __repr__(self) -> str:
        return f"Client({self._username!r}, endpoint={self._endpoint!r})"

    def __enter__(self) -> Client:
        self._check_open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, but not a caller's ``session``; the client is of no use after.

        It takes no lock, so a signal's handler may call it.
        """
        self._closed = True
        setup = self._setups.pop(os.getpid(), None)
        if setup is not None:
            setup.transport.close()

    def __getstate__(self) -> dict[str, Any]:
        from .session import known_login

        # The connections are of this process, and so is the clock of the session's age.
        login = known_login(self._setups, self._session_id)
        return {**self.__dict__, "_setups": {}, "_session_id": login and login.sid}

    # --- the operations ----------------------------------------------------------------------

    def login(self) -> str:
        """Log in and return the session id (``api_login``); later calls use it.

        AuthenticationError: the server does not accept username and password.
        """
        sid: str = self._run("api_login", {}, None)
        return sid

    def get_client_invoices(self) -> list[models.Invoice]:
        """List all invoices of the mail services (``api_mail_get_client_invoices``).

        ResponseError: the list is not whole, or a row is not what the contract promises.
        """
        return self._table("api_mail_get_client_invoices", models.Invoice)

    def get_client_unpaid_invoices(self) -> list[models.Invoice]:
        """List the unpaid invoices (``api_mail_get_client_unpaid_invoices``).

        ResponseError: the list is not whole, or a row is not what the contract promises.
        """
        return self._table("api_mail_get_client_unpaid_invoices", models.Invoice)

    def get_invoice(self, id: int) -> models.Invoice | None:
        """Return one invoice (``api_mail_get_client_invoices``, of which it keeps this one).

        ``None``: there is no such invoice. ResponseError: the list is not whole, or holds the
        invoice twice.
        """
        wanted = arguments.whole("id", id)
        found = [one for one in self.get_client_invoices() if one.invoices_id == wanted]
        if len(found) > 1:
            raise errors.ResponseError(
                "an invoice listed twice",
                "api_mail_get_client_invoices",
                "invoices_id",
                str(wanted),
            )
        return found[0] if found else None

    def get_services(self) -> list[models.MailService]:
        """List the mail services (``api_mail_get_services``)."""
        return self._table("api_mail_get_services", models.MailService)

    def get_service(self, id: int) -> models.MailService | None:
        """Return one mail service (``api_mail_get_service``); ``None``: there is no such service.

        SoapFault "unable to serialize result": the server may also mean that there is none.
        """
        from .extract import named

        parse = partial(named, model=models.MailService, field="mail_id", wanted=id)
        return self._run("api_mail_get_service", {"id": arguments.whole("id", id)}, parse)

    def cancel_service(self, id: int) -> bool:
        """Cancel a mail service (``api_mail_cancel_service``); whether the server did so.

        OutcomeUnknown: check the service before you repeat it.
        """
        from .extract import boolean

        return self._run("api_mail_cancel_service", {"id": arguments.whole("id", id)}, boolean)

    def send_mail(self, subject: str, body: str, to: str, from_: str) -> models.Status:
        """Send a mail (``api_send_mail``).

        OperationFailed: the server did not take it. OutcomeUnknown: it may or may not have been
        sent. LossyTextWarning: the server will not keep all of the text.
        """
        values: dict[str, Value] = {
            "subject": arguments.header_line("subject", subject),
            "body": arguments.text("body", body),
            "to": arguments.filled("to", arguments.header_line("to", to)),
            "from": arguments.filled("from_", arguments.header_line("from_", from_)),
        }
        return self._status("api_send_mail", values, models.Status)

    def buy_mail(self, coupon: str = "") -> models.Order:
        """Order a mail service (``api_api_buy_mail``); this makes an invoice.

        OperationFailed: the order was refused. OutcomeUnknown: check the services before you repeat
        it.
        """
        return self._status(
            "api_api_buy_mail", {"coupon": arguments.text("coupon", coupon)}, models.Order
        )

    def auto_zonemta_login(self, id: int) -> models.Status:
        """Make a login URL of a mail service (``api_api_auto_zonemta_login``), in ``status_text``.

        OperationFailed: the server made none.
        """
        return self._status(
            "api_api_auto_zonemta_login", {"id": arguments.whole("id", id)}, models.Status
        )

    def get_modules(self) -> list[str]:
        """List the modules that invoices can be for (``get_modules``); needs no session."""
        from .extract import strings

        return self._run("get_modules", {}, strings)

    def make_payment(self, invoice: int, module: str = "mail") -> models.Status:
        """Pay an invoice from the account's funds (``api_make_payment``).

        OperationFailed: it was not paid. OutcomeUnknown: check the invoice before you repeat it.
        """
        return self._pay(invoice, module, [])

    def _pay(self, invoice: int, module: str, calls: list[Call[models.Status]]) -> models.Status:
        """Pay an invoice, and put its call among ``calls``, which then knows what was sent."""
        from .extract import status

        values: dict[str, Value] = {
            "module": arguments.filled("module", module),
            "invoice": arguments.whole("invoice", invoice),
        }
        parse = partial(status, model=models.Status)
        return self._run("api_make_payment", values, parse, calls=calls)

    def get_paypal_url(self, invoice: int, module: str = "mail") -> str:
        """Return the URL that pays an invoice by PayPal (``api_get_paypal_url``); needs no session.

        ResponseError: the server sent no URL.
        """
        from .extract import url

        values: dict[str, Value] = {
            "module": arguments.filled("module", module),
            "invoice": arguments.whole("invoice", invoice),
        }
        return self._run("api_get_paypal_url", values, url)

    def get_prepay_list(self) -> list[models.Prepay]:
        """List the prepaid balances (``api_get_prepay_list``)."""
        return self._table("api_get_prepay_list", models.Prepay)

    def get_prepay_remaining(self, module: str = "mail") -> models.Status:
        """Say how much prepaid balance is left (``api_get_prepay_remaining``), in ``status_text``.

        The amount is in the account's currency. OperationFailed: the server says nothing.
        """
        values: dict[str, Value] = {"module": arguments.filled("module", module)}
        return self._status("api_get_prepay_remaining", values, models.Status)

    def get_prepay_paypal_fill_url(
        self, prepay_id: int, amount: float | Decimal, module: str = "mail"
    ) -> str:
        """Return the URL that fills a prepay by PayPal (``api_get_prepay_paypal_fill_url``).

        ``amount`` is in the account's currency. ResponseError: the server sent no URL.
        """
        from .extract import url

        values: dict[str, Value] = {
            "module": arguments.filled("module", module),
            "prepay_id": arguments.whole("prepay_id", prepay_id),
            "amount": arguments.money(amount),
        }
        return self._run("api_get_prepay_paypal_fill_url", values, url)

    def add_prepay(
        self, amount: float | Decimal, module: str = "mail", automatic_use: bool = True
    ) -> int:
        """Add a prepaid balance (``api_add_prepay``) and return its id.

        ``amount`` is in the account's currency. OutcomeUnknown: check the list of prepays before
        you repeat it.
        """
        from .extract import integer

        values: dict[str, Value] = {
            "module": arguments.filled("module", module),
            "amount": arguments.money(amount),
            "automatic_use": arguments.flag("automatic_use", automatic_use),
        }
        return self._run("api_add_prepay", values, integer)

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
        from .soap.dynamic import by_type

        return self._run(operation, parameters, by_type, template=False)

    # --- one call ----------------------------------------------------------------------------

    def _table(self, operation: str, model: type[T]) -> list[T]:
        from .extract import table

        return self._run(operation, {}, partial(table, model=model))

    def _status(self, operation: str, values: dict[str, Value], model: type[T]) -> T:
        from .extract import status

        return self._run(operation, values, partial(status, model=model))

    def _run(
        self,
        operation: str,
        values: dict[str, Value],
        parse: Callable[[Document], T] | None,
        *,
        template: bool = True,
        calls: list[Call[T]] | None = None,
    ) -> T:
        """Do one call; errors leave without the frames below, whose variables hold secrets."""
        call: Call[T] | None = None
        try:
            try:
                self._check_open()
                from . import call as made
                from .session import setup_of

                make = made.documented if template else made.any_other
                setup = setup_of(self._setups, self._options, self._session_id)
                call = make(setup, operation, values, parse)
                if calls is not None:
                    calls.append(call)
                return call.run()
            except BaseException as error:
                failure = redaction.without_frames(error) if call is None else call.leaving(error)
            values.clear()
            raise failure
        except BaseException as error:
            if call is None or error is call.failure:
                raise
            late = error  # a signal came while the failure was made
        raise call.leaving(late)

    def _may_have_changed(self) -> bool:
        """Tell whether a byte left of an operation that changes something."""
        setup = self._setups.get(os.getpid())
        return setup is not None and setup.change is not None and setup.change.sent

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("a closed client cannot be used again")
