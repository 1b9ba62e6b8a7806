"""Requests as PHP reads them, and responses in the byte form of NuSOAP."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree
from xml.sax import saxutils

from .. import models

if TYPE_CHECKING:
    from collections.abc import Sequence


ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
ENVELOPE_HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?><SOAP-ENV:Envelope {}><SOAP-ENV:Body>'
ENVELOPE_TAIL = "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
ENVELOPE_ATTRIBUTES = (
    f'SOAP-ENV:encodingStyle="{ENCODING}"',
    'xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"',
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema"',
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
    f'xmlns:SOAP-ENC="{ENCODING}"',
)
STRUCTS = {
    models.Invoice: "tns:sql_row_invoices",
    models.MailService: "tns:sql_row_mail",
    models.Prepay: "tns:prepays_list",
    models.Order: "tns:buy_vps_result_status",
    models.Status: "tns:result_status",
}
PAYMENT_STRUCT = "tns:make_payment_return"
# XML_ERROR_UNKNOWN_ENCODING and XML_ERROR_INCORRECT_ENCODING of expat 2.0.0 and later
_EXPAT_ENCODING_ERRORS = (18, 19)


class Fault(Exception):
    """A SOAP fault: its code and its text."""


class UnreadableEncoding(Exception):
    """A request is in no encoding that can be read."""


class TypedXml(NamedTuple):
    """A value as XML: attributes, content, and whether a type of the API itself stands in it."""

    attributes: str
    content: str
    own: bool

    def element(self, name: str) -> str:
        if self.attributes.startswith("xsi:nil"):
            return f"<{name} {self.attributes}/>"
        return f"<{name} {self.attributes}>{self.content}</{name}>"


def parse_request(request: bytes) -> tuple[str, list[Any]]:
    """Return the operation of a request, and its values in order."""
    # SOAP 1.1 3; expat before 2.4.0 expands the entities of one.
    if b"<!doctype" in request.replace(b"\0", b"").lower():
        raise Fault("SOAP-ENV:Client", "a DOCTYPE, which SOAP forbids")
    try:
        call = ElementTree.fromstring(request).find("{*}Body/*")
    except ElementTree.ParseError as error:
        if error.code in _EXPAT_ENCODING_ERRORS:
            raise UnreadableEncoding(f"the encoding of the request is wrong: {error}") from None
        call = None
    except (LookupError, ValueError) as error:
        raise UnreadableEncoding(f"the encoding of the request is wrong: {error}") from None
    if call is None:
        raise Fault(
            "SOAP-ENV:Client",
            "error in msg parsing:\nXML error parsing SOAP payload on line 1: > required",
        )
    return call.tag.rpartition("}")[2], [_read_value(element) for element in call]


def read_operation(request: bytes) -> str:
    """Return the operation that a request asks for; empty where it cannot be read."""
    try:
        return parse_request(request)[0]
    except (Fault, UnreadableEncoding):
        return ""


def _read_value(element: ElementTree.Element) -> Any:
    """Return a parameter as PHP reads it: untyped values are text, and text is ISO-8859-1."""
    text = (element.text or "").encode("latin-1", "replace").decode("latin-1")
    kind = (element.get("{http://www.w3.org/2001/XMLSchema-instance}type") or "").rpartition(":")[2]
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        return 0
    return text not in ("false", "0", "") if kind == "boolean" else text


def escape(text: str) -> str:
    """Return a text that may stand in XML."""
    return saxutils.escape(text, {'"': "&quot;", "'": "&apos;"})


def write_string(text: str) -> TypedXml:
    """Return a string as XML."""
    return TypedXml('xsi:type="xsd:string"', escape(text), False)


def write_array(rows: Sequence[Any], model: type[Any]) -> TypedXml:
    """Return records as an array of structs."""
    kind = STRUCTS[model]
    items = "".join(write_struct(row).element("item") for row in rows)
    attributes = f'xsi:type="SOAP-ENC:Array" SOAP-ENC:arrayType="{kind}[{len(rows)}]"'
    return TypedXml(attributes, items, True)


def write_struct(record: Any, kind: str | None = None) -> TypedXml:
    """Return a record as a struct, of its own type or of another."""
    content = "".join(
        _write_field(field.name, choose_xsd_type(str(field.type)), value)
        for field, value in zip(fields(record), astuple(record), strict=True)
    )
    return TypedXml(f'xsi:type="{kind or STRUCTS[type(record)]}"', content, True)


def _write_field(name: str, kind: str, value: Any) -> str:
    if value is None:
        return f'<{name} xsi:nil="true" xsi:type="xsd:{kind}"/>'
    return f'<{name} xsi:type="xsd:{kind}">{_format_as_php(value)}</{name}>'


def choose_xsd_type(annotation: str) -> str:
    """Return the type of XML Schema for that of a record's field."""
    kind = annotation.partition(" ")[0]
    return "string" if kind == "str" else kind


def _format_as_php(value: Any) -> str:
    """Return a value as PHP writes it: a float with 14 digits (precision), without zeros behind."""
    return f"{value:.14g}" if isinstance(value, float) else escape(str(value))


def write_fault(code: str, text: str) -> bytes:
    """Return the body of a response that is a fault."""
    parts = (("faultcode", code), ("faultactor", ""), ("faultstring", text), ("detail", ""))
    content = "".join(write_string(part).element(name) for name, part in parts)
    head = ENVELOPE_HEAD.format("\n  ".join(ENVELOPE_ATTRIBUTES)).replace(
        "><SOAP-ENV:Body>", ">\n<SOAP-ENV:Body>"
    )
    return f"{head}<SOAP-ENV:Fault>{content}</SOAP-ENV:Fault>{ENVELOPE_TAIL}".encode()
