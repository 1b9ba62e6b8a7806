"""A loopback server that does to a client whatever a test says, byte by byte."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soapmail import Client
from soapmail.sandbox import PASSWORD, USERNAME

from .judge import JUDGE
from .support import DATA, LIST, SID, make_many_rows, make_text_response, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass
class Request:
    """One request as it came, and the means to respond to it."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: socket.socket
    number: int  # of the connection
    server: Faulty

    @property
    def closing(self) -> threading.Event:
        """Set when the server ends."""
        return self.server.closing

    @property
    def session_id(self) -> str | None:
        """The session id of the request; None: it has none."""
        match = re.search(rb"<sid\b[^>]*>(.*?)</sid>", self.body)
        return match[1].decode() if match else None

    @property
    def operation(self) -> str:
        match = re.search(r"#([^\"]+)", self.headers.get("soapaction", ""))
        return match[1] if match else ""

    def raw(self, data: bytes) -> None:
        self.connection.sendall(data)

    def respond(
        self,
        body: bytes,
        status: int = 200,
        *,
        count: int | str | None = "",
        close: bool = False,
        headers: Mapping[str, str] = {},
    ) -> None:
        """Respond with a body; ``count`` is a wrong Content-Length, or None for none."""
        JUDGE.note_response(self.server, self.body, body)
        lines = [f"HTTP/1.1 {status} X", "Content-Type: text/xml; charset=ISO-8859-1"]
        if count is not None:
            lines.append(f"Content-Length: {len(body) if count == '' else count}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if close:
            lines.append("Connection: close")
        self.raw("\r\n".join([*lines, "", ""]).encode() + body)
        if close:
            raise Hangup

    def reset(self) -> None:
        """Break the connection with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup


class Hangup(Exception):
    """Raised by a handler to close the connection."""


class Faulty:
    """Serves each request with the handler; counts connections, keeps requests and sessions."""

    def __init__(
        self,
        handler: Callable[[Request], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.connections = 0
        self.closing = threading.Event()
        # Those that were issued and did not expire.
        self._sessions: set[str] = set()
        self._issued = 0
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listeners = [socket.create_server(("127.0.0.1", 0), backlog=64)]
        self.port = self._listeners[0].getsockname()[1]
        scheme = "http" if tls is None else "https"
        self.endpoint = f"{scheme}://127.0.0.1:{self.port}/api.php"

    def __enter__(self) -> Faulty:
        threading.Thread(target=self._accept, args=self._listeners, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def listen(self, port: int) -> None:
        """Serve on one more port."""
        listener = socket.create_server(("127.0.0.1", port))
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    def issue_session(self) -> str:
        """Log in: each time another session id."""
        with self._lock:
            self._issued += 1
            sid = SID if self._issued == 1 else f"{self._issued:032}"
            self._sessions.add(sid)
            return sid

    def expire_sessions(self) -> None:
        """Refuse all session ids issued so far."""
        with self._lock:
            self._sessions.clear()

    def accepts(self, sid: str | None) -> bool:
        """Return whether a session id is in force; before any login, one from elsewhere is."""
        with self._lock:
            return sid is None or sid in self._sessions or not self._issued

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        plain = connection
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = connection.makefile("rb")
            while request := self._read(stream, connection, number):  # type: ignore[arg-type]
                with self._lock:
                    self.requests.append(request)
                JUDGE.note(self, request.body)
                self.handler(request)
        except (Hangup, OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(plain)
            with contextlib.suppress(UnboundLocalError):
                stream.close()
            connection.close()

    def _read(
        self, stream: CountingReader, connection: socket.socket, number: int
    ) -> Request | None:
        line = stream.readline().decode("latin-1").strip()
        if not line:
            return None
        headers = {}
        while header := stream.readline().decode("latin-1").strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
        return Request(line, headers, body, connection, number, self)


class CountingReader:
    """The part of a file that the server needs."""

    readline: Callable[[], bytes]
    read: Callable[[int], bytes]


REFUSED = read_recording("fault_invalid_session").body


def respond_to_login(request: Request, seconds: float = 0) -> None:
    """Log in, and take some time for it."""
    request.closing.wait(seconds)
    request.respond(make_text_response("api_login", request.server.issue_session()))


def respond_normally(request: Request) -> None:
    """Respond as a server that works: a session id, or the documented invoices."""
    respond_after_login(lambda request: request.respond(make_many_rows(12)))(request)


def respond_after_login(
    handler: Callable[[Request], None], *, seconds: float = 0
) -> Callable[[Request], None]:
    """Keep sessions: let logins work, refuse what expired, and leave the rest to a handler."""

    def respond(request: Request) -> None:
        if request.operation == "api_login":
            respond_to_login(request, seconds)
        elif not request.server.accepts(request.session_id):
            request.respond(REFUSED, 500)
        else:
            handler(request)

    return respond


def stay_silent(request: Request) -> None:
    """Take the request, and send nothing."""
    request.closing.wait(20)


def hang_up(request: Request) -> None:
    """Take the request, and close the connection."""
    raise Hangup


def find_closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def make_client(server: Faulty | str, **options: Any) -> Client:
    """Return a client of a server, or of an endpoint."""
    endpoint = server if isinstance(server, str) else server.endpoint
    return Client(USERNAME, PASSWORD, **{"endpoint": endpoint, "timeout": 10, **options})


def make_tls_context(name: str = "loopback") -> ssl.SSLContext:
    """Make the TLS of a server whose certificate the CA of the test data has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "tls" / f"{name}.pem")
    return context


__all__ = [
    "LIST",
    "Faulty",
    "Hangup",
    "Request",
    "find_closed_port",
    "hang_up",
    "make_client",
    "make_tls_context",
    "respond_after_login",
    "respond_normally",
    "respond_to_login",
    "stay_silent",
]
