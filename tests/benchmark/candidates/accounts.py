"""The command on all accounts of a file."""

import os
import sys

from soapmail.cli import main

os.environ["SOAPMAIL_CONFIG"] = sys.argv[1]
sys.exit(main(["invoices", "--all-accounts", "--format", "jsonl"]))
