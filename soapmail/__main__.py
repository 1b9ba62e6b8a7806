"""Run the command as ``python -m soapmail``."""

import sys

from .cli import main

sys.exit(main())
