"""The dataclasses carry the documented fields, and read them as people want."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import datetime
from decimal import Decimal
from typing import Any, get_type_hints

import pytest

from soapmail import Invoice, MailService, Order, ResponseError, Status, models

from .support import CONTRACT, RECORDS, SAMPLES

STRUCTS = {record: struct for struct, record in reversed(RECORDS.items())}
KINDS = {"int": int | None, "float": float | None, "string": str | None}


def test_all_models_are_tried() -> None:
    assert set(STRUCTS) == {one for one in vars(models).values() if dataclasses.is_dataclass(one)}
    assert len(STRUCTS) >= 5


@pytest.mark.parametrize(("model", "struct"), STRUCTS.items())
def test_fields_and_types_are_those_of_the_contract(model: type[Any], struct: str) -> None:
    documented = CONTRACT["structs"][struct]
    hints = get_type_hints(model)
    found = [(field.name, hints[field.name]) for field in dataclasses.fields(model)]
    assert found == [(name, KINDS[kind]) for name, kind in documented.items()]


@pytest.mark.parametrize("model", STRUCTS)
def test_models_are_frozen_slotted_and_pickle_copy_and_compare(model: type[Any]) -> None:
    one = model()
    name = dataclasses.fields(model)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, name, 1)
    assert not hasattr(one, "__dict__")
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == copy.copy(one) == one
    assert one != model(**{name: 1})
    assert len({one, model()}) == 1


@pytest.mark.parametrize(
    ("written", "exact"),
    [("12.50", "12.5"), ("0.1", "0.1"), ("1", "1"), ("123456789012.345", "123456789012.345")],
)
def test_amount_is_exact(written: str, exact: str) -> None:
    assert Invoice(invoices_amount=float(written)).amount == Decimal(exact)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("34.950000000000003", "34.95"), ("0.10000000000000001", "0.1"), ("12.50", "12.50"), ("100000.00", "100000.00"),
        ("0.3333333333333333", "0.3333333333333333"),
        # More digits than any precision of PHP writes for a float: it was none.
        ("12345678901234567.89", "12345678901234567.89"), ("34.9500000000000030", "34.95"), ("34.950000000000004", "34.950000000000004"),
    ],
)  # fmt: skip
def test_an_amount_in_seventeen_digits_is_the_shortest(text: str, amount: str) -> None:
    found = Status("ok", text).amount
    assert str(found) == amount


def test_amount_of_nothing_is_none() -> None:
    assert Invoice().amount is None


DATES: list[tuple[str | None, datetime | None]] = [
    (None, None),
    ("", None),
    (" ", None),
    ("0000-00-00 00:00:00", None),
    ("0000-00-00", None),
    ("2021-02-24 01:38:45", datetime(2021, 2, 24, 1, 38, 45)),
    ("2021-02-24", datetime(2021, 2, 24)),
]


@pytest.mark.parametrize(("text", "moment"), DATES)
def test_dates(text: str | None, moment: datetime | None) -> None:
    assert Invoice(invoices_date=text).date == moment
    assert Invoice(invoices_due_date=text).due_date == moment
    assert MailService(mail_order_date=text).order_date == moment


# None of the form that the contract's examples have, no day of the calendar, or no time of a day.
BAD_DATES = [
    "2021-02-30 00:00:00", "2021-02-24 24:00:00", "2021-02-24 23:59:60", "2021-00-00 00:00:00", "x", "0000-00-00 00:00:01",
    "-0001-11-30 00:00:00", "2021-03-1 01:38:45", "2021-3-10 01:38:45", "2021-03-10 1:38:45", "2021-03-10 01:38:4",
    "2021-03-10  01:38:45", "2021-03-10\t01:38:45", "2021-03-10T01:38:45", "2021-03-10 01:38:45\n", " 2021-03-10 01:38:45",
    "2021-03-10 01:38", "2021-03-10 01:38:45.5", "2021-03-10 01:38:45+00:00", "20210310", "\uff12021-03-10 01:38:45", "\u00a0",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_DATES)
def test_a_bad_date_is_an_error_that_names_it(text: str) -> None:
    for invoice, name, field in (
        (Invoice(invoices_date=text), "date", "invoices_date"),
        (Invoice(7, invoices_date=text), "date", "invoice 7, invoices_date"),
        (Invoice(7, invoices_due_date=text), "due_date", "invoice 7, invoices_due_date"),
        (MailService(8, mail_order_date=text), "order_date", "mail service 8, mail_order_date"),
    ):
        with pytest.raises(ResponseError) as caught:
            getattr(invoice, name)
        assert (caught.value.place, caught.value.value) == (field, text)
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("kind", "paid", "deleted", "charge", "is_paid", "is_open"),
    [
        (1, 0, 0, True, False, True),
        (1, None, None, True, False, True),
        (1, 1, 0, True, True, False),
        (1, 0, 1, True, False, False),
        (10, 0, 0, False, False, False),
        (None, None, None, False, False, False),
    ],
)
def test_flags(
    kind: int | None,
    paid: int | None,
    deleted: int | None,
    charge: bool,
    is_paid: bool,
    is_open: bool,
) -> None:
    invoice = Invoice(invoices_type=kind, invoices_paid=paid, invoices_deleted=deleted)
    assert (invoice.is_charge, invoice.is_paid, invoice.is_open) == (charge, is_paid, is_open)


def test_all_documented_invoices_are_open() -> None:
    assert all(Invoice(**row).is_open for row in SAMPLES["api_mail_get_client_invoices"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, None),
        ("", None),
        (" ", None),
        ("[]", []),
        ('{"a": 1}', {"a": 1}),
        ("[1e308, 0.1, -0]", [1e308, 0.1, 0]),
    ],
)
def test_extra_is_what_the_json_holds(text: str | None, value: object) -> None:
    assert MailService(mail_extra=text).extra == value


# RFC 8259 has no NaN and no infinity, and leaves open what a repeated name means.
@pytest.mark.parametrize(
    "text",
    ["a:0:{}", "[", "[" * 100_000, "NaN", "[-Infinity]", "1e400", '[-1E+999]', '{"a": 1, "a": 1}', '[{"b": {"a": 1, "\\u0061": 2}}]'],
)  # fmt: skip
def test_extra_that_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(
        ResponseError, match="^mail service 8, mail_extra: not JSON, or JSON with "
    ) as caught:
        _ = MailService(8, mail_extra=text).extra
    assert caught.value.value == (text if len(text) <= 100 else text[:99] + "…")


@pytest.mark.parametrize(
    ("text", "ids"),
    [(None, []), ("", []), (" ", []), ("5", [5]), ("5,6", [5, 6]), (" 5 , 6 ", [5, 6])],
)
def test_order_ids(text: str | None, ids: list[int]) -> None:
    assert Order(invoices=text).invoice_ids == ids


@pytest.mark.parametrize("text", ["a", "5,", "5,,6", "-5", "٥", "1_0", "9" * 20])
def test_order_ids_that_are_none(text: str) -> None:
    with pytest.raises(ResponseError, match="^invoices: not a list of numbers: "):
        _ = Order(invoices=text).invoice_ids
