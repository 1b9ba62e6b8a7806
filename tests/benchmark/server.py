"""A loopback server that replays recorded bodies, with as many rows as the path asks for."""

from __future__ import annotations

import re
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support import DATA, LOGIN, make_many_rows

_rows = lru_cache(maxsize=1)(make_many_rows)


class Server(ThreadingHTTPServer):
    """Counts what comes."""

    daemon_threads = True
    connections = 0
    posts = 0
    wsdls = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Responses ``/ROWS/api.php``; a GET of ``?wsdl`` gives the WSDL, of ``/count`` the counts."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        if self.path == "/count":
            server = self.server
            self._response(f"{server.posts} {server.connections - 1} {server.wsdls}".encode())
            server.posts = server.connections = server.wsdls = 0
            return
        self.server.wsdls += 1
        own = f"http://{self.headers['Host']}{self.path.partition('?')[0]}"
        wsdl = (DATA / "wire" / "api.wsdl").read_text()
        self._response(re.sub(r'(soap:address location=")[^"]*', rf"\g<1>{own}", wsdl).encode())

    def do_POST(self) -> None:
        self.server.posts += 1
        request = self.rfile.read(int(self.headers["Content-Length"]))
        rows = int(self.path.split("/")[1])
        self._response(LOGIN if b"api_login" in request else _rows(rows))

    def _response(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=ISO-8859-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
