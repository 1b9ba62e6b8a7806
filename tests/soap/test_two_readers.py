"""Two readers, one truth: what a method makes of a response is what ``call`` makes of it."""

from __future__ import annotations

import random
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import pytest

from soapmail import Client, Invoice, ResponseError, SoapMailError
from soapmail.extract import rows
from soapmail.soap.dynamic import parse_by_type

from .. import mutants
from ..support import DATA, FIELDS, METHODS, load_document
from ..test_client import ANSWERS, add, make_client

if TYPE_CHECKING:
    from collections.abc import Callable

    import responses

pytestmark = pytest.mark.usefixtures("quiet")

# A method knows its fields and their types, and refuses what they cannot be. By type, a text without
# a type is any text, and a struct may have any fields.
REFUSED_BY_METHODS = (
    "not a valid ",
    "more digits than a float keeps",
    "a row without any known field",
    "a nested element in a value",
    "text between fields",
)
# And it does not look into fields that it does not know: those that the corpus has.
UNKNOWN_FIELDS = (", unknown", ", other")


def read_file(folder: str, name: str) -> bytes:
    """Read a response; in two of the folders something stands before it."""
    data = (DATA / folder / name).read_bytes()
    return data.split(b"\n", {"odd": 2, "bad": 1}.get(folder, 0))[-1]


FILES = [
    (folder, path.name)
    for folder in ("odd", "bad", "found")
    for path in sorted((DATA / folder).iterdir())
]


def attempt(read: Callable[[bytes], Any], data: bytes) -> tuple[Any, SoapMailError | None]:
    try:
        return read(data), None
    except SoapMailError as error:
        return None, error


def to_kind(kind: str, value: Any) -> Any:
    """Give a value its documented type, as the table of the contract has it."""
    if kind == "string":
        return value
    text = "" if value is None else str(value).strip(" \t\r\n")
    return float(text) if text else None


def compare(data: bytes) -> str:
    """Compare both readings, and say what came of it."""
    records, refusal = attempt(lambda data: rows(data, Invoice), data)
    values, error = attempt(lambda data: parse_by_type(load_document(data)), data)
    if refusal is not None and error is not None:
        return "refused"
    if refusal is not None:
        assert isinstance(refusal, ResponseError)
        is_other_kind = " instead of " in refusal.problem
        assert is_other_kind or refusal.problem.startswith(REFUSED_BY_METHODS)
        return "refused by the method"
    if error is not None:
        assert isinstance(error, ResponseError)
        assert (error.place or "").endswith(UNKNOWN_FIELDS)
        return "refused by call"
    if values == "" and records == []:  # without a type, an empty element is an empty text
        return "equal"
    if isinstance(values, dict):  # without a type, one child may be a field or a row
        assert len(values) == 1
        values = list(values.values())
    assert len(values or []) == len(records)
    for fields, record in zip(values or [], records, strict=True):
        for name, kind in FIELDS.items():
            assert to_kind(kind, fields.get(name)) == to_kind(kind, getattr(record, name)), name
    return "equal"


@pytest.mark.parametrize(("folder", "name"), FILES)
def test_each_file_of_the_data_says_the_same(folder: str, name: str) -> None:
    came = compare(read_file(folder, name))
    assert (came == "equal") == (folder == "odd") or folder == "found"


@pytest.mark.slow
def test_the_corpus_says_the_same() -> None:
    chance = random.Random(7)
    came = [compare(mutants.make_mutant(chance)) for _ in range(1000)]
    assert came.count("equal") > 200
    assert came.count("refused by the method") + came.count("refused by call") < 50


def untyped(value: Any) -> Any:
    """Give what ``call`` should return for what a method returned."""
    if isinstance(value, list):
        return [untyped(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


@pytest.mark.parametrize("method", [name for name in METHODS if name != "login"])
def test_each_method_returns_what_call_returns(http: responses.RequestsMock, method: str) -> None:
    operation, arguments = METHODS[method]
    body, _ = ANSWERS[method]
    client = make_client(session_id="given")
    add(http, body, body)
    value = getattr(client, method)(**arguments)
    found = Client(session_id="given").call(operation)
    if method == "get_paypal_url":  # call leaves the anchor, out of which the method takes the URL
        found = found.split('"')[1]
    wanted = untyped(value)
    if isinstance(wanted, dict):
        assert {name: text for name, text in wanted.items() if text is not None} == {
            name: type(wanted[name])(text) for name, text in found.items() if text is not None
        }
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        assert [
            {n: row.get(n) for n in one} for one, row in zip(wanted, found, strict=True)
        ] == wanted
    else:
        assert found == wanted
