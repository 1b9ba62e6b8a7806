"""The WSDL of the sandbox, for clients in other languages: rpc/encoded, in the provider's form."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..soap.envelope import read_parameters
from .nusoap import ENCODING, PAYMENT_STRUCT, STRUCTS, choose_xsd_type, escape

if TYPE_CHECKING:
    from collections.abc import Mapping

ARRAY_PREFIX = "tns:array_"
# WSDL 1.1 2.1. The encoding's schema is imported without a location, as the provider does it.
_DEFINITIONS = f"""\
<?xml version="1.0" encoding="ISO-8859-1"?>
<definitions xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:SOAP-ENC="{ENCODING}"\
 xmlns:tns="urn:myapi" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"\
 xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns="http://schemas.xmlsoap.org/wsdl/"\
 targetNamespace="urn:myapi">
<types>
<xsd:schema targetNamespace="urn:myapi">
 <xsd:import namespace="{ENCODING}"/>
 <xsd:import namespace="http://schemas.xmlsoap.org/wsdl/"/>
{{types}}
</xsd:schema>
</types>
{{messages}}
<portType name="MyAdminPortType">
{{port_type}}
</portType>
<binding name="MyAdminBinding" type="tns:MyAdminPortType">
<soap:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/>
{{binding}}
</binding>
<service name="MyAdmin"><port name="MyAdminPort" binding="tns:MyAdminBinding">
<soap:address location="{{endpoint}}"/>
</port></service>
</definitions>
"""
_STRUCT = ' <xsd:complexType name="{}"><xsd:all>{}</xsd:all></xsd:complexType>'
_ARRAY = (
    ' <xsd:complexType name="array_{0}"><xsd:complexContent><xsd:restriction base="SOAP-ENC:Array">'
    '<xsd:attribute ref="SOAP-ENC:arrayType" wsdl:arrayType="tns:{0}[]"/>'
    "</xsd:restriction></xsd:complexContent></xsd:complexType>"
)
_MESSAGES = """\
<message name="{0}Request">{1}</message>
<message name="{0}Response"><part name="return" type="{2}"/></message>"""
_PORT = """\
<operation name="{0}"><input message="tns:{0}Request"/><output message="tns:{0}Response"/>\
</operation>"""
_BODY = f'<soap:body use="encoded" namespace="urn:myapi" encodingStyle="{ENCODING}"/>'
_BINDING = f"""\
<operation name="{{0}}"><soap:operation soapAction="urn:myapi#{{0}}" style="rpc"/>\
<input>{_BODY}</input><output>{_BODY}</output></operation>"""


def write_wsdl(returns: Mapping[str, str], endpoint: str) -> bytes:
    """Return the description of operations, by the types that they return, at an endpoint."""
    structs = {name: model for model, name in STRUCTS.items()}
    structs[PAYMENT_STRUCT] = structs["tns:result_status"]
    types = [_write_struct(name.removeprefix("tns:"), model) for name, model in structs.items()]
    arrays = {kind for kind in returns.values() if kind.startswith(ARRAY_PREFIX)}
    types += [_ARRAY.format(kind.removeprefix(ARRAY_PREFIX)) for kind in sorted(arrays)]
    messages = [_write_messages(operation, kind) for operation, kind in returns.items()]
    return _DEFINITIONS.format(
        types="\n".join(types),
        messages="\n".join(messages),
        port_type="\n".join(map(_PORT.format, returns)),
        binding="\n".join(map(_BINDING.format, returns)),
        endpoint=escape(endpoint),
    ).encode()


def _write_messages(operation: str, returns: str) -> str:
    parameters = read_parameters(operation)
    parts = [f'<part name="{name}" type="xsd:{kind}"/>' for name, kind in parameters]
    return _MESSAGES.format(operation, "".join(parts), returns)


def _write_struct(name: str, model: type[Any]) -> str:
    types = [(field.name, choose_xsd_type(str(field.type))) for field in fields(model)]
    elements = [f'<xsd:element name="{name}" type="xsd:{kind}"/>' for name, kind in types]
    return _STRUCT.format(name, "".join(elements))
