"""The seed document's sample with zeep and the WSDL."""

import json
import sys
from pathlib import Path
from typing import Any

from zeep import Client, Transport
from zeep.helpers import serialize_object

endpoint, username, password = sys.argv[1:]
wire = Path(__file__).parents[2] / "data" / "wire"


class Local(Transport):
    """Finds the schema that the WSDL imports without an address."""

    def load(self, url: str) -> Any:
        if url.startswith("http://schemas.xmlsoap.org/"):
            return (wire / "soap-encoding.xsd").read_bytes()
        return super().load(url)  # type: ignore[no-untyped-call]


client = Client(str(wire / "api.wsdl"), transport=Local())  # type: ignore[no-untyped-call]
(binding,) = client.wsdl.bindings
service = client.create_service(binding, endpoint)  # type: ignore[no-untyped-call]
sid = service.api_login(username, password)
if not sid:
    sys.exit(print("Got A Blank Session"))
result = service.api_mail_get_client_invoices(sid)
print(json.dumps(serialize_object(result, dict)))  # type: ignore[no-untyped-call]
