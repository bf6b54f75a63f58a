"""What the calls about the configuration take and answer."""

from __future__ import annotations

from pydantic import Field

from hmi.endpoint import Answer, Body
from hmi.engineering.workspace import FILE_BYTES


class FileFacts(Answer):
    name: str
    octets: int
    hidden: bool
    """It holds keys or passwords: it is neither shown nor changed here."""
    state: str
    """same, changed, added or removed, of the candidate; running where there is none."""


class Configuration(Answer):
    site: str
    """Name of the site file among the files."""
    digest: str
    files: list[FileFacts]
    candidate: bool
    begun_by: str = ""
    begun_ms: float = 0.0
    pending: bool = False
    """A change waits for its reload."""


class FileName(Body):
    name: str = Field(min_length=1, max_length=200)
    which: str = Field(default="candidate", pattern="^(candidate|running)$")


class FileText(Answer):
    name: str
    text: str


class NewText(Body):
    name: str = Field(min_length=1, max_length=200)
    text: str = Field(max_length=FILE_BYTES)


class Difference(Answer):
    name: str
    diff: str


class Trouble(Answer):
    file: str
    line: int | None = None
    column: str | None = None
    fatal: bool
    text: str


class Impact(Answer):
    restarted: list[str]
    added: list[str]
    removed: list[str]
    unchanged: list[str]
    points_added: list[str]
    points_removed: list[str]
    points_changed: list[str]
    rights: list[str]
    bindings: list[str]


class Checked(Answer):
    ok: bool
    problems: list[Trouble]
    summary: list[str] = Field(default_factory=list)
    impact: Impact | None = None


class Reason(Body):
    reason: str = Field(min_length=3, max_length=400)


class Applied(Answer):
    pending: bool
    known: bool
    ok: bool = False
    text: str = ""
    time_ms: float = 0.0
    who: str = ""
    reason: str = ""
    restarted: list[str] = Field(default_factory=list)
    unchanged: list[str] = Field(default_factory=list)
    rolled_back: bool = False


class VersionFacts(Answer):
    number: int
    time_ms: float
    by: str
    reason: str
    changed: list[str]
    digest: str
