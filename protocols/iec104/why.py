"""Why a frame was sent, in sentences, for whoever looks at the traffic. Pure; never raises for what a peer sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from gateway.points import PointCatalogue
from protocols.iec104 import apci
from protocols.iec104.apci import IFrame, SFrame, U
from protocols.iec104.asdu import Asdu
from protocols.iec104.elements import TYPES
from protocols.iec104.errors import Iec104Error
from protocols.iec104.plan import MasterPlan

_POINTS_SHOWN: Final = 20

_OURS: Final[Mapping[int, str]] = {
    1: "Cyclic: the map gives these points a period, and it was due.",
    2: "Background scan: the standing values are told again from time to time.",
    4: "End of initialisation: this server has just started.",
    5: "The master asked for it with a read command.",
    7: "Activation confirmation: the answer to the master's command or request; negative when P/N is set.",
    9: "Deactivation confirmation: the master cancelled, and this is the answer.",
    10: "Activation termination: what the master asked for has come to its end.",
    11: "Return information: it changed because of a command of a master, within the feedback time of that command.",
    12: "Return information: it changed because of a person at the site or of the gateway's own control.",
    44: "The master sent a type that is not supported here.",
    45: "The master sent a cause of transmission that does not belong to this type.",
    46: "The master sent a common address that is not in its map.",
    47: "The master sent an information object address that is not in its map.",
}
_THEIRS: Final[Mapping[int, str]] = {
    5: "The master reads one point.",
    6: "The master asks for something: a command, a set-point, an interrogation or its clock.",
    8: "The master cancels what it selected or asked for.",
}
_U_WORDS: Final[Mapping[U, str]] = {
    U.STARTDT_ACT: "The master starts data transfer: until then nothing but tests may be sent.",
    U.STARTDT_CON: "The answer: data transfer is on, and what waits in the journal goes out.",
    U.STOPDT_ACT: "The master stops data transfer on this connection.",
    U.STOPDT_CON: "The answer: data transfer is off.",
    U.TESTFR_ACT: "A test of the connection: nothing was heard for the time t3.",
    U.TESTFR_CON: "The answer to a test of the connection.",
}


def why(
    master: MasterPlan, catalogue: PointCatalogue, find: Callable[[int, int], int | None], outgoing: bool, data: bytes
) -> list[str]:
    """Sentences about one whole frame. `find`: index of a binding by common address and ioa."""
    try:
        frame = apci.decode(data)
        if isinstance(frame, SFrame):
            return ["An acknowledgement alone: w frames have come, or t2 has passed since the last one."]
        if not isinstance(frame, IFrame):
            return [_U_WORDS[frame.function]]
        asdu = Asdu.parse(frame.asdu)
        ioas = asdu.objects()[0].tolist() if asdu.type_id in TYPES else []
    except Iec104Error as error:
        return [f"It is malformed: {error}"]
    said = [_cause(asdu, outgoing)]
    for ioa in ioas[:_POINTS_SHOWN] if outgoing and asdu.cause == 3 else []:
        at = find(asdu.common_address, ioa)
        if at is not None:
            said.append(_reported(master, catalogue, at))
    return said


def _cause(asdu: Asdu, outgoing: bool) -> str:
    if not outgoing:
        return _THEIRS.get(asdu.cause, f"The master sent it with cause {asdu.cause}.")
    if asdu.cause == 3:
        return "Spontaneous: each of these points changed by more than its deadband, or its quality changed."
    if 20 <= asdu.cause <= 36:
        group = "the whole station" if asdu.cause == 20 else f"group {asdu.cause - 20}"
        return f"The master interrogated {group}: these are the values as they stand."
    if 37 <= asdu.cause <= 41:
        return "The master asked for counters: these are their frozen or present readings."
    return _OURS.get(asdu.cause, f"Cause of transmission {asdu.cause}.")


def _reported(master: MasterPlan, catalogue: PointCatalogue, at: int) -> str:
    columns = master.bindings
    row = int(columns.row[at])
    limit = float(columns.limit[at])
    unit = catalogue.units[row]
    if math.isnan(limit) or limit <= 0:
        return f"{catalogue.names[row]}: no deadband, every change is told."
    size = f"{limit:g} {unit}".rstrip()
    return f"{catalogue.names[row]}: deadband {size}, against the value last reported to this master."
