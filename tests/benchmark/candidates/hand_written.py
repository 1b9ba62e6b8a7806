"""The leanest typed lines by hand on requests and lxml: a dict a row, and the types of a dataclass."""

import sys
from dataclasses import dataclass
from typing import get_type_hints

import requests
from lxml import etree


@dataclass
class Invoice:
    invoices_id: int
    invoices_description: str
    invoices_amount: float
    invoices_custid: int
    invoices_type: int
    invoices_date: str
    invoices_group: int
    invoices_extra: int
    invoices_paid: int
    invoices_module: str
    invoices_due_date: str
    invoices_service: int
    invoices_deleted: int
    invoices_currency: str


TYPES = get_type_hints(Invoice)
ENVELOPE = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    '<m:{0} xmlns:m="urn:myapi">{1}</m:{0}></e:Body></e:Envelope>'
)


def post(session: requests.Session, operation: str, parameters: str) -> etree._Element:
    headers = {"Content-Type": "text/xml", "SOAPAction": f'"urn:myapi#{operation}"'}
    data = ENVELOPE.format(operation, parameters).encode()
    response = session.post(sys.argv[1], data=data, headers=headers, timeout=60)
    response.raise_for_status()
    return etree.fromstring(response.content)


def invoice(item: etree._Element) -> Invoice:
    cells = {str(cell.tag): cell.text or "" for cell in item}
    return Invoice(**{name: kind(cells[name]) for name, kind in TYPES.items()})


with requests.Session() as session:
    login = "<username>user@example.com</username><password>secret</password>"
    sid = post(session, "api_login", login).findtext(".//return")
    response = post(session, "api_mail_get_client_invoices", f"<sid>{sid}</sid>")
    invoices = [invoice(item) for item in response.iter("item")]
    print(len(invoices), sum(invoice.invoices_id for invoice in invoices))
