"""What it pays for importing what soapmail stands on."""

import requests  # noqa: F401
