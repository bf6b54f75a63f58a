"""Why a frame was sent, in sentences, for whoever looks at the traffic. Pure; never raises for what a peer sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from gateway.points import PointCatalogue
from protocols.dnp3.application import Fragment, parse_fragment
from protocols.dnp3.errors import FragmentError
from protocols.dnp3.function import Function
from protocols.dnp3.headers import ObjectHeader, read_headers
from protocols.dnp3.link import LinkFrame
from protocols.dnp3.plan import MasterPlan
from protocols.dnp3.pointtypes import BY_EVENT_GROUP
from protocols.dnp3.transport import FIN, FIR

_POINTS_SHOWN: Final = 20
_FUNCTIONS: Final[Mapping[int, str]] = {
    Function.CONFIRM: "The master confirms a fragment: the events in it leave its journal.",
    Function.READ: "The master polls: class 0 is every standing value, classes 1 to 3 are events.",
    Function.WRITE: "The master writes: its clock, a deadband, or it clears the restart indication.",
    Function.SELECT: "The master selects: the command is checked and waits for its operate.",
    Function.OPERATE: "The master operates what it selected.",
    Function.DIRECT_OPERATE: "The master commands without a select before.",
    Function.ENABLE_UNSOLICITED: "The master wants to be told of events of these classes without asking.",
    Function.DISABLE_UNSOLICITED: "The master does not want to be told of these classes by itself.",
}


def why(
    master: MasterPlan,
    catalogue: PointCatalogue,
    find: Callable[[int, int], int | None],
    outgoing: bool,
    frame: LinkFrame | None,
) -> list[str]:
    """Sentences about one whole link frame. `find`: index of a binding by object group and point index."""
    if frame is None:
        return ["These octets are no frame."]
    if not frame.data:
        return ["A service of the link layer: it resets, tests or asks for the state of the link."]
    if not frame.data[0] & FIR or not frame.data[0] & FIN:
        return ["A part of a fragment that is longer than a link frame: the frame with FIN says what it was."]
    try:
        fragment = parse_fragment(frame.data[1:])
    except FragmentError as error:
        return [f"It is malformed: {error}"]
    if not outgoing:
        known = _FUNCTIONS.get(fragment.function)
        return [known or f"The master asks for function {fragment.function}."]
    headers = read_headers(fragment.payload, fragment.function)[0] if fragment.payload else []
    said = [_answer(fragment)]
    if fragment.control.con:
        said.append("It asks for a confirmation: until then the events stay in the journal, and it may be repeated.")
    return said + _events(master, catalogue, find, headers)


def _answer(fragment: Fragment) -> str:
    if fragment.function == Function.UNSOLICITED_RESPONSE:
        return "Unsolicited: the master enabled these classes, and there are events (or this server has just started)."
    return "The answer to the master's last request."


def _events(
    master: MasterPlan, catalogue: PointCatalogue, find: Callable[[int, int], int | None], headers: list[ObjectHeader]
) -> list[str]:
    columns, said = master.bindings, list[str]()
    for header in headers:
        if header.group not in BY_EVENT_GROUP:
            continue
        for index in header.indices[:_POINTS_SHOWN].tolist():
            at = find(header.group, index)
            if at is None or len(said) >= _POINTS_SHOWN:
                continue
            row, limit = int(columns.row[at]), float(columns.limit[at])
            rule = "every change" if math.isnan(limit) else f"a change beyond {limit:g} {catalogue.units[row]}".rstrip()
            said.append(f"{catalogue.names[row]}: event of class {int(columns.event_class[at])}, {rule}.")
    return said
