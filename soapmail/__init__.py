"""A small client for the mail services of InterServer's SOAP API.

>>> from soapmail import Client
>>> from soapmail.sandbox import Sandbox
>>> with Sandbox() as sandbox:  # with an account, Client.from_env() is all it takes
...     with Client(sandbox.username, sandbox.password, endpoint=sandbox.endpoint) as client:
...         invoices = client.get_client_invoices()
>>> len(invoices)
12
>>> invoices[0].invoices_id, invoices[0].amount, invoices[0].invoices_currency
(7514880, Decimal('1.0'), 'USD')
>>> str(invoices[0].due_date), invoices[0].is_open
('2021-03-10 01:38:45', True)

``Client`` has a method for each mail operation, and ``call`` for all others. It returns dataclasses
(``soapmail.models``) and raises a ``SoapMailError`` (``soapmail.errors`` draws the tree).
``soapmail.extract.rows`` reads a response that you have as bytes; ``soapmail.sandbox.Sandbox`` is a
server on loopback with the documented data.
"""

# SPDX-FileCopyrightText: 2026 the soapmail authors
# SPDX-License-Identifier: MIT

from . import errors, models
from .client import Client
from .errors import *
from .models import *

__version__ = "2.0.0"

__all__ = ["Client"]
__all__ += errors.__all__
__all__ += models.__all__
__all__ += ["__version__"]
