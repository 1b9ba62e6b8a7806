"""Change one place of the package in a copy, run tests there, and say whether they noticed.

Some processes have a copy each, and fork for each change, so that pytest and the packages are loaded
once.
"""

from __future__ import annotations

import ast
import itertools
import multiprocessing
import os
import queue
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

import pytest

from .support import ROOT, checkout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from multiprocessing.process import BaseProcess

PACKAGE = ROOT / "soapmail"
# What the child returns is this and the exit code of pytest; anything else is no end of pytest.
_FINISHED = 40
_SECONDS_FOR_ONE_TEST = 25
# In the random mode: the quick tests of a line first, then so many seconds of the others.
_FIRST_SECONDS, _OTHER_SECONDS = 15, 60


class Mutation(NamedTuple):
    """A change of one place in one module, and the lines on which it stands."""

    module: str
    start: int
    before: str
    after: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.before!r} -> {self.after!r}"

    def apply(self, source: str) -> str:
        """Return the changed source."""
        return source[: self.start] + self.after + source[self.start + len(self.before) :]


class Task(NamedTuple):
    """A change, and the tests that judge it, one list after the other until one of them fails."""

    mutation: Mutation
    tests: Sequence[Sequence[str]]
    stops_at_first: bool


NOTHING = Mutation("__init__.py", 0, "", "", 1)
_CONTROLS = 8


def make_controls(tests: Iterable[str]) -> list[Task]:
    """Return tasks that change nothing: in a copy, without xdist, the tests have to pass too."""
    named = sorted(set(tests))
    parts = [named[n::_CONTROLS] for n in range(_CONTROLS)]
    return [Task(NOTHING, (part,), False) for part in parts if part]


class Verdict(NamedTuple):
    """What became of a change: ``killed``, ``survived``, ``hung``, and which tests failed."""

    task: Task
    word: str
    failed: Sequence[str]


# --- changes by rule -------------------------------------------------------------------------

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip


class _Finder(ast.NodeVisitor):
    """Finds what can be changed: comparisons, ``not``, branches, operands, calls and numbers."""

    def __init__(self, module: str, source: str) -> None:
        self.module = module
        self.source = source
        self.found: list[Mutation] = []
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def _offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _end(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.end_lineno or 0, node.end_col_offset or 0)

    def _text(self, node: ast.expr | ast.stmt) -> str:
        return self.source[self._start(node) : self._end(node)]

    def _replace(self, node: ast.expr | ast.stmt, after: str) -> None:
        start = self._start(node)
        self.found.append(Mutation(self.module, start, self._text(node), after, node.lineno))

    def _negate(self, test: ast.expr) -> None:
        self._replace(test, f"(not ({self._text(test)}))")

    def visit_If(self, node: ast.If) -> None:
        if self._text(node.test) != "TYPE_CHECKING":
            self._negate(node.test)
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, node.comparators, strict=False):
            start = self._end(left)
            between = self.source[start : self._start(right)]
            before = between.strip(" \n()")
            after = _COMPARISONS[type(operator)]
            at = start + between.index(before)
            self.found.append(Mutation(self.module, at, before, after, left.end_lineno or 0))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        own, other = (" and ", " or ") if isinstance(node.op, ast.And) else (" or ", " and ")
        parts = [f"({self._text(value)})" for value in node.values]
        self._replace(node, f"({other.join(parts)})")
        for n in range(len(parts)):
            self._replace(node, f"({own.join(parts[:n] + parts[n + 1 :])})")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, (int, float)):
            self._replace(node, f"({self._text(node)} + 1)")
            self._replace(node, f"({self._text(node)} - 1)")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults, *node.body):
            if part is not None:
                self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)


def list_mutations(module: str) -> list[Mutation]:
    """Return all changes by rule of a module."""
    source = (PACKAGE / module).read_text(encoding="utf-8")
    finder = _Finder(module, source)
    finder.visit(ast.parse(source))
    return finder.found


def list_modules() -> list[str]:
    """Return the modules of the package."""
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


# --- which tests run a line ------------------------------------------------------------------


class LineMap:
    """Which test functions run each line of the package, and how long they take."""

    def __init__(self) -> None:
        from coverage import CoverageData

        self._seconds: dict[str, float] = defaultdict(float)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "copy"
            checkout(folder)
            self._measure(folder)
            for case in ElementTree.parse(folder / "junit.xml").iter("testcase"):
                test = f"{case.attrib['classname']}.{case.attrib['name'].partition('[')[0]}"
                self._seconds[test] += float(case.attrib["time"])
            data = CoverageData(str(folder / ".coverage"))
            data.read()
            self._lines = {
                Path(path).relative_to(folder / "soapmail").as_posix(): {
                    line: {_to_name(context) for context in contexts}
                    for line, contexts in data.contexts_by_lineno(path).items()
                }
                for path in data.measured_files()
                if Path(path).is_relative_to(folder / "soapmail")
            }

    def _measure(self, folder: Path) -> None:
        settings = (folder / "pyproject.toml").read_text(encoding="utf-8")
        # What a test's programs run belongs to the test too; pytest tells them its name.
        context = (
            '[tool.coverage.run]\ncontext = "${PYTEST_CURRENT_TEST-}"\ncore = "ctrace"\n'
            f'data_file = "{folder / ".coverage"}"\n'
        )
        for before, after in (
            ("[tool.coverage.run]\n", context),
            ('patch = ["subprocess"]\n', ""),  # it would hand on the settings with the name
        ):
            settings = settings.replace(before, after)
        (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "COVERAGE_PROCESS_START": str(folder / "pyproject.toml"),
        }
        # What is installed does not come before the copy on that path.
        apart = "--deselect tests/test_packaging.py::test_it_can_be_installed"
        for line in (
            f"run -m pytest -q -n auto -p no:cacheprovider -p {__name__} --junitxml=junit.xml {apart}",
            "combine --quiet",
        ):
            command = [sys.executable, "-m", "coverage", *line.split()]
            subprocess.run(command, cwd=folder, env=environment, check=True)

    def list_tests(self, mutation: Mutation) -> list[list[str]]:
        """Return the quick tests of a change's lines, those of its room first, and some others.

        What runs once, at import or into a cache, is of use in any function of the module, whichever
        test is the first, so all tests of the module judge it.
        """
        lines = self._lines.get(mutation.module, {})
        first = mutation.line
        last = first + mutation.before.count("\n")
        names = {name for n in range(first, last + 1) for name in lines.get(n, set())} - {""}
        path = mutation.module.removesuffix(".py").split("/")
        own = f".test_{path[-1]}."
        if not names or _runs_once(mutation):
            names = {name for found in lines.values() for name in found} - {""}
            names |= {name for name in self._seconds if own in name}
        # The tests of its own module and room know best what it promises.
        known = sorted(
            (own not in name, f"tests.{path[0]}." not in name, seconds, name)
            for name, seconds in self._seconds.items()
            if name in names
        )
        quick: list[str] = []
        others: list[str] = []
        total = rest = 0.0
        for *_, seconds, name in known:
            if total + seconds < _FIRST_SECONDS:
                quick.append(_to_node_id(name))
                total += seconds
            elif rest + seconds < _OTHER_SECONDS:
                others.append(_to_node_id(name))
                rest += seconds
        return [tests for tests in (quick, others) if tests]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let a test's fixtures and threads belong to it too, while coverage is measured."""
    from coverage import Coverage

    measuring = Coverage.current()
    if measuring is not None:
        measuring.switch_context(item.nodeid)
    yield


def _runs_once(mutation: Mutation) -> bool:
    tree = ast.parse((PACKAGE / mutation.module).read_text(encoding="utf-8"))
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.body[0].lineno <= mutation.line <= (node.end_lineno or 0)
    ]
    decorators = [ast.unparse(one) for node in functions for one in node.decorator_list]
    return not functions or any("cache" in one for one in decorators)


def _to_name(context: str) -> str:
    """Return the test function of a context."""
    name = re.split(r"\[| \(", context)[0]
    return name.replace("/", ".").replace(".py::", ".").replace("::", ".")


def _to_node_id(name: str) -> str:
    """Return the id by which pytest knows a function that coverage has named."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        path = Path(*parts[:n]).with_suffix(".py")
        if (ROOT / path).exists():
            return "::".join([path.as_posix(), *parts[n:]])
    raise LookupError(name)


# --- judging ---------------------------------------------------------------------------------


def judge_all(tasks: Sequence[Task]) -> Iterator[Verdict]:
    """Judge changes on all cores, and yield what became of each."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = 3 * (os.cpu_count() or 1) // 2  # a third of the time a change is waited for
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(
                target=_judge_some, args=(Path(folder) / str(n), tasks[n::workers], results)
            )
            for n in range(workers)
        ]
        for process in processes:
            process.start()
        for _ in tasks:
            yield _wait_for(results, processes)
        for process in processes:
            process.join()


def _wait_for(results: multiprocessing.Queue[Verdict], processes: Sequence[BaseProcess]) -> Verdict:
    while True:
        with suppress(queue.Empty):
            return results.get(timeout=1)
        if any(process.exitcode for process in processes):
            raise RuntimeError("what judges the changes has ended before its time")


def judge_random(count: int, seed: int) -> Iterator[Verdict]:
    """Judge so many changes by rule, from anywhere in the package, and the tests without one."""
    lines = LineMap()
    found = [mutation for module in list_modules() for mutation in list_mutations(module)]
    chosen = random.Random(seed).sample(found, min(count, len(found)))
    tasks = [Task(mutation, lines.list_tests(mutation), True) for mutation in chosen]
    named = itertools.chain.from_iterable(part for task in tasks for part in task.tests)
    return judge_all([*make_controls(named), *tasks])


def _judge_some(
    folder: Path, tasks: Sequence[Task], results: multiprocessing.Queue[Verdict]
) -> None:
    checkout(folder)
    stamps = itertools.count(10**9)
    for task in tasks:
        path = folder / "soapmail" / task.mutation.module
        source = path.read_text(encoding="utf-8")
        _write(path, task.mutation.apply(source), next(stamps))
        word = "survived"
        failed: list[str] = []
        for tests in task.tests:
            word, failed = _run_in_child(folder, tests, stops_at_first=task.stops_at_first)
            if word != "survived":
                break
        _write(path, source, next(stamps))
        results.put(Verdict(task, word, failed))


def _write(path: Path, source: str, stamp: int) -> None:
    """Write a module with a time of its own: bytecode goes by time and size (PEP 552)."""
    path.write_text(source, encoding="utf-8")
    os.utime(path, (stamp, stamp))


def _run_in_child(
    folder: Path, tests: Sequence[str], *, stops_at_first: bool
) -> tuple[str, list[str]]:
    output = folder / "output"
    options = ["-x"] if stops_at_first else []
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_run_tests, args=(folder, output, [*options, *tests]))
    child.start()
    child.join(_OTHER_SECONDS + 2 * _SECONDS_FOR_ONE_TEST)
    if child.is_alive():
        child.kill()
        child.join()
    with suppress(ProcessLookupError):  # what the tests started, and did not end
        os.killpg(child.pid or 0, signal.SIGKILL)
    text = output.read_text(encoding="utf-8", errors="replace")
    failed = _list_failed(text)
    code = (child.exitcode or 0) - _FINISHED
    words = {int(pytest.ExitCode.OK): "survived", int(pytest.ExitCode.TESTS_FAILED): "killed"}
    if code in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR):
        return "killed", failed  # it cannot even be imported
    return words.get(code, "hung"), failed


def _list_failed(output: str) -> list[str]:
    """Return the tests that failed, the judge's word at their end included, not those that could not begin."""
    ended = set(re.findall(r"ERROR at teardown of (\S+)", output))
    found = re.findall(r"^(FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return [id for word, id in found if word == "FAILED" or id.rpartition("::")[2] in ended]


def _run_tests(folder: Path, output: Path, arguments: Sequence[str]) -> None:
    """Run pytest in a process group of its own, on the changed copy and nothing else."""
    os.setpgid(0, 0)
    os.chdir(folder)
    sys.path[:] = [str(folder), *(part for part in sys.path if part not in ("", str(ROOT)))]
    os.environ["PYTHONPATH"] = str(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "soapmail")]:
        del sys.modules[name]
    with output.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    options = f"-q -p no:cacheprovider -p no:xdist -o faulthandler_timeout={_SECONDS_FOR_ONE_TEST}"
    rewriting = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # plugins are loaded already
    code = pytest.main([*options.split(), *rewriting, *arguments])
    sys.stdout.flush()
    os._exit(_FINISHED + int(code))
