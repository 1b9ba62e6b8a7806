"""Fixtures: nothing of the environment of whoever runs the tests, and no payment twice."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import responses as responses_library
from hypothesis import HealthCheck, settings

from soapmail import Client
from soapmail.sandbox import Sandbox
from soapmail.sandbox.server import LoopbackServer

from .canned import SessionRegistry
from .commands import Accounts, make_runner
from .judge import JUDGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from soapmail.sandbox.server import Reply

    from .commands import Result

settings.register_profile(
    "soapmail", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("soapmail")

_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Set how tests are shared out, and what a shell lets a job in the background ignore."""
    if config.getoption("dist", "no") == "load":
        # The dear tests stand in a few modules: a worker that is done takes over from the others.
        config.option.dist = "worksteal"
    # Programs inherit what is ignored, but no handlers.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Use one more than there are cores: tests of time limits and of killed programs wait."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    usable = getattr(os, "sched_getaffinity", None)
    return (len(usable(0)) if usable else os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in list(os.environ):
        if name.startswith("SOAPMAIL_") or name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    # It would hide that output was not flushed where that has to be known.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    # No journal of whoever runs the tests, nor one for all tests of a sandbox's port.
    state = tmp_path_factory.getbasetemp() / f"state{next(_numbers)}"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    # The pauses between retries shrink with the random factor; that they exist is tested apart.
    monkeypatch.setattr("soapmail.call.uniform", lambda low, high: 0.001)


@pytest.fixture(autouse=True)
def _no_names_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know loopback and no other host: a test that needs a name gives it an address itself."""
    look_up = socket.getaddrinfo

    def look_up_loopback(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not (name in (None, "", "localhost", "::1") or name.startswith("127.0.0.")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_loopback)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Put back what a command leaves behind that ends by a signal."""
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_change_arrives_twice(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail the test in which a server got a changing operation more often than it says."""
    make = LoopbackServer.__init__

    def make_judged(
        server: LoopbackServer, reply: Callable[[str, bytes], Reply | None], port: int
    ) -> None:
        def judged(operation: str, body: bytes) -> Reply | None:
            JUDGE.note(server, body)
            result = reply(operation, body)
            if result is not None:
                JUDGE.note_response(server, body, result.raw or result.body)
            return result

        make(server, judged, port)

    monkeypatch.setattr(LoopbackServer, "__init__", make_judged)
    JUDGE.clear()
    yield
    marker = request.node.get_closest_marker("arrives")
    repeated = JUDGE.list_repeated(1 if marker is None else marker.args[0])
    assert not repeated, "\n".join(repeated)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log nothing of the many repairs of odd responses."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def http() -> Iterator[responses_library.RequestsMock]:
    with responses_library.RequestsMock(registry=SessionRegistry) as mock:
        yield mock
        registry = mock.get_registry()
        assert isinstance(registry, SessionRegistry)
        assert registry.unexpected == []


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run a command in this process, against a sandbox that a test can look into."""
    monkeypatch.setenv("SOAPMAIL_USERNAME", sandbox.username)
    monkeypatch.setenv("SOAPMAIL_PASSWORD", sandbox.password)
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", sandbox.endpoint)
    return make_runner(capsys, monkeypatch)


@pytest.fixture
def signed_in(sandbox: Sandbox) -> Iterator[Client]:
    with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
        yield client


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    path = tmp_path / "accounts.ini"
    monkeypatch.setenv("SOAPMAIL_CONFIG", str(path))
    with ExitStack() as stack:
        yield Accounts(path, stack)
