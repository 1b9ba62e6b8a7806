"""Many threads, one client, and a server that breaks, while sessions expire; a program too.

    python -m tests.soak 20000

No row may be wrong, no call may be lost without an error, and no changing operation may be done
twice: each one carries a number of its own, and the server counts what it did.
"""

from __future__ import annotations

import itertools
import logging
import random
import re
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest import mock

from soapmail import Client, Invoice, OutcomeUnknown, SoapMailError, TransportError
from soapmail.extract import rows
from soapmail.sandbox import PASSWORD, USERNAME, Sandbox

from .faulty import Faulty, Hangup, Request
from .support import LIST, make_many_rows

if TYPE_CHECKING:
    from collections.abc import Callable

ACCENTED = make_many_rows(40, "é" * 20)
EXPECTED = rows(ACCENTED, Invoice)


@dataclass
class Soak:
    """One run: what the server did, and what the callers were told."""

    calls: int
    seed: int = 20261122
    done: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._chance = random.Random(self.seed)
        self._sandbox = Sandbox()

    def _handle(self, request: Request) -> None:
        """Answer as the sandbox, and now and then break before or after it."""
        with self._lock:
            luck = self._chance.random()
            if luck < 0.005:
                self._sandbox.expire_sessions()
        if luck > 0.98:
            request.reset()
        if luck > 0.96:
            request.respond(b"busy", 503)
            return
        status, body = self._sandbox.answer(request.body)
        number = re.search(rb">number (\d+)<", request.body)
        if number and b">ok<" in body:
            with self._lock:
                self.done[number[1].decode()] += 1
        if request.operation == LIST and status == 200:
            body = ACCENTED
        if 0.94 < luck <= 0.96:
            raise Hangup
        if 0.92 < luck <= 0.94:
            request.respond(body[: len(body) // 2], status, count=len(body), close=True)
        if 0.88 < luck <= 0.92:
            body = b"<br />Notice: x\n" + body
        count = len(body.decode()) if luck < 0.5 else len(body)  # as NuSOAP counts, or right
        request.respond(body, status, count=count, close=0.5 < luck < 0.55)

    def _caller(self, client: Client, chance: random.Random) -> None:
        while (number := next(self._numbers)) < self.calls:
            kind, call = chance.choice(
                (("list", self._list), ("service", self._service), ("send", self._send))
            )
            try:
                call(client, str(number))
                result = "ok"
            except OutcomeUnknown:
                self.unknown.add(str(number))
                result = "unknown"
            except TransportError:
                result = "error"
                self.refused.add(str(number))
            except SoapMailError as error:
                result = type(error).__name__
                self.refused.add(str(number))
            except Exception as error:
                self.problems.append(f"{kind}: {error!r}")
                raise
            with self._lock:
                self.told[f"{kind} {result}"] += 1

    def _list(self, client: Client, number: str) -> None:
        if client.get_client_invoices() != EXPECTED:
            self.problems.append("wrong rows")

    def _service(self, client: Client, number: str) -> None:
        service = client.get_service(8556)
        if service is None or service.mail_id != 8556:
            self.problems.append(f"wrong service: {service}")

    def _send(self, client: Client, number: str) -> None:
        client.send_mail("s", f"number {number}", "a@b", "c@d")
        self.sent.add(number)

    def run(self, threads: int = 8) -> None:
        """Do all calls, and check what is left at the end."""
        with (
            self._sandbox,
            Faulty(self._handle) as server,
            Client(USERNAME, PASSWORD, endpoint=server.endpoint) as client,
        ):
            chances = [random.Random(self.seed + n) for n in range(threads)]
            target: Callable[..., None] = self._caller
            workers = [threading.Thread(target=target, args=(client, chance)) for chance in chances]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        twice = [number for number, times in self.done.items() if times > 1]
        if twice:
            self.problems.append(f"done twice: {twice}")
        if not self.sent <= set(self.done):
            self.problems.append("told to be done, and was not")
        if not set(self.done) <= self.sent | self.unknown:
            self.problems.append("done, and not told")
        if sum(self.told.values()) != self.calls:
            self.problems.append("a call was lost")


def main(calls: int) -> None:
    """Soak, and print what became of the calls."""
    logging.disable(logging.CRITICAL)
    soak = Soak(calls)
    with mock.patch("soapmail.call.uniform", return_value=0.001):
        soak.run()
    print(f"{calls} calls: {dict(sorted(soak.told.items()))}")
    print(
        f"mails sent: {len(soak.done)}, of them unknown to the caller: {len(set(soak.done) & soak.unknown)}"
    )
    print(f"problems: {soak.problems}")
    sys.exit(bool(soak.problems))


if __name__ == "__main__":
    main(int(sys.argv[1]))
