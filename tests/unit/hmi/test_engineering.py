"""The configuration in an engineer's hands: secrets stay hidden, files stay whole, versions come back."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.site.files import JOURNAL, recover, replace_files
from hmi.engineering.secrets import MASK, is_private, masked, unmasked
from hmi.engineering.versions import Versions
from hmi.engineering.workspace import Workspace, impact
from hmi.refusal import Refusal

SITE = """\
site: hill
devices: []
history:
  influxdb:
    url: http://me:word@host:8086
    token: "very secret"   # of the plant
    password: ${INFLUX}
    passphrase: {file: pki/pass}
notes: maps/notes.txt
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    folder = tmp_path / "config"
    (folder / "maps").mkdir(parents=True)
    (folder / "site.yaml").write_text(SITE)
    (folder / "maps" / "notes.txt").write_text("first\n")
    (tmp_path / "state" / "run").mkdir(parents=True)
    return Workspace(folder / "site.yaml", tmp_path / "state")


def test_secrets_are_masked_and_put_back() -> None:
    shown = masked(SITE)
    assert "very secret" not in shown
    assert "me:word" not in shown
    assert "${INFLUX}" in shown
    assert "{file: pki/pass}" in shown
    assert unmasked(shown, SITE) == SITE
    changed = shown.replace("site: hill", "site: dale")
    assert unmasked(changed, SITE) == SITE.replace("site: hill", "site: dale")
    with pytest.raises(ValueError, match="hidden secret was moved"):
        unmasked(shown + f"    token: {MASK}\n", SITE)
    assert unmasked(shown.replace(f"token: {MASK}", "token: fresh"), SITE) == SITE.replace(
        'token: "very secret"   # of the plant', "token: fresh"
    )


@given(st.text())
def test_masking_never_fails_and_what_is_not_secret_comes_back(text: str) -> None:
    assert unmasked(masked(text), text) == text or MASK in text


def test_keys_and_users_are_never_shown() -> None:
    assert is_private("pki/server.pem", b"-----BEGIN PRIVATE KEY-----")
    assert is_private("users.yaml", b"users: {a: {password: $argon2id$v=19}}")
    assert not is_private("site.yaml", SITE.encode())


def test_a_candidate_is_begun_changed_compared_and_discarded(workspace: Workspace) -> None:
    with pytest.raises(Refusal, match="begin one first"):
        workspace.names()
    workspace.begin("esha")
    assert workspace.names() == ["maps/notes.txt", "site.yaml"]
    assert workspace.changes() == {}
    text = workspace.text("site.yaml", "candidate")
    workspace.write("site.yaml", text.replace("hill", "dale"))
    assert b"very secret" in (workspace.changes()["site.yaml"] or b"")
    (difference,) = workspace.diff()
    assert "+site: dale" in difference["diff"]
    assert "very secret" not in difference["diff"]
    assert workspace.site.read_text() == SITE, "what runs is not touched"
    workspace.discard()
    assert not workspace.begun


@pytest.mark.parametrize(
    "name",
    ["../x.csv", "/etc/x.csv", "a/../../x.csv", "", ".hidden.csv", "a\\b.csv", "x.sh", "x" * 300 + ".csv", "a\0.csv"],
)
def test_names_that_lead_out_are_refused(workspace: Workspace, name: str) -> None:
    workspace.begin("esha")
    with pytest.raises(Refusal):
        workspace.write(name, "x")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("maps/good.csv", "point\n")
        archive.writestr(name.replace("\0", "") or "x.sh", "x")
    with pytest.raises(Refusal):
        workspace.upload(packed.getvalue() if "\0" not in name else b"no archive")


def test_an_archive_is_taken_over(workspace: Workspace) -> None:
    workspace.begin("esha")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("maps/more.csv", "point,kind\n")
    assert workspace.upload(packed.getvalue()) == ["maps/more.csv"]
    assert workspace.text("maps/more.csv", "candidate") == "point,kind\n"
    with pytest.raises(Refusal, match="no ZIP archive"):
        workspace.upload(b"PK nonsense")


def test_a_replacement_that_is_cut_off_is_undone(tmp_path: Path) -> None:
    """Whatever was written already: the files of before are back, whole."""
    root, saved = tmp_path / "config", tmp_path / "saved"
    for folder in (root, saved):
        folder.mkdir()
        (folder / "site.yaml").write_text("old site")
        (folder / "a.csv").write_text("old a")
    replace_files(root / "site.yaml", root, {"a.csv": b"new a", "site.yaml": b"new site"}, saved)
    assert (root / "a.csv").read_text() == "new a"
    assert not recover(root / "site.yaml"), "it came to its end"
    journal = {"root": str(root), "saved": str(saved), "names": ["a.csv", "b.csv", "site.yaml"]}
    (root / "b.csv").write_text("half")
    (root / JOURNAL).write_text(json.dumps(journal))
    assert recover(root / "site.yaml")
    assert (root / "a.csv").read_text() == "old a"
    assert (root / "site.yaml").read_text() == "old site"
    assert not (root / "b.csv").exists()
    assert not (root / JOURNAL).exists()


def told(workspace: Workspace, ok: bool) -> None:
    result = {"time_ns": time.time_ns(), "ok": ok, "text": "", "restarted": ["iec104 sldc"], "unchanged": []}
    (workspace.state_dir / "run" / "reload.json").write_text(json.dumps(result))


def test_a_change_is_kept_when_it_serves_and_taken_back_when_not(workspace: Workspace) -> None:
    versions = Versions(workspace)
    workspace.begin("esha")
    with pytest.raises(Refusal, match="does not differ"):
        versions.put_in_place("esha", "nothing")
    workspace.write("maps/notes.txt", "second\n")
    assert versions.put_in_place("esha@::1", "a better note") == 1
    notes = workspace.site.parent / "maps" / "notes.txt"
    assert notes.read_text() == "second\n"
    assert versions.settle() is None, "the reload has not ended"
    told(workspace, ok=True)
    assert (versions.settle() or {})["ok"] is True
    assert versions.pending() == 0
    assert not workspace.begun
    assert versions.about(1)["reason"] == "a better note"
    (difference,) = versions.diff(1)
    assert "-second" in difference["diff"]
    workspace.load(versions.files(1), "esha")
    workspace.write("site.yaml", workspace.text("site.yaml", "candidate").replace("hill", "dale"))
    assert versions.put_in_place("esha", "back, and worse") == 2
    assert notes.read_text() == "first\n"
    told(workspace, ok=False)
    assert (versions.settle() or {})["ok"] is False
    assert notes.read_text() == "second\n"
    assert "site: hill" in workspace.site.read_text()
    assert workspace.begun, "the candidate is kept, to be mended"


def test_what_a_change_means() -> None:
    now = {
        "digests": {"core": "1", "a": "1", "b": "1"},
        "points": {"p": "x", "q": "x"},
        "rights": {"a/m": 1},
        "bindings": {},
    }
    then = {"digests": {"core": "1", "a": "2", "c": "1"}, "points": {"p": "y", "r": "x"}, "rights": {}, "bindings": {}}
    found = impact(now, then)
    assert (found["restarted"], found["added"], found["removed"], found["unchanged"]) == (["a"], ["c"], ["b"], ["core"])
    assert (found["points_added"], found["points_removed"], found["points_changed"]) == (["r"], ["q"], ["p"])
    assert found["rights"] == ["a/m: 1 -> 0"]
