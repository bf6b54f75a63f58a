"""An engineer's drawing: what goes through, what is dropped, what is refused and where."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmi.drawing import clean_drawing

GOOD = b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 200 100"
     xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" inkscape:version="1.2">
  <metadata><rdf xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#">who made it</rdf></metadata>
  <defs><linearGradient id="shade"><stop offset="0" style="stop-color:#fff;stop-opacity:1"/></linearGradient></defs>
  <rect id="app" class="x" width="20" height="50" style="fill:url(#shade);stroke:#000;-inkscape-thing:1"
        data-point="bess1/pcs/soc" data-show="fill" data-low="0" data-high="100"/>
  <use xlink:href="#app" x="3"/>
  <text x="10" y="20" data-point="poi/power">a &lt; b</text>
</svg>"""


def problems(body: str) -> list[tuple[int, str]]:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">\n{body}\n</svg>'
    return clean_drawing(svg.encode()).problems


def test_a_drawing_goes_through_with_its_bindings_and_without_what_the_editor_left() -> None:
    drawing = clean_drawing(GOOD)
    assert drawing.problems == []
    assert drawing.points == [(7, "bess1/pcs/soc"), (10, "poi/power")]
    root = ET.fromstring(drawing.svg)
    rect = next(each for each in root.iter() if each.tag.endswith("rect"))
    assert rect.get("fill") == "url(#drawing-shade)" and rect.get("stroke") == "#000"
    assert rect.get("style") is None and rect.get("class") is None and rect.get("id") == "drawing-app"
    assert next(each for each in root.iter() if each.tag.endswith("use")).get("href") == "#drawing-app"
    assert "inkscape" not in drawing.svg and "who made it" not in drawing.svg
    assert "a &lt; b" in drawing.svg


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("<script>alert(1)</script>", "scripts"),
        ("<metadata><script>alert(1)</script></metadata>", "scripts"),
        ('<x:script xmlns:x="http://www.w3.org/1999/xhtml">1</x:script>', "scripts"),
        ('<rect onclick="alert(1)"/>', "onclick"),
        ('<rect ONLOAD="alert(1)"/>', "ONLOAD"),
        ("<foreignObject><p>hi</p></foreignObject>", "foreign objects"),
        ('<image href="http://evil.example/x.png"/>', "href"),
        ('<image xlink:href="//evil.example/x.png"/>', "href"),
        ('<image href="data:image/svg+xml;base64,PHN2Zz4="/>', "href"),
        ('<a href="javascript:alert(1)"><text>x</text></a>', "href"),
        ('<use href="other.svg#a"/>', "href"),
        ('<rect fill="url(http://evil.example/a)"/>', "reaches out"),
        ('<rect style="fill:u\\72l(http://evil.example)"/>', "reaches out"),
        ('<rect style="filter:url(//evil.example/a)"/>', "reaches out"),
        ("<style>rect{fill:url(http://evil.example)}</style>", "style sheets"),
        ('<set attributeName="href" to="javascript:alert(1)"/>', "animations"),
        ('<rect data-point="a" data-show="dance"/>', "data-show"),
        ('<rect data-point="a" data-low="little"/>', "data-low"),
        ("<rect", "no XML"),
    ],
)
def test_what_could_act_or_reach_out_is_refused_with_its_line(body: str, word: str) -> None:
    found = problems(body)
    assert found, body
    assert found[0][0] in (2, 3) and word in found[0][1]
    assert clean_drawing(f'<svg xmlns="http://www.w3.org/2000/svg">{body}</svg>'.encode()).svg == ""


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>',
        b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&x;</svg>',
        b"<html/>",
        b"",
        b"\xff\xfe\x00",
        b"<svg>" * 100 + b"</svg>" * 100,
        b"<svg>" + b" " * (1 << 20) + b"</svg>",
    ],
)
def test_entities_other_documents_and_what_is_too_large_are_refused(data: bytes) -> None:
    drawing = clean_drawing(data)
    assert drawing.problems and not drawing.svg


@settings(deadline=None)
@given(st.binary(max_size=200), st.text(alphabet="<>/=\"' aonsvg#:urlhref()", max_size=80))
def test_nothing_makes_it_raise_and_nothing_that_acts_comes_out(noise: bytes, inner: str) -> None:
    clean_drawing(noise)
    out = clean_drawing(f'<svg xmlns="http://www.w3.org/2000/svg"><g {inner}>{inner}</g></svg>'.encode()).svg
    if out:
        for element in ET.fromstring(out).iter():
            assert not any(name.lower().startswith("on") for name in element.attrib)
