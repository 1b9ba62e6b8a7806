"""The peers: what must be installed for them, and how their servers are started."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..faulty import find_closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PHP = shutil.which("php") or "php"
PERL = shutil.which("perl") or "perl"
NODE = shutil.which("node") or "node"


def _runs(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_php = pytest.mark.skipif(
    not _runs(PHP, "-r", "exit(extension_loaded('soap') ? 0 : 1);"),
    reason="PHP with its SOAP extension is not installed (Debian: php-cli php-soap)",
)
needs_perl = pytest.mark.skipif(
    not _runs(PERL, "-MSOAP::Lite", "-MHTTP::Daemon", "-e", "1"),
    reason="SOAP::Lite is not installed (Debian: libsoap-lite-perl)",
)


needs_node = pytest.mark.skipif(
    not _runs(NODE, "-e", "require('soap')"),
    reason="node-soap is not found (npm install soap; NODE_PATH=.../node_modules)",
)


def needs(package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed (pip install {package})")


@contextmanager
def php_server(rows: Path) -> Iterator[str]:
    """Start PHP's SOAP server and give its address, which ends where a path belongs."""
    port = find_closed_port()
    command = [PHP, "-S", f"127.0.0.1:{port}", str(HERE / "server.php")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={"ROWS": str(rows)}) as server:
        assert server.stderr is not None
        assert b"started" in server.stderr.readline()
        _responses(port)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@contextmanager
def perl_server(rows: Path) -> Iterator[str]:
    """Start the SOAP::Lite server and give its address."""
    command = [PERL, str(HERE / "server.pl"), str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


def _responses(port: int) -> None:
    """Wait until a server that has said so really listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
