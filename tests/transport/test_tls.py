"""TLS and proxies: whom the password may reach, and what is said when it may not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from soapmail import Client, Invoice, OutcomeUnknown, TransportError
from soapmail.extract import rows
from soapmail.sandbox import PASSWORD, USERNAME

from ..faulty import Faulty, Request, find_closed_port, make_tls_context, respond_normally
from ..support import DATA, make_many_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CA = str(DATA / "tls" / "ca.pem")
INVOICES = rows(make_many_rows(12), Invoice)
# No such host exists; its name is resolved by the proxy alone.
ELSEWHERE = "https://mail.example.test/api.php"


def make_client(endpoint: str, **options: Any) -> Client:
    return Client(USERNAME, PASSWORD, endpoint=endpoint, timeout=10, retries=0, **options)


def read(client: Client) -> object:
    return client.get_client_invoices()


def change(client: Client) -> object:
    return client.send_mail("s", "b", "a@b", "c@d")


def refuses(do: Callable[[Client], object], client: Client, match: str) -> None:
    """Check that an error says what it should, no less and no secrets, of changing calls too."""
    with pytest.raises(TransportError, match=match) as caught:
        do(client)
    assert type(caught.value) is TransportError
    assert "hunter2" not in repr(caught.value)


def trust_by_session(monkeypatch: pytest.MonkeyPatch, session: requests.Session) -> dict[str, Any]:
    session.verify = CA
    return {"session": session}


def trust_by_environment(
    monkeypatch: pytest.MonkeyPatch, session: requests.Session
) -> dict[str, Any]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", CA)
    return {}


def trust_by_both(monkeypatch: pytest.MonkeyPatch, session: requests.Session) -> dict[str, Any]:
    return trust_by_session(monkeypatch, session) | trust_by_environment(monkeypatch, session)


TRUSTS = pytest.mark.parametrize("trust", [trust_by_session, trust_by_environment, trust_by_both])


@TRUSTS
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_private_ca_is_trusted_when_it_is_given(
    trust: Callable[..., dict[str, Any]], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Faulty(respond_normally, make_tls_context()) as server, requests.Session() as session:
        client = make_client(f"https://{host}:{server.port}/", **trust(monkeypatch, session))
        assert client.get_client_invoices() == INVOICES
        client.close()
    assert server.operations == ["api_login", "api_mail_get_client_invoices"]
    assert server.connections == 1


def test_the_ca_of_a_session_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.utils.DEFAULT_CA_BUNDLE_PATH)
    with Faulty(respond_normally, make_tls_context()) as server, requests.Session() as session:
        session.verify = CA
        assert make_client(server.endpoint, session=session).get_client_invoices() == INVOICES
        with pytest.raises(TransportError, match="no trusted TLS connection"):
            make_client(server.endpoint).get_client_invoices()


@pytest.mark.parametrize("do", [read, change])
@pytest.mark.parametrize("own", [True, False])
def test_without_trust_nothing_is_sent_and_the_error_says_why(
    do: Callable[[Client], object], own: bool
) -> None:
    with Faulty(respond_normally, make_tls_context()) as server, requests.Session() as session:
        client = make_client(server.endpoint, session=None if own else session, session_id="given")
        refuses(do, client, "no trusted TLS connection.*certificate")
    assert server.requests == []


def test_a_port_that_speaks_http_is_told_from_one_without_trust() -> None:
    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse)
        thread.start()
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransportError, match="the server does not speak TLS on this port"):
            make_client(endpoint).login()
        thread.join()


@TRUSTS
@pytest.mark.parametrize("do", [read, change])
def test_a_certificate_of_another_name_is_refused(
    trust: Callable[..., dict[str, Any]],
    do: Callable[[Client], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        Faulty(respond_normally, make_tls_context("other")) as server,
        requests.Session() as session,
    ):
        client = make_client(server.endpoint, session_id="given", **trust(monkeypatch, session))
        refuses(do, client, "no trusted TLS connection.*127.0.0.1")
    assert server.requests == []


@TRUSTS
def test_miscounted_responses_are_whole_over_tls_too(
    trust: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = make_many_rows(200, "é" * 20)
    count = len(body.decode())

    def respond_miscounted(request: Request) -> None:
        request.respond(body, count=count)

    with Faulty(respond_miscounted, make_tls_context()) as server, requests.Session() as session:
        client = make_client(server.endpoint, session_id="given", **trust(monkeypatch, session))
        assert client.get_client_invoices() == rows(body, Invoice)
        client.close()


# --- through a forward proxy -----------------------------------------------------------------------


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def far() -> Iterator[Faulty]:
    """Serve as the host of another name, which only the proxy finds."""
    with Faulty(respond_normally, make_tls_context("other")) as server:
        yield server


@pytest.fixture
def proxy(far: Faulty) -> Iterator[Faulty]:
    """Be a forward proxy that makes a tunnel to the far server, whatever host is asked for."""

    def tunnel(request: Request) -> None:
        with socket.create_connection(("127.0.0.1", far.port)) as target:
            request.raw(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(target, request.connection))
            back.start()
            pump(request.connection, target)
            back.join()

    with Faulty(tunnel) as server:
        yield server


def proxy_by_session(
    address: str, monkeypatch: pytest.MonkeyPatch, session: requests.Session
) -> dict[str, Any]:
    session.proxies = {"https": address}
    return trust_by_session(monkeypatch, session)


def proxy_by_environment(
    address: str, monkeypatch: pytest.MonkeyPatch, session: requests.Session
) -> dict[str, Any]:
    monkeypatch.setenv("HTTPS_PROXY", address)
    return trust_by_environment(monkeypatch, session)


PROXIES = pytest.mark.parametrize("by", [proxy_by_session, proxy_by_environment])


@PROXIES
def test_an_https_endpoint_is_reached_through_a_proxy(
    far: Faulty, proxy: Faulty, by: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with requests.Session() as session:
        address = f"http://127.0.0.1:{proxy.port}"
        with make_client(ELSEWHERE, **by(address, monkeypatch, session)) as client:
            assert client.get_client_invoices() == INVOICES
    (request,) = proxy.requests
    assert request.line.startswith("CONNECT mail.example.test:443 HTTP/1.")
    assert far.operations == ["api_login", "api_mail_get_client_invoices"]
    assert far.connections == 1


@PROXIES
@pytest.mark.parametrize("do", [read, change])
def test_a_dead_proxy_is_a_clear_error(
    by: Callable[..., dict[str, Any]],
    do: Callable[[Client], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = find_closed_port()
    with requests.Session() as session:
        options = by(f"http://who:hunter2@127.0.0.1:{port}", monkeypatch, session)
        client = make_client(ELSEWHERE, session_id="given", **options)
        refuses(do, client, r"could not connect to mail.example.test through the proxy \(.*refused")


@PROXIES
@pytest.mark.parametrize("do", [read, change])
def test_a_proxy_that_refuses_is_a_clear_error(
    by: Callable[..., dict[str, Any]],
    do: Callable[[Client], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(request: Request) -> None:
        request.respond(b"", 407, close=True)

    with Faulty(refuse) as server, requests.Session() as session:
        options = by(f"http://who:hunter2@127.0.0.1:{server.port}", monkeypatch, session)
        client = make_client(ELSEWHERE, session_id="given", **options)
        refuses(do, client, r"could not connect to mail.example.test through the proxy \(.*407")


@pytest.mark.parametrize("do", [read, change])
def test_a_proxy_that_hangs_up_is_a_clear_error(
    do: Callable[[Client], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Faulty(Request.reset) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://who:hunter2@127.0.0.1:{server.port}")
        refuses(
            do,
            make_client(ELSEWHERE, session_id="given"),
            r"could not connect to mail.example.test",
        )


@PROXIES
@pytest.mark.parametrize("do", [read, change])
def test_trust_is_demanded_through_a_proxy_too(
    far: Faulty,
    proxy: Faulty,
    by: Callable[..., dict[str, Any]],
    do: Callable[[Client], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with requests.Session() as session:
        options = by(f"http://127.0.0.1:{proxy.port}", monkeypatch, session)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        session.verify = True
        client = make_client(ELSEWHERE, session_id="given", **options)
        refuses(do, client, "no trusted TLS connection")
    assert far.requests == []


# --- through a SOCKS proxy -------------------------------------------------------------------------


class Socks:
    """A proxy that speaks SOCKS 5, and connects every name to one server."""

    def __init__(self, target: Faulty | None) -> None:
        self.names: list[str] = []
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5h://user:hunter2@127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Socks:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            stream.read(stream.read(2)[1])  # the ways of logging in
            connection.sendall(b"\x05\x02")
            stream.read(stream.read(2)[1])  # the user name
            stream.read(stream.read(1)[0])
            connection.sendall(b"\x01\x00")
            self.names.append(stream.read(stream.read(5)[4]).decode())
            stream.read(2)
            if self._target is None:
                connection.sendall(b"\x05\x05\x00\x01" + bytes(6))  # refused
                return
            with socket.create_connection(("127.0.0.1", self._target.port)) as server:
                connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
                threading.Thread(target=pump, args=(server, connection), daemon=True).start()
                pump(connection, server)


def test_a_socks_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", CA)
    with Faulty(respond_normally, make_tls_context("other")) as server, Socks(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with make_client(ELSEWHERE) as client:
            assert client.get_client_invoices() == INVOICES
    assert proxy.names == ["mail.example.test"]
    assert server.connections == 1


def test_a_socks_proxy_that_refuses_is_no_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    with Socks(None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = make_client(ELSEWHERE, session_id="given")
        refuses(change, client, "could not connect to mail.example.test through the proxy")


def test_a_request_that_is_lost_behind_a_socks_proxy_is_an_unknown_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", CA)

    with Faulty(Request.reset, make_tls_context("other")) as server, Socks(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(OutcomeUnknown):
            change(make_client(ELSEWHERE, session_id="given"))
    assert server.operations == ["api_send_mail"]


def test_without_pysocks_one_sentence_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*args: object, **options: object) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:hunter2@127.0.0.1:9")
    words = r"a SOCKS proxy needs PySocks; install it with: pip install 'requests\[socks\]'"
    refuses(change, make_client(ELSEWHERE, session_id="given"), words)

    def wrong(*args: object, **options: object) -> None:
        raise requests.exceptions.InvalidURL("no such proxy")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", wrong)
    words = r"the request could not be sent \(InvalidURL\)"
    refuses(change, make_client(ELSEWHERE, session_id="given"), words)


def test_a_scheme_that_a_session_lacks_has_nothing_to_do_with_its_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with requests.Session() as session:
        session.adapters.clear()
        words = r"the request could not be sent \(InvalidSchema\)"
        refuses(change, make_client(ELSEWHERE, session_id="given", session=session), words)


def test_what_a_proxy_took_of_the_time_is_gone_for_the_handshake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It answers CONNECT late, and then nobody shakes hands."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                stop.wait(0.8)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                stop.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.getsockname()[1]}")
        client = Client(USERNAME, PASSWORD, endpoint=ELSEWHERE, timeout=1, retries=0)
        started = time.monotonic()
        with pytest.raises(TransportError, match="timed out$"):
            client.login()
        assert time.monotonic() - started < 1.6  # the handshake for itself would take 1.8
        stop.set()
        thread.join()
