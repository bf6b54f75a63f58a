"""The interoperability statement of one server: boxes ticked from what the code was seen to do. Pure.

In the manner of IEC 60870-5-104 clause 9. Its order of sections is the standard's; what stands in a box comes from
`examination`, from the server's plan, or from a constant of the module that decides it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gateway.contracts.documents import Box, Section, Table
from protocols.iec104 import time56
from protocols.iec104.apci import MAX_LENGTH
from protocols.iec104.asdu import IOA_SIZE, Cause
from protocols.iec104.elements import BY_NAME, TYPES
from protocols.iec104.examination import Examined, examine
from protocols.iec104.plan import MasterPlan, ServerPlan
from protocols.iec104.standardlists import DIRECTIONS, DOUBLE_TRANSMISSION, FILES, MATRIX_COLUMNS, Direction

STANDARD_PORT = 2404
_SELECT = 0x80
_ALL_COUNTERS = 5
_JULY_NS = 1_689_000_000_000_000_000


def statement(plan: ServerPlan) -> list[Section]:
    """Every section for one server, in the order of the standard."""
    examined = examine(plan)
    return [
        _system(),
        _network(),
        Section("Physical layer", [Box("100 Mbit/s or faster Ethernet, TCP/IP (RFC 2200 suite)", True)]),
        Section(
            "Link layer", text="Not applicable: TCP takes its place. The link parameters are those of section APCI."
        ),
        *_application(),
        *(_types(direction, examined, plan) for direction in DIRECTIONS),
        _matrix(examined),
        *_functions(examined),
        *_apci(plan),
    ]


def _system() -> Section:
    return Section(
        "System or device",
        [
            Box("System definition", False),
            Box("Controlling station definition (master)", False),
            Box("Controlled station definition (slave)", True),
        ],
    )


def _network() -> Section:
    words = "Not applicable in 104: point-to-point, multiple point-to-point, multipoint-party line and multipoint-star."
    return Section("Network configuration", text=words)


def _application() -> list[Section]:
    return [
        Section("Transmission mode for application data", [Box("Mode 1 (least significant octet first)", True)]),
        Section("Common address of ASDU", [Box("two octets", True)]),
        Section(
            "Information object address",
            [
                Box(f"{IOA_SIZE} octets", True),
                Box(
                    "structured", True, "any address from 1 to 16777215 may be given; three octets are shown beside it"
                ),
                Box("unstructured", True),
            ],
        ),
        Section(
            "Cause of transmission",
            [Box("two octets (with originator address)", True, "kept and mirrored; 0 in events and cyclic data")],
        ),
        Section("Length of APDU", [Box(f"maximum length {MAX_LENGTH} octets, in both directions", True)]),
    ]


def _types(direction: Direction, examined: Examined, plan: ServerPlan) -> Section:
    boxes = [
        Box(
            f"<{one.id}> {one.name}: {one.text}",
            bool(examined.findings.sent.get(one.id) or examined.findings.taken.get(one.id)),
            _used_by(one.id, plan.masters),
        )
        for one in direction.types
    ]
    return Section(direction.title, boxes, direction.note)


def _used_by(type_id: int, masters: Iterable[MasterPlan]) -> str:
    """Which masters' maps use a type, as events or command, and how often."""
    counts = {master.name: int(np.count_nonzero(master.bindings.event_type == type_id)) for master in masters}
    return ", ".join(f"{name}: {count} points" for name, count in counts.items() if count)


def _matrix(examined: Examined) -> Section:
    rows = []
    for direction in DIRECTIONS:
        for one in direction.types:
            causes = examined.findings.causes(one.id)
            marks = ["X" if causes & columns else "" for _, columns in MATRIX_COLUMNS]
            rows.append((f"<{one.id}>", one.name, *marks))
    table = Table(("", "type", *(heading for heading, _ in MATRIX_COLUMNS)), rows)
    words = "X: the station sends or takes the type with this cause. Cause 44 alone: the type is answered as unknown."
    return Section("Type identifier and cause of transmission assignments", text=words, table=table)


def _sends(examined: Examined, cause: int) -> bool:
    return any(cause in causes for causes in examined.findings.sent.values())


def _functions(examined: Examined) -> list[Section]:
    ask = examined
    return [
        Section("Station initialization", [Box("remote initialization", _sends(ask, Cause.INITIALISED))]),
        Section("Cyclic data transmission", [Box("cyclic data transmission", _sends(ask, Cause.PERIODIC))]),
        Section("Read procedure", [Box("read procedure", bool(ask.findings.taken.get(102)))]),
        Section("Spontaneous transmission", [Box("spontaneous transmission", _sends(ask, Cause.SPONTANEOUS))]),
        _double_transmission(ask),
        _interrogation(ask),
        Section(
            "Clock synchronization",
            [
                Box("clock synchronization", ask.confirms(103, 0)),
                Box("day of week used", _day_of_week(ask)),
                Box("summer time bit (SU) used", _summer_time(), f"time tags are in {ask.plan.time_zone}"),
            ],
        ),
        _commands(ask),
        _totals(ask),
        _parameters(ask),
        Section("Test procedure", [Box("test procedure", ask.confirms(104, 0) or ask.confirms(107, 0))]),
        Section(
            "File transfer",
            [Box("file transfer", any(ask.findings.taken.get(one.id) for one in FILES.types))],
        ),
        Section("Background scan", [Box("background scan", _sends(ask, Cause.BACKGROUND))]),
        Section("Acquisition of transmission delay", [Box("acquisition of transmission delay", _taken(ask, 106))]),
    ]


def _taken(examined: Examined, type_id: int) -> bool:
    return bool(examined.findings.taken.get(type_id))


def _day_of_week(examined: Examined) -> bool:
    """The tag of a known day carries one."""
    tag = examined.sample(103)
    return tag[4] >> 5 != 0


def _summer_time() -> bool:
    """A July day where clocks were put forward carries SU."""
    tag = time56.encode(np.array([_JULY_NS]), np.array([False]), time56.Zone("Europe/Berlin"))
    return bool(tag[0, 3] & 0x80)


def _double_transmission(examined: Examined) -> Section:
    types: dict[int, set[int]] = {}
    for answer in examined.happen():
        if answer.cause == Cause.SPONTANEOUS:
            types.setdefault(answer.ioa, set()).add(answer.type_id)
    boxes = [
        Box(
            f"{text}: {TYPES[bare].name} and {TYPES[timed].name}", any({bare, timed} <= seen for seen in types.values())
        )
        for text, bare, timed in DOUBLE_TRANSMISSION
    ]
    words = "Whether one change of a point is told twice, without and with its time."
    return Section("Double transmission of information objects", boxes, words)


def _interrogation(examined: Examined) -> Section:
    boxes = [Box("global", examined.confirms(100, 0, b"\x14"))]
    boxes += [Box(f"group {group}", examined.confirms(100, 0, bytes([20 + group]))) for group in range(1, 17)]
    words = "Which point belongs to which group: see the signal lists."
    return Section("Station interrogation", boxes, words)


def _commands(examined: Examined) -> Section:
    single, setpoint = examined.ioas[45], examined.ioas[50]
    on, select = {"sco": 1}, {"sco": 1 | _SELECT}

    def switch(**octets: int) -> bool:
        return examined.confirms(45, single, examined.element(45, **octets))

    def pulse(qualifier: int) -> bool:
        return switch(sco=1 | qualifier << 2)

    ends = any(
        answer.cause == Cause.ACTIVATION_TERM and not answer.negative
        for answer in examined.ask(50, Cause.ACTIVATION, setpoint)
    )
    age_s = examined.plan.command_max_age_s
    delay = "off" if age_s is None else f"{age_s:g} s, by the time tag"
    return Section(
        "Command transmission",
        [
            Box("direct command transmission", switch(**on)),
            Box("direct set point command transmission", examined.confirms(50, setpoint)),
            Box("select and execute command", switch(**select) and switch(**on), "holds for one execute"),
            Box(
                "select and execute set point command",
                examined.confirms(50, setpoint, examined.element(50, qos=_SELECT)) and examined.confirms(50, setpoint),
            ),
            Box("C_SE ACTTERM used", ends, "after the device, and the feedback if any, agreed"),
            Box("no additional definition", pulse(0)),
            Box("short pulse duration", pulse(1), "duration set in the device map"),
            Box("long pulse duration", pulse(2), "duration set in the device map"),
            Box("persistent output", pulse(3)),
            Box("supervision of maximum delay of commands", age_s is not None, delay),
        ],
        f"A select holds for {examined.plan.select_timeout_s:g} s.",
    )


def _totals(examined: Examined) -> Section:
    def counters(request: int, freeze: int = 0) -> bool:
        return examined.confirms(101, 0, bytes([request | freeze << 6]))

    read = counters(_ALL_COUNTERS)
    freezes = counters(_ALL_COUNTERS, 1)
    told = any(
        answer.cause == Cause.SPONTANEOUS
        for answer in examined.ask(101, Cause.ACTIVATION, 0, bytes([_ALL_COUNTERS | 64]))
    )
    spontaneous = any(Cause.SPONTANEOUS in examined.findings.sent.get(one, ()) for one in (15, 37))
    on_request = "the station freezes on request only"
    return Section(
        "Transmission of integrated totals",
        [
            Box("mode A: local freeze with spontaneous transmission", False, on_request),
            Box("mode B: local freeze with counter interrogation", False, on_request),
            Box("mode C: freeze and transmit by counter interrogation commands", freezes and read),
            Box("mode D: freeze by counter interrogation command, frozen values reported spontaneously", told),
            Box("running totals reported spontaneously", spontaneous),
            Box("counter read", read),
            Box("counter freeze without reset", freezes),
            Box("counter freeze with reset", counters(_ALL_COUNTERS, 2)),
            Box("counter reset", counters(_ALL_COUNTERS, 3)),
            Box("general request counter", read),
            *(Box(f"request counter group {group}", counters(group)) for group in range(1, 5)),
        ],
    )


_QPM = (
    (1, "threshold value"),
    (2, "smoothing factor"),
    (3, "low limit for transmission of measured value"),
    (4, "high limit for transmission of measured value"),
)
_PARAMETER_OF = {"P_ME_NA_1": "M_ME_NA_1", "P_ME_NB_1": "M_ME_NB_1", "P_ME_NC_1": "M_ME_NC_1"}


def _parameters(examined: Examined) -> Section:
    def load(qualifier: int) -> bool:
        return any(
            examined.confirms(BY_NAME[name].id, examined.ioas[BY_NAME[point].id], _parameter(examined, name, qualifier))
            for name, point in _PARAMETER_OF.items()
        )

    activation = any(
        examined.confirms(113, ioa, examined.element(113, qpa=qualifier))
        for qualifier in (1, 2, 3)
        for ioa in (0, examined.ioas[13])
    )
    return Section(
        "Parameter loading and activation",
        [
            *(Box(text, load(qualifier)) for qualifier, text in _QPM),
            Box("activation and deactivation of cyclic or periodic transmission of the object", activation),
        ],
    )


def _parameter(examined: Examined, name: str, qualifier: int) -> bytes:
    return examined.element(BY_NAME[name].id, qpm=qualifier)


def _apci(plan: ServerPlan) -> list[Section]:
    p = plan.apci
    timeouts = Table(
        ("parameter", "default", "remarks", "selected"),
        [
            ("t0", "30 s", "connection establishment: the controlling station's", "not applicable"),
            ("t1", "15 s", "send or test APDUs", f"{p.t1_s:g} s"),
            ("t2", "10 s", "acknowledges when there are no data messages, t2 < t1", f"{p.t2_s:g} s"),
            ("t3", "20 s", "test frames when idle", f"{p.t3_s:g} s"),
        ],
    )
    windows = Table(
        ("parameter", "default", "remarks", "selected"),
        [
            ("k", "12 APDUs", "maximum difference receive sequence number to send state variable", f"{p.k} APDUs"),
            ("w", "8 APDUs", "latest acknowledge after receiving w I format APDUs", f"{p.w} APDUs"),
        ],
    )
    return [
        Section("APCI: time-outs", table=timeouts, text="Ranges: t1 and t2 1 to 255 s, t3 1 s to 48 h, step 0.001 s."),
        Section("APCI: window sizes", table=windows, text="Ranges: 1 to 32767 APDUs, step 1."),
        Section(
            "Port number",
            [
                Box(f"{STANDARD_PORT}", plan.port == STANDARD_PORT),
                Box("other", plan.port != STANDARD_PORT, _other(plan)),
            ],
            f"Listens on {plan.host}.",
        ),
        _redundancy(plan),
        Section("Security", [Box("TLS with certificates of both sides (IEC 62351-3)", plan.tls is not None)]),
    ]


def _other(plan: ServerPlan) -> str:
    return "" if plan.port == STANDARD_PORT else str(plan.port)


def _redundancy(plan: ServerPlan) -> Section:
    rows: list[tuple[str, ...]] = [
        (
            master.name,
            ", ".join(master.addresses),
            str(master.links),
            ", ".join(str(address) for address in np.unique(master.bindings.ca).tolist()),
            str(len(master.bindings)),
            "yes" if master.commands else "no",
            str(master.capacity),
        )
        for master in plan.masters
    ]
    heading = ("master", "addresses", "connections N", "common addresses", "points", "may command", "events held")
    shared = [Box("redundancy group: several connections per master, one of them started", _has_groups(plan))]
    return Section("Redundant connections and masters", shared, table=Table(heading, rows))


def _has_groups(plan: ServerPlan) -> bool:
    return any(master.links > 1 for master in plan.masters)
