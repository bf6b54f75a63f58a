"""The device profile as XML, by the public schema of the DNP Users Group as far as it is known. Pure.

The schema itself is not freely distributed, so the document could not be validated: elements and their order follow
published profiles. Where the schema has no place for something, the HTML document says it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from xml.etree import ElementTree

from gateway.points import PointCatalogue
from protocols.dnp3.deviceprofile import SECTIONS, ImplementationRow, Items, Setting, defaults
from protocols.dnp3.examination import Findings
from protocols.dnp3.plan import BindingColumns, Controls, MasterPlan, Mode
from protocols.dnp3.pointtypes import PointType

NAMESPACE: Final = "http://www.dnp3.org/DNP3/DeviceProfile/April2016"
SCHEMA_VERSION: Final = "2.11.00"

_CLASSES: Final = ("none", "one", "two", "three")
_NUMBERS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_LISTS: Final = {
    PointType.BI: ("binaryInputPoints", "binaryInput"),
    PointType.DBI: ("doubleBitInputPoints", "doubleBitInput"),
    PointType.BO: ("binaryOutputPoints", "binaryOutput"),
    PointType.CTR: ("counterPoints", "counter"),
    PointType.AI: ("analogInputPoints", "analogInput"),
    PointType.AO: ("analogOutputPoints", "analogOutput"),
}
"""Frozen points have no list of their own."""
_GROUPS: Final = {
    PointType.BI: ("binaryInputGroup", "defaultStaticVariation", "defaultEventVariation"),
    PointType.DBI: ("doubleBitInputGroup", "defaultStaticVariation", "defaultEventVariation"),
    PointType.BO: ("binaryOutputGroup", "defaultStaticVariation", "defaultEventVariation"),
    PointType.CTR: ("counterGroup", "defaultCounterStaticVariation", "defaultCounterEventVariation"),
    PointType.AI: ("analogInputGroup", "defaultStaticVariation", "defaultEventVariation"),
    PointType.AO: ("analogOutputGroup", "defaultStaticVariation", "defaultEventVariation"),
}


def profile_xml(
    master: MasterPlan,
    catalogue: PointCatalogue,
    settings: list[Setting],
    rows: list[ImplementationRow],
    findings: Findings,
    date: str,
) -> str:
    """The document as text; `date` is ISO 8601."""
    root = ElementTree.Element("DNP3DeviceProfileDocument", {"schemaVersion": SCHEMA_VERSION, "xmlns": NAMESPACE})
    name = next(setting.said for setting in settings if setting.element == "deviceName")
    header = ElementTree.SubElement(root, "documentHeader")
    _add(
        header,
        [
            ("documentName", f"DNP3 device profile of {name}"),
            ("documentDescription", "Written by the gateway from its configuration and an examination of its program"),
            ("documentType", "Both"),
        ],
    )
    revision = ElementTree.SubElement(header, "revisionHistory", {"version": "1"})
    _add(revision, [("date", date), ("author", "GridGate"), ("reason", "Generated from the site's configuration")])
    device = ElementTree.SubElement(root, "referenceDevice")
    _add(
        device,
        [
            ("configuration", [(section, _section(section, settings)) for section, _ in SECTIONS]),
            ("database", _database(master)),
            ("implementationTable", _table(rows, findings)),
            ("dataPointsList", _points(master, catalogue)),
        ],
    )
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add(parent: ElementTree.Element, items: Items) -> None:
    for item in items:
        name, content = (item, None) if isinstance(item, str) else item
        child = ElementTree.SubElement(parent, name)
        if isinstance(content, list):
            _add(child, content)
        elif content is not None:
            child.text = _text(content)


def _text(value: object) -> str:
    """Text that XML can carry: control characters have no place in it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _section(section: str, settings: list[Setting]) -> Items:
    items: Items = []
    for setting in settings:
        if setting.section == section:
            parts: Items = [("capabilities", setting.can)] if setting.can else []
            items.append((setting.element, [*parts, ("currentValue", setting.now)] if setting.now else parts))
    return items


def _database(master: MasterPlan) -> Items:
    items: Items = []
    for kind, _, statics, events in defaults(master):
        if kind not in _GROUPS:
            continue
        group, static, event = _GROUPS[kind]
        parts = [
            (element, [("currentValue", _variation(found))])
            for element, found in ((static, statics), (event, events))
            if found
        ]
        items.append((group, [("configuration", parts)]))
    return items


def _variation(found: list[int]) -> Items:
    return [_NUMBERS[found[0]]] if len(found) == 1 else ["basedOnPointIndex"]


def _table(rows: list[ImplementationRow], findings: Findings) -> Items:
    entries: Items = [("supportedVariation", _row(row)) for row in rows]
    bare: Items = [("supportedFunctionCode", [("request", [("functionCode", int(code))])]) for code in findings.bare]
    return [("table", [*entries, *bare])]


def _row(row: ImplementationRow) -> Items:
    group, variation = row.key
    items: Items = [("objectGroup", group), ("variation", variation), ("description", row.description)]
    for name, part in (("request", row.request), ("response", row.response)):
        if part is not None:
            code, qualifiers = part
            items.append(
                (name, [("functionCode", code), *(("qualifierCode", f"{number:02X}") for number in qualifiers)])
            )
    return items


def _points(master: MasterPlan, catalogue: PointCatalogue) -> Items:
    columns = master.bindings
    frozen = {int(index) for index in columns.index[columns.type == PointType.FCTR]}
    lists: Items = []
    for kind, (section, element) in _LISTS.items():
        points = [
            (element, _point(kind, columns, at, catalogue, frozen))
            for at in range(len(columns))
            if columns.type[at] == kind
        ]
        if points:
            fixed: Items = [("pointListDefinition", ["fixed"])]
            lists.append((section, [("configuration", fixed), ("dataPoints", points)]))
    return lists


def _point(kind: PointType, columns: BindingColumns, at: int, catalogue: PointCatalogue, frozen: set[int]) -> Items:
    point = catalogue.point(int(columns.row[at]))
    items: Items = [("index", int(columns.index[at])), ("name", point.name)]
    if point.description:
        items.append(("description", point.description))
    return [*items, *_SHAPES[kind](columns, at, point.unit, frozen)]


_Shape = Callable[[BindingColumns, int, str, set[int]], Items]


def _class(columns: BindingColumns, at: int) -> str:
    return _CLASSES[int(columns.event_class[at])]


def _included(columns: BindingColumns, at: int) -> str:
    return "always" if columns.class_0[at] else "never"


def _input(columns: BindingColumns, at: int, _unit: str, _frozen: set[int]) -> Items:
    return [("changeEventClass", _class(columns, at)), ("includedInClass0Response", _included(columns, at))]


def _scaled(columns: BindingColumns, at: int, unit: str) -> Items:
    items: Items = [("scaleOffset", float(columns.offset[at])), ("scaleFactor", float(columns.scale[at]))]
    return [*items, ("units", unit)] if unit else items


def _analog(columns: BindingColumns, at: int, unit: str, frozen: set[int]) -> Items:
    return [*_input(columns, at, unit, frozen), *_scaled(columns, at, unit)]


def _counter(columns: BindingColumns, at: int, _unit: str, frozen: set[int]) -> Items:
    return [
        ("countersIncludedInClass0", _included(columns, at)),
        ("counterEventClass", _class(columns, at)),
        ("frozenCounterExists", int(columns.index[at]) in frozen),
    ]


_OPERATIONS: Final = (
    (Controls.PULSE, ("supportPulseOn", "supportPulseOff")),
    (Controls.LATCH, ("supportLatchOn", "supportLatchOff")),
    (Controls.TRIP_CLOSE, ("supportTrip", "supportClose")),
)


def _output(columns: BindingColumns, at: int, unit: str, frozen: set[int]) -> Items:
    told = _class(columns, at) if columns.command_event_var[at] else "none"
    mode, controls = int(columns.mode[at]), int(columns.controls[at])
    operations: Items = ["supportSelectOperate"] if mode & Mode.SELECT else []
    operations += ["supportDirectOperate", "supportDirectOperateNoAck"] if mode & Mode.DIRECT else []
    for control, names in _OPERATIONS:
        operations += names if mode and controls & control else ()
    change, included = _input(columns, at, unit, frozen)
    return [change, ("commandEventClass", told), included, ("supportedControlOperations", operations)]


def _analog_output(columns: BindingColumns, at: int, unit: str, frozen: set[int]) -> Items:
    return [*_output(columns, at, unit, frozen), *_scaled(columns, at, unit)]


_SHAPES: Final[dict[PointType, _Shape]] = {
    PointType.BI: _input,
    PointType.DBI: _input,
    PointType.BO: _output,
    PointType.CTR: _counter,
    PointType.AI: _analog,
    PointType.AO: _analog_output,
}
