"""Wrong arguments and options are refused by name, before anything is sent."""

from __future__ import annotations

import inspect
import threading
import traceback
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import Client

from .support import (
    METHODS,
)
from .test_client import make_client

if TYPE_CHECKING:
    import responses

BAD_IDS = [(0, ValueError), (-1, ValueError), (True, TypeError), ("5", TypeError), (1.0, TypeError), (None, TypeError)]  # fmt: skip


BAD_AMOUNTS = [
    (0, ValueError), (-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError),
    (Decimal("NaN"), ValueError), (Decimal("sNaN"), ValueError), (Decimal("-0.01"), ValueError),
    (Decimal("1e999999"), ValueError), (Decimal("1e-999999"), ValueError), (10**400, ValueError),
    (2**53 + 1, ValueError), (Decimal("12345678901234567.89"), ValueError),
    (True, TypeError), ("1", TypeError), (None, TypeError),
]  # fmt: skip


BAD_TEXTS = [(5, TypeError), (None, TypeError), (b"x", TypeError), ("\x00", ValueError), ("\ud800", ValueError)]  # fmt: skip


BAD_LINES = [*BAD_TEXTS, ("a\nb", ValueError), ("a\rb", ValueError)]


BAD_ADDRESSES = [*BAD_LINES, ("", ValueError), (" ", ValueError)]


BAD_MODULES = [*BAD_TEXTS, ("", ValueError)]


ARGUMENTS: dict[tuple[str, str], list[tuple[Any, type[Exception]]]] = {
    ("get_service", "id"): BAD_IDS,
    ("cancel_service", "id"): BAD_IDS,
    ("auto_zonemta_login", "id"): BAD_IDS,
    ("make_payment", "invoice"): BAD_IDS,
    ("make_payment", "module"): BAD_MODULES,
    ("get_paypal_url", "invoice"): BAD_IDS,
    ("get_paypal_url", "module"): BAD_MODULES,
    ("get_prepay_paypal_fill_url", "prepay_id"): BAD_IDS,
    ("get_prepay_paypal_fill_url", "amount"): BAD_AMOUNTS,
    ("get_prepay_paypal_fill_url", "module"): BAD_MODULES,
    ("get_prepay_remaining", "module"): BAD_MODULES,
    ("add_prepay", "amount"): BAD_AMOUNTS,
    ("add_prepay", "module"): BAD_MODULES,
    ("add_prepay", "automatic_use"): [(1, TypeError), ("false", TypeError), (None, TypeError)],
    ("send_mail", "subject"): BAD_LINES,
    ("send_mail", "body"): BAD_TEXTS,
    ("send_mail", "to"): BAD_ADDRESSES,
    ("send_mail", "from_"): BAD_ADDRESSES,
    ("buy_mail", "coupon"): BAD_TEXTS,
}


@pytest.mark.parametrize(
    ("method", "name", "value", "error"),
    [(*key, *case) for key, cases in ARGUMENTS.items() for case in cases],
)
def test_wrong_arguments_are_refused_by_name_before_anything_is_sent(
    http: responses.RequestsMock, method: str, name: str, value: Any, error: type[Exception]
) -> None:
    arguments = {**METHODS[method][1], name: value}
    with pytest.raises(error, match=f"^{name.rstrip('_')}_?: "):
        getattr(make_client(), method)(**arguments)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0}, ValueError), ({"timeout": -1}, ValueError), ({"timeout": 1e300}, ValueError),
        ({"timeout": float("inf")}, ValueError), ({"timeout": float("nan")}, ValueError),
        ({"timeout": True}, TypeError), ({"timeout": "5"}, TypeError), ({"timeout": None}, TypeError),
        ({"timeout": 10**400}, ValueError),
        ({"retries": -1}, ValueError), ({"retries": True}, TypeError), ({"retries": 1.0}, TypeError),
        ({"max_response_bytes": 0}, ValueError), ({"max_response_bytes": "1"}, TypeError),
        ({"session": object()}, TypeError), ({"session_id": ""}, ValueError),
        ({"session_id": 5}, TypeError), ({"username": 5}, TypeError), ({"password": b"x"}, TypeError),
        ({"username": None}, ValueError), ({"password": None}, ValueError),
        ({"username": ""}, ValueError), ({"password": ""}, ValueError),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(options: Any, error: type[Exception]) -> None:
    (name,) = options
    with pytest.raises(error, match=rf"\b{name}\b"):
        Client(**{"username": "u", "password": "p", **options})


def test_the_documented_defaults() -> None:
    parameters = inspect.signature(Client).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == {
        "username": None,
        "password": None,
        "endpoint": "https://my.interserver.net/api.php",
        "timeout": 60.0,
        "retries": 2,
        "session": None,
        "session_id": None,
        "max_response_bytes": 64 * 2**20,
        "on_exchange": None,
    }
    assert {
        name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY
    } == set(list(parameters)[2:])
    Client(max_response_bytes=1, retries=0)


def test_the_longest_timeout_is_what_a_lock_can_wait() -> None:
    Client("u", "p", timeout=threading.TIMEOUT_MAX)
    with pytest.raises(ValueError, match="^timeout: must be a positive number of seconds, got "):
        Client("u", "p", timeout=threading.TIMEOUT_MAX * 2)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://my.interserver.net/api.php", "http://example.com", "http://127.0.0.1.example.com/",
        "http://localhost.example.com/", "http://0.0.0.0/", "http://10.0.0.1/", "http://[::2]/",
        "https://user:secret@example.com/", "https://user@example.com/", "https://@example.com/",
        "http://127.0.0.1\\@example.com/", "https://example.com\\x/", "ftp://127.0.0.1/", "",
        "my.interserver.net", "https://", "https:///x", "https://example.com:99999/",
        "https://example.com:x/", "https://example.com:0/", "https://[::1/", "https://exa mple.com/",
        "https://example.com/\n", "https://ex\u00e4mple.com/", "file:///etc/passwd", "//127.0.0.1/",
    ],
)  # fmt: skip
def test_an_unsafe_endpoint_is_refused_without_repeating_it(endpoint: str) -> None:
    with pytest.raises(ValueError, match="^endpoint: ") as caught:
        Client("u", "p", endpoint=endpoint)
    assert "secret" not in "".join(traceback.format_exception(caught.value)).replace(
        repr(endpoint), ""
    )
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://my.interserver.net/api.php", "https://example.com:8443/x?y=z", "HTTPS://EXAMPLE.COM/",
        "http://localhost/", "http://LOCALHOST:80/", "http://127.0.0.1:8099/api.php",
        "http://127.1.2.3/", "http://[::1]:80/", "https://10.0.0.1/", "https://example.com/~a/b!.php",
    ],
)  # fmt: skip
def test_a_safe_endpoint_passes(endpoint: str) -> None:
    assert endpoint in repr(Client("u", "p", endpoint=endpoint))


def test_an_endpoint_is_text() -> None:
    with pytest.raises(TypeError, match="^endpoint: str expected, not int$"):
        Client("u", "p", endpoint=5)  # type: ignore[arg-type]


def test_errors_of_arguments_name_the_type_and_the_parameter() -> None:
    one: Any = make_client()
    with pytest.raises(TypeError, match="^automatic_use: bool expected, not str$"):
        one.add_prepay(5, automatic_use="yes")
    with pytest.raises(TypeError, match="^amount: int, float or Decimal expected, not str$"):
        one.add_prepay("5")
    with pytest.raises(ValueError, match="^operation: 'a b' is not an XML name$"):
        one.call("a b")
    with pytest.raises(ValueError, match="^parameter: 'a b' is not an XML name$"):
        one.call("x", **{"a b": 1})
    with pytest.raises(ValueError, match="^sid: the client adds the session id itself$"):
        one.call("api_x", sid="1")
    with pytest.raises(ValueError, match=r"^id: must be at least 1, got 0$"):
        one.get_service(0)
    with pytest.raises(TypeError, match="^id: int expected, not bool$"):
        one.get_service(True)
    with pytest.raises(TypeError, match="^timeout: a number of seconds expected, not str$"):
        make_client(timeout="5")
    with pytest.raises(ValueError, match="^sid: XML cannot carry the character U\\+0001$"):
        make_client(session_id="a\x01").call("api_x")
    with pytest.raises(ValueError, match="^sid: XML cannot carry the character U\\+0001$"):
        make_client(session_id="a\x01").get_services()
