"""Run tests on every Python of this machine: `nox -f tests/noxfile.py`; `-p 3.15` on one that must be there.

All of them run in the README's command, with the newest packages. All but those that are marked slow
run with the lowest. What an interpreter can change, see ``DIFFERENT``, is tried on each, and what is
slow of it on the newest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "pypy3"]
# Where interpreters differ: forks, signals and locks (os, signal, threading), http.client and ssl
# (their private parts, which transport/ reaches into), how packages are built and imported, text and
# numbers (properties), dataclasses and their pickles, argparse and terminals. What the parser of XML
# and requests do depends on their own versions: the lowest and the newest are tried.
DIFFERENT = [
    "tests/test_process.py",
    "tests/test_states.py",
    "tests/test_packaging.py",
    "tests/test_models.py",
    "tests/test_errors.py",
    "tests/test_arguments.py",
    "tests/transport",
    "tests/soap/test_properties.py",
    "tests/cli/test_main.py",
    "tests/cli/test_parser.py",
    "tests/cli/test_passwords.py",
    "tests/billing",
]
QUICK = ["-m", "not slow"]
LOWEST = ["lxml==4.9.2", "requests==2.32.2", "urllib3==1.26.20"]
# What a call goes through where it is neither the lowest nor the newest: tests/faults.py breaks it
# there, too.
STACKS = {
    "urllib3-2.0": ["requests==2.32.2", "urllib3==2.0.7"],
    "gevent": ["gevent"],
}


def is_here(python: str) -> bool:
    """Ask the interpreter itself: a name on the path may be a shim without one behind it."""
    name = python if python.startswith("pypy") else f"python{python}"
    try:
        return subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


found = [python for python in PYTHONS if is_here(python)]
newest = [python for python in found if not python.startswith("pypy")][-1:]
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"  # with it, the README's command runs all
# Lowest versions have no wheels for newer Pythons.
lowest_python = next((python for python in ("3.10", "3.11") if python in found), "3.10")
nox.options.envdir = str(ROOT / ".nox")
nox.options.error_on_missing_interpreters = True
if not any(argument.startswith(("-p", "--py")) for argument in sys.argv):
    nox.options.sessions = [
        *(f"tests-{python}" for python in found if python != OWN),
        *([f"lowest-{lowest_python}"] if lowest_python in found else []),
        *(f"faults(stack='{stack}')" for stack in STACKS),
        "missing",
    ]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run what the interpreter can change, with the newest packages."""
    session.chdir(ROOT)
    session.install("--quiet", "--only-binary", "lxml", ".[test]")
    _run(session, *(session.posargs or [*DIFFERENT, *([] if session.python in newest else QUICK)]))


@nox.session(python=["3.10", "3.11"])
def lowest(session: nox.Session) -> None:
    """Run what is quick with the lowest packages that setup.cfg allows, and the urllib3 of their time."""
    session.chdir(ROOT)
    session.install("--quiet", "--only-binary", "lxml", ".[test,peers]", *LOWEST)
    session.run("python", "-m", "tests.faults", "--short")
    _run(session, *(session.posargs or QUICK))


@nox.session(name="faults")
@nox.parametrize("stack", list(STACKS))
def break_stack(session: nox.Session, stack: str) -> None:
    """Break a call at some lines, over what it goes through in other generations."""
    session.chdir(ROOT)
    session.install("--quiet", ".[test]", *STACKS[stack])
    options = ["--gevent"] if stack == "gevent" else []
    session.run("python", "-m", "tests.faults", "--short", *options)
    if stack != "gevent":
        _run(session, "tests/transport", "tests/test_mocks.py", "tests/test_floor.py")


@nox.session(python=False)
def missing(session: nox.Session) -> None:
    """Say which interpreters were not found, and so not tried."""
    absent = [python for python in PYTHONS if python not in found]
    session.log(f"missing here, so not tried: {', '.join(absent) or 'none'}")


def _run(session: nox.Session, *arguments: str) -> None:
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *arguments)
