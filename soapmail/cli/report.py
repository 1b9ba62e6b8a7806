"""What is told on stderr of what went wrong: lines for a person, or one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .exit_codes import OK, error_message, exit_code_of
from .output import format_json
from .terminal import pluralize, print_error, print_raw_error

if TYPE_CHECKING:
    from collections.abc import Sequence


def report_error(error: BaseException, operation: str | None, *, as_json: bool) -> int:
    """Tell of the error that ended a command, and return its exit code."""
    if as_json:
        print_raw_error(format_json(_describe(error, operation), indent=None))
    else:
        for line in (error_message(error), *getattr(error, "advice", ())):
            print_error(line)
    return exit_code_of(error)


def report_failures(
    failures: Sequence[tuple[str | None, BaseException, str | None]], total: int, *, as_json: bool
) -> int:
    """Tell which accounts failed, each with its error and operation; return the largest code."""
    code = max((exit_code_of(error) for _, error, _ in failures), default=OK)
    if not failures:
        return code
    name, error, operation = failures[0]
    if name is None:  # there is one account, which nobody named
        return report_error(error, operation, as_json=as_json)
    message = f"{pluralize(len(failures), 'account')} of {total} failed"
    if as_json:
        accounts = [
            {"account": name, **_describe(error, operation)} for name, error, operation in failures
        ]
        summary = {"code": code, "kind": "AccountsFailed", "message": message, "operation": None}
        print_raw_error(format_json({**summary, "accounts": accounts}, indent=None))
        return code
    for name, error, _ in failures:
        print_error(f"{name}: {error_message(error)}")
    print_error(message)
    return code


def _describe(error: BaseException, operation: str | None) -> dict[str, Any]:
    advice = list(getattr(error, "advice", ()))
    return {
        "code": exit_code_of(error),
        "kind": type(error).__name__,
        "message": error_message(error),
        "operation": getattr(error, "operation", None) or operation,
        **({"advice": advice} if advice else {}),
    }
