"""`gridgate man`: the manual page, from the command line's own help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway import __version__
from gateway.cli.tree import Branch, Option
from gateway.terminal import EXIT_WORDS

_DATE: Final = "2026-11-26"
"""When the words of this page that are not the command line's own were last changed."""
_ENVIRONMENT: Final = {
    "GRIDGATE_LOG": "text or json: how the log is written; by default words on a terminal, JSON lines elsewhere",
    "NO_COLOR": "set to anything: no colours",
    "NOTIFY_SOCKET": "where systemd wants to hear that the gateway serves, and that it lives (sd_notify(3))",
}
_FILES: Final = {
    "site.yaml": "the site: devices, servers, control, history, HMI",
    "STATE_DIR": "journals, alarms, history, audit, users: everything that must survive; for its owner only",
}


def page(branches: list[Branch]) -> str:
    """The page in roff, macro package man(7)."""
    root, *commands = branches
    lines = [
        f'.TH GRIDGATE 1 "{_DATE}" "gridgate {__version__}" "User Commands"',
        ".SH NAME",
        f"gridgate \\- {_text(root.text)}",
        ".SH SYNOPSIS",
        ".B gridgate",
        ".I COMMAND",
        "[...]",
        ".SH DESCRIPTION",
        "GridGate reads field devices (Modbus, CAN, SunSpec, PMUs, MQTT, downstream RTUs) into one point database and",
        "serves it to masters (IEC 60870\\-5\\-104, DNP3), OPC UA clients, MQTT brokers, InfluxDB and technicians.",
        ".SH OPTIONS",
        *_options(root.options),
        ".SH COMMANDS",
    ]
    for branch in commands:
        lines += _command(branch)
    lines += [".SH EXIT STATUS", *_listed({str(int(code)): words for code, words in EXIT_WORDS.items()})]
    lines += [".SH ENVIRONMENT", *_listed(_ENVIRONMENT), ".SH FILES", *_listed(_FILES)]
    lines += [".SH SEE ALSO", ".BR systemd.service (5)"]
    return "\n".join(lines) + "\n"


def _command(branch: Branch) -> Iterator[str]:
    yield f".SS {_text(branch.name)}"
    yield f"{_sentence(branch.text)}"
    yield ".PP"
    yield f".B gridgate {_text(branch.name)}"
    yield " ".join(_short(option) for option in branch.options if option.flags != ("-h", "--help")) or "\\&"
    yield from _options(tuple(option for option in branch.options if option.flags != ("-h", "--help")))


def _options(options: tuple[Option, ...]) -> Iterator[str]:
    for option in options:
        value = f" \\fI{_text(option.value)}\\fR" if option.value and option.flags else ""
        flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in option.flags) or f"\\fI{_text(option.value)}\\fR"
        yield ".TP"
        yield flags + value
        chosen = f" (one of {', '.join(option.choices)})" if option.choices else ""
        yield _sentence(option.text + chosen)


def _short(option: Option) -> str:
    value = f" \\fI{_text(option.value)}\\fR" if option.value and option.flags else ""
    text = (f"\\fB{_text(option.flags[-1])}\\fR" if option.flags else f"\\fI{_text(option.value)}\\fR") + value
    return text if option.needed else f"[{text}]"


def _listed(words: dict[str, str]) -> Iterator[str]:
    for name, text in words.items():
        yield from (".TP", f".B {_text(name)}", _sentence(text))


def _sentence(text: str) -> str:
    words = _text(text)
    return (words[:1].upper() + words[1:] + ".") if words else "\\&"


def _text(text: str) -> str:
    """Text that roff takes as it is."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("\n", " ")
    return f"\\&{safe}" if safe[:1] in (".", "'") else safe
