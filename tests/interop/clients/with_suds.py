"""The seed document's sample with suds and the WSDL."""

import json
import sys
from pathlib import Path

from suds.client import Client  # type: ignore[import-untyped]
from suds.xsd.doctor import Import, ImportDoctor  # type: ignore[import-untyped]

endpoint, username, password = sys.argv[1:]
wsdl = (Path(__file__).parents[2] / "data" / "wire" / "api.wsdl").as_uri()
location = "suds://schemas.xmlsoap.org/soap/encoding/"
doctor = ImportDoctor(Import("http://schemas.xmlsoap.org/soap/encoding/", location))
client = Client(wsdl, location=endpoint, cache=None, doctor=doctor)
sid = client.service.api_login(username, password)
if not sid:
    sys.exit(print("Got A Blank Session"))
result = client.service.api_mail_get_client_invoices(sid)
print(json.dumps([Client.dict(row) for row in result]))
