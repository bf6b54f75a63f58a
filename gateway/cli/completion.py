"""`gridgate completion`: scripts that complete commands and options in bash, zsh and fish."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Final

from gateway.cli.tree import Branch

_BASH: Final = """\
# bash completion of gridgate: source <(gridgate completion bash)
_gridgate() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= words= i next
    for ((i = 1; i < COMP_CWORD; i++)); do
        next="${command:+$command }${COMP_WORDS[i]}"
        case ";$KNOWN;" in *";$next;"*) command=$next ;; esac
    done
    COMPREPLY=()
    case "$command $before" in
@VALUES@
    esac
    case "$command" in
@WORDS@
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o bashdefault -o default -F _gridgate gridgate
"""

_ZSH: Final = """\
#compdef gridgate
# zsh completion of gridgate: gridgate completion zsh > "${fpath[1]}/_gridgate"
_gridgate() {
    local word=${words[CURRENT]} before=${words[CURRENT-1]} command= next i
    local -a offered
    for ((i = 2; i < CURRENT; i++)); do
        next="${command:+$command }${words[i]}"
        case ";$KNOWN;" in (*";$next;"*) command=$next ;; esac
    done
    case "$command $before" in
@VALUES@
    esac
    case "$command" in
@WORDS@
    esac
    _describe -t words gridgate offered
    [[ $word == -* ]] || _files
}
if [[ $funcstack[1] == _gridgate ]]; then _gridgate "$@"; else compdef _gridgate gridgate; fi
"""


def bash(branches: list[Branch]) -> str:
    """For bash 4 or later."""
    values, words = [], []
    for branch in branches:
        for flag, choices in _values(branch):
            words_of = f'COMPREPLY=($(compgen -W "{" ".join(choices)}" -- "$word"))' if choices else ":"
            values.append(f"        {_quoted(f'{branch.name} {flag}')}) {words_of}; return ;;")
        options = " ".join(_flags(branch))
        offered = " ".join(_offered(branch))
        words.append(f'        {_quoted(branch.name)}) words="{offered}"; [[ $word == -* ]] && words="{options}" ;;')
    return _filled(_BASH.replace("$KNOWN", _known(branches)), values, words)


def zsh(branches: list[Branch]) -> str:
    """For zsh with compinit."""
    values, words = [], []
    texts = {branch.words: branch.text for branch in branches}
    for branch in branches:
        for flag, choices in _values(branch):
            offer = f"compadd -- {' '.join(choices)}" if choices else "_files"
            values.append(f"        ({_quoted(f'{branch.name} {flag}')}) {offer}; return ;;")
        offered = [(word, texts.get((*branch.words, word), "")) for word in _offered(branch)]
        offered += [(flag, option.text) for option in branch.options for flag in option.flags]
        quoted = " ".join(shlex.quote(f"{word}:{text}".replace("\n", " ")) for word, text in offered)
        words.append(f"        ({_quoted(branch.name)}) offered=({quoted}) ;;")
    return _filled(_ZSH.replace("$KNOWN", _known(branches)), values, words)


def fish(branches: list[Branch]) -> str:
    """For fish 3 or later."""
    lines = ["# fish completion of gridgate: gridgate completion fish > ~/.config/fish/completions/gridgate.fish"]
    for branch in branches:
        here = _fish_here(branch)
        for word in _offered(branch):
            text = next((each.text for each in branches if each.words == (*branch.words, word)), "")
            lines.append(f"complete -c gridgate -n {here} -a {_fish(word)} -d {_fish(text)}")
        for option in branch.options:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
            if flags:
                takes = f" -x -a {_fish(' '.join(option.choices))}" if option.choices else " -r" if option.value else ""
                lines.append(f"complete -c gridgate -n {here} {flags}{takes} -d {_fish(option.text)}")
    return "\n".join(lines) + "\n"


SCRIPTS: Final[dict[str, Callable[[list[Branch]], str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""Shell -> its script."""


def _values(branch: Branch) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Flags that take a value, with what may be chosen; nothing: a file or free text."""
    for option in branch.options:
        if option.value:
            yield from ((flag, option.choices) for flag in option.flags)


def _flags(branch: Branch) -> list[str]:
    return [flag for option in branch.options for flag in option.flags]


def _offered(branch: Branch) -> list[str]:
    """Words that may stand here: commands below, or choices of a positional word."""
    return [*branch.further, *(word for option in branch.options if not option.flags for word in option.choices)]


def _known(branches: list[Branch]) -> str:
    return ";".join(branch.name for branch in branches if branch.words)


def _quoted(text: str) -> str:
    return '"' + text + '"'


def _filled(script: str, values: list[str], words: list[str]) -> str:
    return script.replace("@VALUES@", "\n".join(values)).replace("@WORDS@", "\n".join(words))


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", " ") + "'"


def _fish_here(branch: Branch) -> str:
    if not branch.words:
        return "__fish_use_subcommand"
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in branch.words)
    below = f"; and not __fish_seen_subcommand_from {' '.join(branch.further)}" if branch.further else ""
    return _fish(seen + below)
