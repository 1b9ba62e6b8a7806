"""The command `audit`: what it lists, in each format, over many accounts, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from soapmail.billing.audit import KINDS

from ..commands import format_section, parse_csv
from ..faulty import find_closed_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from soapmail.sandbox import Sandbox

    from ..commands import Accounts, Result

ENDED = "open-of-ended-service"
COLUMNS = ["kind", "level", "invoices", "service", "amount", "currency", "text"]


def jsonl(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.out.splitlines()]


def keep_services(sandbox: Sandbox) -> None:
    """Let no service have ended: it was ordered today, and nothing is wrong."""
    sandbox.services = [replace(one, mail_status="pending") for one in sandbox.services]


def test_the_documented_invoices_are_all_of_ended_services(run: Callable[..., Result]) -> None:
    code, out, err = run("audit")
    assert (code, err) == (0, "")
    header, *rows, total = out.splitlines()
    assert header.split() == ["level", "kind", "invoices", "service", "amount"]
    assert len(rows) == 12
    assert rows[0].split() == ["look", ENDED, "7514880", "8556", "1.00", "USD"]
    assert total == "0 wrong, 12 to look at, in 12 invoices"


def test_nothing_to_find(run: Callable[..., Result], sandbox: Sandbox) -> None:
    keep_services(sandbox)
    code, out, err = run("audit")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["0 wrong, 0 to look at, in 12 invoices"]
    assert run("audit", "--format", "json").out == "[]\n"
    assert run("audit", "--no-header").out == ""


def test_what_is_wrong_is_exit_code_1(run: Callable[..., Result], sandbox: Sandbox) -> None:
    keep_services(sandbox)
    twin = sandbox.add_invoice(invoices_extra=19156909, invoices_date="2021-03-01 00:00:00")
    code, out, err = run("audit")
    assert (code, err) == (1, "")
    assert out.splitlines()[1:] == [
        f"wrong  charged-twice  7514880, {twin.invoices_id}     8556  1.00 USD",
        "1 wrong, 0 to look at, in 13 invoices",
    ]
    code, out, _ = run("audit", "--ignore", "charged-twice")
    assert (code, out.splitlines()[-1]) == (0, "0 wrong, 0 to look at, in 13 invoices")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_left_out_by_its_name(run: Callable[..., Result], kind: str) -> None:
    words = ("--sandbox=varied", "audit", "--format", "jsonl")
    every = jsonl(run(*words))
    assert {one["kind"] for one in every} == set(KINDS)
    assert jsonl(run(*words, "--ignore", kind)) == [one for one in every if one["kind"] != kind]
    wrong = [word for one in KINDS[:4] for word in ("--ignore", one)]
    assert run(*words, *wrong).code == 0
    assert run(*words, *wrong[2:]).code == 1


def test_an_unknown_kind_is_wrong_usage(run: Callable[..., Result]) -> None:
    code, _, err = run("audit", "--ignore", "nope")
    assert (code, err.count("\n")) == (2, 1)
    assert f"--ignore: 'nope' is none of: {', '.join(KINDS)}" in err


def test_programs_get_whole_findings(run: Callable[..., Result], sandbox: Sandbox) -> None:
    keep_services(sandbox)
    charge = sandbox.add_invoice(invoices_amount=2.5)
    payment = sandbox.add_payment(charge)
    ids = [charge.invoices_id, payment.invoices_id]
    text = (
        f"Invoice {ids[0]} of 2021-02-24 over 2.50 USD is open, though 2.50 USD was paid for it"
        f" (payments: {ids[1]})."
    )
    whole = dict(
        zip(COLUMNS, ["open-though-paid", "wrong", ids, 8556, 2.5, "USD", text], strict=True)
    )
    assert json.loads(run("audit", "--format", "json").out) == [whole]
    assert jsonl(run("audit", "--format", "jsonl")) == [whole]
    joined = {**whole, "invoices": f"{ids[0]},{ids[1]}"}
    plain = {name: str(value) for name, value in joined.items()}
    assert parse_csv(run("audit", "--format", "csv").out) == [plain]
    lines = run("audit", "--format", "tsv").out.splitlines()
    assert [line.split("\t") for line in lines] == [COLUMNS, list(plain.values())]
    table = run("audit", "--columns", "invoices,text", "--no-header").out
    assert table == f"{ids[0]}, {ids[1]}  {text}\n"


def test_in_a_table_no_more_than_two_ids_are_named(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    keep_services(sandbox)
    charge = sandbox.add_invoice(invoices_paid=1)
    ids = [sandbox.add_payment(charge).invoices_id for _ in range(3)]
    assert run("audit").out.splitlines()[1].split() == [
        "wrong", "paid-twice", f"{charge.invoices_id},", str(ids[0]), "+2", "8556", "2.00", "USD",
    ]  # fmt: skip


def test_the_day_counts(run: Callable[..., Result], sandbox: Sandbox) -> None:
    """The last documented charge is of 2023-11-02; 45 days after that is 2023-12-17."""
    sandbox.services = [replace(sandbox.services[-1], mail_status="active")]
    sandbox.invoices = sandbox.invoices[-1:]
    for today, found in (("2023-12-16", []), ("2023-12-17", ["not-billed"])):
        rows = jsonl(run("audit", "--today", today, "--format", "jsonl"))
        assert [one["kind"] for one in rows] == found


def test_the_bills_of_many_accounts(run: Callable[..., Result], accounts: Accounts) -> None:
    one, two = accounts.sandboxes[:2]
    keep_services(one)
    two.add_payment(two.add_invoice())
    words = ("audit", "--account", "first", "--account", "second", "--format", "jsonl")
    rows = jsonl(run(*words))
    assert {row["account"] for row in rows} == {"second"}
    assert [row["kind"] for row in rows] == ["open-though-paid", *[ENDED] * 3]
    assert run(*words).code == 1
    # A failing account is told, and is the larger exit code.
    with accounts.path.open("a") as file:
        file.write(format_section("closed", f"http://127.0.0.1:{find_closed_port()}/api.php"))
    code, out, err = run("audit", "--account", "second", "--account", "closed")
    assert (code, out.splitlines()[-1]) == (4, "1 wrong, 3 to look at, in 4 invoices")
    assert "closed" in err


def test_what_the_server_writes_moves_no_cursor(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.invoices = [
        replace(sandbox.invoices[0], invoices_due_date="\x9b2J", invoices_currency="U\x9bD")
    ]
    for form in ("table", "json", "jsonl"):
        assert "\x9b" not in run("audit", "--columns", "all", "--format", form).out
