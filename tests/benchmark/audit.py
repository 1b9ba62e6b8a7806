"""Compare what `audit` takes with what reading the same invoices takes, side by side in one run.

    python -m tests.benchmark.audit [ROWS]

Half of the rows are charges, a year of monthly renewals for each service, and half their payments.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from soapmail import Invoice, MailService
from soapmail.billing import audit
from soapmail.extract import rows

from ..support import make_invoices_response

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ROUNDS = 7
FIRST_DAY = datetime(2015, 1, 1)


def make_rows(count: int) -> list[Invoice]:
    """Return charges and payments in which nothing is wrong, in no order."""
    made = []
    for n in range(count // 2):
        service, month = divmod(n, 12)
        day = FIRST_DAY + timedelta(days=30 * month, seconds=service)
        charge = Invoice(
            invoices_id=2 * n + 1,
            invoices_description=f"(Repeat Invoice: {10**7 + service}) MailBaby Mail",
            invoices_amount=12.5,
            invoices_custid=160884,
            invoices_type=1,
            invoices_date=str(day),
            invoices_group=0,
            invoices_extra=10**7 + service,
            invoices_paid=1,
            invoices_module="mail",
            invoices_due_date=str(day + timedelta(14)),
            invoices_service=service,
            invoices_deleted=0,
            invoices_currency="USD",
        )
        fields = {"invoices_id": 2 * n + 2, "invoices_type": 10, "invoices_extra": 2 * n + 1}
        payment = Invoice(
            **{**asdict(charge), **fields, "invoices_due_date": "0000-00-00 00:00:00"}
        )
        made += [charge, payment]
    random.Random(1).shuffle(made)
    return made


def take(work: Callable[[], T]) -> tuple[float, T]:
    """Return the CPU seconds of some work, and what it returned."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def main(count: int) -> int:
    body = make_invoices_response(list(map(asdict, make_rows(count))))
    services = [MailService(mail_id=n, mail_status="pending") for n in range(count // 24 + 1)]
    pairs = []
    for number in range(ROUNDS + 1):
        reading, invoices = take(lambda: rows(body, Invoice))
        auditing, found = take(lambda: audit(invoices, services, today=date(2026, 1, 1)))  # noqa: B023
        assert (len(invoices), found) == (count // 2 * 2, [])
        if number:  # the first round imports
            pairs.append((reading, auditing))
            print(f"reading {reading:.2f} s, audit {auditing:.2f} s: {auditing / reading:.2f}")
    ratio = statistics.median(auditing / reading for reading, auditing in pairs)
    print(f"{count} rows: audit takes {ratio:.2f} of the CPU that reading them takes")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
