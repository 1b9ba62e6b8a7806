"""Lists: columns, formats, order, what is due, and widths of a terminal."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import Invoice, OperationFailed, ResponseError
from soapmail.billing import due
from soapmail.billing.history import make_intent
from soapmail.cli import dates, output
from soapmail.cli.commands import records as lists
from soapmail.cli.commands import summary
from soapmail.cli.commands.journal import _ENTRIES
from soapmail.cli.commands.summary import group_invoices
from soapmail.cli.exit_codes import UsageError

from ..commands import Accounts, Result, Terminal, note_operations, parse_csv
from ..support import FIELDS, LIST, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from soapmail import Client
    from soapmail.cli.output import RecordFormat
    from soapmail.sandbox import Sandbox

DERIVED = ["amount", "is_open", "overdue", "days_left"]
SERVICE_FIELDS = list(SAMPLES["api_mail_get_services"][0])


def jsonl(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def tsv(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


# --- formats and columns -----------------------------------------------------------------------------


def test_jsonl_and_tsv_hold_the_documented_fields_in_their_order(
    run: Callable[..., Result],
) -> None:
    found = jsonl(run("invoices", "--format", "jsonl").out)
    assert found == SAMPLES[LIST]
    assert [list(row) for row in found] == [list(FIELDS)] * 12
    head, *rows = tsv(run("invoices", "--format", "tsv").out)
    assert head == list(FIELDS)
    assert [row[0] for row in rows] == [str(one["invoices_id"]) for one in SAMPLES[LIST]]
    assert rows[0][1] == SAMPLES[LIST][0]["invoices_description"]


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "tsv"])
def test_columns_come_in_the_order_asked_for_and_derived_ones_in_every_format(
    run: Callable[..., Result], kind: str
) -> None:
    columns = "days_left,invoices_id,amount,overdue,is_open"
    options = ("--today", "2021-03-11", "--columns", columns, "--format", kind)
    assert run("pay", "7529153", "--yes").code == 0
    code, out, err = run("invoices", *options)
    assert (code, err) == (0, "")
    if kind in ("json", "jsonl"):
        rows = json.loads(out) if kind == "json" else jsonl(out)
        assert [list(row) for row in rows] == [columns.split(",")] * 12
        found = [list(row.values()) for row in rows[:3]]
        assert found == [
            [-1, 7514880, 1.0, True, True],
            [None, 7529153, 1.0, False, False],
            [0, 7530357, 1.0, False, True],
        ]
    else:
        nothing = "" if kind == "csv" else "\\N"
        lines = tsv(out) if kind == "tsv" else list(csv.reader(io.StringIO(out[1:])))
        assert lines[0] == columns.split(",")
        assert lines[1:4] == [
            ["-1", "7514880", "1.0", "true", "true"],
            [nothing, "7529153", "1.0", "false", "false"],
            ["0", "7530357", "1.0", "false", "true"],
        ]


def test_a_table_of_columns_asked_for_has_their_names(run: Callable[..., Result]) -> None:
    out = run("invoices", "--columns", " invoices_id , invoices_currency").out
    head, *rows, totals = out.splitlines()
    assert head.split() == ["invoices_id", "invoices_currency"]
    assert rows[0].split() == ["7514880", "USD"]
    assert totals.startswith("USD: 12")


def test_all_columns(run: Callable[..., Result]) -> None:
    names, *_ = tsv(run("invoices", "--columns", "all", "--format", "tsv").out)
    assert names == [*FIELDS, *DERIVED, "mail_status"]
    head, *rows = run("services", "--columns", "all").out.splitlines()
    assert head.split() == SERVICE_FIELDS
    assert len(rows) == 12


@pytest.mark.parametrize("option", ["--columns", "--sort"])
@pytest.mark.parametrize("command", [["invoices"], ["services"], ["prepay", "list"], ["summary"], ["modules"]])  # fmt: skip
def test_unknown_columns_are_refused_with_the_known_ones_before_anything_is_sent(
    run: Callable[..., Result], command: list[str], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOAPMAIL_ENDPOINT", "http://127.0.0.1:9/")
    if command == ["modules"]:
        monkeypatch.setattr("soapmail.Client.get_modules", lambda self: [])
    code, out, err = run(*command, option, "nope")
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"soapmail: {option}: no column 'nope'; there are: [a-z_, ]+\n", err)


def test_a_column_asked_for_twice_is_refused(run: Callable[..., Result]) -> None:
    code, _, err = run("invoices", "--columns", "invoices_id,invoices_id")
    assert (code, err) == (2, "soapmail: --columns: duplicate column invoices_id\n")
    assert run("invoices", "--columns", "").code == 2


def test_modules_by_columns(run: Callable[..., Result]) -> None:
    out = run("modules", "--sort", "-module").out
    assert out.split() == ["module", *sorted(SAMPLES["get_modules"], reverse=True)]


def test_text_that_a_spreadsheet_takes_for_a_formula_is_quoted_in_csv_alone(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    texts = ["=1+1", "+1", "-1", "@x", "a=1", "'x", ""]
    sandbox.invoices = [replace(sandbox.invoices[0], invoices_description=text) for text in texts]
    found = [
        row["invoices_description"] for row in parse_csv(run("invoices", "--format", "csv").out)
    ]
    assert found == ["'=1+1", "'+1", "'-1", "'@x", "a=1", "'x", ""]
    for kind, read in (("jsonl", jsonl), ("json", json.loads)):
        rows = read(run("invoices", "--format", kind).out)
        assert [row["invoices_description"] for row in rows] == texts
    rows = tsv(run("invoices", "--format", "tsv", "--columns", "invoices_description").out)
    assert [row[0] for row in rows[1:]] == texts


def test_json_is_indented_by_two_blanks() -> None:
    assert output.format_json([{"a": 1}]) == '[\n  {\n    "a": 1\n  }\n]'


def test_json_with_signs_that_move_a_cursor_is_json_all_the_same() -> None:
    value = {"a\x9b": ["\u202e", "é", "\n", 1.5]}
    for indent in (None, 2):
        text = output.format_json(value, indent)
        assert json.loads(text) == value
        assert "é" in text
        assert text.replace("\n", "").isprintable()


def test_a_negative_number_is_no_formula() -> None:
    assert output._format_csv(-1.5) == "-1.5"


def test_tsv_is_exact(run: Callable[..., Result], sandbox: Sandbox) -> None:
    text = "a\tb\\t\nc\\N é"
    sandbox.invoices = [replace(sandbox.invoices[0], invoices_description=text)]
    (_, row) = tsv(run("invoices", "--format", "tsv").out)
    back = re.sub(
        r"\\(.)", lambda one: {"t": "\t", "n": "\n", "r": "\r"}.get(one[1], one[1]), row[1]
    )
    assert back == text
    assert len(row) == len(FIELDS)
    assert [output._format_tsv(one) for one in ("a\r", "\\N", None, "")] == [
        "a\\r",
        "\\\\N",
        "\\N",
        "",
    ]


def test_control_characters_are_escaped_in_jsonl(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    text = "a\x9b31m\u202e"
    sandbox.invoices = [replace(sandbox.invoices[0], invoices_description=text)]
    out = run("invoices", "--format", "jsonl").out
    assert out.rstrip("\n").isprintable()
    assert jsonl(out)[0]["invoices_description"] == text


@pytest.mark.parametrize(
    ("kind", "lines"), [("table", 12), ("csv", 12), ("tsv", 12), ("jsonl", 0), ("json", 0)]
)
def test_no_header(run: Callable[..., Result], kind: str, lines: int) -> None:
    code, out, _ = run("invoices", "--format", kind, "--no-header")
    assert code == (0 if lines else 2)
    assert len(out.splitlines()) == lines
    assert out.splitlines()[:1] == [line for line in out.splitlines() if "7514880" in line]
    assert run("invoice", "7514880", "--no-header").code == 2


@pytest.mark.parametrize(
    ("sort", "first"),
    [("invoices_id", 7514880), ("-invoices_id", 23785939), ("-invoices_date", 23785939), ("invoices_service", 7514880)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["table", "json", "jsonl", "csv", "tsv"])
def test_sorting(run: Callable[..., Result], sort: str, first: int, kind: str) -> None:
    for options in (("--sort", sort), (f"--sort={sort}",)):
        out = run("invoices", "--format", kind, *options).out
        assert re.findall(r"\b(?:75\d{5}|7680075|23785939)\b", out)[0] == str(first)


def test_days_are_sorted_as_days_and_names_in_any_case(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    invoice = sandbox.invoices[0]
    days = ["2021-03-10 13:42:23", "soon", "0000-00-00 00:00:00", None, "2020-01-01"]
    words = ["b", "A", "C", None, "a"]
    sandbox.invoices = [
        replace(invoice, invoices_id=n, invoices_due_date=day, invoices_module=word)
        for n, (day, word) in enumerate(zip(days, words, strict=True), 1)
    ]

    def sort(column: str) -> list[int]:
        out = run("invoices", "--sort", column, "--format", "jsonl").out
        return [row["invoices_id"] for row in jsonl(out)]

    assert sort("invoices_due_date") == [5, 1, 2, 3, 4]
    assert sort("-invoices_due_date") == [1, 5, 2, 3, 4]
    assert sort("invoices_module") == [2, 5, 1, 3, 4]
    assert sort("-invoices_module") == [3, 1, 5, 2, 4]


def test_what_has_no_value_comes_last_both_ways(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    assert run("pay", "7514880", "--yes").code == 0
    for sort in ("days_left", "-days_left"):
        rows = jsonl(run("invoices", "--sort", sort, "--format", "jsonl").out)
        assert rows[-1]["invoices_id"] == 7514880
        assert len(rows) == 12


# --- what is due ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--overdue", "--today", "2021-03-10"], 0),
        (["--overdue", "--today", "2021-03-11"], 2),
        (["--due-within", "0", "--today", "2021-03-10"], 2),
        (["--due-within", "0", "--today", "2021-03-09"], 0),
        (["--due-within", "1", "--today", "2021-03-09"], 2),
        (["--due-within", "1", "--today", "2021-03-10"], 10),
        (["--due-within", "0", "--today", "2021-03-11"], 10),
        (["--since", "2021-02-25"], 10),
        (["--until", "2021-02-25"], 10),
        (["--since", "2021-02-25", "--until", "2021-02-25"], 8),
        (["--since", "2021-03-05", "--until", "2021-03-05"], 1),
    ],
)
def test_due_filters(run: Callable[..., Result], arguments: list[str], count: int) -> None:
    code, out, err = run("invoices", "--format", "json", *arguments)
    assert (code, err) == (0, "")
    assert len(json.loads(out)) == count


def test_only_open_invoices_are_due(run: Callable[..., Result], sandbox: Sandbox) -> None:
    invoice = sandbox.invoices[0]
    sandbox.invoices = [
        invoice,
        replace(invoice, invoices_paid=1),
        replace(invoice, invoices_deleted=1),
        replace(invoice, invoices_type=10),
        replace(invoice, invoices_due_date="0000-00-00 00:00:00"),
    ]
    rows = jsonl(run("invoices", "--overdue", "--format", "jsonl").out)
    assert [row["invoices_due_date"] for row in rows] == [
        invoice.invoices_due_date, "0000-00-00 00:00:00",
    ]  # fmt: skip
    code, _, err = run("invoices", "--overdue", "--due-within", "3")
    problem = "--overdue cannot be combined with --due-within (see soapmail invoices --help)"
    assert (code, err) == (2, f"soapmail: {problem}\n")
    sandbox.invoices[4] = replace(invoice, invoices_date="0000-00-00 00:00:00", invoices_paid=1)
    code, out, err = run("invoices", "--until", "2100-01-01", "--format", "jsonl")
    assert (code, len(jsonl(out)), err) == (0, 4, "soapmail: 1 without a date left out\n")


UNREADABLE = "-0001-11-30 00:00:00"  # as PHP's DateTime writes 0000-00-00


@pytest.fixture
def one_unreadable(sandbox: Sandbox) -> Sandbox:
    """Three open invoices: due long ago, on a day that cannot be read, and on no day."""
    invoice = replace(sandbox.invoices[0], invoices_due_date="2021-03-10 13:42:23")
    sandbox.invoices = [
        replace(invoice, invoices_id=7001),
        replace(invoice, invoices_id=7022, invoices_extra=2, invoices_due_date=UNREADABLE),
        replace(
            invoice, invoices_id=7023, invoices_extra=3, invoices_due_date="0000-00-00 00:00:00"
        ),
        replace(
            invoice,
            invoices_id=7024,
            invoices_extra=4,
            invoices_due_date=UNREADABLE,
            invoices_paid=1,
        ),
    ]
    return sandbox


PROBLEM = f"invoices_due_date: not a date of the form YYYY-MM-DD HH:MM:SS: '{UNREADABLE}'"


@pytest.mark.parametrize(
    ("options", "listed", "others"),
    [
        ([], [7001, 7022, 7023, 7024], " (and 1 other date)"),
        (["--open"], [7001, 7022, 7023], ""),
        (["--overdue"], [7001, 7022, 7023], ""),
        (["--due-within", "3"], [7001, 7022, 7023], ""),
        (["--since", "2021-01-01"], [7001, 7022, 7023, 7024], " (and 1 other date)"),
        (["--open", "--sort", "-days_left"], [7001, 7022, 7023], ""),
        (["--open", "--sort", "invoices_due_date"], [7001, 7022, 7023], ""),
    ],
)
@pytest.mark.usefixtures("one_unreadable")
def test_an_open_invoice_with_an_unreadable_due_date_is_in_every_list(
    run: Callable[..., Result], options: list[str], listed: list[int], others: str
) -> None:
    code, out, err = run("invoices", *options, "--format", "jsonl")
    rows = jsonl(out)
    assert (code, [row["invoices_id"] for row in rows]) == (0, listed)
    assert [row["invoices_due_date"] for row in rows if row["invoices_id"] == 7022] == [UNREADABLE]
    assert err == f"soapmail: invoice 7022, {PROBLEM}{others}; its day is not known\n"
    table = run("invoices", *options).out
    assert table.count(f"? {UNREADABLE}") == sum(number in (7022, 7024) for number in listed)


@pytest.mark.usefixtures("one_unreadable")
def test_what_has_an_unreadable_date_has_no_days_left(run: Callable[..., Result]) -> None:
    code, out, _ = run(
        "invoices", "--columns", "invoices_id,overdue,days_left", "--format", "tsv", "--open"
    )
    assert code == 0
    assert [row[1:] for row in tsv(out)[2:]] == [["false", "\\N"], ["false", "\\N"]]
    code, out, err = run("invoice", "7022")
    assert (code, err) == (0, f"soapmail: invoice 7022, {PROBLEM}; its day is not known\n")
    assert f"invoices_due_date     {UNREADABLE}" in out


@pytest.mark.usefixtures("one_unreadable")
def test_a_plan_shows_an_unreadable_date_and_pays_it_last(run: Callable[..., Result]) -> None:
    code, out, err = run("pay", "--open", "--dry-run", "--all-services")
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["7001", "7022", "7023"]
    assert f"? {UNREADABLE}" in out
    assert (code, err) == (0, f"soapmail: invoice 7022, {PROBLEM}; its day is not known\n")
    code, out, err = run("pay", "--open", "--due-within", "3", "--dry-run", "--all-services")
    assert (code, [line.split()[0] for line in out.splitlines()[1:2]]) == (1, ["7001"])
    for number in (7022, 7023):
        assert f"soapmail: invoice {number} left out: no due date that can be read\n" in err


def test_a_service_with_an_unreadable_date_is_listed(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    sandbox.services[0] = replace(sandbox.services[0], mail_order_date="soon")
    number = sandbox.services[0].mail_id
    code, out, err = run("services")
    assert (code, out.count("? soon")) == (0, 1)
    place = f"mail service {number}, mail_order_date"
    problem = "not a date of the form YYYY-MM-DD HH:MM:SS: 'soon'"
    assert err == f"soapmail: {place}: {problem}; its day is not known\n"


def test_days_are_whole_days() -> None:
    late = Invoice(invoices_type=1, invoices_due_date="2021-03-10 23:59:59")
    assert [due.count_days_left(late, date(2021, 3, day)) for day in (9, 10, 11)] == [1, 0, -1]
    assert due.count_days_left(replace(late, invoices_paid=1), date(2021, 3, 9)) is None
    assert due.count_days_left(replace(late, invoices_due_date=None), date(2021, 3, 9)) is None


class Clock(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Clock:
        return cls(1970, 1, 1, 0, 5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["invoices", "--overdue"], ["invoices", "--due-within", "3"], ["check"],
        ["invoices", "--columns", "days_left"], ["invoices", "--sort", "overdue"],
    ],
)  # fmt: skip
def test_a_clock_at_1970_is_told_where_it_matters(
    run: Callable[..., Result], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dates, "datetime", Clock)
    code, out, err = run(*arguments)
    words = "the clock of this machine says 1970-01-01: set it, or give --today DATE"
    if arguments == ["check"]:
        assert (code, out, err) == (3, f"MAIL INVOICES UNKNOWN: {words}\n", "")
    else:
        assert (code, out, err) == (2, "", f"soapmail: {words}\n")
    assert run(*arguments, "--today", "2021-03-11").code == 0
    assert run("invoices").code == 0


@pytest.mark.parametrize(
    ("day", "is_believed"), [(date(2014, 12, 31), False), (date(2015, 1, 1), True)]
)
def test_from_what_day_on_a_clock_is_believed(
    day: date, is_believed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest record of the contract is of 2015."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Then:
            return cls(day.year, day.month, day.day)

    monkeypatch.setattr(dates, "datetime", Then)
    if is_believed:
        assert dates.resolve_today(None) == day
    else:
        with pytest.raises(UsageError, match=f"says {day}: set it"):
            dates.resolve_today(None)


# --- one record ----------------------------------------------------------------------------------------


def test_one_invoice_needs_no_service_unless_its_status_is_asked_for(
    run: Callable[..., Result], sandbox: Sandbox
) -> None:
    asked = note_operations(sandbox)
    run("invoice", "7514880")
    assert asked == ["api_login", LIST]
    run("invoice", "7514880", "--columns", "mail_status")
    assert asked[2:] == ["api_login", LIST, "api_mail_get_service"]


def test_one_invoice(run: Callable[..., Result]) -> None:
    code, out, err = run("invoice", "7529153")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(FIELDS)
    assert out.splitlines()[0] == "invoices_id           7529153"
    assert json.loads(run("invoice", "7529153", "--format", "json").out) == [SAMPLES[LIST][1]]
    assert run("invoice", "5") == (1, "", "soapmail: there is no invoice 5\n")
    out = run("invoice", "7529153", "--columns", "invoices_id,mail_status,overdue").out
    assert out.splitlines() == ["invoices_id  7529153", "mail_status  expired", "overdue      yes"]


def test_get_invoice(signed_in: Client, sandbox: Sandbox) -> None:
    assert signed_in.get_invoice(7529153) == sandbox.invoices[1]
    assert signed_in.get_invoice(5) is None
    wrongs: list[Any] = [0, -1, "5", True]
    for wrong in wrongs:
        with pytest.raises((ValueError, TypeError), match="^id: "):
            signed_in.get_invoice(wrong)
    sandbox.invoices.append(sandbox.invoices[1])
    with pytest.raises(ResponseError, match="listed twice: '7529153'$"):
        signed_in.get_invoice(7529153)


def test_url_and_amount_of_a_status(signed_in: Client) -> None:
    status = signed_in.auto_zonemta_login(8556)
    assert status.url == status.status_text == "https://mail.example.com/login?a=1&b=2"
    assert str(signed_in.get_prepay_remaining().amount) == "0.00"
    with pytest.raises(ResponseError, match="^status_text: not a URL: '0.00'$"):
        signed_in.get_prepay_remaining().url  # noqa: B018
    with pytest.raises(ResponseError, match="^status_text: not a number: 'https"):
        status.amount  # noqa: B018
    empty = replace(status, status_text=" ")
    assert empty.url is None
    assert empty.amount is None
    assert replace(status, status_text=None).url is None
    assert replace(status, status_text=None).amount is None
    with pytest.raises(OperationFailed):
        signed_in.auto_zonemta_login(1)


# --- terminals -------------------------------------------------------------------------------------------


def terminal(*arguments: str, **environment: str) -> list[str]:
    code, out = Terminal(*arguments, environment=environment).end()
    assert code == 0
    return out.splitlines()


@pytest.mark.parametrize("command", [["invoices"], ["invoices", "--overdue"], ["services"], ["prepay", "list"], ["summary"], ["summary", "service"], ["audit"]])  # fmt: skip
def test_tables_fit_80_columns(command: list[str]) -> None:
    code, out = Terminal("--sandbox=varied", *command, environment={"NO_COLOR": "1"}).end()
    lines = [line for line in out.splitlines() if not line.startswith("soapmail: ")]
    assert code == (command == ["audit"])
    assert max(map(len, lines)) <= 80
    assert len(lines) > 1


def test_an_overdue_invoice_is_marked_without_colour_alone() -> None:
    plain = terminal("--sandbox=varied", "invoices", NO_COLOR="1")
    marked = [line for line in plain if line.startswith("! ")]
    assert len(marked) == 14  # with what says so
    assert marked[-1] == "! overdue"
    assert not any("\x1b" in line for line in plain)
    coloured = terminal("--sandbox=varied", "invoices", TERM="xterm", NO_COLOR="")
    assert [line for line in coloured if "\x1b" in line] == [
        f"\x1b[31m{line}\x1b[0m" for line in marked[:-1]
    ]
    assert terminal("--sandbox=varied", "invoices", TERM="dumb", NO_COLOR="") == plain


def test_nothing_is_marked_in_a_pipe(run: Callable[..., Result]) -> None:
    assert "!" not in run("invoices").out


FORMATS: dict[str, Callable[[Sandbox], tuple[RecordFormat, list[Any]]]] = {
    "invoices": lambda box: (
        lists._make_invoice_format(date(2021, 3, 12)),
        [lists._InvoiceRow(invoice, "expired") for invoice in box.invoices],
    ),
    "services": lambda box: (lists._SERVICES, box.services),
    "prepays": lambda box: (lists._PREPAYS, box.prepays),
    "entries": lambda box: (_ENTRIES, [make_intent(5, 1.0, "USD")]),
    "months": lambda box: (summary._make_format("month"), group_invoices(box.invoices, "month")),
    "by service": lambda box: (
        summary._make_format("service"),
        group_invoices(box.invoices, "service"),
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_numbers_stand_to_the_right_and_nothing_else_does(sandbox: Sandbox, name: str) -> None:
    record_format, records = FORMATS[name](sandbox)
    for column in (*record_format.columns, *record_format.table):
        values = [value for value in map(column.get, records) if value is not None]
        is_number = all(
            not isinstance(value, bool) and re.fullmatch(r"-?\d+(\.\d+)?( [A-Z]{3})?", str(value))
            for value in values
        )
        assert not values or column.kind.is_right == is_number, column.name


# --- summary ---------------------------------------------------------------------------------------------


def charge(amount: float | None, currency: str = "USD", **fields: Any) -> Invoice:
    return Invoice(invoices_type=1, invoices_amount=amount, invoices_currency=currency, **fields)


MIXED = [
    charge(1.1, invoices_date="2021-02-03 00:00:00", invoices_service=5),
    charge(2.2, invoices_date="2021-02-28 23:59:59", invoices_service=6, invoices_paid=1),
    charge(4.0, "EUR", invoices_date="2021-02-28 00:00:00", invoices_service=5),
    charge(8.0, invoices_date="2021-03-01 00:00:00", invoices_service=5, invoices_deleted=1),
    charge(None, invoices_date="0000-00-00 00:00:00"),
    Invoice(invoices_type=10, invoices_amount=2.2, invoices_currency="USD", invoices_paid=1),
]


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("month", [("2021-02", "EUR", 1, "4.0", 1, "4.0", 0), ("2021-02", "USD", 2, "3.3", 1, "1.1", 0), (None, "USD", 1, "0", 1, "0", 1)]),
        ("service", [(5, "EUR", 1, "4.0", 1, "4.0", 0), (5, "USD", 1, "1.1", 1, "1.1", 0), (6, "USD", 1, "2.2", 0, "0", 0), (None, "USD", 1, "0", 1, "0", 1)]),
        ("currency", [("EUR", "EUR", 1, "4.0", 1, "4.0", 0), ("USD", "USD", 3, "3.3", 2, "1.1", 1)]),
        ("status", [("deleted", "USD", 1, "8.0", 0, "0", 0), ("open", "EUR", 1, "4.0", 1, "4.0", 0), ("open", "USD", 2, "1.1", 2, "1.1", 1), ("paid", "USD", 1, "2.2", 0, "0", 0), ("payment", "USD", 1, "2.2", 0, "0", 0)]),
    ],
)  # fmt: skip
def test_groups_count_and_add_and_never_mix_currencies(
    by: str, rows: list[tuple[Any, ...]]
) -> None:
    groups = [
        (key, currency, all.invoices, str(all.amount), open.invoices, str(open.amount), all.unknown)
        for key, currency, all, open in summary.group_invoices(MIXED, by)
    ]
    assert groups == rows


def test_summary_in_all_formats(run: Callable[..., Result], sandbox: Sandbox) -> None:
    sandbox.invoices = [
        replace(sandbox.invoices[0], **{name: getattr(invoice, name) for name in FIELDS if getattr(invoice, name) is not None})
        for invoice in MIXED[:4]
    ]  # fmt: skip
    names = ["currency", "count", "amount", "open", "open_amount", "unknown", "open_unknown"]
    rows = json.loads(run("summary", "--format", "json").out)
    assert [list(row) for row in rows] == [["month", *names]] * 2
    assert list(rows[1].values()) == ["2021-02", "USD", 2, 3.3, 1, 1.1, 0, 0]
    rows = json.loads(run("summary", "currency", "--format", "json").out)
    assert [list(row) for row in rows] == [names] * 2
    head, *lines, euros, dollars = run("summary", "status").out.splitlines()
    assert euros == "EUR: 1 invoice, 4.00; 1 open, 4.00"
    assert dollars == "USD: 3 invoices, 11.30; 1 open, 1.10"
    assert head.split() == ["status", "currency", "count", "amount", "open", "open", "amount"]
    assert [line.split() for line in lines] == [
        ["deleted", "USD", "1", "8.00", "0", "0.00"],
        ["open", "EUR", "1", "4.00", "1", "4.00"],
        ["open", "USD", "1", "1.10", "1", "1.10"],
        ["paid", "USD", "1", "2.20", "0", "0.00"],
    ]
    sandbox.invoices = []
    assert json.loads(run("summary", "--format", "json").out) == []


def test_an_unknown_amount_is_told_in_the_summary() -> None:
    group = summary.Group(None, "USD").add(Invoice(invoices_amount=3.3)).add(Invoice())
    assert summary._format_sum(group.all) == "3.30 and 1 unknown"


def test_the_totals_of_a_summary_are_those_of_all_accounts(
    run: Callable[..., Result], accounts: Accounts
) -> None:
    one, two, _ = accounts.sandboxes
    two.invoices = [replace(two.invoices[0], invoices_amount=None), two.invoices[1]]
    one.invoices = [replace(one.invoices[0], invoices_amount=2.5, invoices_currency="usd")]
    out = run("summary", "--all-accounts").out
    assert out.splitlines()[-1] == "USD: 6 invoices, 6.50 and 1 unknown; 6 open, 6.50 and 1 unknown"
    assert out.count("6.50") == 2
    assert "invoices" not in run("summary", "--all-accounts", "--no-header").out
    one.invoices = two.invoices = []
    assert run("summary", "--account", "first").out.splitlines()[1:] == ["0 invoices"]


# --- the varied example -------------------------------------------------------------------------------------


def test_the_varied_example(run: Callable[..., Result]) -> None:
    rows = jsonl(run("--sandbox=varied", "invoices", "--columns", "all", "--format", "jsonl").out)
    more = rows[12:]
    assert [summary.classify_invoice(Invoice(**{name: row[name] for name in FIELDS})) for row in more][:5] == [
        "paid", "payment", "deleted", "open", "open",
    ]  # fmt: skip
    assert more[4]["invoices_currency"] == "EUR"
    assert (more[3]["mail_status"], more[3]["days_left"]) == ("active", 3)
    assert more[1]["invoices_extra"] == more[0]["invoices_id"]
    assert run("--sandbox=other", "invoices").code == 2
