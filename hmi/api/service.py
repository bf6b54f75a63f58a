"""Documents, logs, the version and its attestation, the backup: what goes with a site's upkeep."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import hashlib
import importlib.metadata
import io
import json
import math
import platform
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

import gateway
from gateway import __version__
from gateway.cli.backup import BackupError, backup
from gateway.cli.docs import documents_of
from gateway.logfiles import newest
from gateway.processes.port import ask_supervisor
from gateway.site.files import common_root, config_files, digest_of
from gateway.users.roles import Role
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.refusal import Refusal

_TAG: Final = "service"
_TAIL_S: Final = 1.0
_LEVELS: Final = ("debug", "info", "warning", "error")


class LogQuery(Body):
    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """This and worse."""
    process: str = Field(default="", max_length=64)
    text: str = Field(default="", max_length=200)
    before: str = Field(default="", max_length=40)
    """Only older lines: the time of the oldest one known."""
    limit: int = Field(default=200, ge=1, le=2_000)


class LogLine(Answer):
    time: str
    level: str
    process: str
    event: str
    facts: dict[str, str]


class ProcessFacts(Answer):
    title: str
    pid: int | None
    ready: bool
    age_s: float
    starts: int


class Library(Answer):
    name: str
    version: str
    licence: str


class About(Answer):
    version: str
    python: str
    system: str
    site: str
    configuration: str
    """SHA-256 over the files of the site."""
    control: str
    """SHA-256 of the control settings; empty without control."""
    code: str
    """SHA-256 over the gateway's own modules."""
    processes: list[ProcessFacts]
    libraries: list[Library]


async def _logs(visit: Visit) -> list[LogLine]:
    asked: LogQuery = visit.query
    return await visit.desk.on_disk(_found, visit.desk, asked)


def _found(desk: Desk, asked: LogQuery) -> list[LogLine]:
    wanted, text, out = _LEVELS[_LEVELS.index(asked.level) :], asked.text.lower(), list[LogLine]()
    for line in newest(desk.site.state_dir / "log"):
        if line.get("level") not in wanted or (asked.before and str(line.get("time", "")) >= asked.before):
            continue
        if asked.process and asked.process not in str(line.get("process", "")):
            continue
        if text and text not in json.dumps(line).lower():
            continue
        out.append(_line(line))
        if len(out) >= asked.limit:
            break
    return out


def _line(line: dict[str, Any]) -> LogLine:
    fixed = {key: str(line.pop(key, "")) for key in ("time", "level", "process", "event")}
    return LogLine(**fixed, facts={key: str(value)[:4_000] for key, value in line.items()})


async def _documents(visit: Visit) -> Response:
    data = await visit.desk.on_disk(_zipped, visit.desk)
    return _file(data, f"{visit.desk.site.name}-documents.zip", "application/zip")


def _zipped(desk: Desk) -> bytes:
    """Every server's documents and the list of points."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="gridgate-docs-") as folder, zipfile.ZipFile(packed, "w", 8) as archive:
        for path in documents_of(desk.site, Path(folder)):
            archive.write(path, str(path.relative_to(folder)))
        archive.writestr("points.csv", _points(desk))
    return packed.getvalue()


async def _point_list(visit: Visit) -> Response:
    data = await visit.desk.on_disk(_points, visit.desk)
    return _file(data.encode(), f"{visit.desk.site.name}-points.csv", "text/csv; charset=utf-8")


def _points(desk: Desk) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["point", "kind", "unit", "low", "high", "max_age_s", "device", "description"])
    for point in desk.catalogue:
        row = (point.name, point.kind.word, point.unit, point.low, point.high, point.max_age_s, point.device)
        cells = ["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in (*row, point.description)]
        writer.writerow([_plain(cell) for cell in cells])
    return out.getvalue()


def _plain(cell: object) -> object:
    """Text that a spreadsheet would take for a formula stays text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell


def _file(data: bytes, name: str, media: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(data, media_type=media, headers=headers)


async def _backup(visit: Visit) -> Response:
    desk = visit.desk
    if not desk.audit.record(step="backup", user=visit.person.name, peer=visit.person.peer):
        raise Refusal(409, "the audit record cannot be written")
    folder = Path(tempfile.mkdtemp(prefix="backup-", dir=desk.site.state_dir / "run"))
    path = folder / f"{desk.site.name}-backup.tar.gz"
    try:
        await asyncio.to_thread(_write_backup, desk, path)
    except (BackupError, OSError) as error:
        _remove(folder)
        raise Refusal(507, f"the backup cannot be made: {error}") from None
    headers = {"Cache-Control": "no-store"}
    return FileResponse(
        path,
        filename=path.name,
        media_type="application/gzip",
        headers=headers,
        background=BackgroundTask(_remove, folder),
    )


def _write_backup(desk: Desk, path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        backup(desk.site, path, with_history=False)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()


async def _about(visit: Visit) -> About:
    desk = visit.desk
    try:
        status = await asyncio.to_thread(ask_supervisor, desk.site.state_dir, {"do": "status"}, 5.0)
    except (OSError, ValueError):
        status = {}
    return await desk.on_disk(_facts, desk, status.get("processes", []))


def _facts(desk: Desk, processes: list[dict[str, Any]]) -> About:
    site = desk.site
    try:
        files = [path.resolve() for path in config_files(site.path)]
        root = common_root(files)
        configuration = digest_of({str(path.relative_to(root)): path for path in files})
    except (OSError, yaml.YAMLError) as error:
        raise Refusal(409, f"the site's files cannot be read: {error}") from None
    return About(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        site=site.name,
        configuration=configuration,
        control="" if site.control is None else site.control.attestation,
        code=_code(),
        processes=[ProcessFacts(**{key: each.get(key) for key in ProcessFacts.model_fields}) for each in processes],
        libraries=_libraries(),
    )


def _code() -> str:
    root = Path(gateway.__file__).parent.parent
    whole = hashlib.sha256()
    for package in ("gateway", "hmi", "protocols"):
        for path in sorted((root / package).rglob("*.py")):
            whole.update(f"{path.relative_to(root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _libraries() -> list[Library]:
    """What is installed beside the gateway and what it is licensed under, as its metadata say."""
    found = {}
    for each in importlib.metadata.distributions():
        about = each.metadata
        name = about["Name"] or ""
        given = (text for text in about.get_all("Classifier") or [] if "License ::" in text)
        classifiers = [text.rpartition("::")[2].strip() for text in given]
        licence = about["License-Expression"] or ", ".join(classifiers) or (about["License"] or "").split("\n")[0][:80]
        found[name] = Library(name=name, version=each.version, licence=licence or "not stated")
    return sorted(found.values(), key=lambda library: library.name.lower())


def _begin(desk: Desk) -> None:
    async def tail() -> None:
        """New lines for pages that look."""
        last = ""
        while True:
            await asyncio.sleep(_TAIL_S)
            if not desk.stream.listened("logs"):
                last = ""
                continue
            lines = await desk.on_disk(_found, desk, LogQuery(level="debug", limit=200))
            fresh = [line for line in lines if last and line.time > last]
            last = lines[0].time if lines else last
            if fresh:
                desk.stream.tell("logs", lines=[line.model_dump() for line in fresh])

    desk.background.append(tail)


TOPIC: Final = Topic(
    begin=_begin,
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/logs",
            handler=_logs,
            query=LogQuery,
            answer=list[LogLine],
            right=Role.OPERATOR,
            tag=_TAG,
            summary="Log lines of every process, the newest first.",
        ),
        Endpoint(
            method="GET",
            path="/api/service/documents",
            handler=_documents,
            right=Role.OPERATOR,
            media="application/zip",
            tag=_TAG,
            summary="Interoperability statements and signal lists of every server, and the points, as a ZIP archive.",
        ),
        Endpoint(
            method="GET",
            path="/api/service/points.csv",
            handler=_point_list,
            media="text/csv",
            tag=_TAG,
            summary="All points of the site.",
        ),
        Endpoint(
            method="GET",
            path="/api/service/backup",
            handler=_backup,
            right=Role.ADMINISTRATOR,
            media="application/gzip",
            tag=_TAG,
            summary="Configuration, state, journals and users in one file; it holds keys.",
            responses={409: "it cannot be recorded", 507: "it cannot be written"},
        ),
        Endpoint(
            method="GET",
            path="/api/service/about",
            handler=_about,
            answer=About,
            tag=_TAG,
            summary="Version, processes, libraries with their licences, and hashes that attest what runs.",
            responses={409: "the site's files cannot be read"},
        ),
    ],
)
