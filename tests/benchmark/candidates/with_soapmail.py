"""The same with soapmail."""

import sys

from soapmail import Client

with Client("user@example.com", "secret", endpoint=sys.argv[1], max_response_bytes=2**30) as client:
    invoices = client.get_client_invoices()
    print(len(invoices), sum(one.invoices_id or 0 for one in invoices))
