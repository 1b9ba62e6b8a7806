"""Runs of `pay`, and whatever may happen to them, at random; the server is the judge.

    python -m tests.walk 100 [SEED]

Runs that are killed, stopped and continued, get signals, run at the same time, or fork; answers that are lost;
lists that lag by up to three runs; another program that writes into the journal; lines
that were cut off; and a person who settles open questions truthfully. No invoice may be paid twice,
no payment be unnamed, and none stay unpayable.
"""

from __future__ import annotations

import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from soapmail.billing import read_history
from soapmail.billing.history import format_record, make_intent
from soapmail.sandbox.nusoap import parse_request

from .kill import MOMENTS, Judge, Point, command

if TYPE_CHECKING:
    import subprocess

MOST_RUNS_BEHIND = 3
STEPS = 6
WAIT_SECONDS = 60
_OPEN = ("pay", "--open", "--yes", "--max-total", "100")
# What a program does that forks in the middle of its payments, and goes on in both processes.
_FORK = """
import os
from soapmail import Client
from soapmail.billing import Journal, JournalError, OutcomeUndetermined, make_plan, pay_open, read_history
with Client.from_env() as client:
    plan = make_plan(client.get_client_invoices(), history=read_history({path!r}))
    entries = pay_open(client, plan, Journal({path!r}, 30))
    child = None
    try:
        for entry in entries:
            if child is None:
                child = os.fork()
    except (JournalError, OutcomeUndetermined) as error:
        print(error)
    if child:
        os.waitpid(child, 0)
    os._exit(0)
"""


class LaggingJudge(Judge):
    """A judge whose lists show what was paid some runs before, and which loses answers."""

    def __init__(self) -> None:
        super().__init__()
        self.lag = 0
        self.lost: str | None = None
        self.at_payment: list[object] = []
        self._paid_before: list[set[int | None]] = [set()]

    def begin_run(self) -> None:
        self._paid_before.append({one.invoices_id for one in self.invoices if one.is_paid})

    def respond(self, request: bytes) -> tuple[int, bytes] | None:
        operation, _ = parse_request(request)
        if operation == "api_mail_get_client_invoices" and self.lag:
            truth = self.invoices
            seen = self._paid_before[-self.lag :][0]
            self.invoices = [
                replace(one, invoices_paid=int(one.invoices_id in seen)) for one in truth
            ]
            try:
                return super().respond(request)
            finally:
                self.invoices = truth
        if operation != "api_make_payment":
            return super().respond(request)
        while self.at_payment:
            self.at_payment.pop()()  # type: ignore[operator]
        lost, self.lost = self.lost, None
        if lost == "before":
            return None
        response = super().respond(request)
        return None if lost == "after" else response


@dataclass
class Walk:
    """One server, one journal, and what happens to them."""

    judge: LaggingJudge
    folder: str
    chance: random.Random
    story: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    asked: int = 0

    @property
    def path(self) -> str:
        return str(Path(self.folder) / "journal.jsonl")

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        return command(self.judge, self.folder, *words, "--journal", self.path)

    def step(self) -> None:
        """Let one thing happen, and check what is known of it."""
        self.judge.begin_run()
        self.judge.lag = self.chance.choice([0, 0, 1, 2, MOST_RUNS_BEHIND])
        kind = self.chance.choice([
            self.pay, self.pay_and_kill, self.pay_and_stop, self.pay_and_lose, self.pay_two_at_once,
            self.pay_and_signal, self.fork, self.write_elsewhere, self.cut_off, self.settle,
        ])  # fmt: skip
        self.story.append(f"{kind.__name__} (lag {self.judge.lag})")
        kind()
        self.check_names()

    def pay(self) -> None:
        self.finish(self.run(*_OPEN))

    def pay_and_kill(self) -> None:
        process = self.run(*_OPEN)
        self.judge.begin(process, Point(self.chance.randrange(1, 8), self.chance.choice(MOMENTS)))
        self.finish(process)

    def pay_and_stop(self) -> None:
        """Stop a run at a payment, start another one, and let the first go on."""
        reached = threading.Event()
        first = self.run(*_OPEN)

        def stop() -> None:
            first.send_signal(signal.SIGSTOP)
            reached.set()

        self.judge.at_payment = [stop]

        def wait() -> None:
            first.wait()
            reached.set()

        threading.Thread(target=wait, daemon=True).start()
        reached.wait(WAIT_SECONDS)
        second = self.run(*_OPEN, "--timeout", "30")
        first.send_signal(signal.SIGCONT)
        self.finish(first)
        self.finish(second)

    def pay_and_lose(self) -> None:
        self.judge.lost = self.chance.choice(["before", "after"])
        self.finish(self.run(*_OPEN))
        self.judge.lost = None

    def pay_and_signal(self) -> None:
        """Send signals some milliseconds behind a payment, whose answer may be lost."""
        self.judge.lost = self.chance.choice([None, "before", "after"])
        before = Counter(self.judge.done)
        numbers = self.chance.choices([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], k=2)
        delay = self.chance.uniform(0, 0.03)
        process = self.run(*_OPEN)

        def signal_later() -> None:
            for number in numbers[: self.chance.choice([1, 2])]:
                time.sleep(delay)
                process.send_signal(number)

        self.judge.at_payment = [threading.Thread(target=signal_later).start]
        said = self.finish(process)[1]
        self.judge.lost, self.judge.at_payment = None, []
        words = r"Payment made|may or may not|was paid|only the output failed"
        if Counter(self.judge.done) != before and not re.search(words, said):
            self.problems.append(f"{process.returncode}, and no word of a payment: {said}")

    def pay_two_at_once(self) -> None:
        for process in [self.run(*_OPEN) for _ in range(2)]:
            self.finish(process)

    def fork(self) -> None:
        arguments = [sys.executable, "-c", _FORK.format(path=self.path)]
        self.finish(command(self.judge, self.folder, program=arguments))

    def write_elsewhere(self) -> None:
        """Let another program, which the lock does not reach, write while a run is paying."""
        invoice = self.chance.choice(self.judge.invoices).invoices_id or 0
        self.judge.at_payment = [lambda: self.write_foreign_lines(invoice)]
        self.finish(self.run(*_OPEN))
        self.judge.at_payment = []

    def write_foreign_lines(self, invoice: int) -> None:
        """Write what it writes of a payment that it did not get to make."""
        if read_history(self.path).may_be_unsettled(invoice):
            return
        intent = make_intent(invoice, 1.0, "USD")
        self.add(format_record(intent))
        if self.chance.random() < 0.5:
            self.add(format_record(intent.follow_up("outcome", "refused", "elsewhere")))

    def cut_off(self) -> None:
        """Leave the beginning of a line, as a power cut does, of an invoice or of none."""
        data = Path(self.path).read_bytes() if Path(self.path).exists() else b""
        if data.endswith(b"\n") or not data:
            line = format_record(
                make_intent(self.chance.choice(self.judge.invoices).invoices_id, 1.0, "USD")
            )
            self.add(line[: self.chance.randrange(1, len(line) - 1)])

    def add(self, data: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(data)

    def settle(self) -> None:
        """Answer each open question as the server knows it."""
        paid = {one.invoices_id for one in self.judge.invoices if one.is_paid}
        for question in read_history(self.path).unsettled():
            id = question.invoice
            if id is None:  # one that is not on record as paid
                known = read_history(self.path)
                ids = [one.invoices_id for one in self.judge.invoices]
                id = next((one for one in ids if one and not known.is_paid(one)), None)
            if id is None:  # all are: it is said of the next one that it was not
                id = self.judge.add_invoice(invoices_service=None).invoices_id
            process = self.run("journal", "settle", str(id), "paid" if id in paid else "unpaid")
            out, err = process.communicate(timeout=WAIT_SECONDS)
            said = (out + err).decode()
            if (
                process.returncode
                and "is not an open question" not in said
                and "recorded as" not in said
            ):
                self.problems.append(f"settle {id}: {said}")

    def finish(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        out, err = process.communicate(timeout=WAIT_SECONDS)
        self.judge.begin(process, Point())
        said = (out + err).decode()
        self.story.append(f"  {process.returncode}")
        if "Traceback" in said:
            self.problems.append(said)
        if process.returncode == 5:
            self.asked += 1
            if not re.search(r"invoice \d+|any invoice", said):
                self.problems.append(f"nothing is named: {said}")
        return process.returncode, said

    def check_names(self) -> None:
        """What was paid has to be on record, as paid or as a question."""
        history = read_history(self.path)
        for invoice in self.judge.done:
            if not (history.is_paid(invoice) or history.may_be_unsettled(invoice)):
                self.problems.append(f"{invoice} was paid, and the journal does not know of it")

    def end(self) -> None:
        """Go on as a person would, until all is paid."""
        self.judge.lag = 0
        for _ in range(6):
            self.settle()
            if self.finish(self.run(*_OPEN))[0] == 0:
                break
        unpaid = [one.invoices_id for one in self.judge.invoices if not one.is_paid]
        twice = {id: count for id, count in self.judge.done.items() if count > 1}
        if self.judge.twice or twice or unpaid:
            self.problems.append(f"twice {self.judge.twice} {twice}, unpaid {unpaid}")


def walk(chance: random.Random) -> Walk:
    """Go some steps at random, and to the end."""
    with LaggingJudge() as judge, tempfile.TemporaryDirectory() as folder:
        walk = Walk(judge, folder, chance)
        for _ in range(STEPS):
            walk.step()
            if walk.problems:
                break
        walk.end()
        return walk


def main(count: int, seed: int) -> list[Walk]:
    return [walk(random.Random(f"{seed} {number}")) for number in range(count)]


if __name__ == "__main__":
    walks = main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    for bad in walks:
        if bad.problems:
            print("\n".join([*bad.story, *bad.problems]))
    steps: Counter[str] = Counter(line.split()[0] for one in walks for line in one.story)
    print(f"{len(walks)} walks, {sum(one.asked for one in walks)} asked: {dict(steps)}")
    sys.exit(any(one.problems for one in walks))
