"""The body of a response: its count, its end, its size, its compression."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import requests

from soapmail import Client, Invoice, OutcomeUnknown, ResponseError, SoapMailError, TransportError
from soapmail.extract import rows

from ..faulty import (
    Faulty,
    Hangup,
    Request,
    make_client,
    respond_after_login,
    respond_normally,
    stay_silent,
)
from ..support import LIST, make_many_rows, read_recording, write_chunks
from .test_transport import ENDPOINT, FULL, good, page, send

if TYPE_CHECKING:
    from collections.abc import Callable

ACCENTS = make_many_rows(40, "é" * 20)


def respond_counted(body: bytes, count: int, *, close: bool = False) -> Callable[[Request], None]:
    return respond_after_login(lambda request: request.respond(body, count=count, close=close))


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_bytes_behind_the_count_belong_to_the_response(close: bool, own: bool) -> None:
    """NuSOAP counts characters: 40 rows with 20 accented letters each are 800 bytes too few."""
    short = len(ACCENTS.decode())
    assert short == len(ACCENTS) - 800
    with (
        Faulty(respond_counted(ACCENTS, short, close=close)) as server,
        requests.Session() as session,
    ):
        client = make_client(server, session=None if own else session)
        for _ in range(3):
            assert client.get_client_invoices() == rows(ACCENTS, Invoice)
    assert server.connections == 3  # the login shares the first one


def test_bytes_behind_the_count_may_come_later() -> None:
    def late(request: Request) -> None:
        cut = len(ACCENTS) - 800
        request.respond(ACCENTS[:cut], count=cut)
        for start in range(cut, len(ACCENTS), 200):
            request.closing.wait(0.1)
            request.raw(ACCENTS[start : start + 200])

    with Faulty(respond_after_login(late)) as server:
        assert len(make_client(server).get_client_invoices()) == 40


@pytest.mark.parametrize("close", [True, False])
def test_bytes_that_are_really_gone_are_an_error(
    close: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_COUNT_SECONDS", 0.1)
    cut = len(ACCENTS) - 800
    handler = respond_counted(ACCENTS[:cut], cut, close=close)
    with Faulty(handler) as server, pytest.raises(ResponseError, match="cut off|mismatch|not well"):
        make_client(server).get_client_invoices()
    assert server.operations == ["api_login", LIST]


def test_closing_tags_that_are_gone_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_COUNT_SECONDS", 0.1)
    with Faulty(respond_counted(FULL[:-20], len(FULL) - 20)) as server:
        assert len(make_client(server).get_client_invoices()) == 12


@pytest.mark.parametrize("close", [True, False])
def test_a_count_that_is_too_large_is_the_whole_response(
    close: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_END_SECONDS", 0.1)
    with Faulty(respond_counted(FULL, len(FULL) + 50, close=close)) as server:
        client = make_client(server)
        assert len(client.get_client_invoices()) == len(client.get_client_invoices()) == 12
    assert server.connections == 2


@pytest.mark.parametrize("close", [True, False])
def test_what_is_wrong_in_a_whole_response_is_no_broken_connection(
    close: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_END_SECONDS", 0.1)
    wrong = FULL.replace(b">7514880<", b">12a<")
    words = "row 1, invoices_id: not a valid int: '12a'"
    handler = respond_counted(wrong, len(wrong) + 50, close=close)
    with Faulty(handler) as server, pytest.raises(ResponseError, match=words):
        make_client(server).get_client_invoices()
    assert server.operations == ["api_login", LIST]


@pytest.mark.parametrize("end", ["close", "reset", "silence"])
def test_no_count_and_no_end_is_the_whole_response_once_the_envelope_is(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_END_SECONDS", 0.2)

    def handler(request: Request) -> None:
        request.respond(FULL, count=None)
        if end == "silence":
            request.closing.wait(20)
        request.closing.wait(0.05)
        if end == "reset":
            request.reset()
        raise Hangup

    with Faulty(respond_after_login(handler)) as server:
        assert len(make_client(server).get_client_invoices()) == 12


@pytest.mark.parametrize("written", ["x", "-5", "", "1e3", "9" * 30, "5, 5"])
def test_a_count_that_is_none_is_no_count(written: str) -> None:
    with Faulty(respond_after_login(lambda request: request.respond(FULL, count=written, close=True))) as server:  # fmt: skip
        assert len(make_client(server).get_client_invoices()) == 12


def test_text_behind_a_counted_response_does_not_reach_the_next_one() -> None:
    def handler(request: Request) -> None:
        request.respond(FULL + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", count=len(FULL))

    with Faulty(respond_after_login(handler)) as server:
        client = make_client(server)
        for _ in range(3):
            assert len(client.get_client_invoices()) == 12
    assert server.connections == 3


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for bytes that nothing announces for so long that a test sees it on any machine."""
    for name in ("AFTER_END", "AFTER_COUNT"):
        monkeypatch.setattr(f"soapmail.transport.response_body.{name}_SECONDS", 30)


@pytest.mark.usefixtures("patience")
def test_a_page_with_a_right_count_is_not_waited_behind() -> None:
    started = time.monotonic()
    with Faulty(page(404)) as server, pytest.raises(TransportError):
        make_client(server, session_id="x").get_client_invoices()
    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("patience")
def test_a_long_tail_behind_the_envelope_is_known_to_be_whole() -> None:
    started = time.monotonic()
    with Faulty(respond_after_login(lambda request: request.respond(FULL + b" " * 5000))) as server:
        assert len(make_client(server).get_client_invoices()) == 12
    assert time.monotonic() - started < 10


def respond_in_chunks(request: Request) -> None:
    pieces = [FULL[n : n + 700] for n in range(0, len(FULL), 700)]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    request.raw(head + write_chunks(*pieces))


def test_chunks_are_joined_and_their_connection_kept() -> None:
    with Faulty(respond_after_login(respond_in_chunks)) as server:
        client = make_client(server)
        for _ in range(3):
            assert len(client.get_client_invoices()) == 12
    assert server.connections == 1


def test_a_right_count_keeps_the_connection() -> None:
    with Faulty(respond_normally) as server:
        client = make_client(server)
        for _ in range(3):
            assert len(client.get_client_invoices()) == 12
    assert server.connections == 1
    assert server.operations == ["api_login", *[LIST] * 3]


@pytest.mark.arrives(2)
def test_a_connection_that_the_server_closed_in_between_is_made_anew() -> None:
    done = threading.Event()

    def handler(request: Request) -> None:
        good(request)
        done.set()
        raise Hangup

    with Faulty(handler) as server:
        client = make_client(server, session_id="x")
        assert send(client).status == "ok"
        done.wait(5)
        time.sleep(0.05)  # until the end has come over the loopback device
        assert send(client).status == "ok"
    assert server.operations == ["api_send_mail"] * 2
    assert server.connections == 2


def respond_compressed(data: bytes, name: str = "gzip", count: int | str | None = "") -> Callable[[Request], None]:  # fmt: skip
    return respond_after_login(
        lambda request: request.respond(
            data, count=count, headers={"Content-Encoding": name}, close=count is None
        )
    )


@pytest.mark.parametrize(
    ("name", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), (" GZIP ", gzip.compress)],
)  # fmt: skip
def test_a_compressed_response_is_read_though_not_asked_for(name: str, pack: Any) -> None:
    with Faulty(respond_compressed(pack(FULL), name)) as server:
        client = make_client(server)
        assert len(client.get_client_invoices()) == len(client.get_client_invoices()) == 12
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert server.connections == 1


def test_a_compressed_response_with_a_wrong_count_is_read_too() -> None:
    packed = gzip.compress(FULL)
    with Faulty(respond_compressed(packed, count=len(packed) - 30)) as server:
        assert len(make_client(server).get_client_invoices()) == 12


@pytest.mark.parametrize("data", [gzip.compress(FULL)[:-300], b"no gzip", b"\x1f\x8b\x08\x00xxxxxxxxxxx"])  # fmt: skip
def test_a_broken_compressed_response_is_an_error(data: bytes) -> None:
    with Faulty(respond_compressed(data, count=None)) as server, pytest.raises(SoapMailError):
        make_client(server, retries=0).get_client_invoices()


@pytest.mark.parametrize("extra", [0, 1])
def test_the_size_limit_is_exact(extra: int) -> None:
    for handler in (respond_compressed(gzip.compress(FULL)), respond_after_login(good)):
        with Faulty(handler) as server:
            client = make_client(server, max_response_bytes=len(FULL) - extra)
            if not extra:
                assert len(client.get_client_invoices()) == 12
                continue
            with pytest.raises(ResponseError) as caught:
                client.get_client_invoices()
            limit = len(FULL) - 1
            assert caught.value == ResponseError(
                f"a response over {limit} bytes (max_response_bytes)", LIST
            )
            with pytest.raises(OutcomeUnknown, match="max_response_bytes"):
                make_client(server, max_response_bytes=600).call("api_x")


BOMB_CLIENT = """
import resource, sys
from soapmail import Client, ResponseError
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
try:
    Client("u", "p", endpoint=sys.argv[1], session_id="x").get_client_invoices()
except ResponseError as error:
    print(error)
# Not ru_maxrss, in which the process counts that started this one.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
def test_a_bomb_ends_in_an_error_with_little_memory() -> None:
    """A gzip stream of 400 MB, nothing of which is kept beyond the limit."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = packer.compress(b" " * 2**20)
    pieces = [block, *(packer.compress(b" " * 2**20) for _ in range(399)), packer.flush()]
    bomb = b"".join(pieces)
    with Faulty(
        lambda request: request.respond(bomb, headers={"Content-Encoding": "gzip"})
    ) as server:
        done = subprocess.run(
            [sys.executable, "-c", BOMB_CLIENT, server.endpoint],
            capture_output=True,
            text=True,
            check=True,
        )
    error, megabytes = done.stdout.splitlines()
    assert error == f"{LIST}: a response over 67108864 bytes (max_response_bytes)"
    assert int(megabytes) < 200


@pytest.mark.parametrize("do", [Client.get_client_invoices, send])
def test_a_broken_compressed_response_is_no_broken_connection(do: Any) -> None:
    with Faulty(respond_compressed(b"no gzip")) as server, pytest.raises(SoapMailError) as caught:
        do(make_client(server))
    assert len(server.requests) == 2
    assert "a broken compressed response (Error -3" in str(caught.value)
    assert type(caught.value) is (OutcomeUnknown if do is send else ResponseError)
    if isinstance(caught.value, OutcomeUnknown):
        assert caught.value.status == 200


def test_a_response_over_the_limit_keeps_its_status() -> None:
    with Faulty(lambda request: request.respond(FULL, 500)) as server:
        with pytest.raises(OutcomeUnknown) as caught:
            send(make_client(server, session_id="x", max_response_bytes=100))
        assert caught.value.status == 500
        with pytest.raises(ResponseError):
            make_client(server, session_id="x", max_response_bytes=100).get_client_invoices()


def test_an_envelope_that_begins_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes behind the count are read as long as an envelope has begun."""
    monkeypatch.setattr("soapmail.transport.response_body.AFTER_COUNT_SECONDS", 5.0)
    body = FULL

    def late(request: Request) -> None:
        request.respond(body[:2000], count=2000)
        request.closing.wait(0.1)
        request.raw(body[2000:])

    with Faulty(respond_after_login(late)) as server:
        assert len(make_client(server).get_client_invoices()) == 12


def test_a_limit_that_is_reached_in_one_piece_stops_what_comes_next() -> None:
    def late(request: Request) -> None:
        request.respond(FULL, count=len(FULL) + 1)
        request.closing.wait(0.1)
        request.raw(b" ")

    with Faulty(late) as server:
        client = make_client(server, session_id="x", max_response_bytes=len(FULL))
        with pytest.raises(ResponseError, match=f"a response over {len(FULL)} bytes"):
            client.get_client_invoices()


def test_how_long_is_waited_goes_by_whether_the_envelope_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def handler(request: Request) -> None:
        if request.operation == "api_mail_get_services":
            request.respond(SERVICES, count=None)
        else:
            request.respond(FULL[:2000], count=2000)
        stay_silent(request)

    started = time.monotonic()
    with Faulty(handler) as server:
        client = make_client(server, session_id="given", retries=0)
        monkeypatch.setattr("soapmail.transport.response_body.AFTER_END_SECONDS", 0.1)
        monkeypatch.setattr("soapmail.transport.response_body.AFTER_COUNT_SECONDS", 30)
        assert len(client.get_services()) == 12
        monkeypatch.setattr("soapmail.transport.response_body.AFTER_END_SECONDS", 30)
        monkeypatch.setattr("soapmail.transport.response_body.AFTER_COUNT_SECONDS", 0.1)
        with pytest.raises(ResponseError, match="not well-formed"):
            client.get_client_invoices()
    assert time.monotonic() - started < 5


SERVICES = read_recording("get_services").body


class Replayed(requests.adapters.BaseAdapter):
    """An adapter of a caller whose responses are plain files."""

    def __init__(self, body: bytes, **headers: str) -> None:
        super().__init__()
        self._body = body
        self._headers = headers

    def send(self, *args: Any, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.headers.update({key.replace("_", "-"): text for key, text in self._headers.items()})  # fmt: skip
        response.raw = io.BytesIO(self._body)
        return response

    def close(self) -> None:
        pass


def make_replaying_client(body: bytes, **headers: str) -> Client:
    session = requests.Session()
    session.mount(ENDPOINT, Replayed(body, **headers))
    return make_client(ENDPOINT, session=session, session_id="x", retries=0)


def test_an_adapter_that_responses_with_a_plain_file_works() -> None:
    invoices = rows(FULL, Invoice)
    assert make_replaying_client(FULL).get_client_invoices() == invoices
    assert (
        make_replaying_client(FULL, Content_Length=str(len(FULL))).get_client_invoices() == invoices
    )
    assert (
        make_replaying_client(FULL, Content_Length=str(len(FULL) - 50)).get_client_invoices()
        == invoices
    )
    packed = gzip.compress(FULL)
    assert make_replaying_client(packed, Content_Encoding="gzip").get_client_invoices() == invoices
    size = len(FULL)
    with pytest.raises(TransportError, match=f"the connection closed after 2000 of {size} bytes"):
        make_replaying_client(FULL[:2000], Content_Length=str(size)).get_client_invoices()


def test_a_slow_file_is_read_no_longer_than_the_call_may_take() -> None:
    """An adapter of the caller's own, whose reads nobody else bounds."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            time.sleep(0.3)
            return super().read(10)

    class Own(Replayed):
        def send(self, *args: Any, **options: Any) -> requests.Response:
            response = super().send(*args, **options)
            response.raw = Slow(FULL)
            return response

    session = requests.Session()
    session.mount(ENDPOINT, Own(FULL))
    started = time.monotonic()
    client = make_client(ENDPOINT, session=session, session_id="x", retries=0, timeout=0.5)
    with pytest.raises(TransportError, match="timed out$"):
        client.get_client_invoices()
    assert time.monotonic() - started < 5
