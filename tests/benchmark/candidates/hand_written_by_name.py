"""The same by hand, each field looked up by its name: slower, and a type checker sees each one."""

import sys
from dataclasses import dataclass

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
    def text(name: str) -> str:
        return item.findtext(name) or ""

    return Invoice(
        invoices_id=int(text("invoices_id")),
        invoices_description=text("invoices_description"),
        invoices_amount=float(text("invoices_amount")),
        invoices_custid=int(text("invoices_custid")),
        invoices_type=int(text("invoices_type")),
        invoices_date=text("invoices_date"),
        invoices_group=int(text("invoices_group")),
        invoices_extra=int(text("invoices_extra")),
        invoices_paid=int(text("invoices_paid")),
        invoices_module=text("invoices_module"),
        invoices_due_date=text("invoices_due_date"),
        invoices_service=int(text("invoices_service")),
        invoices_deleted=int(text("invoices_deleted")),
        invoices_currency=text("invoices_currency"),
    )


with requests.Session() as session:
    login = "<username>user@example.com</username><password>secret</password>"
    sid = post(session, "api_login", login).findtext(".//return")
    response = post(session, "api_mail_get_client_invoices", f"<sid>{sid}</sid>")
    invoices = [invoice(item) for item in response.iter("item")]
    print(len(invoices), sum(invoice.invoices_id for invoice in invoices))
