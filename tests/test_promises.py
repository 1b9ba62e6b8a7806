"""The promises fit the code, and what judges them sees what it should."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from . import mutations, promises
from .support import ROOT


def test_each_promise_has_changes_that_fit_and_tests_that_are_there() -> None:
    assert len(promises.PROMISES) >= 80
    for one in promises.PROMISES:
        assert 1 <= len(one.changes) <= 3, one.sentence
        for change in one.changes:
            promises.locate(change)
            assert [promises.find_test(name) for name in change.tests], one.sentence


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(LookupError, match="^stands 0 times in deadline.py: 'no such line'"):
        promises.locate(promises.Change("deadline.py", "no such line", "", []))
    with pytest.raises(LookupError, match="^there is no test test_of_nothing"):
        promises.find_test("test_of_nothing")


@pytest.mark.parametrize("module", mutations.list_modules())
def test_changes_by_rule_are_python(module: str) -> None:
    source = (mutations.PACKAGE / module).read_text(encoding="utf-8")
    for mutation in mutations.list_mutations(module)[::8]:
        changed = mutation.apply(source)
        assert changed != source
        ast.parse(changed)


def test_the_rules_change_what_the_page_names() -> None:
    """Each kind of change, in a function of the session: what it was, and what it becomes."""
    found = {(one.before, one.after) for one in mutations.list_mutations("session.py")}
    assert {
        ("<", "<="),  # a comparison
        ("is", "is not"),
        ("self._lock.release()", "pass"),  # a call
        ("600.0", "(600.0 + 1)"),  # a number
        ("600.0", "(600.0 - 1)"),
        ("False", "True"),
        ("not self._lock.acquire(timeout=max(0.0, deadline.remaining()))",
         "(self._lock.acquire(timeout=max(0.0, deadline.remaining())))"),
        ("state is None", "(not (state is None))"),  # a branch
        ("is_blank or self.is_empty() or self.is_unserializable()",
         "((is_blank) or (self.is_empty()))"),  # an operand
    } <= found  # fmt: skip


JUDGING = """
from tests import mutations, promises
from tests.mutations import Mutation, Task
source = (mutations.PACKAGE / "deadline.py").read_text(encoding="utf-8")
before = "            raise DeadlineExceeded"
change = Mutation("deadline.py", source.index(before), before, "            pass", 1)
ending = change._replace(after="            __import__('os')._exit(1)")
sees = promises.find_test("test_a_call_ends_in_the_middle_of_decoding")
other = promises.find_test("test_an_unquoted_url_is_whole_or_an_error")
pairs = ((change, sees), (change, other), (ending, sees))
tasks = [Task(one, ((test,),), False) for one, test in pairs]
words = {verdict.task: verdict.word for verdict in mutations.judge_all(tasks)}
print(*(words[task] for task in tasks))
"""


@pytest.mark.slow
def test_what_becomes_of_a_change() -> None:
    """One test sees it, another does not, and one never comes to its end."""
    done = subprocess.run(
        [sys.executable, "-c", JUDGING], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["killed", "survived", "hung"], done.stderr
