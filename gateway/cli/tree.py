"""The whole command line as a list of commands, for those who describe it: manual page, completion, tests."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

CommandLine = tuple[argparse.ArgumentParser, Mapping[str, tuple[str, argparse.ArgumentParser]]]
"""The gateway's parser, and text and parser of each command that a protocol brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option or positional word. `choices` is empty where anything goes; `value` where it takes none."""

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    text: str
    needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One command: its words behind ``gridgate``, and what may follow."""

    words: tuple[str, ...]
    text: str
    options: tuple[Option, ...]
    further: tuple[str, ...]
    """Words of the commands below it."""

    @property
    def name(self) -> str:
        return " ".join(self.words)


def whole(line: CommandLine) -> list[Branch]:
    """Every command, those of protocols too, in the order of the help; the first is ``gridgate`` itself."""
    parser, tools = line
    branches = list(_walk((), "", parser))
    for name, (text, tool) in tools.items():
        branches += _walk((name,), text, tool)
    root = branches[0]
    return [Branch(words=(), text=root.text, options=root.options, further=(*root.further, *tools)), *branches[1:]]


def _walk(words: tuple[str, ...], text: str, parser: argparse.ArgumentParser) -> Iterator[Branch]:
    below = _below(parser)
    yield Branch(
        words=words,
        text=text or parser.description or "",
        options=tuple(_option(action) for action in parser._actions if _told(action)),
        further=tuple(name for name, _, _ in below),
    )
    for name, said, inner in below:
        yield from _walk((*words, name), said, inner)


def _told(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._SubParsersAction) and action.help is not argparse.SUPPRESS


def _below(parser: argparse.ArgumentParser) -> list[tuple[str, str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {each.dest: each.help or "" for each in action._choices_actions}
            return [(name, texts.get(name, ""), inner) for name, inner in action.choices.items()]
    return []


def _option(action: argparse.Action) -> Option:
    takes = action.nargs != 0
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    return Option(
        flags=tuple(action.option_strings),
        value=(name.upper() if action.option_strings else name) if takes else "",
        choices=tuple(map(str, action.choices)) if action.choices else (),
        text=(action.help or "").replace("%%", "%"),
        needed=action.required if action.option_strings else action.nargs not in ("?", "*"),
    )
