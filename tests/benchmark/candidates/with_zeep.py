"""The same with zeep, which needs the WSDL and the schema that it imports without an address."""

import sys
from pathlib import Path
from typing import Any

from zeep import Client, Transport

SCHEMA = Path(__file__).parents[2] / "data" / "wire" / "soap-encoding.xsd"


class Local(Transport):
    """Finds the schema here and everything else on the server."""

    def load(self, url: str) -> Any:
        if url.startswith("http://schemas.xmlsoap.org/"):
            return SCHEMA.read_bytes()
        return super().load(url)  # type: ignore[no-untyped-call]


client = Client(f"{sys.argv[1]}?wsdl", transport=Local())  # type: ignore[no-untyped-call]
sid = client.service.api_login("user@example.com", "secret")
invoices = client.service.api_mail_get_client_invoices(sid)
print(len(invoices), sum(invoice["invoices_id"] for invoice in invoices))
