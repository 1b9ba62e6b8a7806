"""Requests as PHP reads them, and responses in the byte form of NuSOAP."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from .. import models

if TYPE_CHECKING:
    from collections.abc import Sequence


_HEAD = '<?xml version="1.0" encoding="ISO-8859-1"?><SOAP-ENV:Envelope {}><SOAP-ENV:Body>'
_TAIL = "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
_ATTRIBUTES = (
    'SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"',
    'xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"',
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema"',
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
    'xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/"',
)
_WSDL = (
    'xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:tns="urn:myapi"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
)
_STRUCTS = {
    models.Invoice: "tns:sql_row_invoices",
    models.MailService: "tns:sql_row_mail",
    models.Prepay: "tns:prepays_list",
    models.Order: "tns:buy_vps_result_status",
    models.Status: "tns:result_status",
}
_PAYMENT = "tns:make_payment_return"
# XML_ERROR_UNKNOWN_ENCODING and XML_ERROR_INCORRECT_ENCODING
_ENCODINGS = (18, 19)


class _Fault(Exception):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)


class _Encoding(Exception):
    """A request is in no encoding that can be read."""


class _Typed(NamedTuple):
    """A value as XML: attributes, content, and whether a type of the API itself stands in it."""

    attributes: str
    content: str
    own: bool

    def element(self, name: str) -> str:
        if self.attributes.startswith("xsi:nil"):
            return f"<{name} {self.attributes}/>"
        return f"<{name} {self.attributes}>{self.content}</{name}>"


def _has_doctype(request: bytes) -> bool:
    """Look for what SOAP forbids, and what entities need that take an old expat to its end."""
    return b"<!doctype" in request.replace(b"\0", b"").lower()


def parsed(request: bytes) -> tuple[str, list[Any]]:
    """Give the operation of a request, and its values in order."""
    if _has_doctype(request):
        raise _Fault("SOAP-ENV:Client", "a DOCTYPE, which SOAP forbids")
    try:
        found = ElementTree.fromstring(request).find("{*}Body/*")
    except ElementTree.ParseError as error:
        if error.code in _ENCODINGS:
            raise _Encoding(f"the encoding of the request is wrong: {error}") from None
        found = None
    except (LookupError, ValueError) as error:
        raise _Encoding(f"the encoding of the request is wrong: {error}") from None
    if found is None:
        raise _Fault(
            "SOAP-ENV:Client",
            "error in msg parsing:\nXML error parsing SOAP payload on line 1: > required",
        )
    return found.tag.rpartition("}")[2], [_given(one) for one in found]


def _operation_of(request: bytes) -> str:
    """Name the operation that a request asks for; empty where it cannot be read."""
    try:
        return parsed(request)[0]
    except (_Fault, _Encoding):
        return ""


def _given(element: ElementTree.Element) -> Any:
    """Read a parameter as PHP does: untyped values are text, and text is ISO-8859-1."""
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


def _xml(text: str) -> str:
    return escape(text, {'"': "&quot;", "'": "&apos;"})


def _string(text: str) -> _Typed:
    return _Typed('xsi:type="xsd:string"', _xml(text), False)


def _array(rows: Sequence[Any], model: type[Any]) -> _Typed:
    kind = _STRUCTS[model]
    items = "".join(_struct(row).element("item") for row in rows)
    attributes = f'xsi:type="SOAP-ENC:Array" SOAP-ENC:arrayType="{kind}[{len(rows)}]"'
    return _Typed(attributes, items, True)


def _struct(record: Any, kind: str | None = None) -> _Typed:
    content = "".join(
        _cell(field.name, _xsd(str(field.type)), value)
        for field, value in zip(fields(record), astuple(record), strict=True)
    )
    return _Typed(f'xsi:type="{kind or _STRUCTS[type(record)]}"', content, True)


def _cell(name: str, kind: str, value: Any) -> str:
    if value is None:
        return f'<{name} xsi:nil="true" xsi:type="xsd:{kind}"/>'
    return f'<{name} xsi:type="xsd:{kind}">{_as_php(value)}</{name}>'


def _xsd(annotation: str) -> str:
    kind = annotation.partition(" ")[0]
    return "string" if kind == "str" else kind


def _as_php(value: Any) -> str:
    """Write a value as PHP does: a float without its zero fraction."""
    return f"{value:.14g}" if isinstance(value, float) else _xml(str(value))


def _fault_body(code: str, text: str) -> bytes:
    parts = (("faultcode", code), ("faultactor", ""), ("faultstring", text), ("detail", ""))
    content = "".join(_string(part).element(name) for name, part in parts)
    head = _HEAD.format("\n  ".join(_ATTRIBUTES)).replace("><SOAP-ENV:Body>", ">\n<SOAP-ENV:Body>")
    return f"{head}<SOAP-ENV:Fault>{content}</SOAP-ENV:Fault>{_TAIL}".encode()
