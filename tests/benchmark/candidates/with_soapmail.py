"""The same with soapmail."""

import sys

from soapmail import Client

with Client("user@example.com", "secret", endpoint=sys.argv[1], max_response_bytes=2**30) as client:
    invoices = client.get_client_invoices()
    print(len(invoices), sum(invoice.invoices_id or 0 for invoice in invoices))
