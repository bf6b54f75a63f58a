"""Every module of a protocol is either a shell that is known as one, or held to purity by the import contract."""

import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
SHELLS = {
    "__init__",
    "association",
    "channel",
    "command",
    "definitions",
    "doctor",
    "client",
    "datagrams",
    "documents",
    "driver",
    "link",
    "memoryfile",
    "orders",
    "probe",
    "publisher",
    "selftest",
    "serial",
    "serialline",
    "server",
    "settings",
    "simulator",
    "systemclock",
    "tls",
    "writer",
}
OPCUA_SHELLS = {
    "protocols.opcua.attributeservice",
    "protocols.opcua.commanding",
    "protocols.opcua.commandservice",
    "protocols.opcua.conditionservice",
    "protocols.opcua.connection",
    "protocols.opcua.historyservice",
    "protocols.opcua.host",
    "protocols.opcua.itemservice",
    "protocols.opcua.owncertificate",
    "protocols.opcua.pace",
    "protocols.opcua.processor",
    "protocols.opcua.publishing",
    "protocols.opcua.sessionservices",
    "protocols.opcua.subscriptions",
    "protocols.opcua.subscriptionservice",
    "protocols.opcua.usertokens",
}

OPEN_TO_PROTOCOLS = {
    "gateway.alarms",
    "gateway.audit",
    "gateway.contracts",
    "gateway.events",
    "gateway.points",
    "gateway.privatefile",
    "gateway.refusals",
    "gateway.terminal",
    "gateway.tls",
    "gateway.users",
}


def test_every_part_of_the_heart_is_open_to_protocols_or_forbidden_to_them():
    contracts = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (known,) = (
        contract["forbidden_modules"] for contract in contracts if contract["name"].startswith("Protocols know")
    )
    files = (path for path in (REPO / "gateway").glob("*.py") if path.stem != "__init__")
    folders = (path.parent for path in (REPO / "gateway").glob("*/__init__.py"))
    heart = {f"gateway.{path.stem}" for path in (*files, *folders)}
    assert heart - OPEN_TO_PROTOCOLS == set(known), "the contract on what protocols know, in pyproject.toml"


def test_every_protocol_module_is_a_shell_or_pure():
    contracts = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = (contract["source_modules"] for contract in contracts if contract["name"].startswith("Pure"))
    files = [path.relative_to(REPO) for path in (REPO / "protocols").glob("*/**/*.py")]
    modules = {".".join(path.with_suffix("").parts) for path in files}
    named_pure = {name for name in modules if name.rpartition(".")[2] not in SHELLS} - OPCUA_SHELLS
    assert named_pure - set(pure) == set(), "add these to the contract on pure modules in pyproject.toml"
    gone = {name for name in set(pure) - modules if not (REPO / f"{name.replace('.', '/')}.py").is_file()}
    assert gone == set(), "these are gone: take them out of the contract in pyproject.toml"
