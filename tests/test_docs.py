"""What the docstrings say can be run, and none is missing."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pydoc
from pathlib import Path
from typing import Any

import pytest

import soapmail

from .support import CHANGING

PACKAGE = Path(soapmail.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__main__"
)
WITH_EXAMPLES = {"__init__", "client", "models", "extract", "sandbox.sandbox"}


def module(name: str) -> Any:
    return importlib.import_module(f"soapmail.{name}".removesuffix(".__init__"))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(module(name), raise_on_error=True)
    assert (result.attempted > 0) == (name in WITH_EXAMPLES)


def test_all_that_is_public_is_explained() -> None:
    things = [getattr(soapmail, name) for name in soapmail.__all__ if name != "__version__"]
    things += [module("extract").rows, module("sandbox").Sandbox, *map(module, MODULES)]
    for thing in things:
        assert len(inspect.getdoc(thing) or "") > 20, thing
        if inspect.isclass(thing):
            for name, member in vars(thing).items():
                if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                    assert len(inspect.getdoc(member) or "") > 20, (thing, name)


def test_the_methods_name_their_operations_and_errors() -> None:
    for name, member in vars(soapmail.Client).items():
        text = inspect.getdoc(member) or ""
        if not name.startswith("_") and name not in ("call", "close", "from_env"):
            assert "(``" in text, name
        if name in {*CHANGING, "call"}:
            assert "OutcomeUnknown:" in text, name


def test_help_begins_with_what_the_package_is_for() -> None:
    text = pydoc.plain(pydoc.render_doc(soapmail))
    assert "client.get_client_invoices()" in text[:700]
