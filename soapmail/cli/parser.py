"""The one place where the words of a command line are read, by the table of commands."""

from __future__ import annotations

import argparse
import re
import textwrap
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from . import help_texts
from .command_table import COMMANDS, COMMON, OPTIONS, Accounts
from .exit_codes import USAGE, UsageError
from .terminal import write_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .command_table import Command, Option


def new_namespace() -> argparse.Namespace:
    """Return the arguments of a command line of which nothing is read yet.

    ``command`` and ``path`` (its names) are set as soon as a command is entered, ``given`` as the
    words are read; they are true also where the rest cannot be understood.
    """
    return argparse.Namespace(
        command=None,
        path="",
        given={},
        parser=None,
        words=[],
        known=set(),
        failed_operation=None,
        is_told=False,
    )


def parse_into(args: argparse.Namespace, words: Sequence[str]) -> None:
    """Read the words of a command line once; UsageError. SystemExit: it was only help."""
    args.words = _join_values(words)
    args.parser = make_parser(args)
    try:
        args.parser.parse_args(args.words)
    except UsageError:
        _note_form(args)
        raise
    command = args.command
    if command is None or not command.function:
        args.parser.print_help()
        args.parser.exit(USAGE)
    options = _list_used_options(command)
    try:
        _check_use(args, options)
        for option in [*COMMON, *options.values()]:
            texts = args.given.get(option.name)
            setattr(args, option.key, option.default if texts is None else option.read(texts))
    except UsageError as error:
        raise _add_hint(args, str(error)) from None


def find_given(args: argparse.Namespace, name: str) -> Any:
    """Return what an option was set to as far as that can be read, also behind a mistake."""
    option = _list_used_options(args.command).get(name) if args.command else None
    texts = args.given.get(name)
    try:
        return option and texts and option.read(texts)
    except UsageError:
        return None


def _note_form(args: argparse.Namespace) -> None:
    """Note the form and the file that were asked for behind a mistake, which is told there."""
    for n, word in enumerate(args.words):
        name, has_value, value = word.partition("=")
        if name in ("--format", "--output") and name not in args.given:
            args.given[name] = [value] if has_value else args.words[n + 1 : n + 2]


def _list_used_options(command: Command) -> dict[str, Option]:
    common = [option for option in COMMON if option.name in command.accounts.value]
    return {option.name: option for option in [*common, *command.options]}


def _check_use(args: argparse.Namespace, options: dict[str, Option]) -> None:
    """Raise UsageError where an option is given and not used, twice, empty, or against another."""
    for name, texts in args.given.items():
        if name not in options:
            raise UsageError(f"{args.path} does not use {name}")
        option = options[name]
        if len(texts) > 1 and not option.is_repeatable:
            raise UsageError(f"{name} is given twice")
        if name.startswith("-") and any(isinstance(t, str) and not t.strip() for t in texts):
            raise UsageError(f"{name} is empty")
        for other in option.excludes:
            if other in args.given:
                raise UsageError(f"{name} cannot be combined with {other}")
        if option.needs and not any(other in args.given for other in option.needs):
            raise UsageError(f"{name} is used only with {' or '.join(option.needs)}")


def _add_hint(args: argparse.Namespace, problem: str) -> UsageError:
    return UsageError(f"{problem} (see {f'soapmail {args.path}'.strip()} --help)")


def _join_values(words: Sequence[str]) -> list[str]:
    """Join an option and a value that argparse would not take for one."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--sort" and word.startswith("-"):
            joined[-1] = f"--sort={word}"
        else:
            short = {"--sandbox": "--sandbox=documented", "-h": "--help"}
            joined.append(short.get(word, word))
    return joined


class _Note(argparse.Action):
    """Keeps what was given of an option, so that it is read when the command is known."""

    def __init__(self, *names: Any, note_in: dict[str, list[Any]], name: str, **options: Any):
        super().__init__(*names, **options)
        self._given, self._name = note_in, name

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        if values is None or (self.nargs == "*" and not values):  # an argument that is left out
            return
        texts = values if self.nargs == "*" else [values]
        self._given.setdefault(self._name, []).extend(texts)


class _PrintVersions(argparse.Action):
    def __call__(self, parser: Any, *rest: Any) -> None:
        from .versions import list_versions

        write_line("\n".join(list_versions()))
        parser.exit()


class _Parser(argparse.ArgumentParser):
    def __init__(self, *, args: argparse.Namespace, **options: Any) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, add_help=False, formatter_class=formatter, **options)
        self.args, self.names = args, {"--help"}
        self.add_argument("--help", action="help", help="show this help")

    def add_option(self, option: Option, *, is_hidden: bool = False) -> None:
        settings: dict[str, Any] = {"note_in": self.args.given, "name": option.name}
        metavar = option.names.partition(" ")[2]
        if metavar:
            settings["metavar"] = metavar
        if option.choices:
            settings["choices"] = option.choices
        if option.nargs or option.is_flag:
            settings["nargs"] = option.nargs or 0
        if option.is_required:
            settings["required"] = True
        needs = f" (with {' or '.join(option.needs)})" if option.needs else ""
        help = argparse.SUPPRESS if is_hidden else option.help + needs
        self.add_argument(option.name, action=_Note, help=help, **settings)
        self.names.add(option.name)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Leave that to ``Option.read``, and to the action that enters a command."""

    def error(self, message: str) -> NoReturn:
        words = message.split()
        if words[0] == "unrecognized":  # what belongs to an option may be a secret
            names = [word for word in words if word.startswith("-")]
            name = re.match("--[a-z-]+|-.", names[0]) if names else None
            message = f"unrecognized arguments{f': {name[0]}' if name else ''}"
        # Nor is what stands behind a flag: --password-stdin=SECRET.
        raise _add_hint(self.args, message.partition(" '")[0])


class _EnterCommand(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Notes which command is entered; what stands in its place may be a secret."""

    commands: dict[str, Command]

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        args = parser.args
        before = args.words[: len(args.words) - len(values)]
        args.known |= parser.names
        has_options = any(word[:1] == "-" for word in before)
        unknown = [
            word for word in before if word[:1] == "-" and word.partition("=")[0] not in args.known
        ]
        is_wrong = bool(unknown) or values[0] not in self.commands
        start = len(before) if args.path else 0  # behind the group that was entered
        name = _find_command(args.words[start:], self.commands) if is_wrong else values[0]
        path, args.path = args.path, f"{args.path} {name or ''}".strip()
        if name is not None:
            args.command, args.parser = self.commands[name], self._name_parser_map[name]
        if unknown:
            parser.error(f"unrecognized {unknown[0]}")
        if is_wrong:
            args.path = path
            raise _add_hint(args, _suggest_command(values[0], self.commands, has_options))
        if not args.command.commands:
            values = [values[0], *_put_options_first(values[1:], args.command)]
        super().__call__(parser, namespace, values, option)


def _find_command(words: Sequence[str], commands: Collection[str]) -> str | None:
    """Return the command that a mistake was most likely made with, which is told in its form.

    Behind an unknown option may stand its value, if a command comes next.
    """
    n = 0
    while n < len(words):
        name, has_value, _ = words[n].partition("=")
        following = words[n + 1 : n + 3]
        if not name.startswith("-"):
            return next((word for word in words[n : n + 2] if word in commands), None)
        is_unknown = name not in OPTIONS
        takes_value = not is_unknown and not OPTIONS[name].is_flag and not has_value
        is_followed = is_unknown and len(following) > 1 and following[1] in commands
        n += 2 if takes_value or is_followed else 1
    return None


def _put_options_first(words: Sequence[str], command: Command) -> list[str]:
    """Return the words of a command with its arguments last: argparse wants them in one place."""
    options: list[str] = []
    arguments: list[str] = []
    known = {option.name: option for option in [*COMMON, *command.options]}
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*options, *arguments, word, *rest]
        name, has_value, _ = word.partition("=")
        if name in known and name.startswith("-"):
            options.append(word)
            if not (known[name].is_flag or has_value):
                options += islice(rest, 1)
        elif name.startswith("--"):
            options.append(word)
        else:
            arguments.append(word)
    return [*options, *arguments]


def _suggest_command(name: str, commands: Collection[str], is_behind_option: bool) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, commands, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(commands)}"
    is_hidden = is_behind_option or name.startswith("-")
    return f"{'no such command' if is_hidden else f'no command {name!r}'}; {hint}"


def make_parser(args: argparse.Namespace) -> _Parser:
    """Return the parser of all commands, which notes in ``args`` what it reads."""
    parser = _Parser(
        args=args,
        prog="soapmail",
        description="Work with the mail services of an InterServer account.",
        epilog=help_texts.EXIT_CODES,
    )
    for option in COMMON:
        parser.add_option(option)
    version_help = "print the versions that a bug report should hold"
    parser.add_argument("--version", action=_PrintVersions, nargs=0, help=version_help)
    parser.names.add("--version")
    _add_commands(parser, COMMANDS)
    return parser


def _add_commands(parser: _Parser, commands: Sequence[Command]) -> None:
    group: Any = parser.add_subparsers(metavar="COMMAND", action=_EnterCommand)
    group.commands = {command.name: command for command in commands}
    for command in commands:
        inner: _Parser = group.add_parser(
            command.name,
            args=parser.args,
            help=command.about,
            description=command.about,
            epilog="\n\n".join(_list_help_texts(command)),
        )
        own = {option.name for option in command.options}
        for option in COMMON:
            if option.name not in own:
                inner.add_option(option, is_hidden=True)
        for option in command.options:
            inner.add_option(option)
        if command.commands:
            _add_commands(inner, command.commands)


def _list_help_texts(command: Command) -> Iterator[str]:
    is_example = command.accounts not in (Accounts.NONE, Accounts.LOCAL)
    yield f"example:\n  soapmail {'--sandbox ' * is_example}{command.example}"
    if command.more:
        yield command.more
    if command.accounts is not Accounts.NONE:
        own = [option.name for option in command.options]
        others = [name for name in command.accounts.value if name not in own]
        yield textwrap.fill(f"also takes, as in soapmail --help: {' '.join(others)}", 78)
