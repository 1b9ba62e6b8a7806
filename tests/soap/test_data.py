"""The folders of odd-but-whole and of bad responses, and the recorded ones."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from soapmail import Invoice, MailService, Prepay, ResponseError, SoapFault
from soapmail.extract import rows

from ..support import DATA, LIST, SAMPLES, make_sample_invoices, read_recording

if TYPE_CHECKING:
    from pathlib import Path

ODD = sorted((DATA / "odd").iterdir())
BAD = sorted((DATA / "bad").iterdir())
ERRORS = {"ResponseError": ResponseError, "SoapFault": SoapFault}


def test_the_folders_are_not_empty() -> None:
    assert len(ODD) > 50
    assert len(BAD) > 80


@pytest.mark.parametrize("path", ODD, ids=lambda path: path.name)
def test_odd_but_whole(path: Path) -> None:
    _, expected, data = path.read_bytes().split(b"\n", 2)
    records = rows(data, Invoice)
    wanted = json.loads(expected)
    assert [
        {name: getattr(one, name) for name in row} for one, row in zip(records, wanted, strict=True)
    ] == wanted
    assert len(records) == len(wanted)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_bad(path: Path) -> None:
    reason, data = path.read_bytes().split(b"\n", 1)
    with pytest.raises((ResponseError, SoapFault)) as caught:
        rows(data, Invoice)
    assert type(caught.value) is ERRORS[reason.split(b":")[0].decode()]
    assert len(str(caught.value)) < 400
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("get_client_invoices", LIST),
        ("get_client_unpaid_invoices", "api_mail_get_client_unpaid_invoices"),
    ],
)
def test_the_recorded_invoices_equal_the_sample_values(name: str, operation: str) -> None:
    records = rows(read_recording(name).body, Invoice)
    assert records == make_sample_invoices(SAMPLES[operation])
    assert len(records) == 12
    types = {field: type(getattr(records[0], field)) for field in Invoice.__slots__}
    assert set(types.values()) == {int, float, str}
    assert types["invoices_amount"] is float


def test_the_recorded_services_and_prepays_equal_the_sample_values() -> None:
    services = rows(read_recording("get_services").body, MailService)
    assert services == [MailService(**row) for row in SAMPLES["api_mail_get_services"]]
    prepays = rows(read_recording("get_prepay_list").body, Prepay)
    assert prepays == [Prepay(**row) for row in SAMPLES["api_get_prepay_list"]]


def test_recorded_oddities(caplog: pytest.LogCaptureFixture) -> None:
    assert rows(read_recording("get_client_invoices_empty").body, Invoice) == []
    assert rows(read_recording("get_client_invoices_one").body, Invoice) == make_sample_invoices(
        SAMPLES[LIST][:1]
    )
    (invoice,) = rows(read_recording("get_client_invoices_utf8_labelled_latin1").body, Invoice)
    assert invoice.invoices_description == "Café Zürich — MailBaby €5"
    assert caplog.records == []
    first, second = rows(read_recording("get_client_invoices_control_character").body, Invoice)
    assert first.invoices_description == "bad \ufffd byte"
    assert second == make_sample_invoices(SAMPLES[LIST])[1]
    assert [(record.levelno, record.name, record.message) for record in caplog.records] == [
        (
            logging.WARNING,
            "soapmail",
            "response: repaired: characters that XML forbids, replaced by U+FFFD: 1",
        )
    ]


@pytest.mark.parametrize(
    ("name", "repair"),
    [
        ("cut_letter", "characters that are not UTF-8: 3 replaced by U+FFFD"),
        ("mixed_rows", "characters that are not UTF-8: 4 read as Windows-1252"),
        ("cesu8", "characters that are not UTF-8: 1 joined from CESU-8"),
        (
            "replacement",
            "characters that are not UTF-8: 1 read as Windows-1252, 1 replaced by U+FFFD",
        ),
        ("warning_latin1", "ignored text before the envelope"),
    ],
)
def test_recorded_texts_that_are_broken_are_one_warning(
    name: str, repair: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert rows(read_recording(f"get_client_invoices_{name}").body, Invoice)
    (record,) = caplog.records
    assert (record.levelno, record.message) == (logging.WARNING, f"response: repaired: {repair}")


def test_recorded_nil_blank_and_absent_fields() -> None:
    first, second = rows(read_recording("get_client_invoices_nil_and_blank").body, Invoice)
    assert first == Invoice(
        invoices_id=7514880,
        invoices_description="(Repeat Invoice: 19156909) MailBaby Mail",
        invoices_amount=12.5,
        invoices_custid=160884,
        invoices_type=1,
        invoices_date="0000-00-00 00:00:00",
        invoices_paid=1,
        invoices_module="mail",
        invoices_service=8556,
        invoices_currency="USD",
    )
    assert second == Invoice(
        invoices_id=7529153,
        invoices_description="Payment for invoice 7514880 & <tax>",
        invoices_type=11,
    )


MULTI_REFERENCE = ("multi_reference", "reference_to_row", "reference_to_field", "reference_of_return", "reference_soap12")  # fmt: skip
MARKS = {"bom_utf16_le": "UTF-16-LE", "bom_utf16_be": "UTF-16-BE", "bom_utf32": "UTF-32-LE"}


@pytest.mark.parametrize("name", [*MULTI_REFERENCE, "reference_to_nothing"])
def test_references_are_said_to_be_unsupported(name: str) -> None:
    """In the forms of SOAP 1.1 and 1.2, as Axis and PHP write them."""
    _, data = (DATA / "bad" / name).read_bytes().split(b"\n", 1)
    with pytest.raises(ResponseError, match="multi-reference values are not supported"):
        rows(data, Invoice)


@pytest.mark.parametrize("name", [*MARKS, "shift_jis", "both_encodings"])
def test_unsupported_encodings_are_named(name: str) -> None:
    _, data = (DATA / "bad" / name).read_bytes().split(b"\n", 1)
    names = {**MARKS, "shift_jis": "Shift_JIS", "both_encodings": "GBK"}
    with pytest.raises(ResponseError, match="an encoding that is not supported") as caught:
        rows(data, Invoice)
    assert caught.value.value == names[name]


def test_an_id_alone_is_no_reference() -> None:
    data = read_recording("get_client_invoices_one").body
    assert rows(data.replace(b"<item ", b'<item id="a" ', 1), Invoice) == rows(data, Invoice)
