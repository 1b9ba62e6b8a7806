"""What holds for any response and any text."""

from __future__ import annotations

import contextlib
import math
import random
import re
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from soapmail import Invoice, LossyTextWarning, SoapMailError
from soapmail.client import Client
from soapmail.extract import rows
from soapmail.sandbox import PASSWORD, USERNAME, Sandbox
from soapmail.soap.envelope import Request

from .. import mutants, oracle
from ..support import DATA, FIELDS, LIST

if TYPE_CHECKING:
    from pathlib import Path

XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff\ufffd").filter(
        lambda letter: letter >= " " or letter in "\t\n"
    ),
    max_size=20,
)
# ElementTree and lxml alike read a bare carriage return as a line feed.
NUMBERS = st.integers(-(2**63), 2**63)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = {"int": NUMBERS, "float": FLOATS, "string": XML_TEXT}


@st.composite
def invoices(draw: st.DrawFn, text: st.SearchStrategy[str] = XML_TEXT) -> Invoice:
    values = {
        name: draw(st.none() | (text if kind == "string" else VALUES[kind]))
        for name, kind in FIELDS.items()
    }
    return Invoice(**values)  # type: ignore[arg-type]


def in_the_servers_form(
    records: list[Invoice], chance: random.Random, space: str, *, absent: bool
) -> str:
    """Write invoices with prefixes, names, order and white space of chance."""
    env, xsi, enc, own = chance.sample(["s", "SOAP-ENV", "a", "b-c", "x.y", "ns1", "_q"], 4)
    item, result = chance.choice(["item", "row", "invoices_id"]), chance.choice(["return", "item"])
    parts = []
    for record in records:
        names = list(FIELDS)
        chance.shuffle(names)
        cells = []
        for name in names:
            value = getattr(record, name)
            # A row without any field is an error, so the id stays, be it as nil.
            if value is None and absent and name != "invoices_id" and chance.random() < 0.5:
                continue
            if value is None:
                cells.append(f'<{name} {xsi}:nil="true"/>')
                continue
            text = escape(str(value))
            if FIELDS[name] != "string":
                text = f"{space}{text}{space}"
            elif "]]>" not in str(value) and chance.random() < 0.2:
                text = f"<![CDATA[{value}]]>"
            cells.append(f"<{name}>{text}</{name}>")
        cells.insert(chance.randrange(len(cells) + 1), "<unknown>x</unknown>")
        parts.append(f"<{item}>{space}{space.join(cells)}{space}</{item}>")
    count = f' {enc}:arrayType="{own}:sql_row_invoices[{len(records)}]"'
    return (
        f'<{env}:Envelope xmlns:{env}="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:{xsi}="http://www.w3.org/2001/XMLSchema-instance" xmlns:{own}="urn:myapi" '
        f'xmlns:{enc}="http://schemas.xmlsoap.org/soap/encoding/">{space}<{env}:Body>{space}'
        f"<{own}:{LIST}Response>{space}<{result}{count}>{space}{space.join(parts)}{space}"
        f"</{result}>{space}</{own}:{LIST}Response>{space}</{env}:Body>{space}</{env}:Envelope>"
    )


SPACES = st.sampled_from(["", " ", "\n", "\t \n"])


@given(st.lists(invoices(), max_size=4), st.randoms(use_true_random=False), SPACES, st.booleans())
def test_any_invoices_come_back_equal(
    records: list[Invoice], chance: random.Random, space: str, absent: bool
) -> None:
    text = in_the_servers_form(records, chance, space, absent=absent)
    for data in (
        text.encode(),
        f'<?xml version="1.0" encoding="ISO-8859-1"?>{text}'.encode(),
        f'\n<?xml version="1.0" encoding="UTF-8"?>\n<!-- x -->{text}\n'.encode("utf-8-sig"),
    ):
        assert rows(data, Invoice) == records


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ISO-8859-1", "windows-1252", "ISO-8859-2", "KOI8-R"])
@settings(max_examples=40)
@given(data=st.data())
def test_any_invoices_come_back_equal_in_other_encodings(
    encoding: str, data: st.DataObject
) -> None:
    letters = bytes(range(0xA0, 0x100)).decode(encoding)
    text = st.text(st.sampled_from(letters + "ab <&"), max_size=9)
    records = data.draw(st.lists(invoices(text), max_size=3))
    chance = random.Random(data.draw(st.integers()))
    body = in_the_servers_form(records, chance, "", absent=True)
    encoded = f'<?xml version="1.0" encoding="{encoding}"?>{body}'.encode(encoding)
    # What is valid UTF-8 is UTF-8, and what is mostly that is damaged UTF-8.
    assume(not re.search(rb"[\xc2-\xf4][\x80-\xbf]", encoded))
    assert rows(encoded, Invoice) == records


@given(st.lists(invoices(), min_size=1, max_size=2), st.randoms(use_true_random=False), st.data())
def test_a_cut_response_gives_all_rows_or_an_error(
    records: list[Invoice], chance: random.Random, data: st.DataObject
) -> None:
    whole = in_the_servers_form(records, chance, "", absent=False).encode()
    for end in {data.draw(st.integers(0, len(whole) - 1)) for _ in range(20)}:
        try:
            found = rows(whole[:end], Invoice)
        except SoapMailError:
            continue
        assert found == records


@pytest.mark.slow
def test_any_response_is_read_as_the_oracle_reads_it() -> None:
    """A short fuzz run; the long one is ``python -m tests.mutants``."""
    chance = random.Random(1)
    ends = {True: 0, False: 0}
    for _ in range(1000):
        data = mutants.make_mutant(chance)
        assert mutants.difference(data) is None, data
        ends[oracle.read(data, mutants.FIELDS) is None] += 1
    assert min(ends.values()) > 200  # neither all of them errors nor all of them rows


FOUND = sorted((DATA / "found").iterdir())


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_once_differed_from_the_oracle_does_not_any_more(path: Path) -> None:
    assert mutants.difference(path.read_bytes()) is None


@given(st.binary(max_size=300))
@example(b"<Envelope")
def test_any_bytes_are_rows_or_an_error(data: bytes) -> None:
    with pytest.raises(SoapMailError):
        rows(data, Invoice)


@given(st.lists(st.sampled_from([b"<Envelope ", b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'>", b"<s:Body>", b"<a>", b"</a>", b"</s:Body>", b"</s:Envelope>", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"&#1;", b"\xff", b"\x00", b"x", b"<b href='#c'/>", b"<b id='c'/>"]), max_size=20))  # fmt: skip
def test_any_pile_of_pieces_is_rows_or_an_error(pieces: list[bytes]) -> None:
    with contextlib.suppress(SoapMailError):
        assert rows(b"".join(pieces), Invoice) == []


@given(FLOATS)
def test_amounts_are_exact(value: float) -> None:
    amount = Invoice(invoices_amount=value).amount
    assert amount is not None
    assert float(amount) == value
    xml = f"{value:.15g}"
    if float(xml) == value and math.isfinite(value):
        assert amount == type(amount)(repr(value))


WIRE_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
        lambda letter: letter >= " " or letter in "\t\n\r"
    )
)


@pytest.mark.arrives(1000)
def test_any_text_is_on_the_wire_as_it_was_given_and_the_sandbox_garbles_it_as_the_server_does() -> (
    None
):
    with Sandbox() as sandbox, Client(USERNAME, PASSWORD, endpoint=sandbox.endpoint) as client:

        @given(WIRE_TEXT, WIRE_TEXT.filter(lambda text: not set(text) & set("\r\n")))
        def sent(body: str, subject: str) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LossyTextWarning)
                client.send_mail(subject, body, "a@b", "c@d")
                values = {"subject": subject, "body": body}
                envelope = Request("api_send_mail", values, template=False).envelope()
            on_the_wire = [
                one.text or "" for one in ElementTree.fromstring(envelope).iterfind("{*}Body/*/*")
            ]
            assert on_the_wire == [subject, body]
            kept = {
                name: "".join("?" if letter > "\xff" else letter for letter in text)
                for name, text in values.items()
            }
            assert sandbox.sent.pop() == {**kept, "to": "a@b", "from": "c@d"}

        sent()
