"""List the ids of the invoices with zeep, by the WSDL of the server alone."""

import json
import sys
from pathlib import Path
from typing import Any

from zeep import Client, Transport

endpoint, username, password = sys.argv[1:]


class Local(Transport):
    """Finds the schema that the WSDL imports without an address."""

    def load(self, url: str) -> Any:
        if url.startswith("http://schemas.xmlsoap.org/"):
            schema = Path(__file__).parents[2] / "data" / "wire" / "soap-encoding.xsd"
            return schema.read_bytes()
        return super().load(url)  # type: ignore[no-untyped-call]


client = Client(f"{endpoint}?wsdl", transport=Local())  # type: ignore[no-untyped-call]
sid = client.service.api_login(username, password)
if not sid:
    sys.exit("Got A Blank Session")
rows = client.service.api_mail_get_client_invoices(sid) or []
print(json.dumps([row.invoices_id for row in rows]))
