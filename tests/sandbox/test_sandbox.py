"""The sandbox responds in the byte form of the recorded responses, and keeps its state."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from soapmail import Client, Invoice, LossyTextWarning, OperationFailed, OutcomeUnknown, SoapFault
from soapmail.billing import audit
from soapmail.billing.audit import KINDS
from soapmail.sandbox import PASSWORD, SESSION_ID, USERNAME, Sandbox
from soapmail.sandbox.data import DOCUMENTED_INVOICES
from soapmail.sandbox.server import LoopbackServer
from soapmail.soap.envelope import Request

from ..support import (
    CONTRACT,
    LIST,
    NAMES,
    OPERATIONS,
    SAMPLES,
    SID,
    make_sample_invoices,
    read_recording,
)


def post(sandbox: Sandbox, body: bytes, path: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(sandbox.endpoint + path, body)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def fill_template(operation: str, *values: Any) -> bytes:
    """Post the values by position, under names of no meaning."""
    parameters = {f"p{n}": value for n, value in enumerate(values)}
    return Request(operation, parameters, template=False).envelope()


LOG_IN = fill_template("api_login", USERNAME, PASSWORD)


@pytest.fixture
def sid(sandbox: Sandbox) -> str:
    post(sandbox, LOG_IN)
    return SID


def test_the_login_is_the_recorded_one_then_random(sandbox: Sandbox) -> None:
    assert post(sandbox, LOG_IN) == (200, read_recording("login").body)
    second, third = (post(sandbox, LOG_IN)[1] for _ in range(2))
    ids = [re.search(rb">([0-9a-f]{32})</return>", body) for body in (second, third)]
    assert all(ids)
    assert second != third
    assert SESSION_ID == SID == SAMPLES["api_login"]


@pytest.mark.parametrize("values", [("x", PASSWORD), (USERNAME, "x"), ("", ""), ()])
def test_a_wrong_password_is_a_blank_session(sandbox: Sandbox, values: tuple[str, ...]) -> None:
    assert post(sandbox, fill_template("api_login", *values)) == (
        200,
        read_recording("login_wrong_password").body,
    )


RECORDED = [
    (LIST, (), "get_client_invoices"),
    ("api_mail_get_client_unpaid_invoices", (), "get_client_unpaid_invoices"),
    ("api_mail_get_services", (), "get_services"),
    ("api_mail_get_service", (8556,), "get_service"),
    ("api_mail_get_service", (1,), "get_service_unknown_nil"),
    ("api_mail_cancel_service", (8556,), "cancel_service_true"),
    ("api_mail_cancel_service", (1,), "cancel_service_false"),
    ("api_send_mail", ("s", "b", "a@b", "c@d"), "send_mail_ok"),
    ("api_api_auto_zonemta_login", (8556,), "auto_zonemta_login_ok"),
    ("api_make_payment", ("mail", 1), "make_payment_error"),
    ("api_make_payment", ("vps", 7514880), "make_payment_error"),
    ("api_get_prepay_list", (), "get_prepay_list"),
]


@pytest.mark.parametrize(("operation", "values", "name"), RECORDED)
def test_a_response_equals_the_recorded_one_byte_for_byte(
    sandbox: Sandbox, sid: str, operation: str, values: tuple[Any, ...], name: str
) -> None:
    assert post(sandbox, fill_template(operation, sid, *values)) == (200, read_recording(name).body)


def test_responses_without_a_session_equal_the_recorded_ones(sandbox: Sandbox) -> None:
    assert post(sandbox, fill_template("get_modules")) == (200, read_recording("get_modules").body)
    body = read_recording("get_paypal_url").body
    assert post(sandbox, fill_template("api_get_paypal_url", "domains", 10000)) == (200, body)


@pytest.mark.parametrize(("rows", "name"), [(0, "get_client_invoices_empty"), (1, "get_client_invoices_one")])  # fmt: skip
def test_fewer_rows_equal_the_recorded_ones(rows: int, name: str) -> None:
    with Sandbox(rows=rows) as sandbox:
        post(sandbox, LOG_IN)
        assert post(sandbox, fill_template(LIST, SID)) == (200, read_recording(name).body)


def test_a_bought_service_equals_the_recorded_order() -> None:
    with Sandbox(rows=11) as sandbox:
        post(sandbox, LOG_IN)
        assert post(sandbox, fill_template("api_api_buy_mail", SID, "")) == (
            200,
            read_recording("buy_mail_ok").body,
        )


def test_a_balance_equals_the_recorded_one(sandbox: Sandbox, sid: str) -> None:
    post(sandbox, fill_template("api_add_prepay", sid, "mail", 10.0, True))
    response = post(sandbox, fill_template("api_get_prepay_remaining", sid, "mail"))
    assert response == (200, read_recording("get_prepay_remaining").body)


def refusal(operation: str) -> tuple[int, bytes]:
    """Give the form in which an operation refuses a session, by what the contract says it returns."""
    kind = OPERATIONS[operation]["returns"]
    fields = CONTRACT["structs"].get(kind)
    if fields is None:
        return 500, read_recording("fault_invalid_session").body
    name = "send_mail" if "status" in fields else "get_service"
    of, struct = {"send_mail": ("api_send_mail", "result_status"), "get_service": ("api_mail_get_service", "sql_row_mail")}[name]  # fmt: skip
    body = read_recording(f"{name}_invalid_session").body
    return 200, body.replace(of.encode(), operation.encode()).replace(
        struct.encode(), kind.encode()
    )


@pytest.mark.parametrize("operation", NAMES)
def test_a_refused_session_shows_in_its_recorded_form(sandbox: Sandbox, operation: str) -> None:
    found = post(sandbox, fill_template(operation, "wrong", 1))
    if "sid" in OPERATIONS[operation]["params"]:
        assert found == refusal(operation)
    else:
        assert found[0] == 200


def test_unknown_operations_and_unreadable_xml_are_the_recorded_faults(sandbox: Sandbox) -> None:
    assert post(sandbox, fill_template("api_mail_no_such_operation")) == (
        500,
        read_recording("fault_undefined_operation").body,
    )
    unreadable = read_recording("fault_unparsable_request").body
    for body in (b"", b"<a", b"<a/>", b"x", LOG_IN[:-9]):
        assert post(sandbox, body) == (500, unreadable)


def test_the_endpoint_takes_any_query_and_no_other_path(sandbox: Sandbox) -> None:
    assert post(sandbox, LOG_IN, "?wsdl") == (200, read_recording("login").body)
    assert post(sandbox, LOG_IN, "/x")[0] == 404
    request = urllib.request.Request(sandbox.endpoint)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    assert caught.value.code == 404


def test_a_field_that_is_none_arrives_as_none(sandbox: Sandbox, signed_in: Client) -> None:
    sandbox.invoices = [Invoice(invoices_id=5), Invoice(5, "", 0.5)]
    assert signed_in.get_client_invoices() == sandbox.invoices


def test_clients_that_hang_up_are_not_told_of_and_defects_are(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (ConnectionResetError(), ZeroDivisionError()):
        try:
            raise error
        except Exception:
            sandbox._server.handle_error(None, ("127.0.0.1", 5))
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "ConnectionResetError" not in err


def test_without_a_type_a_value_is_text(sandbox: Sandbox, sid: str) -> None:
    body = fill_template("api_add_prepay", sid, "mail", 5.0, False)
    assert post(sandbox, body)[0] == 200
    untyped = body.replace(b' xsi:type="xsd:boolean"', b"")
    assert post(sandbox, untyped)[0] == 200
    assert [one.prepay_automatic_use for one in sandbox.prepays[-2:]] == [0, 1]


def test_numbers_that_are_none_count_as_nothing(sandbox: Sandbox, sid: str) -> None:
    body = fill_template("api_mail_get_service", sid, 8556).replace(b">8556<", b">x<")
    assert post(sandbox, body) == (200, read_recording("get_service_unknown_nil").body)


@pytest.mark.arrives(2)
def test_state_is_where_a_caller_can_see_it(sandbox: Sandbox) -> None:
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
        assert client.cancel_service(8626) is True
        service = client.get_service(8626)
        assert service is not None
        assert service.mail_status == "canceled"
        assert client.cancel_service(8626) is False

        assert client.make_payment(7529153).status == "ok"
        (paid,) = [row for row in client.get_client_invoices() if row.is_paid]
        assert paid.invoices_id == 7529153
        assert paid not in client.get_client_unpaid_invoices()
        assert len(client.get_client_unpaid_invoices()) == 11
        with pytest.raises(OperationFailed):
            client.make_payment(7529153)

        (bought,) = client.buy_mail().invoice_ids
        invoice = client.get_client_invoices()[-1]
        assert invoice.invoices_id == bought
        bought_service = client.get_services()[-1]
        assert bought_service.mail_id == invoice.invoices_service
        assert bought_service.mail_status == "pending"

        last = max(prepay.prepay_id or 0 for prepay in client.get_prepay_list())
        added = client.add_prepay(2.5, automatic_use=False)
        assert added == last + 1
        prepay = client.get_prepay_list()[-1]
        assert (prepay.prepay_id, prepay.prepay_amount) == (added, 2.5)
        assert (prepay.prepay_module, prepay.prepay_automatic_use) == ("mail", 0)
        assert client.get_prepay_remaining().status_text == "2.50"
        url = client.get_prepay_paypal_fill_url(added, 2.5)
        assert url.endswith(f"PREPAY{added}&amount=2.5")

        client.send_mail("s & é", "b\r\n", "a@b", "c@d")
        assert sandbox.sent == [{"subject": "s & é", "body": "b\r\n", "to": "a@b", "from": "c@d"}]
        with pytest.raises(OperationFailed):
            client.auto_zonemta_login(1)


def test_expired_sessions_are_refused(sandbox: Sandbox, sid: str) -> None:
    with Client(session_id=sid, endpoint=sandbox.endpoint) as client:
        assert len(client.call(LIST)) == 12
        sandbox.expire_sessions()
        with pytest.raises(Exception, match="no password to log in with"):
            client.get_client_invoices()


def test_more_rows_go_on_with_ids_of_their_own() -> None:
    with (
        Sandbox(rows=40) as sandbox,
        Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client,
    ):
        invoices = client.get_client_invoices()
        assert invoices[:12] == make_sample_invoices(SAMPLES[LIST])
        assert len({row.invoices_id for row in invoices}) == 40
        services = {row.mail_id for row in client.get_services()}
        assert {row.invoices_service for row in invoices} == services
        assert len(services) == 40
        assert invoices[-1].date is not None


def test_two_sandboxes_do_not_share_state() -> None:
    with Sandbox() as first, Sandbox() as second:
        first.sent.append({})
        assert second.sent == []
        assert first.endpoint != second.endpoint


def test_a_fixed_port_is_taken() -> None:
    with Sandbox() as first:
        port = int(first.endpoint.rpartition(":")[2].partition("/")[0])
    with Sandbox(port=port) as second:
        assert second.endpoint == first.endpoint


def test_serving_ends_with_the_port_free(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(server: LoopbackServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LoopbackServer, "serve_forever", interrupt)
    serving = Sandbox()
    with pytest.raises(KeyboardInterrupt):
        serving.serve()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(serving.endpoint).port or 0))


def test_the_varied_example_holds_one_of_each_kind_of_finding() -> None:
    with Sandbox(example="varied") as sandbox:
        found = audit(sandbox.invoices, sandbox.services, today=date.today())
    counts = Counter(finding.kind for finding in found)
    assert counts.pop("open-of-ended-service") == 13
    assert counts == dict.fromkeys(set(KINDS) - {"open-of-ended-service"}, 1)


def test_a_payment_is_as_its_charge_and_points_to_it() -> None:
    with Sandbox() as sandbox:
        charge = sandbox.add_invoice(
            invoices_amount=9.5, invoices_currency="EUR", invoices_service=3
        )
        payment = sandbox.add_payment(charge)
        refund = sandbox.add_payment(payment, invoices_amount=2.5, invoices_date="2026-01-01")
        with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:
            assert client.get_client_invoices()[-3:] == [charge, payment, refund]
    assert charge == sandbox.invoices[-3]
    id = DOCUMENTED_INVOICES[-1][0] + 1
    assert (charge.invoices_id, payment.invoices_id, refund.invoices_id) == (id, id + 1, id + 2)
    assert (payment.invoices_type, payment.invoices_extra, refund.invoices_extra) == (
        10,
        id,
        id + 1,
    )
    assert (payment.amount, payment.invoices_currency, payment.invoices_service) == (
        Decimal("9.5"),
        "EUR",
        3,
    )
    assert (refund.amount, str(refund.date)) == (Decimal("2.5"), "2026-01-01 00:00:00")
    assert (payment.is_paid, payment.due_date) == (True, None)
    with pytest.raises(TypeError):
        sandbox.add_payment(charge, invoices_nope=1)


def test_invoices_that_are_added_are_renewals_of_their_own() -> None:
    with Sandbox() as sandbox:
        added = [sandbox.add_invoice() for _ in range(3)]
    repeat = DOCUMENTED_INVOICES[-1][1]
    assert [invoice.invoices_extra for invoice in added] == [repeat + 1, repeat + 2, repeat + 3]
    assert f"(Repeat Invoice: {repeat + 1}) MailBaby Mail" == added[0].invoices_description


def test_unknown_operation_through_the_client(sandbox: Sandbox) -> None:
    with (
        Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client,
        pytest.raises(SoapFault, match="is not defined in the WSDL"),
    ):
        client.call("api_nope")


# --- what a sandbox survives -----------------------------------------------------------------------


def raw(sandbox: Sandbox, data: bytes) -> bytes:
    """Send bytes as they are, and return all that comes until the connection ends."""
    host, port = sandbox.endpoint.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as stream:
            return stream.read()


@pytest.mark.parametrize(
    "amount", ["abc", "", "nan", "inf", "-inf", "1e999", "9" * 5000, "\u00e9", "1,5", "0x10"]
)
@pytest.mark.parametrize("kind", ["string", "float", "int"])
def test_any_text_may_be_an_amount(sandbox: Sandbox, sid: str, amount: str, kind: str) -> None:
    body = fill_template("api_add_prepay", sid, "mail", "AMOUNT", True).decode()
    body = body.replace('xsd:string">AMOUNT', f'xsd:{kind}">{amount}')
    status, response = post(sandbox, body.encode())
    assert (status, b">1119</return>" in response) == (200, True)
    assert post(sandbox, fill_template("api_get_prepay_remaining", sid, "mail"))[0] == 200
    assert post(sandbox, fill_template("api_get_prepay_list", sid))[0] == 200
    assert sandbox.prepays[-1].prepay_amount == 0


@pytest.mark.parametrize(
    "header",
    [
        "Content-Length: x", "Content-Length: -5", "Content-Length: 1e3", "Content-Length:", "X: y",
        "Content-Length: 99999999999999999999", "Content-Length: \u0663",
        "Transfer-Encoding: chunked", "Content-Length: 5\r\nContent-Encoding: gzip",
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_read_is_400(sandbox: Sandbox, header: str) -> None:
    request = f"POST /api.php HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode()
    response = raw(sandbox, request + b"hello")
    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("encoding", ["x-none", "utf-7", "shift_jis", "base64", "utf-16", "\u00e9"])
def test_a_request_in_an_encoding_that_is_none_is_400(sandbox: Sandbox, encoding: str) -> None:
    body = LOG_IN.replace(b'encoding="UTF-8"', f'encoding="{encoding}"'.encode())
    assert body != LOG_IN
    status, response = post(sandbox, body)
    assert status == (500 if encoding == "\u00e9" else 400)
    assert response
    assert post(sandbox, LOG_IN)[0] == 200


def test_kept_connections_end_with_the_sandbox() -> None:
    with Sandbox() as running:
        host, port = running.endpoint.split("/")[2].split(":")
        connection = socket.create_connection((host, int(port)), timeout=10)
        head = f"POST /api.php HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LOG_IN)}\r\n\r\n"
        connection.sendall(head.encode() + LOG_IN)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    with connection, connection.makefile("rb") as stream:
        stream.read()  # the rest, and then the end


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_before_anything_is_parsed(sandbox: Sandbox, encoding: str) -> None:
    bomb = "".join(f'<!ENTITY e{n} "&e{n - 1};">' for n in range(1, 100_000))
    text = f'<!DOCTYPE x [<!ENTITY e0 "a">{bomb}]><x>&e99999;</x>'
    status, body = post(sandbox, text.encode(encoding))
    assert (status, b"a DOCTYPE, which SOAP forbids" in body) == (500, True)


def test_a_path_that_is_none_is_not_found(sandbox: Sandbox) -> None:
    request = (
        b"POST http://[x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    assert raw(sandbox, request).startswith(b"HTTP/1.1 404 ")


# --- what a test may change --------------------------------------------------------------------------


def test_an_example_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="^example: documented or varied expected, not 'x'$"):
        Sandbox(example="x")


def test_an_invoice_may_be_added(signed_in: Client, sandbox: Sandbox) -> None:
    made = sandbox.add_invoice(invoices_amount=3.5, invoices_currency="EUR")
    assert made.invoices_id == 23785940
    assert signed_in.get_client_invoices()[-1] == made == sandbox.invoices[-1]
    with pytest.raises(TypeError, match="amount"):
        sandbox.add_invoice(amount=3)
    sandbox.invoices = []
    assert sandbox.add_invoice().invoices_id == 23785940


@pytest.mark.parametrize("after", [False, True])
def test_the_next_response_may_be_lost_and_a_login_is_none(
    signed_in: Client, sandbox: Sandbox, after: bool
) -> None:
    sandbox.break_next(after=after)
    with pytest.raises(OutcomeUnknown):
        signed_in.make_payment(7514880)
    assert sandbox.invoices[0].is_paid is after
    assert signed_in.make_payment(7529153).status == "ok"


def test_a_reading_call_survives_a_lost_response(signed_in: Client, sandbox: Sandbox) -> None:
    sandbox.break_next(after=True)
    assert len(signed_in.get_client_invoices()) == 12


def test_a_request_that_cannot_be_read_breaks_nothing(sandbox: Sandbox, sid: str) -> None:
    sandbox.break_next()
    assert post(sandbox, b"<a>")[0] == 500
    assert post(sandbox, b"\xff\xfe<")[0] in (400, 500)
    with pytest.raises(ConnectionError):
        post(sandbox, fill_template("get_modules"))
    assert post(sandbox, fill_template("get_modules"))[0] == 200


def test_text_outside_latin1_is_garbled_as_the_server_does_it(
    signed_in: Client, sandbox: Sandbox
) -> None:
    with pytest.warns(LossyTextWarning):
        signed_in.send_mail("é€😀", "日本 é", "a@b", "c@d")
    assert (sandbox.sent[0]["subject"], sandbox.sent[0]["body"]) == ("é??", "?? é")


@pytest.mark.parametrize(
    ("id", "found"), [("8556", "8556"), ("8557", ""), ("x", ""), ("", ""), ("9" * 40, "")]
)
def test_a_number_without_a_type_is_read_as_php_reads_it(
    sandbox: Sandbox, id: str, found: str
) -> None:
    """As zeep sends it: by the WSDL, and without xsi:type."""
    with Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:
        sid = client.login()
    envelope = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        f'<m:api_mail_get_service xmlns:m="urn:myapi"><sid>{sid}</sid><id>{id}</id>'
        "</m:api_mail_get_service></e:Body></e:Envelope>"
    )
    status, body = sandbox.answer(envelope.encode())
    assert status == 200
    ids = re.findall(rb"<mail_id [^>]*>(\d+)<", body)
    assert ids == [found.encode()] * bool(found)
