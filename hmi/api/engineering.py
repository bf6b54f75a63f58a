"""Engineering: the configuration shown, changed, checked, compared, used and taken back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Final

from gateway.processes.port import ask_supervisor
from gateway.users.roles import Role
from hmi.api.engineeringmodels import (
    Applied,
    Checked,
    Configuration,
    Difference,
    FileFacts,
    FileName,
    FileText,
    NewText,
    Reason,
    VersionFacts,
)
from hmi.desk import Desk
from hmi.dispatch import read_body
from hmi.endpoint import Endpoint, Topic, Visit
from hmi.engineering.secrets import is_private
from hmi.engineering.versions import Versions
from hmi.engineering.workspace import FILE_BYTES, Workspace
from hmi.refusal import Refusal

_RELOAD_S: Final = 150.0
_SETTLE_S: Final = 0.5
_UPLOAD_BYTES: Final = 8 << 20
_TAG: Final = "engineering"


def _workspace(desk: Desk) -> Workspace:
    return Workspace(desk.site.path, desk.site.state_dir)


def _record(visit: Visit, step: str, **facts: object) -> None:
    if not visit.desk.audit.record(step=step, user=visit.person.name, peer=visit.person.peer, **facts):
        raise Refusal(409, "the audit record cannot be written: nothing is changed")


async def _configuration(visit: Visit) -> Configuration:
    return await visit.desk.on_disk(_facts, visit.desk)


def _facts(desk: Desk) -> Configuration:
    workspace = _workspace(desk)
    root, running = workspace.running()
    changes = workspace.changes() if workspace.begun else {}
    names = sorted(running.keys() | (set(workspace.names()) if workspace.begun else set()))
    files = []
    for name in names:
        path = running.get(name) or workspace.folder / name
        data = path.read_bytes()
        state = "running" if not workspace.begun else "same"
        if name in changes:
            state = "removed" if changes[name] is None else "changed" if name in running else "added"
        files.append(FileFacts(name=name, octets=len(data), hidden=is_private(name, data), state=state))
    about = workspace.about()
    return Configuration(
        site=str(desk.site.path.resolve().relative_to(root)),
        digest=workspace.digest(),
        files=files,
        candidate=workspace.begun,
        begun_by=about.get("by", ""),
        begun_ms=about.get("time_ns", 0) / 1e6,
        pending=Versions(workspace).pending() != 0,
    )


async def _begin(visit: Visit) -> Configuration:
    _record(visit, "candidate begun")
    await visit.desk.on_disk(_workspace(visit.desk).begin, visit.person.name)
    return await _configuration(visit)


async def _discard(visit: Visit) -> Configuration:
    _record(visit, "candidate discarded")
    await visit.desk.on_disk(_workspace(visit.desk).discard)
    return await _configuration(visit)


async def _read(visit: Visit) -> FileText:
    asked: FileName = visit.query
    text = await visit.desk.on_disk(_workspace(visit.desk).text, asked.name, asked.which)
    return FileText(name=asked.name, text=text)


async def _write(visit: Visit) -> FileText:
    asked: NewText = visit.body
    _record(visit, "candidate file", file=asked.name)
    workspace = _workspace(visit.desk)
    await visit.desk.on_disk(workspace.write, asked.name, asked.text)
    return FileText(name=asked.name, text=await visit.desk.on_disk(workspace.text, asked.name, "candidate"))


async def _remove(visit: Visit) -> Configuration:
    asked: FileName = visit.query
    _record(visit, "candidate file removed", file=asked.name)
    await visit.desk.on_disk(_workspace(visit.desk).remove, asked.name)
    return await _configuration(visit)


async def _upload(visit: Visit) -> list[str]:
    octets = await read_body(visit.request, _UPLOAD_BYTES)
    _record(visit, "candidate upload", octets=len(octets))
    return await visit.desk.on_disk(_workspace(visit.desk).upload, octets)


async def _diff(visit: Visit) -> list[Difference]:
    found = await visit.desk.on_disk(_workspace(visit.desk).diff)
    return [Difference(**each) for each in found]


async def _check(visit: Visit) -> Checked:
    return Checked.model_validate(await visit.desk.on_disk(_workspace(visit.desk).check))


async def _apply(visit: Visit) -> Applied:
    """The candidate's files take the place of those that run, and the supervisor takes them over."""
    order: Reason = visit.body
    desk = visit.desk
    versions = Versions(_workspace(desk))
    if versions.pending():
        raise Refusal(409, "a change waits for its reload")
    checked = await _check(visit)
    if not checked.ok:
        problems = [problem for problem in checked.problems if problem.fatal]
        told = tuple(f"{each.file}, {each.line}: {each.text}" for each in problems[:50])
        raise Refusal(422, f"the candidate has {len(problems)} errors", told)
    _record(visit, "configuration applied", reason=order.reason)
    await desk.on_disk(versions.put_in_place, visit.person.who, order.reason)
    request = {"do": "reload", "who": visit.person.who, "reason": order.reason}
    # This process may be started anew by it: nobody here waits for the answer, `applied` tells it.
    threading.Thread(target=_ask, args=(desk, request, versions), daemon=True).start()
    return Applied(pending=True, known=False)


def _ask(desk: Desk, request: dict[str, Any], versions: Versions) -> None:
    try:
        ask_supervisor(desk.site.state_dir, request, _RELOAD_S)
    except (OSError, ValueError) as error:
        if versions.last_result() is None or versions.settle() is None:
            desk.log.error("no supervisor answers: the files of before are back", cause=str(error))
            versions.give_up()


async def _applied(visit: Visit) -> Applied:
    versions = Versions(_workspace(visit.desk))
    result = await visit.desk.on_disk(versions.settle)
    pending = versions.pending() != 0
    if result is None:
        return Applied(pending=pending, known=False)
    return Applied(
        pending=pending,
        known=True,
        ok=bool(result.get("ok")),
        text=str(result.get("text", ""))[:20_000],
        time_ms=result.get("time_ns", 0) / 1e6,
        who=str(result.get("who", "")),
        reason=str(result.get("reason", "")),
        restarted=list(result.get("restarted", [])) + list(result.get("added", [])),
        unchanged=list(result.get("unchanged", [])),
        rolled_back=bool(result.get("rolled_back")),
    )


async def _versions(visit: Visit) -> list[VersionFacts]:
    return await visit.desk.on_disk(_version_facts, Versions(_workspace(visit.desk)))


def _version_facts(versions: Versions) -> list[VersionFacts]:
    found = []
    for number in versions.numbers():
        with contextlib.suppress(Refusal):  # one without its description was cut off while it was saved
            about = versions.about(number)
            found.append(
                VersionFacts(
                    number=number,
                    time_ms=about["time_ns"] / 1e6,
                    by=about["by"],
                    reason=about["reason"],
                    changed=about["changed"],
                    digest=about["digest"],
                )
            )
    return found


def _number(visit: Visit) -> int:
    text = visit.path["number"]
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refusal(404, "there is no such version")
    return int(text)


async def _version_diff(visit: Visit) -> list[Difference]:
    found = await visit.desk.on_disk(Versions(_workspace(visit.desk)).diff, _number(visit))
    return [Difference(**each) for each in found]


async def _restore(visit: Visit) -> Configuration:
    """An earlier version becomes the candidate: it is checked, compared and used like any other."""
    number, workspace = _number(visit), _workspace(visit.desk)
    _record(visit, "version taken as candidate", version=number)
    files = await visit.desk.on_disk(Versions(workspace).files, number)
    await visit.desk.on_disk(workspace.load, files, visit.person.name)
    return await _configuration(visit)


def _settled(versions: Versions) -> None:
    if versions.pending():
        versions.settle()


def _begin_topic(desk: Desk) -> None:
    async def settle() -> None:
        """A change that was pending when this process was started anew by it comes to its end."""
        told = ""
        while True:
            await asyncio.sleep(_SETTLE_S)
            try:
                await desk.on_disk(_settled, Versions(_workspace(desk)))
                told = ""
            except (Refusal, OSError, ValueError) as error:
                if str(error) != told:
                    desk.log.error("a changed configuration cannot be settled", cause=str(error))
                told = str(error)

    desk.background.append(settle)


_NOT_NOW: Final = {404: "no such file or version", 409: "not possible now"}


def _engineers(method: Any, path: str, handler: Any, summary: str, **more: Any) -> Endpoint:
    responses = _NOT_NOW | more.pop("responses", {})
    right = more.pop("right", Role.ENGINEER)
    return Endpoint(
        method=method,
        path=f"/api/engineering/{path}",
        handler=handler,
        summary=summary,
        tag=_TAG,
        right=right,
        responses=responses,
        **more,
    )


_WRITES: Final = {403: "it holds keys or passwords", 413: "too large", 422: "no such name or kind", 507: "disk full"}

TOPIC: Final = Topic(
    begin=_begin_topic,
    endpoints=[
        _engineers("GET", "configuration", _configuration, "Files of the configuration.", answer=Configuration),
        _engineers(
            "POST",
            "candidate",
            _begin,
            "Begin a candidate: a copy of what runs.",
            answer=Configuration,
            responses=_WRITES,
        ),
        _engineers("DELETE", "candidate", _discard, "Give the candidate up.", answer=Configuration),
        _engineers(
            "GET", "file", _read, "Text of a file, without secrets.", answer=FileText, query=FileName, responses=_WRITES
        ),
        _engineers(
            "PUT",
            "file",
            _write,
            "Replace or add a file of the candidate.",
            answer=FileText,
            body=NewText,
            body_bytes=2 * FILE_BYTES,
            responses=_WRITES,
        ),
        _engineers(
            "DELETE",
            "file",
            _remove,
            "Take a file out of the candidate.",
            answer=Configuration,
            query=FileName,
            responses=_WRITES,
        ),
        _engineers(
            "POST",
            "upload",
            _upload,
            "Files of a ZIP archive into the candidate.",
            answer=list[str],
            raw=True,
            body_bytes=_UPLOAD_BYTES,
            responses=_WRITES,
        ),
        _engineers("GET", "diff", _diff, "What the candidate changes.", answer=list[Difference]),
        _engineers("POST", "check", _check, "Check the candidate.", answer=Checked, responses={504: "too slow"}),
        _engineers(
            "POST",
            "apply",
            _apply,
            "Use the candidate; only what differs is started anew.",
            answer=Applied,
            body=Reason,
            responses={**_WRITES, 504: "the check took too long"},
        ),
        _engineers("GET", "applied", _applied, "What became of the last change.", answer=Applied, quiet=True),
        _engineers("GET", "versions", _versions, "Configurations of before.", answer=list[VersionFacts]),
        _engineers(
            "GET", "versions/{number}/diff", _version_diff, "From what runs to that version.", answer=list[Difference]
        ),
        _engineers(
            "POST",
            "versions/{number}/candidate",
            _restore,
            "Make that version the candidate.",
            answer=Configuration,
            responses=_WRITES,
        ),
    ],
)
