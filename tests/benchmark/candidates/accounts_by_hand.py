"""Many accounts by hand: threads, a client each, and a JSON line a row."""

import configparser
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from soapmail import Client

accounts = configparser.ConfigParser(interpolation=None)
accounts.read(sys.argv[1])


def lines(name: str) -> list[str]:
    account = accounts[name]
    command = account["password_command"].split()
    password = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with Client(account["username"], password, endpoint=account["endpoint"]) as client:
        return [
            json.dumps({"account": name, **asdict(invoice)})
            for invoice in client.get_client_invoices()
        ]


with ThreadPoolExecutor(8) as pool:
    for found in pool.map(lines, accounts.sections()):
        print("\n".join(found))
