"""Five payments, and a SIGKILL at any point of them, until all is paid; the server is the judge.

    python -m tests.kill 500 [SEED]

The server counts what arrives and what it did. No invoice may be paid twice, and none may be lost
without being named: what is neither paid nor open to be paid by the next run has to be said.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from soapmail.sandbox import PASSWORD, USERNAME, Sandbox
from soapmail.sandbox.nusoap import parse_request

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS = 3
REQUESTS = 2 + 2 * ROWS  # a login, two lists for the plan, one before each other payment
MOMENTS = ("before", "done")


@dataclass
class Point:
    """Where to kill: at a moment of the n-th request, or after so many seconds."""

    request: int = 0
    moment: str = ""
    seconds: float = 0.0


def keep_services(sandbox: Sandbox) -> None:
    """Let no service have ended, so that all that is open is paid."""
    sandbox.services[:] = [replace(one, mail_status="active") for one in sandbox.services]


class Judge(Sandbox):
    """A sandbox that counts payments, and kills whoever asks at a point."""

    def __init__(self) -> None:
        super().__init__(rows=ROWS)
        keep_services(self)
        self.arrived: Counter[int] = Counter()
        self.done: Counter[int] = Counter()
        self.twice: list[int] = []
        self.victim: subprocess.Popen[bytes] | None = None
        self.point = Point()
        self._count = 0
        self._judging = threading.Lock()

    def begin(self, victim: subprocess.Popen[bytes], point: Point) -> None:
        self.point, self._count, self.victim = point, 0, victim

    def respond(self, request: bytes) -> tuple[int, bytes] | None:
        with self._judging:
            self._count += 1
            here = self._count == self.point.request
            if here and self.point.moment == "before":
                self._kill()
                return None
            operation, values = parse_request(request)
            if operation == "api_make_payment":
                self._note(values[2])
            response = super().respond(request)
            if here and self.point.moment == "done":
                self._kill()
            return response

    def _note(self, invoice: int) -> None:
        paid = {one.invoices_id for one in self.invoices if one.is_paid}
        self.arrived[invoice] += 1
        if invoice in paid:
            self.twice.append(invoice)
        else:
            self.done[invoice] += 1

    def _kill(self) -> None:
        if self.victim is not None:
            self.victim.send_signal(signal.SIGKILL)


@dataclass
class Tally:
    """What came of all runs."""

    runs: int = 0
    killed: int = 0
    asked: int = 0
    problems: list[str] = field(default_factory=list)


def command(
    judge: Judge,
    folder: str,
    *arguments: str,
    program: Sequence[str] = (sys.executable, "-m", "soapmail"),
) -> subprocess.Popen[bytes]:
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")},
        "SOAPMAIL_USERNAME": USERNAME,
        "SOAPMAIL_PASSWORD": PASSWORD,
        "SOAPMAIL_ENDPOINT": judge.endpoint,
        "XDG_STATE_HOME": folder,
    }
    return subprocess.Popen(
        [*program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def pay(judge: Judge, folder: str, point: Point) -> tuple[int, str]:
    process = command(judge, folder, "pay", "--open", "--yes", "--max-total", "100")
    judge.begin(process, point)
    timer = threading.Timer(point.seconds, process.kill) if point.seconds else None
    if timer:
        timer.start()
    out, err = process.communicate(timeout=60)
    if timer:
        timer.cancel()
    judge.begin(process, Point())
    return process.returncode, (out + err).decode()


def run_trial(point: Point, chance: random.Random, tally: Tally) -> None:
    """Kill one run at a point, and go on as a person would, until nothing is left to pay."""
    with Judge() as judge, tempfile.TemporaryDirectory() as folder:
        for n in range(12):
            code, said = pay(judge, folder, point if n == 0 else _later(n, chance))
            tally.runs += 1
            tally.killed += code == -signal.SIGKILL
            if code == 5:
                tally.asked += 1
                _settle(judge, folder, said, tally)
            elif code == 0:
                break
            elif code != -signal.SIGKILL:
                tally.problems.append(f"{point}: code {code}: {said}")
                return
        open_ = [invoice.invoices_id for invoice in judge.invoices if invoice.is_open]
        wrong = {id: count for id, count in judge.done.items() if count != 1}
        if judge.twice or wrong or open_ or len(judge.done) != ROWS:
            tally.problems.append(f"{point}: twice {judge.twice}, done {judge.done}, open {open_}")


def _later(n: int, chance: random.Random) -> Point:
    """Kill the runs behind it as well, now and then."""
    if n < 6 and chance.random() < 0.3:
        return Point(chance.randrange(1, REQUESTS + 1), chance.choice(MOMENTS))
    return Point()


def _settle(judge: Judge, folder: str, said: str, tally: Tally) -> None:
    """Say of what is named what became of it: the server knows."""
    named = re.search(r"whether invoice ([\d, ]+) was paid", said)
    if named is None:
        tally.problems.append(f"nothing is named: {said}")
        return
    paid = {str(invoice.invoices_id) for invoice in judge.invoices if invoice.is_paid}
    for id in named[1].split(", "):
        result = "paid" if id in paid else "unpaid"
        process = command(judge, folder, "journal", "settle", id, result)
        out, err = process.communicate(timeout=60)
        if process.returncode != 0:
            tally.problems.append(f"settle {id}: {(out + err).decode()}")


def iter_points(count: int, chance: random.Random) -> list[Point]:
    """Give each moment of each request, and others at random times."""
    fixed = [Point(n, moment) for n in range(1, REQUESTS + 1) for moment in MOMENTS]
    rest = [Point(seconds=chance.uniform(0.05, 0.4)) for _ in range(max(0, count - len(fixed)))]
    chance.shuffle(fixed)
    return [*fixed, *rest][:count]


def main(count: int, seed: int) -> Tally:
    chance = random.Random(seed)
    tally = Tally()
    for point in iter_points(count, chance):
        run_trial(point, chance, tally)
    return tally


if __name__ == "__main__":
    found = main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(
        f"{found.runs} runs, {found.killed} killed, {found.asked} asked; problems: {found.problems}"
    )
    sys.exit(bool(found.problems))
