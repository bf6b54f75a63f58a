"""The device profile of one master's outstation (IEEE 1815-2012 clause 14): settings and implementation table. Pure.

Each setting is said once, with its element in the public XML schema and in words; both documents are made of that.
The implementation table is what `examination` saw; the rest is the plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from protocols.dnp3 import function
from protocols.dnp3.control import STATUS_OF
from protocols.dnp3.examination import Findings, Key
from protocols.dnp3.link import MAX_FRAME
from protocols.dnp3.objecttable import OBJECTS
from protocols.dnp3.objectwords import GROUP_WORDS
from protocols.dnp3.outputs import CommandStatus
from protocols.dnp3.plan import MasterPlan, ServerPlan
from protocols.dnp3.pointtypes import TYPES, PointType

Item = str | tuple[str, Any]
"""An XML element: its name, or its name and what is in it (text, number, or a list of items)."""
Items = list[Item]

_MAX_ADDRESS: Final = 65_519
_ADDRESSES: Final[Items] = [("range", [("minimum", 0), ("maximum", _MAX_ADDRESS)])]
_OWN_STATUSES: Final = (
    CommandStatus.FORMAT_ERROR,
    CommandStatus.TOO_MANY_OBJS,
    CommandStatus.UNDEFINED,
)
"""Statuses of controls that do not come from the broker."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter of the profile. `can`: what the device can do; `now`: how it is set; `said`: `now` in words."""

    section: str
    element: str
    title: str
    said: str
    can: Items
    now: Items


@dataclass(frozen=True, slots=True)
class ImplementationRow:
    """One object with one function that asks for it, or with the functions in which it is sent."""

    key: Key
    description: str
    request: tuple[int, tuple[int, ...]] | None
    response: tuple[int, tuple[int, ...]] | None


SECTIONS: Final = (
    ("deviceConfig", "Device identification"),
    ("networkConfig", "IP networking"),
    ("linkConfig", "Link layer"),
    ("applConfig", "Application layer"),
    ("outstationConfig", "Outstation"),
    ("unsolicitedConfig", "Unsolicited responses"),
    ("outstationPerformance", "Outstation performance"),
)
"""Elements of the configuration, in the order of the schema, and their headings."""


def settings(plan: ServerPlan, master: MasterPlan, site: str) -> list[Setting]:
    """Every setting of one master's outstation."""
    return [
        *_device(plan, master, site),
        *_network(plan, master),
        *_link(master),
        *_application(master),
        *_outstation(master),
        *_unsolicited(master),
        _performance(master),
    ]


def _both(section: str, element: str, title: str, said: str, items: Items) -> Setting:
    """What the device can do is what it does."""
    return Setting(section, element, title, said, items, items)


def _value(section: str, element: str, title: str, value: object, can: Items | None = None) -> Setting:
    return Setting(section, element, title, str(value), can or [], [("value", value)])


def _configurable(words: str = "Site file") -> Items:
    return [("configurableOther", [("description", words)])]


def _device(plan: ServerPlan, master: MasterPlan, site: str) -> Iterator[Setting]:
    texts = dict(master.parameters.attributes)
    section = "deviceConfig"
    yield _both(section, "deviceFunction", "Device function", "outstation", ["outstation"])
    yield _value(section, "vendorName", "Vendor", texts.get(252, "GridGate"))
    yield _value(section, "deviceName", "Device", f"{site}, server {plan.name}, master {master.name}")
    for element, title, variation in (
        ("hardwareVersion", "Hardware version", 243),
        ("softwareVersion", "Software version", 242),
    ):
        yield _value(section, element, title, texts.get(variation, "not stated"))
    yield _both(section, "dnpLevelSupported", "Level", "2 and more", [("outStation", ["level2"])])
    explanation = "Site file and point maps, read at start"
    other: Items = [("other", [("explanation", explanation)])]
    yield _both(section, "configurationMethods", "Configuration", explanation, other)
    yield _both(
        section,
        "connectionsSupported",
        "Connections",
        _connection(plan, master),
        [_CONNECTION_ELEMENT[_way(plan, master)]],
    )


_CONNECTION_ELEMENT: Final = {"serial": "serial", "listens": "network", "dials": "network"}


def _way(plan: ServerPlan, master: MasterPlan) -> str:
    if plan.serial is not None and master.serial:
        return "serial"
    return "listens" if (plan.listen or plan.udp) is not None and master.addresses else "dials"


def _connection(plan: ServerPlan, master: MasterPlan) -> str:
    ends = []
    if plan.listen is not None and master.addresses:
        ends.append(f"TCP, listens at {plan.listen[0]} port {plan.listen[1]}")
    if master.dial is not None:
        ends.append(f"TCP, connects to {master.dial[0]} port {master.dial[1]}")
    if plan.udp is not None and master.addresses:
        ends.append(f"UDP, listens at {plan.udp[0]} port {plan.udp[1]}")
    if plan.serial is not None:
        ends.append(f"serial, {plan.serial.path} at {plan.serial.baudrate} bit/s")
    return "; ".join(ends)


def _network(plan: ServerPlan, master: MasterPlan) -> Iterator[Setting]:
    section = "networkConfig"
    if plan.listen is None and plan.udp is None and master.dial is None:
        return
    ways = (("tcpListening", plan.listen), ("tcpInitiating", master.dial), ("udpDatagram", plan.udp))
    kinds = [name for name, used in ways if used]
    points: Items = list(kinds)
    yield _both(section, "typeOfEndPoint", "End point", " and ".join(kinds), points)
    who = ", ".join(master.addresses) or "none: the gateway connects"
    yield _both(section, "tcpConnectionEstablishment", "Accepts connections from", who, ["basedOnIPAddress"])
    if plan.listen is not None:
        yield _value(
            section, "tcpListenPort", "Port", plan.listen[1], [("range", [("minimum", 1), ("maximum", 65_535)])]
        )
    yield _both(
        section,
        "multipleMasterConnections",
        "Several masters",
        "told apart by IP address and link address",
        [("supported", ["basedOnIPAddress"])],
    )
    said = "LAN procedure (g50v3) and write of g50v1; the clock of the gateway is not set"
    yield _both(section, "timeSynchronization", "Time", said, ["dnpLANProcedure", "dnpWriteTimeProcedure"])


def _link(master: MasterPlan) -> Iterator[Setting]:
    section, parameters = "linkConfig", master.parameters
    yield _value(section, "dataLinkAddress", "Address", master.outstation, _ADDRESSES)
    said = "always, one master"
    yield _both(section, "sourceAddressValidation", "Source address is checked", said, ["alwaysSingleAddress"])
    yield _value(section, "expectedSourceAddress", "Address of the master", master.address, _ADDRESSES)
    own = "yes" if parameters.self_address else "no"
    yield Setting(section, "selfAddressSupport", "Self address 0xFFFC", own, ["yes", "no"], [own])
    yield _both(section, "sendsConfirmedUserDataFrames", "Confirmed user data", "never", ["never"])
    yield _both(section, "linkLayerConfirmTimeout", "Confirm timeout", "none", ["none"])
    yield _both(section, "maxDataLinkRetries", "Retries", "none", ["none"])
    for element, title in (("maxTransmittedFrameSize", "Longest frame sent"), ("maxReceivedFrameSize", "received")):
        yield _value(section, element, title, MAX_FRAME, [("fixed", MAX_FRAME)])


def _application(master: MasterPlan) -> Iterator[Setting]:
    section, parameters = "applConfig", master.parameters
    for element, title, size in (
        ("maxTransmittedFragmentSize", "Longest fragment sent", parameters.fragment_size),
        ("maxReceivedFragmentSize", "Longest fragment received", parameters.receive_size),
    ):
        yield _value(section, element, title, size, _configurable())
    yield _both(section, "fragmentTimeout", "Timeout of a fragment", "none", ["none"])
    if not master.commands:
        return
    for element, title in (
        ("maxObjectsInCROBControlRequest", "Controls in one request, CROB"),
        ("maxObjectsInAnalogOutputControlRequest", "Controls in one request, analog output"),
    ):
        yield _value(section, element, title, parameters.max_controls, _configurable())
    yield _both(section, "supportsMixedObjectGroupsInControlRequest", "Both in one request", "yes", ["yes"])
    codes = sorted({*STATUS_OF.values(), *_OWN_STATUSES} - {CommandStatus.SUCCESS})
    names = ", ".join(f"{int(code)} {code.name}" for code in codes)
    elements: Items = [f"code{int(code)}" for code in codes]
    yield Setting(section, "controlStatusCodesSupported", "Control status codes", names, elements, [])


def _outstation(master: MasterPlan) -> Iterator[Setting]:
    section, parameters = "outstationConfig", master.parameters
    wait_ms = round(parameters.confirm_timeout_s * 1_000)
    yield Setting(
        section,
        "applicationLayerConfirmTimeout",
        "Confirmation is waited for",
        f"{wait_ms} ms",
        _configurable(),
        [("value", wait_ms)],
    )
    need: Items = ["never"] if parameters.need_time_s is None else [("periodically", round(parameters.need_time_s))]
    said = "never" if parameters.need_time_s is None else f"every {parameters.need_time_s:g} s (IIN1.4)"
    yield Setting(section, "timeSyncRequired", "Needs time", said, ["never", "periodically"], need)
    yield _both(section, "deviceTroubleBit", "Device trouble bit", "never used", ["neverUsed"])
    oldest = "oldest event of the class is dropped, IIN2.3"
    yield _both(section, "eventBufferOverflowBehavior", "A full buffer", oldest, ["discardOldest"])
    sizes = [(f"class{number}", _configurable()) for number in (1, 2, 3)]
    held = [(f"class{number}Value", size) for number, size in enumerate(master.capacity, 1)]
    words = ", ".join(f"class {number}: {size}" for number, size in enumerate(master.capacity, 1))
    yield Setting(section, "eventBufferOrganization", "Events held", words, [("perClass", sizes)], [("perClass", held)])
    yield _both(section, "sendsMultiFragmentResponses", "Responses of several fragments", "yes", ["yes"])
    asks: Items = [("eventResponses", ["yes"]), ("nonFinalFragments", ["yes"])]
    said = "of events, and of every fragment but the last"
    yield _both(section, "requestsApplicationConfirmation", "Asks for confirmation", said, asks)


def _unsolicited(master: MasterPlan) -> Iterator[Setting]:
    section, plan = "unsolicitedConfig", master.unsolicited
    can: Items = [("supported", ["configurableOther"])]
    if plan is None:
        yield Setting(section, "supportsUnsolicitedReporting", "Unsolicited responses", "off", can, ["off"])
        return
    said = f"on, classes {', '.join(map(str, plan.classes))}{', from the start' if plan.at_start else ', once enabled'}"
    yield Setting(section, "supportsUnsolicitedReporting", "Unsolicited responses", said, can, ["on"])
    yield _value(section, "masterDataLinkAddress", "Sent to", master.address, _ADDRESSES)
    timeout_ms = round(master.parameters.confirm_timeout_s * 1_000)
    yield _value(section, "unsolicitedResponseConfirmationTimeout", "Confirmation is waited for, ms", timeout_ms)
    yield _value(section, "maxUnsolicitedRetries", "Retries", plan.retries, _configurable())


def _performance(master: MasterPlan) -> Setting:
    never = master.parameters.need_time_s is None
    said = "never" if never else "at start, and when the time written last has grown old"
    now: Items = ["never"] if never else ["atStartup", "periodically"]
    can: Items = ["never", "atStartup", "periodically"]
    return Setting("outstationPerformance", "outstationSetsIIN14", "Asks for the time (IIN1.4)", said, can, now)


def implementation(findings: Findings) -> list[ImplementationRow]:
    """The implementation table: a row per object and function."""
    rows = []
    for key in sorted(set(findings.requests) | set(findings.responses)):
        asked = sorted(findings.requests.get(key, {}).items())
        told = sorted(findings.responses.get(key, {}).items())
        requests = [(int(code), tuple(sorted(qualifiers))) for code, qualifiers in asked]
        responses = [(int(code), tuple(sorted(qualifiers))) for code, qualifiers in told]
        for at in range(max(len(requests), len(responses))):
            request = requests[at] if at < len(requests) else None
            response = responses[at] if at < len(responses) else None
            rows.append(ImplementationRow(key, description(key), request, response))
    return rows


def description(key: Key) -> str:
    """An object in words."""
    group, _ = key
    row = OBJECTS.get(key)
    if row is not None:
        return row.name
    name = GROUP_WORDS.get(group, f"group {group}")
    return name if group == 0 else f"{name}, any variation"


def code_words(part: tuple[int, tuple[int, ...]] | None) -> tuple[str, str]:
    """Function code and qualifiers of one side of a row."""
    if part is None:
        return "", ""
    code, qualifiers = part
    return f"{code} {function.words(code)}", ", ".join(f"{number:02X}" for number in qualifiers)


def defaults(master: MasterPlan) -> Iterator[tuple[PointType, int, list[int], list[int]]]:
    """Of each type in the map: how many points, and the default static and event variations in use."""
    columns = master.bindings
    for kind in TYPES:
        mine = np.flatnonzero(columns.type == kind)
        if len(mine):
            events = mine[columns.event_class[mine] > 0]
            statics = sorted(set(columns.static_var[mine].tolist()))
            yield kind, len(mine), statics, sorted(set(columns.event_var[events].tolist()))
