"""Check the types of a toy app with a vendored copy in it, by mypy and by pyright.

Run it with ``python -m tests.vendored``; the extra ``check`` has what it needs. The copy is made
by the README's steps, without what may be left out, and the stubs are those that it names.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .support import IGNORED, ROOT

OPTIONAL = ("billing", "sandbox", "cli", "__main__.py")
APP = """\
from app._vendor.soapmail import Client, Invoice, SoapMailError


def list_open(client: Client) -> list[Invoice]:
    return [invoice for invoice in client.get_client_invoices() if invoice.is_open]


def main() -> int:
    try:
        with Client.from_env() as client:
            for invoice in list_open(client):
                print(invoice.invoices_id, invoice.days_left(), invoice.amount)
    except SoapMailError as error:
        print(error)
        return 1
    return 0
"""
# What has to be found, or else nothing was looked at.
WRONG = '\nwrong: str = Invoice().invoices_id\nprint(Client("a", "b").get_nothing())\n'


def copy_to(folder: Path) -> None:
    """Vendor soapmail into a folder as the README says it."""
    vendor = folder / "app" / "_vendor"
    shutil.copytree(ROOT / "soapmail", vendor / "soapmail", ignore=IGNORED)
    shutil.copytree(ROOT / "templates", vendor / "soapmail" / "templates", ignore=IGNORED)
    shutil.copy(ROOT / "LICENSE", vendor / "soapmail")
    for name in OPTIONAL:
        path = vendor / "soapmail" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for package in (vendor.parent, vendor):
        (package / "__init__.py").touch()


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_to(folder)
        settings = {"include": ["app"], "pythonVersion": "3.10", "typeCheckingMode": "standard"}
        (folder / "pyrightconfig.json").write_text(json.dumps(settings))
        commands = (
            [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "app"],
            [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
        )
        for text, has_errors in ((APP, False), (APP + WRONG, True)):
            (folder / "app" / "main.py").write_text(text)
            for command in commands:
                done = subprocess.run(
                    command, cwd=folder, capture_output=True, text=True, check=False
                )
                errors = re.findall(r"^.*\berror: .*$", done.stdout, re.MULTILINE)
                if (len(errors), done.returncode) != (2 * has_errors, int(has_errors)):
                    print(f"{command[2]}:\n{done.stdout}{done.stderr}")
                    return 1
    print("a vendored copy type-checks with mypy and pyright")
    return 0


if __name__ == "__main__":
    sys.exit(main())
