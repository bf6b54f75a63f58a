"""The same reads to opendnp3's outstation and to ours, with the same values: the same answers."""

from __future__ import annotations

from protocols.dnp3.application import Fragment, parse_fragment
from protocols.dnp3.headers import all_head, range_head
from protocols.dnp3.pointtypes import PointType as T
from tests.conformance.dnp3.conversation import Conversation, table
from tests.conformance.dnp3.replay import objects_of
from tests.interop.test_yadnp3_bytes import STATIC, Column, outstation, pytestmark
from tests.kit.dnp3kit import Row, columns, master

__all__ = ["pytestmark"]
COUNT = 24
TYPES = {
    "binary": T.BI,
    "double": T.DBI,
    "counter": T.CTR,
    "analog": T.AI,
    "binary_output": T.BO,
    "analog_output": T.AO,
}
VALUES: dict[str, Column] = {
    "binary": [(at % 3 == 0, 0x01) for at in range(COUNT)],
    "double": [(at % 4, 0x01) for at in range(COUNT)],
    "counter": [(at * 1_000, 0x01) for at in range(COUNT)],
    "analog": [(at * 100.0 - 900, 0x01) for at in range(COUNT)],
    "binary_output": [(at % 2, 0x01) for at in range(COUNT)],
    "analog_output": [(at * 10.0, 0x01) for at in range(COUNT)],
}
WHOLE = [row.key for _, row in STATIC]
REQUESTS = [
    *(all_head(*key) for key in WHOLE),
    *(range_head(*key, 3, 9) for key in WHOLE),
    *(range_head(key[0], key[1], 20, 40) for key in WHOLE),  # the end does not exist
    bytes.fromhex("3c0206"),
    bytes.fromhex("320107" + "00"),
    bytes.fromhex("1e0906"),
]


def conversation() -> Conversation:
    made = table(COUNT * len(TYPES))
    rows = []
    for number, (name, kind) in enumerate(TYPES.items()):
        made.value[number * COUNT :][:COUNT] = [value for value, _ in VALUES[name]]
        rows += [Row(row=number * COUNT + at, type=kind, index=at) for at in range(COUNT)]
    return Conversation((master(bindings=columns(rows)),), made)


def test_every_static_read_has_the_same_answer() -> None:
    talk = conversation()
    with outstation(VALUES) as peer:
        for seq, request in enumerate(REQUESTS):
            theirs = peer.read(request, seq % 16)
            mine = talk.fragment(bytes([0xC0 | seq % 16, 1]) + request)
            assert [answer_of(fragment) for fragment in theirs] == [
                answer_of(parse_fragment(a.octets)) for a in mine
            ], request.hex()


def answer_of(fragment: Fragment) -> tuple[object, ...]:
    """Control, function, indications and objects; opendnp3 writes two-octet ranges, ours are shorter where they fit."""
    return fragment.control, fragment.function, fragment.iin, objects_of(fragment)
