"""Check the types of a toy app with a vendored copy in it, by mypy and by pyright.

Run it with ``python -m tests.vendored``; the extra ``check`` has what it needs. The copies are
made by the README's steps, one of them without what may be left out, and the stubs are those that
it names.
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


def copy_to(folder: Path, *, left_out: tuple[str, ...]) -> None:
    """Vendor soapmail into a folder as the README says it, with an app that uses it."""
    vendor = folder / "app" / "_vendor"
    shutil.copytree(ROOT / "soapmail", vendor / "soapmail", ignore=IGNORED)
    shutil.copytree(ROOT / "templates", vendor / "soapmail" / "templates", ignore=IGNORED)
    shutil.copy(ROOT / "LICENSE", vendor / "soapmail")
    for name in left_out:
        path = vendor / "soapmail" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for package in (vendor.parent, vendor):
        (package / "__init__.py").touch()


def check(folder: Path, text: str, errors: int) -> None:
    """Check an app with this text by both; SystemExit: that is not so many errors."""
    settings = {"include": ["app"], "pythonVersion": "3.10", "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    (folder / "app" / "main.py").write_text(text)
    for command in (
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "app"],
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        found = re.findall(r"^.*\b(?:error|warning): .*$", done.stdout, re.MULTILINE)
        if (len(found), done.returncode) != (errors, int(errors > 0)):
            sys.exit(f"{command[2]}:\n{done.stdout}{done.stderr}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        whole, least = Path(name, "whole"), Path(name, "least")
        copy_to(whole, left_out=())
        copy_to(least, left_out=OPTIONAL)
        check(whole, APP, errors=0)
        check(least, APP, errors=0)
        check(least, APP + WRONG, errors=2)
    print("vendored copies type-check with mypy and pyright")


if __name__ == "__main__":
    main()
