"""An engineer's own SVG of the site: what of it may go to a browser, and which points it shows. Pure.

Read with expat: entities are never expanded, because a document that declares any is refused. What is known to be
harmless goes through; what editors leave behind (metadata, their own attributes) is dropped; what could act or reach
out (scripts, handlers, foreign objects, style sheets, links to elsewhere) is refused, each with its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MAX_OCTETS: Final = 1 << 20
MAX_ELEMENTS: Final = 20_000
MAX_DEPTH: Final = 60
SHOWS: Final = ("value", "number", "unit", "quality", "state", "fill", "visible", "turn")
"""What `data-show` may say; see the README of the HMI."""

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_ELEMENTS: Final = (
    "svg g defs symbol use title desc path rect circle ellipse line polyline polygon text tspan "
    "linearGradient radialGradient stop clipPath mask pattern marker image switch a"
)
_GEOMETRY: Final = (
    "id x y x1 y1 x2 y2 cx cy r rx ry fx fy fr width height d points transform viewBox preserveAspectRatio "
    "dx dy rotate textLength lengthAdjust offset gradientUnits gradientTransform spreadMethod clipPathUnits maskUnits "
    "maskContentUnits patternUnits patternContentUnits patternTransform markerWidth markerHeight markerUnits refX refY "
    "orient pathLength role aria-label aria-hidden version "
)
_LOOK_WORDS: Final = (
    "fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit "
    "stroke-dasharray stroke-dashoffset opacity color display visibility overflow clip-path clip-rule mask "
    "marker-start marker-mid marker-end stop-color stop-opacity font-family font-size font-style font-weight "
    "font-variant text-anchor dominant-baseline alignment-baseline baseline-shift letter-spacing word-spacing "
    "text-decoration writing-mode vector-effect paint-order shape-rendering text-rendering"
)
_LOOKS: Final = frozenset(_LOOK_WORDS.split())
_DATA: Final = frozenset(("data-point", "data-show", "data-when", "data-low", "data-high", "data-digits"))
_KNOWN: Final = frozenset(_ELEMENTS.split())
_ATTRIBUTES: Final = frozenset(_GEOMETRY.split()) | _LOOKS | _DATA
_REFUSED: Final[Mapping[str, str]] = {
    "script": "scripts are not shown",
    "foreignObject": "foreign objects are not shown: only SVG's own elements",
    "style": "style sheets are not shown: save with the styles on the elements (Inkscape: Plain SVG; Illustrator: "
    "presentation attributes)",
    "iframe": "only SVG's own elements are shown",
    "object": "only SVG's own elements are shown",
    "embed": "only SVG's own elements are shown",
    "animate": "animations are not shown: bind the element to a point",
    "animateTransform": "animations are not shown: bind the element to a point",
    "animateMotion": "animations are not shown: bind the element to a point",
    "set": "animations are not shown: bind the element to a point",
}
_URL: Final = re.compile(r"url\s*\(\s*['\"]?([^)'\"]*)", re.IGNORECASE)
_PICTURE: Final = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=\s]+")
_ACTING: Final = re.compile(r"(?:java|vb)script:|expression\s*\(|@import|-moz-binding|behavior\s*:", re.IGNORECASE)
_OWN: Final = "drawing-"
"""Begins every id: none of them is one of the page's."""
_CONTROLS: Final = re.compile(r"[\x00-\x20]+")


@dataclass(slots=True)
class Drawing:
    """`svg` is empty when `problems` (line, sentence) holds any. `points`: (line, name) of each bound element."""

    svg: str = ""
    problems: list[tuple[int, str]] = field(default_factory=list)
    points: list[tuple[int, str]] = field(default_factory=list)


def clean_drawing(data: bytes) -> Drawing:
    """The drawing as it may be shown; never raises."""
    if len(data) > MAX_OCTETS:
        return Drawing(problems=[(1, f"the drawing has {len(data):,} octets: {MAX_OCTETS:,} at most are shown")])
    return _Cleaner().run(data)


class _Cleaner:
    def __init__(self) -> None:
        self._out: list[str] = []
        self._drawing = Drawing()
        self._open: list[str] = []
        """Names of elements that are written; empty for those that are dropped."""
        self._dropped = 0
        self._elements = 0
        parser = self._parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ExternalEntityRefHandler = lambda *_: 0

    def run(self, data: bytes) -> Drawing:
        drawing = self._drawing
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            drawing.problems.append((error.lineno, f"the drawing is no XML: {expat.ErrorString(error.code)}"))
        except _Enough:
            pass
        if not drawing.problems:
            drawing.svg = "".join(self._out)
        return drawing

    def _refuse(self, sentence: str, enough: bool = False) -> None:
        self._drawing.problems.append((self._parser.CurrentLineNumber, sentence))
        if enough or len(self._drawing.problems) >= 50:
            raise _Enough

    def _doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        if internal:
            self._refuse("the document declares things of its own (DOCTYPE with [ ]): remove that", enough=True)

    def _entity(self, *_: object) -> None:
        self._refuse("entities are not read: remove them from the DOCTYPE", enough=True)

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        space, _, name = qualified.rpartition(" ")
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            self._refuse(f"the drawing has more than {MAX_ELEMENTS:,} elements", enough=True)
        if len(self._open) >= MAX_DEPTH:
            self._refuse(f"elements lie more than {MAX_DEPTH} deep in one another", enough=True)
        if not self._open and (name != "svg" or space not in ("", _SVG)):
            self._refuse(f"the document begins with {name}: an svg element is expected", enough=True)
        # Also within what is dropped, and under any name space: what acts is told, not hidden.
        if name in _REFUSED:
            self._refuse(_REFUSED[name])
        kept = self._kept(attributes)
        if self._dropped or space not in ("", _SVG) or name not in _KNOWN:
            self._dropped += 1
            self._open.append("")
            return
        name = "g" if name == "a" else name
        root = f' xmlns="{_SVG}" xmlns:xlink="{_XLINK}"' if not self._open else ""
        self._open.append(name)
        self._out.append(f"<{name}{root}{''.join(f' {key}={quoteattr(value)}' for key, value in kept.items())}>")

    def _end(self, qualified: str) -> None:
        name = self._open.pop()
        if name:
            self._out.append(f"</{name}>")
        else:
            self._dropped -= 1

    def _text(self, text: str) -> None:
        if self._open and not self._dropped:
            self._out.append(escape(text))

    # -- attributes ------------------------------------------------------------------------------------------------

    def _kept(self, attributes: dict[str, str]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for qualified, value in attributes.items():
            space, _, name = qualified.rpartition(" ")
            if name.lower().startswith("on"):
                self._refuse(f"{name}: handlers of events are not shown")
            elif name == "href":
                kept |= self._href(value)
            elif space:
                continue
            elif name == "style":
                kept |= self._style(value)
            elif name == "id":
                kept["id"] = f"{_OWN}{value}"
            elif name in _ATTRIBUTES and self._harmless(name, value):
                kept[name] = _renamed(value) if name in _LOOKS else value
        self._bound(kept)
        return kept

    def _href(self, value: str) -> dict[str, str]:
        address = value.strip()
        if address.startswith("#"):
            return {"href": f"#{_OWN}{address[1:]}"}
        if _PICTURE.fullmatch(address):
            return {"href": address}
        self._refuse(
            f"href {address[:60]!r}: only parts of the drawing itself (#name) and PNG or JPEG within it are shown"
        )
        return {}

    def _style(self, value: str) -> dict[str, str]:
        """Declarations of a style attribute as attributes: the page takes no style attributes."""
        out: dict[str, str] = {}
        for declaration in value.split(";"):
            name, _, text = declaration.partition(":")
            name, text = name.strip().lower(), text.replace("!important", "").strip()
            if self._harmless(name, text) and name in _LOOKS and text:
                out[name] = _renamed(text)
        return out

    def _harmless(self, name: str, value: str) -> bool:
        packed = _CONTROLS.sub("", value)
        if "\\" in packed or "/*" in packed:
            # CSS escapes and comments could hide what is looked for.
            packed = "url(hidden" if name not in _DATA else ""
        for address in _URL.findall(packed):
            if not address.startswith("#"):
                self._refuse(f"{name}: url({address[:60]}) reaches out: only url(#name) is shown")
                return False
        if _ACTING.search(packed):
            self._refuse(f"{name}: {value[:60]!r} could act: it is not shown")
            return False
        return True

    def _bound(self, kept: dict[str, str]) -> None:
        point, show = kept.get("data-point"), kept.get("data-show")
        if point is not None:
            self._drawing.points.append((self._parser.CurrentLineNumber, point))
        if show is not None and show not in SHOWS:
            self._refuse(f"data-show is {show!r}: one of {', '.join(SHOWS)} is expected")
        for name in ("data-when", "data-low", "data-high", "data-digits"):
            if name in kept and not _number(kept[name]):
                self._refuse(f"{name} is {kept[name]!r}: a number is expected")


class _Enough(Exception):
    """What is wrong is told: nothing further is read."""


def _renamed(value: str) -> str:
    """References to parts of the drawing follow their ids."""
    return _URL.sub(lambda found: f"url(#{_OWN}{found[1].strip().removeprefix('#')}", value)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
