"""What an engineer reads when something is wrong: the place first, then the sentence."""

from __future__ import annotations

import pytest

from gateway.config import render
from gateway.contracts import ConfigError
from tests.kit.sitekit import METER, Site

SPOILT = {
    "unknown key": (
        ("site.yaml", "scan_ms: 200", "scan_mz: 200"),
        "site.yaml, line 9: unknown key scan_mz (did you mean scan_ms?)",
    ),
    "unknown nested key": (("site.yaml", "{k: 8}", "{kk: 8}"), "site.yaml, line 23: unknown key apci.kk"),
    "unknown top key": (
        ("site.yaml", "state_dir", "statedir"),
        "site.yaml, line 2: unknown key statedir (did you mean state_dir?)",
    ),
    "missing key": (("site.yaml", "    prefix: poi\n", ""), "site.yaml, line 10: key prefix is missing"),
    "not a number": (
        ("site.yaml", "scan_ms: 200", "scan_ms: often"),
        'site.yaml, line 9: scan_ms: expected a number, found "often"',
    ),
    "beyond": (("site.yaml", "{k: 8}", "{k: 0}"), "site.yaml, line 23: apci.k: expected at least 1, found 0"),
    "infinite": (
        ("site.yaml", "scan_ms: 200", "scan_ms: .inf"),
        "site.yaml, line 9: scan_ms: expected a finite number",
    ),
    "not an address": (
        ("site.yaml", "10.0.0.0/8", "10.0.0.0/99"),
        "site.yaml, line 26: addresses[1]: '10.0.0.0/99' does not appear to be an IPv4 or IPv6 network",
    ),
    "a list where keys belong": (
        ("site.yaml", "{k: 8}", "[8]"),
        "site.yaml, line 23: apci: expected keys and values, found a list",
    ),
    "a name with a blank": (
        ("site.yaml", "name: meter", "name: the meter"),
        'site.yaml, line 10: name: expected a name (a letter, then letters, digits, _ . -), found "the meter"',
    ),
    "no driver": (
        ("site.yaml", "driver: bench", "driver: bensh"),
        "site.yaml, line 5: no driver bensh is installed (did you mean bench?); installed: bench",
    ),
    "a broken driver": (
        ("site.yaml", "driver: bench", "driver: broken"),
        "site.yaml, line 5: the package of driver broken cannot be imported: No module named 'a_library_that",
    ),
    "no protocol": (
        ("site.yaml", "protocol: relay", "protocol: dnp9"),
        "site.yaml, line 21: no server protocol dnp9 is installed",
    ),
    "the driver's own check": (
        ("site.yaml", "scan_ms: 200", "unit: 99"),
        "site.yaml, line 9: unit 99 is not for this bench",
    ),
    "no map file": (
        ("site.yaml", "maps/pcs.csv", "maps/pcz.csv"),
        "site.yaml, line 7: cannot read maps/pcz.csv",
    ),
    "a system name": (
        ("site.yaml", "servers:", "  - {point: system/x, expr: poi/power}\nservers:"),
        "site.yaml, line 19: names that begin with system/ are the gateway's own",
    ),
    "device twice": (
        ("site.yaml", "name: meter", "name: pcs1"),
        "site.yaml, line 10: device pcs1 exists already (site.yaml, line 4)",
    ),
    "interlocks": (
        ("site.yaml", "control:\n", "control:\n  interlocks: interlocks.csv\n"),
        "site.yaml, line 30: cannot read interlocks.csv",
    ),
    "droop": (
        ("site.yaml", "control:\n", "control:\n  droop: [{unit: bess1}]\n"),
        "site.yaml, line 30: key frequency is missing",
    ),
    "local/remote point": (
        ("site.yaml", "bess1/pcs/local, remote", "bess1/pcs/lokal, remote"),
        "site.yaml, line 30: point bess1/pcs/lokal does not exist (did you mean bess1/pcs/local?)",
    ),
    "local/remote kind": (
        ("site.yaml", "bess1/pcs/local, remote", "bess1/pcs/power, remote"),
        "site.yaml, line 30: bess1/pcs/power is of kind analog: a binary or double was expected",
    ),
    "local/remote value": (
        ("site.yaml", "remote_when: 0", "remote_when: 2"),
        "site.yaml, line 30: a binary is never 2: expected one of 0, 1",
    ),
    "expression": (
        ("site.yaml", "- poi/power", "- poi/powr"),
        "site.yaml, line 18: expr: no point is called poi/powr (did you mean poi/power?) (at character 19)",
    ),
    "circle": (
        ("site.yaml", "- poi/power", "- bess1/losses"),
        "site.yaml, line 18: these calculated points need each other's value, in a circle: bess1/losses",
    ),
    "constant": (("site.yaml", "bess1/pcs/power - poi/power", "1 + 1"), "site.yaml, line 18: expr: no point in it"),
    "variable": (
        ("site.yaml", "tcp://127.0.0.1:5020", "tcp://${NO_SUCH_HOST}:5020"),
        "site.yaml, line 6: the environment variable NO_SUCH_HOST is not set",
    ),
    "key twice": (
        ("site.yaml", "    scan_ms: 200\n", "    scan_ms: 200\n    unit: 1\n    scan_ms: 100\n"),
        "site.yaml, line 11: key scan_ms stands here a second time (first in line 9)",
    ),
    "indentation": (("site.yaml", "    unit: kW", "   unit: kW"), "site.yaml, line 17: "),
    "tab": (("site.yaml", "    unit: kW", "\tunit: kW"), "site.yaml, line 17: a tab: indent with spaces"),
    "a quote left open": (
        ("site.yaml", 'poi/power"', "poi/power"),
        "site.yaml, line 31: a quote is not closed (what is not finished began in line 18)",
    ),
    "second document": (("site.yaml", "control:\n", "---\ncontrol:\n"), "site.yaml, line 29: a second document"),
    "tag": (("site.yaml", "site: hilltop", "site: !!python/name:os.system"), "site.yaml, line 1: the tag"),
    "unknown column": (
        ("maps/pcs.csv", "alarm_h,", "alarm_hi,"),
        "maps/pcs.csv, row 1, column alarm_hi: unknown column alarm_hi (did you mean alarm_h?)",
    ),
    "missing column": (
        ("maps/meter.csv", METER, "point,kind\npower,analog\nenergy,counter\n"),
        "maps/meter.csv, row 1: the column address is missing",
    ),
    "column twice": (
        ("maps/meter.csv", "kind", "point"),
        "maps/meter.csv, row 1, column point: the column stands twice in the heading",
    ),
    "empty cell": (
        ("maps/meter.csv", "power,analog,0", "power,analog,"),
        "maps/meter.csv, row 2, column address: column address is empty, but needed",
    ),
    "no such kind": (
        ("maps/meter.csv", "power,analog", "power,analogue"),
        "maps/meter.csv, row 2, column kind: expected 'analog', 'binary', 'double', 'counter', 'setpoint' or 'control'"
        ' (did you mean analog?), found "analogue"',
    ),
    "text for a number": (
        ("maps/pcs.csv", "-1200", "minus"),
        'maps/pcs.csv, row 2, column low: expected a number, found "minus"',
    ),
    "one cell too many": (
        ("maps/meter.csv", "0,kW", "0,kW,surplus"),
        'maps/meter.csv, row 2: "surplus" has no column name above it in the heading',
    ),
    "scale of zero": (
        ("maps/pcs.csv", "power,analog,0,0.1", "power,analog,0,0"),
        "maps/pcs.csv, row 2, column scale: ",
    ),
    "range": (
        ("maps/pcs.csv", "-1200,1200", "1200,-1200"),
        "maps/pcs.csv, row 2, column low: low (1200) is",
    ),
    "alarms": (
        ("maps/pcs.csv", "1200,,1100", "1200,1150,1100"),
        "maps/pcs.csv, row 2, column alarm_l: alarm_l (1150) is above alarm_h (1100)",
    ),
    "no such feedback": (
        ("maps/pcs.csv", ",power,,Active power set", ",powr,,Active power set"),
        "maps/pcs.csv, row 5, column feedback: feedback powr does not exist, neither below bess1/pcs nor as a full name"
        " (did you mean bess1/pcs/power?)",
    ),
    "feedback is a command": (
        ("maps/pcs.csv", ",power,,Active power set", ",run,,Active power set"),
        "maps/pcs.csv, row 5, column feedback: feedback run is itself a command (control)",
    ),
    "feedback of a measured point": (
        ("maps/pcs.csv", "1100,,,Active", "1100,local,,Active"),
        "maps/pcs.csv, row 2, column feedback: only a control or setpoint has a feedback; this point is an analog",
    ),
    "point twice in a map": (
        ("maps/meter.csv", "energy,", "power,"),
        "maps/meter.csv, row 3, column point: point power stands here a second time (first in row 2)",
    ),
    "point twice in the site": (
        ("site.yaml", "servers:", "  - {point: poi/power, expr: poi/energy}\nservers:"),
        "site.yaml, line 19: point poi/power exists already (maps/meter.csv, row 2)",
    ),
    "not UTF-8": (("maps/meter.csv", "kWh", "k\udce9Wh"), "maps/meter.csv, line 3: not UTF-8 text (byte 0xE9)"),
    "a quote left open in a map": (
        ("maps/meter.csv", "energy,", '"energy,'),
        "maps/meter.csv, row 3: a quote opened here is never closed",
    ),
    "no such point in a master map": (
        ("maps/sldc.csv", "poi/power", "poi/pover"),
        "maps/sldc.csv, row 3, column point: point poi/pover does not exist (did you mean poi/power?)",
    ),
    "one listen address": (
        (
            "site.yaml",
            "control:\n",
            "  - {name: two, protocol: relay, listen: '0.0.0.0:2404'}\ncontrol:\n",
        ),
        "site.yaml, line 29: 0.0.0.0:2404 is taken by server sldc (127.0.0.1:2404, site.yaml, line 22)",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_one_mistake_gives_one_error_in_plain_words(site: Site, name: str) -> None:
    (file, old, new), expected = SPOILT[name]
    text = (site.folder / file).read_text()
    assert old in text
    site.write(file, text.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    errors = site.errors()
    assert len(errors) == 1, errors
    assert errors[0].startswith(expected), errors[0]


def test_everything_wrong_is_told_at_once(site: Site) -> None:
    site.change("site.yaml", "scan_ms: 200", "scan_mz: 200")
    site.change("site.yaml", "{k: 8}", "{k: none}")
    site.change("site.yaml", "remote_when", "remote_if")
    site.change("maps/pcs.csv", "-1000,1000", "1000,-1000")
    site.change("maps/meter.csv", "counter", "meter")
    assert len(site.errors()) == 6  # remote_if is unknown and remote_when missing


def test_what_follows_from_a_mistake_is_not_a_second_mistake(site: Site) -> None:
    """The meter does not load: nobody hears that poi/power does not exist."""
    site.change("site.yaml", "prefix: poi", "prefix: poi\n    nonsense: 1")
    assert site.errors() == ["site.yaml, line 15: unknown key nonsense"]


def test_two_devices_under_one_prefix_name_both_places_and_count_the_rest(site: Site) -> None:
    rows = "".join(f"p{i},analog,{i},\n" for i in range(1000))
    site.write("maps/many.csv", "point,kind,address,unit\n" + rows)
    two = "".join(f"  - {{name: m{i}, driver: bench, url: x, map: maps/many.csv, prefix: many}}\n" for i in range(2))
    site.change("site.yaml", "calculated:\n", f"{two}calculated:\n")
    errors = site.errors()
    assert errors[0] == "maps/many.csv, row 2, column point: point many/p0 exists already (maps/many.csv, row 2)"
    assert errors[5] == "site.yaml, line 16: 995 more point names of this device exist already: give it its own prefix"
    assert len(errors) == 6


def test_a_secret_is_never_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSH", "correct-horse")
    site.change("site.yaml", "scan_ms: 200", "scan_ms: ${HUSH}\n    password: [correct-horse]")
    problems = site.problems()
    assert [problem.split(": ", 1)[1] for problem in problems] == [
        "scan_ms: expected a number",
        "password: expected text (numbers in quotes)",
    ]


def test_a_secret_may_come_from_a_file(site: Site) -> None:
    site.write("pki/word", "correct-horse\n")
    site.change("site.yaml", "scan_ms: 200", "password: {file: pki/word}")
    site.load()
    site.change("site.yaml", "pki/word", "pki/wort")
    assert site.errors() == ["site.yaml, line 9: cannot read pki/wort: no such file or directory"]


def test_a_whole_file_that_is_not_there_or_says_nothing(site: Site) -> None:
    site.path.unlink()
    assert site.errors() == ["site.yaml: cannot read site.yaml: no such file or directory"]
    site.write("site.yaml", "")
    assert site.errors() == ["site.yaml: expected keys and values, found nothing"]


def test_render_sorts_and_counts(site: Site) -> None:
    site.change("site.yaml", "{k: 8}", "{k: none}")
    site.change("site.yaml", "scan_ms: 200", "scan_mz: 200")
    site.change("site.yaml", "control:\n", "hmi: {listen: everywhere}\ncontrol:\n")
    with pytest.raises(ConfigError) as caught:
        site.load()
    lines = render(caught.value.report).splitlines()
    assert [line.split(", line ")[-1].split(":")[0] for line in lines[:-1]] == ["9", "23", "29"]
    assert lines[-1] == "3 errors, 0 warnings"
