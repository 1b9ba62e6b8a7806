"""PHP's own SOAP server understands the templates, and its answers are understood."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from soapmail import AuthenticationError, Client, MailService, SoapFault, Status
from soapmail.sandbox import PASSWORD, USERNAME

from ..support import LIST, SAMPLES, sample_invoices

if TYPE_CHECKING:
    from collections.abc import Iterator

PHP = shutil.which("php") or ""
LISTED = subprocess.run([PHP, "-m"], capture_output=True, text=True, check=True) if PHP else None
pytestmark = pytest.mark.skipif(
    LISTED is None or "soap" not in LISTED.stdout.split(),
    reason="PHP with its SOAP extension is not installed (Debian: php-cli and php-soap)",
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    script = Path(__file__).parent / "server.php"
    command = [PHP, "-S", f"127.0.0.1:{port}", str(script)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert "started" in server.stderr.readline()
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
        yield f"http://127.0.0.1:{port}/api.php"
        server.terminate()


@pytest.fixture
def client(endpoint: str) -> Iterator[Client]:
    with Client(USERNAME, PASSWORD, endpoint=endpoint) as one:
        yield one


def test_rows_that_php_writes_as_references(client: Client) -> None:
    invoices = sample_invoices(SAMPLES[LIST])
    assert client.get_client_invoices() == invoices + invoices
    assert [row["invoices_id"] for row in client.call(LIST)[12:]] == [
        row.invoices_id for row in invoices
    ]


def test_structs_scalars_strings_and_types(client: Client) -> None:
    assert client.get_service(8556) == MailService(**SAMPLES["api_mail_get_services"][0])
    assert client.get_service(1) is None
    assert client.get_modules() == ["domains", "mail"]
    assert client.add_prepay(2.5, automatic_use=False) == 5


def test_awkward_text_arrives_as_it_was_sent(client: Client) -> None:
    body = "& < > \" ' ]]> ${x} é \t \n \r\n"
    assert client.send_mail("é", body, "a@b", "c@d") == Status("ok", f"é|{body}|a@b|c@d")


def test_a_wrong_password_and_a_refused_session(endpoint: str) -> None:
    with Client(USERNAME, "wrong", endpoint=endpoint) as one, pytest.raises(AuthenticationError):
        one.login()
    with Client(USERNAME, PASSWORD, endpoint=endpoint, session_id="old") as one:
        assert len(one.get_client_invoices()) == 24


def test_an_unknown_operation(client: Client) -> None:
    with pytest.raises(SoapFault) as caught:
        client.call("get_nope")
    assert caught.value.text == "Function 'get_nope' doesn't exist"
    with pytest.raises(SoapFault):
        client.call("api_nope")
