"""The same with suds, which carries the schema of the SOAP encoding itself."""

import sys

from suds.client import Client  # type: ignore[import-untyped]
from suds.xsd.doctor import Import, ImportDoctor  # type: ignore[import-untyped]

location = "suds://schemas.xmlsoap.org/soap/encoding/"
doctor = ImportDoctor(Import("http://schemas.xmlsoap.org/soap/encoding/", location))
client = Client(f"{sys.argv[1]}?wsdl", cache=None, doctor=doctor)
sid = client.service.api_login("user@example.com", "secret")
invoices = client.service.api_mail_get_client_invoices(sid)
print(len(invoices), sum(int(invoice.invoices_id) for invoice in invoices))
