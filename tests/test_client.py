"""The client: arguments, the session, and what happens to errors."""

from __future__ import annotations

import inspect
import pickle
import traceback
import warnings
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import responses
from lxml import etree

import soapmail
from soapmail import (
    AuthenticationError,
    Client,
    LossyTextWarning,
    MailService,
    OperationFailed,
    Order,
    OutcomeUnknown,
    Prepay,
    ResponseError,
    SoapFault,
    SoapMailError,
    Status,
    TransportError,
)
from soapmail.operations import changes, may_change, takes_session

from .support import (
    CHANGING,
    CONTRACT,
    LIST,
    LOGIN,
    METHODS,
    OPERATIONS,
    RECORDS,
    SAMPLES,
    SID,
    make_fault_response,
    make_invoices_response,
    make_sample_invoices,
    make_status_response,
    make_text_response,
    method_of,
    read_recording,
    wrap_in_envelope,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from soapmail.sandbox import Sandbox

USERNAME, PASSWORD = "user@example.com", "p&ss<w>ord"
ENDPOINT = "https://my.interserver.net/api.php"
EMPTY = read_recording("get_client_invoices_empty").body
FULL = read_recording("get_client_invoices").body
REFUSED = read_recording("fault_invalid_session")
DOUBT = read_recording("fault_unserializable_result")
NO_STRUCT = read_recording("get_service_invalid_session").body


def make_client(**options: Any) -> Client:
    return Client("user@example.com", PASSWORD, **{"retries": 0, **options})


def add(http: responses.RequestsMock, *all_responses: Any) -> None:
    for body in all_responses:
        status = body.status if hasattr(body, "status") else 200
        http.add(responses.POST, ENDPOINT, body=getattr(body, "body", body), status=status)


def second_login(sid: str = "second") -> bytes:
    return make_text_response("api_login", sid)


def sent(http: responses.RequestsMock) -> list[tuple[str, list[str]]]:
    """Say which operations were posted, and with which values."""
    found = []
    for call in http.calls:
        assert isinstance(call.request.body, bytes)
        (operation,) = etree.fromstring(call.request.body)[0]
        name = str(operation.tag).rpartition("}")[2]
        assert call.request.headers["SOAPAction"] == f'"urn:myapi#{name}"'
        found.append((name, [child.text or "" for child in operation]))
    return found


# --- every method ------------------------------------------------------------------------------


def expected_values(name: str, arguments: dict[str, Any]) -> list[str]:
    texts = {True: "true", False: "false"}
    given = {key.rstrip("_"): value for key, value in arguments.items()}
    given |= {"sid": SID, "username": "user@example.com", "password": PASSWORD}
    values = [given[parameter] for parameter in OPERATIONS[name]["params"]]
    return [texts[value] if isinstance(value, bool) else str(value) for value in values]


ANSWERS: dict[str, tuple[bytes, Any]] = {
    "login": (LOGIN, SID),
    "get_client_invoices": (FULL, make_sample_invoices(SAMPLES[LIST])),
    "get_client_unpaid_invoices": (
        read_recording("get_client_unpaid_invoices").body,
        make_sample_invoices(SAMPLES["api_mail_get_client_unpaid_invoices"]),
    ),
    "get_services": (
        read_recording("get_services").body,
        [MailService(**row) for row in SAMPLES["api_mail_get_services"]],
    ),
    "get_service": (
        read_recording("get_service").body,
        MailService(**SAMPLES["api_mail_get_services"][0]),
    ),
    "cancel_service": (read_recording("cancel_service_true").body, True),
    "send_mail": (read_recording("send_mail_ok").body, Status("ok", "Mail queued")),
    "buy_mail": (read_recording("buy_mail_ok").body, Order("ok", "Order placed", "23785939", 1.0)),
    "auto_zonemta_login": (
        read_recording("auto_zonemta_login_ok").body,
        Status("ok", "https://mail.example.com/login?a=1&b=2"),
    ),
    "get_modules": (read_recording("get_modules").body, SAMPLES["get_modules"]),
    "make_payment": (make_status_response("api_make_payment", "ok", "Paid"), Status("ok", "Paid")),
    "get_paypal_url": (
        read_recording("get_paypal_url").body,
        SAMPLES["api_get_paypal_url"].split('"')[1],
    ),
    "get_prepay_list": (
        read_recording("get_prepay_list").body,
        [Prepay(**row) for row in SAMPLES["api_get_prepay_list"]],
    ),
    "get_prepay_remaining": (read_recording("get_prepay_remaining").body, Status("ok", "10.00")),
    "get_prepay_paypal_fill_url": (
        make_text_response("api_get_prepay_paypal_fill_url", "https://x/?a=1&b=2"),
        "https://x/?a=1&b=2",
    ),
    "add_prepay": (make_text_response("api_add_prepay", "1119", "int"), 1119),
}


def response_of(operation: str) -> tuple[bytes, Any]:
    """Make a response, and the value expected of it, from what the contract says of a result."""
    kind = str(OPERATIONS[operation]["returns"])
    scalars = {"int": 5, "float": 2.5, "bool": True, "boolean": True, "string": "https://x/?a=1"}
    if kind in scalars:
        written = str(scalars[kind]).lower()
        return make_text_response(operation, written, kind.replace("bool", "boolean")), scalars[
            kind
        ]
    struct = str(CONTRACT["arrays"].get(kind, kind)).removeprefix("array_")
    values = {name: scalars[of] for name, of in CONTRACT["structs"][struct].items()}
    if "status" in values:
        values["status"] = "ok"
    cells = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    record = RECORDS[struct](**values)
    if kind.startswith("array"):
        return wrap_in_envelope(operation, f"<return><item>{cells}</item></return>"), [record]
    return wrap_in_envelope(operation, f"<return>{cells}</return>"), record


# What has no recorded response gets one from the contract.
ANSWERS.update(
    {
        name: response_of(operation)
        for name, (operation, _) in METHODS.items()
        if name not in ANSWERS
    }
)


@pytest.mark.parametrize("operation", ["api_mail_get_services", "api_mail_get_service", "api_make_payment", "api_add_prepay", "api_get_prepay_list"])  # fmt: skip
def test_a_response_made_from_the_contract_is_one_that_is_understood(
    http: responses.RequestsMock, operation: str
) -> None:
    body, value = response_of(operation)
    add(http, LOGIN, body)
    method = method_of(operation)
    arguments = dict(METHODS[method][1])
    if "id" in arguments:
        arguments["id"] = 5
    assert getattr(make_client(), method)(**arguments) == value


@pytest.mark.parametrize("method", METHODS)
def test_a_method_posts_the_contract_and_returns_the_documented_value(
    http: responses.RequestsMock, method: str
) -> None:
    operation, arguments = METHODS[method]
    body, value = ANSWERS[method]
    with_session = "sid" in OPERATIONS[operation]["params"]
    add(http, *([LOGIN] if with_session else []), body)
    with make_client() as client:
        assert getattr(client, method)(**arguments) == value
    assert sent(http)[-1] == (operation, expected_values(operation, arguments))
    assert len(http.calls) == 1 + with_session


def test_the_request_says_what_it_is(http: responses.RequestsMock) -> None:
    add(http, read_recording("get_modules").body)
    Client().get_modules()
    headers = http.calls[0].request.headers
    assert headers["User-Agent"] == f"soapmail/{soapmail.__version__}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Content-Type"] == "text/xml; charset=UTF-8"
    assert "Cookie" not in headers
    assert "Authorization" not in headers


def test_defaults_of_optional_arguments(http: responses.RequestsMock) -> None:
    add(
        http,
        LOGIN,
        read_recording("buy_mail_ok").body,
        make_text_response("api_add_prepay", "5", "int"),
    )
    client = make_client()
    client.buy_mail()
    assert client.add_prepay(Decimal("2.50")) == 5
    assert [values for _, values in sent(http)[1:]] == [[SID, ""], [SID, "mail", "2.50", "true"]]


def test_recorded_refusals(http: responses.RequestsMock) -> None:
    add(http, LOGIN, read_recording("cancel_service_false"), read_recording("make_payment_error"))
    client = make_client()
    assert client.cancel_service(1) is False
    with pytest.raises(OperationFailed) as caught:
        client.make_payment(1)
    text = "Invalid Invoice Number Passed or missing Module information."
    assert caught.value == OperationFailed("error", text)
    assert SAMPLES["api_make_payment"] == {"status": "error", "status_text": text}


def test_an_unknown_service_is_none(http: responses.RequestsMock) -> None:
    add(http, LOGIN, read_recording("get_service_unknown_nil"))
    assert make_client().get_service(1) is None


# --- call --------------------------------------------------------------------------------------


def test_call_puts_the_session_first_by_the_contract() -> None:
    for name, operation in OPERATIONS.items():
        assert takes_session(name) == ("sid" in operation["params"]), name
        if takes_session(name):
            assert next(iter(operation["params"])) == "sid"


def test_what_changes_is_told_apart() -> None:
    assert {method for method, (name, _) in METHODS.items() if changes(name)} == CHANGING
    for operation in OPERATIONS:
        reads = operation.startswith("get_") or "_get_" in operation
        assert may_change(operation) == (not reads)


def test_call_sends_types_and_order_of_the_caller(http: responses.RequestsMock) -> None:
    add(http, LOGIN, make_text_response("api_add_dns_record", "5", "int"))
    parameters: dict[str, Any] = {"domain_id": 1, "name": "é<", "ttl": 1.5, "on": False}
    assert make_client().call("api_add_dns_record", **parameters) == 5
    assert sent(http)[1] == ("api_add_dns_record", [SID, "1", "é<", "1.5", "false"])
    body = http.calls[1].request.body
    assert isinstance(body, bytes)
    (operation,) = etree.fromstring(body)[0]
    assert [str(child.tag) for child in operation] == ["sid", *parameters]
    kinds = [child.get("{http://www.w3.org/2001/XMLSchema-instance}type") for child in operation]
    assert kinds == ["xsd:string", "xsd:int", "xsd:string", "xsd:float", "xsd:boolean"]


def test_call_without_a_session(http: responses.RequestsMock) -> None:
    add(http, make_text_response("get_hostname", "a.b"), make_text_response("api_x", "y"))
    assert Client().call("get_hostname", ip="127.0.0.1", sid="mine") == "a.b"
    assert sent(http) == [("get_hostname", ["127.0.0.1", "mine"])]
    assert Client(session_id="given").call("api_x") == "y"
    assert sent(http)[1] == ("api_x", ["given"])


def test_call_returns_a_status_as_the_dict_it_is(http: responses.RequestsMock) -> None:
    add(http, LOGIN, read_recording("send_mail_error"))
    parameters = {"subject": "s", "body": "b", "to": "t", "from": "f"}
    assert make_client().call("api_send_mail", **parameters) == {
        "status": "error",
        "status_text": "No active mail order",
    }


@pytest.mark.parametrize(
    ("operation", "parameters", "error"),
    [
        ("a b", {}, ValueError),
        ("", {}, ValueError),
        ("x>y", {}, ValueError),
        (5, {}, TypeError),
        ("api_x", {"a b": "1"}, ValueError),
        ("api_x", {"sid": "1"}, ValueError),
        ("api_x", {"a": None}, TypeError),
        ("api_x", {"a": ["x"]}, TypeError),
        ("api_x", {"a": float("nan")}, ValueError),
        ("api_x", {"a": "\x00"}, ValueError),
    ],
)
def test_call_refuses_before_anything_is_sent(
    http: responses.RequestsMock, operation: Any, parameters: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        make_client().call(operation, **parameters)


def test_lossy_text_warns_before_anything_is_sent(
    http: responses.RequestsMock,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LossyTextWarning, match="^subject: "):
            make_client().send_mail("日本", "b", "a@b", "c@d")
        with pytest.raises(LossyTextWarning, match="^password: "):
            Client("u", "日本").login()
        with pytest.raises(LossyTextWarning, match="^x: "):
            make_client().call("api_x", x="日本")


def test_lossy_text_names_the_callers_file(http: responses.RequestsMock) -> None:
    add(http, LOGIN, read_recording("send_mail_ok").body)
    with pytest.warns(LossyTextWarning) as caught:
        make_client().send_mail("日本", "b", "a@b", "c@d")
    assert [warning.filename for warning in caught] == [__file__]


# --- credentials ---------------------------------------------------------------------------------


def test_without_credentials_what_needs_none_works(http: responses.RequestsMock) -> None:
    add(http, read_recording("get_modules").body)
    client = Client()
    assert client.get_modules() == SAMPLES["get_modules"]
    for method in (client.login, client.get_client_invoices):
        with pytest.raises(ValueError, match="^username and password, or a session_id, are needed"):
            method()


def test_from_env(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="SOAPMAIL_USERNAME, SOAPMAIL_PASSWORD$"):
        Client.from_env()
    monkeypatch.setenv("SOAPMAIL_USERNAME", "u")
    monkeypatch.setenv("SOAPMAIL_PASSWORD", "")
    with pytest.raises(ValueError, match="^not set in the environment: SOAPMAIL_PASSWORD$"):
        Client.from_env()
    monkeypatch.setenv("SOAPMAIL_PASSWORD", "p")
    assert repr(Client.from_env()) == "Client('u', endpoint='https://my.interserver.net/api.php')"
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", "http://127.0.0.1:5/")
    assert repr(Client.from_env()) == "Client('u', endpoint='http://127.0.0.1:5/')"
    client = Client.from_env(endpoint="https://example.com/", timeout=5)
    assert repr(client) == "Client('u', endpoint='https://example.com/')"
    assert client._options["calls"]["timeout"] == 5
    with pytest.raises(TypeError, match="tiemout"):
        Client.from_env(tiemout=5)  # type: ignore[call-arg]


def test_from_env_logs_in_with_what_it_found(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
) -> None:
    monkeypatch.setenv("SOAPMAIL_USERNAME", sandbox.username)
    monkeypatch.setenv("SOAPMAIL_PASSWORD", sandbox.password)
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", sandbox.endpoint)
    with Client.from_env() as client:
        assert client.login() == SID


@pytest.mark.parametrize("response", [read_recording("login_wrong_password").body, make_text_response("api_login", "  "), wrap_in_envelope("api_login", '<return xsi:nil="true"/>')])  # fmt: skip
def test_a_blank_session_is_an_authentication_error(
    http: responses.RequestsMock, response: bytes
) -> None:
    add(http, response)
    client = make_client()
    for method in (client.login, client.get_client_invoices):  # the second is not asked for
        with pytest.raises(AuthenticationError, match="^api_login: the server does not accept"):
            method()


# --- life cycle ----------------------------------------------------------------------------------


def test_a_closed_client_says_so() -> None:
    client = make_client()
    client.close()
    client.close()
    for method, (_, arguments) in METHODS.items():
        with pytest.raises(RuntimeError, match="^a closed client cannot be used again$"):
            getattr(client, method)(**arguments)
    with pytest.raises(RuntimeError, match="^a closed client cannot be used again$"):
        client.call("get_modules")
    with pytest.raises(RuntimeError, match="^a closed client cannot be used again$"), client:
        pass
    with pytest.raises(RuntimeError, match="^a closed client cannot be used again$"):
        pickle.loads(pickle.dumps(client)).login()


class Watched(requests.Session):
    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


def test_only_its_own_session_is_closed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Watched()
    with Client(
        sandbox.username, sandbox.password, endpoint=sandbox.endpoint, session=given
    ) as client:
        assert client.get_service(8556) is not None
    assert given.closed == 0
    made: list[Watched] = []

    class Own(Watched):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(requests, "Session", Own)
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
        client.login()
    assert [session.closed for session in made] == [1]
    given.close()


def test_a_client_pickles_with_password_and_session_but_no_connection(sandbox: Sandbox) -> None:
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint, timeout=7) as client:
        assert client.login() == SID
        with pickle.loads(pickle.dumps(client)) as twin:
            assert twin.get_service(8556).mail_id == 8556
            assert len(sandbox._sessions) == 1  # of the first login
            sandbox.expire_sessions()
            assert len(twin.get_client_invoices()) == 12
            assert SID not in sandbox._sessions


def test_a_pickled_session_counts_as_handed_in(http: responses.RequestsMock) -> None:
    add(http, LOGIN, EMPTY, second_login(), FULL)
    client = make_client()
    client.login()
    assert len(pickle.loads(pickle.dumps(client)).get_client_invoices()) == 12


def test_repr_holds_no_secret() -> None:
    text = repr(make_client(session_id="abc-secret"))
    assert text == "Client('user@example.com', endpoint='https://my.interserver.net/api.php')"


# --- secrets in errors ---------------------------------------------------------------------------


def everything(error: BaseException) -> str:
    """Write all that an error holds: text, attributes, pickle, traceback, what hangs on it."""
    parts = [str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error))]
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    package = str(Path(soapmail.__file__).parent)
    ours = [frame for frame in trace.stack if frame.filename.startswith(package)]
    assert ours
    parts += ["".join(map(str, (frame.locals or {}).values())) for frame in ours]
    for inner in (error.__cause__, error.__context__):
        assert inner is None
    return "\n".join(parts)


ECHOES: dict[str, Callable[[str], Any]] = {
    "fault": lambda secret: make_fault_response(f"no {secret}!"),
    "fault code": lambda secret: make_fault_response("no", secret),
    "page": lambda secret: f"<html>{secret}</html>".encode(),
    "escaped page": lambda secret: f"<html>{secret.replace('&', '&amp;')}</html>".encode(),
    "cut": lambda secret: FULL[:-300].replace(b"MailBaby", secret.replace("&", "&amp;").replace("<", "&lt;").encode())[:-30],
    "cut value": lambda secret: make_text_response("x", secret)[:-120],
    "value": lambda secret: make_invoices_response([{"invoices_id": f"x{secret}"}]),
    "long value": lambda secret: make_invoices_response([{"invoices_id": "x" * 85 + secret}]),
    "status": lambda secret: make_status_response("api_send_mail", f"bad {secret}", f"bad {secret}"),
    "other": lambda secret: make_text_response(secret.replace("&", "").replace("<", "").replace(">", ""), "x"),
}  # fmt: skip


@pytest.mark.arrives(2)
@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("method", ["get_client_invoices", "send_mail"])
def test_what_a_server_echoes_reads_as_stars(
    http: responses.RequestsMock, echo: str, status: int, method: str
) -> None:
    for secret in (PASSWORD, SID):
        add(http, LOGIN)
        http.add(responses.POST, ENDPOINT, body=ECHOES[echo](secret), status=status)
        with pytest.raises(SoapMailError) as caught:
            getattr(make_client(), method)(**METHODS[method][1])
        texts = everything(caught.value)
        assert secret not in texts
        assert secret[:12] not in texts
        assert "p&amp;ss" not in texts


def test_stars_stand_where_the_secret_stood(http: responses.RequestsMock) -> None:
    add(http, LOGIN, make_fault_response(f"bad {SID} of {PASSWORD}, once more {PASSWORD}"))
    with pytest.raises(SoapFault) as caught:
        make_client().get_client_invoices()
    assert caught.value == SoapFault("Client", "bad *** of ***, once more ***")
    assert str(caught.value) == "SOAP fault Client: bad *** of ***, once more ***"


@pytest.mark.parametrize(
    "form",
    [
        "p&amp;ss&lt;w&gt;ord",
        "p&amp;ss&lt;w>ord",
        "p&amp;amp;ss&amp;lt;w&amp;gt;ord",
        "p%26ss%3Cw%3Eord",
    ],
)
def test_escaped_secrets_are_known_too(http: responses.RequestsMock, form: str) -> None:
    add(http, LOGIN, make_fault_response(f"[{form}]"))
    with pytest.raises(SoapFault) as caught:
        make_client().get_client_invoices()
    assert caught.value.text == "[***]"


def test_a_password_among_the_parameters_of_a_call_is_hidden(http: responses.RequestsMock) -> None:
    add(http, LOGIN, make_fault_response("bad rootpass hunter2"))
    with pytest.raises(SoapFault) as caught:
        make_client().call("api_api_buy_vps", rootpass="hunter2")
    assert caught.value.text == "bad rootpass ***"


def test_a_password_of_a_call_without_a_session_is_hidden(http: responses.RequestsMock) -> None:
    add(http, make_fault_response("bad hunter2"))
    with pytest.raises(SoapFault) as caught:
        make_client().call("get_x", password="hunter2")
    assert caught.value.text == "bad ***"


def test_the_response_to_another_operation_is_refused(http: responses.RequestsMock) -> None:
    add(http, LOGIN, read_recording("get_client_unpaid_invoices"))
    with pytest.raises(ResponseError) as caught:
        make_client().get_client_invoices()
    assert caught.value == ResponseError(
        "the response to another operation",
        LIST,
        None,
        "api_mail_get_client_unpaid_invoicesResponse",
    )


def test_an_unknown_outcome_says_what_was_wrong_with_the_response(
    http: responses.RequestsMock,
) -> None:
    add(http, LOGIN, make_text_response("api_mail_cancel_service", "maybe", "boolean"))
    with pytest.raises(OutcomeUnknown, match="return: not a valid bool: 'maybe'"):
        make_client().cancel_service(8556)


def test_old_sessions_stay_secret(http: responses.RequestsMock) -> None:
    add(
        http,
        LOGIN,
        REFUSED,
        second_login("s2secret"),
        make_fault_response(f"old {SID} new s2secret"),
    )
    with pytest.raises(SoapFault) as caught:
        make_client().get_client_invoices()
    assert caught.value.text == "old *** new ***"


def test_connection_errors_carry_no_request(http: responses.RequestsMock) -> None:
    request = requests.Request("POST", ENDPOINT, data=PASSWORD).prepare()
    http.add(
        responses.POST, ENDPOINT, body=requests.ConnectionError(f"x {PASSWORD}", request=request)
    )
    with pytest.raises(TransportError) as caught:
        make_client().get_client_invoices()
    assert PASSWORD not in everything(caught.value)
    assert str(caught.value) == "api_login: the connection broke (x ***)"


def test_the_default_module_is_mail(http: responses.RequestsMock) -> None:
    url = make_text_response("api_get_paypal_url", "https://x")
    fill = make_text_response("api_get_prepay_paypal_fill_url", "https://x")
    paid = make_status_response("api_make_payment", "ok", "x")
    add(http, url, LOGIN, paid, read_recording("get_prepay_remaining"), fill)
    client = make_client()
    client.get_paypal_url(5)
    client.make_payment(5)
    client.get_prepay_remaining()
    client.get_prepay_paypal_fill_url(7, 0.5)
    assert [values for _, values in sent(http) if values[0] != USERNAME] == [
        ["mail", "5"], [SID, "mail", "5"], [SID, "mail"], [SID, "mail", "7", "0.5"],
    ]  # fmt: skip


@pytest.mark.parametrize("amount", [0.01, Decimal("0.005"), 1, 1e15])
def test_small_and_large_amounts_pass(http: responses.RequestsMock, amount: Any) -> None:
    add(http, LOGIN, make_text_response("api_add_prepay", "5", "int"))
    assert make_client().add_prepay(amount) == 5
    assert Decimal(sent(http)[1][1][2]) == Decimal(str(amount))


def test_a_login_that_breaks_is_a_transport_error_not_an_unknown_outcome(
    http: responses.RequestsMock,
) -> None:
    http.add(responses.POST, ENDPOINT, body=requests.ConnectionError("x"))
    with pytest.raises(TransportError) as caught:
        make_client().login()
    assert type(caught.value) is TransportError


def test_a_client_is_closed_as_often_as_one_likes(http: responses.RequestsMock) -> None:
    add(http, LOGIN)
    client = make_client()
    client.login()
    client.close()
    client.close()


@pytest.mark.parametrize("password", ["", "s", "Invalid Session"])
def test_a_short_secret_does_not_hide_what_a_refusal_is_known_by(
    http: responses.RequestsMock, password: str
) -> None:
    add(http, REFUSED, second_login(), make_text_response("api_x", "done"))
    assert make_client(session_id="old").call("api_x", password=password) == "done"
    add(http, REFUSED, second_login(), FULL)
    client = Client("u", "s", session_id="old", retries=0)
    assert len(client.get_client_invoices()) == 12


def test_a_nested_status_is_no_refusal(http: responses.RequestsMock) -> None:
    xml = "<return><status><a>invalid session</a></status><status_text>x</status_text></return>"
    add(http, LOGIN, wrap_in_envelope("api_get_x", xml))
    assert make_client().call("api_get_x")["status"] == {"a": "invalid session"}
    xml = "<return><status>no</status><status_text><a>invalid session</a></status_text></return>"
    add(http, LOGIN, wrap_in_envelope("api_get_x", xml))
    assert make_client().call("api_get_x")["status"] == "no"


def test_a_subject_may_be_empty(http: responses.RequestsMock) -> None:
    add(http, LOGIN, read_recording("send_mail_ok"))
    assert make_client().send_mail("", "", "a@b", "c@d").status == "ok"
    assert sent(http)[1][1] == [SID, "", "", "a@b", "c@d"]


RECORDED_LISTS = {
    "get_client_invoices": [row["invoices_description"] for row in SAMPLES[LIST]],
    "get_client_invoices_one": ["(Repeat Invoice: 19156909) MailBaby Mail"],
    "get_client_invoices_empty": [],
    "get_client_invoices_nil_and_blank": [
        "(Repeat Invoice: 19156909) MailBaby Mail",
        "Payment for invoice 7514880 & <tax>",
    ],
    "get_client_invoices_control_character": [
        "bad \ufffd byte",
        "(Repeat Invoice: 19158862) MailBaby Mail",
    ],
    "get_client_invoices_utf8_labelled_latin1": ["Café Zürich — MailBaby €5"],
    "get_client_invoices_cut_letter": ["Café", "Z\ufffd", "5 \ufffd", "ok \ufffd"],
    "get_client_invoices_mixed_rows": ["Café €", "Café", "“Müller”"],
    "get_client_invoices_cesu8": ["😀", "Café"],
    "get_client_invoices_replacement": ["a\ufffdb", "Café", "\ufffd"],
    "get_client_invoices_warning_latin1": ["Café"],
}


@pytest.mark.parametrize("name", RECORDED_LISTS)
def test_recorded_lists_with_their_own_headers(http: responses.RequestsMock, name: str) -> None:
    """The headers as recorded: one counts fewer bytes than there are."""
    body, headers = read_recording(name).body, read_recording(name).headers
    http.add(responses.POST, ENDPOINT, body=LOGIN)
    http.add(
        responses.POST,
        ENDPOINT,
        body=body,
        headers={key: value for key, value in headers.items() if key != "Content-Type"},
        content_type=headers["Content-Type"],
    )
    records = make_client().get_client_invoices()
    assert [one.invoices_description for one in records] == RECORDED_LISTS[name]


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        (
            "fault_undefined_operation",
            "SOAP-ENV:Client",
            "Operation 'api_mail_no_such_operation' is not defined in the WSDL for this service",
        ),
        (
            "fault_unparsable_request",
            "SOAP-ENV:Client",
            "error in msg parsing:\nXML error parsing SOAP payload on line 1: > required",
        ),
    ],
)
def test_recorded_faults(http: responses.RequestsMock, name: str, code: str, text: str) -> None:
    add(http, LOGIN, read_recording(name))
    with pytest.raises(SoapFault) as caught:
        make_client().get_client_invoices()
    assert caught.value == SoapFault(code, text)


def test_a_client_of_the_environment_has_the_defaults_of_every_other() -> None:
    """A minute for a call, two retries, and 64 MiB for a response."""
    usual, other = (
        {name: one.default for name, one in inspect.signature(make).parameters.items()}
        for make in (Client, Client.from_env)
    )
    assert (usual["timeout"], usual["retries"], usual["max_response_bytes"]) == (60, 2, 2**26)
    shared = set(other) - {"endpoint"}
    assert shared < set(usual)
    assert {name: other[name] for name in shared} == {name: usual[name] for name in shared}


def test_a_session_id_of_an_earlier_login_is_hidden_too(http: responses.RequestsMock) -> None:
    add(http, make_fault_response("no such thing as given-before-1"))
    with pytest.raises(SoapFault) as caught:
        make_client(session_id="given-before-1").get_services()
    assert caught.value.text == "no such thing as ***"
