"""People: their file, their passwords, the brake on guessing, and the command that keeps them."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from argon2 import extract_parameters

from gateway.__main__ import main
from gateway.users import Lockout, Role, store
from gateway.users.store import User, UserFileError, UserStore, hash_password, read_users, write_users

SITE = """site: s
servers:
  - {name: ua, protocol: opcua, listen: "opc.tcp://127.0.0.1:4840", users: users.yaml}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def user(site: Path, monkeypatch: pytest.MonkeyPatch, *words: str, stdin: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    action, *rest = words
    return main(["user", action, str(site), *rest])


def test_a_person_is_added_listed_given_another_password_and_removed(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert user(site, monkeypatch, "add", "asha", "--role", "operator", stdin="first password\n") == 0
    file = site.parent / "users.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "first password" not in file.read_text() and "$argon2id$" in file.read_text()
    store = UserStore(file)
    store.refresh()
    asha = store.verify_password("asha", "first password")
    assert asha is not None and asha.all_roles == {"viewer", "operator"}
    assert user(site, monkeypatch, "passwd", "asha", stdin="second password\n") == 0
    store.refresh()
    assert store.verify_password("asha", "first password") is None
    assert store.verify_password("asha", "second password") is not None
    capsys.readouterr()
    assert user(site, monkeypatch, "list") == 0
    assert capsys.readouterr().out.split() == ["asha", "operator", "password"]
    assert user(site, monkeypatch, "remove", "asha") == 0
    assert read_users(file) == {}


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (("add", "asha"), "short\n", "8 to 1024 characters"),
        (("add", "../asha"), "a password\n", "a user name has letters"),
        (("passwd", "nobody"), "a password\n", "no user nobody"),
        (("remove", "nobody"), "", "no user nobody"),
        (("add", "asha", "--server", "other"), "a password\n", "no server other with a key users"),
        (("add", "asha", "--certificate", "/nowhere.der"), "", "cannot be read as a certificate"),
    ],
)
def test_what_cannot_be_done_is_told(
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    stdin: str,
    told: str,
) -> None:
    assert user(site, monkeypatch, *words, stdin=stdin) == 1
    assert told in capsys.readouterr().err


def test_a_file_that_others_may_read_or_that_is_broken_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    write_users(file, {"a": User(name="a", roles=frozenset(("viewer",)))})
    file.chmod(0o644)
    with pytest.raises(UserFileError, match="chmod 600"):
        read_users(file)
    for text, told in (
        ("users: 1", "a mapping users"),
        ("users: {a: {roles: [king]}}", "roles must be"),
        ("a: [", "cannot be read"),
    ):
        file.write_text(text)
        file.chmod(0o600)
        with pytest.raises(UserFileError, match=told):
            read_users(file)


def test_a_broken_file_keeps_those_known_before_and_a_mended_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    write_users(file, {"a": User(name="a", roles=frozenset(("viewer",)))})
    store = UserStore(file)
    assert store.refresh() and not store.refresh()
    file.write_text("users: 1")
    file.chmod(0o600)
    with pytest.raises(UserFileError):
        store.refresh()
    assert set(store.users) == {"a"}
    write_users(file, {"b": User(name="b", roles=frozenset(("viewer",)))})
    assert store.refresh() and set(store.users) == {"b"}


def test_an_unknown_name_is_hashed_as_a_known_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal work is what makes equal time; time itself is not measured here."""
    file = tmp_path / "users.yaml"
    write_users(
        file,
        {
            "known": User(name="known", roles=frozenset(("viewer",)), password=hash_password("a password")),
            "card": User(name="card", roles=frozenset(("viewer",)), certificates=("00",)),
        },
    )
    store = UserStore(file)
    store.refresh()
    hashed: list[str] = []

    class Counting:
        def verify(self, known: str, password: str) -> None:
            hashed.append(known.rpartition("$")[0].rpartition("$")[0])
            real.verify(known, password)

    from gateway.users import store as module

    real = module._HASHER
    monkeypatch.setattr(module, "_HASHER", Counting())
    for name in ("known", "unknown", "card"):
        assert store.verify_password(name, "nobody's password") is None
    assert len(hashed) == 3 and len(set(hashed)) == 1


def test_the_brake_doubles_forgives_and_forgets() -> None:
    brake = Lockout(free=2, first_s=1.0, most_s=8.0, forget_s=100.0, keys=3)
    assert [brake.failed(0.0, "user a", "address x") for _ in range(6)] == [0, 0, 1, 2, 4, 8]
    assert brake.failed(0.0, "user a") == 8.0
    assert brake.remaining_s(5.0, "user a") == 3.0 and brake.remaining_s(9.0, "user a") <= 0
    assert brake.remaining_s(0.0, "user b", "address x") == 8.0
    brake.succeeded("user a")
    assert brake.remaining_s(0.0, "user a") == 0.0
    assert brake.failed(200.0, "address x") == 0.0  # forgotten
    for name in "bcd":
        brake.failed(200.0, name)
    assert brake.remaining_s(200.0, "address x") == 0.0


def test_each_role_includes_those_below() -> None:
    assert [len(role.includes) for role in Role] == [1, 2, 3, 4]
    assert not Role.VIEWER.commands and Role.OPERATOR.commands


def test_an_unknown_name_costs_a_guesser_as_much_as_a_known_one() -> None:
    unknown, known = store._NOBODY, hash_password("correct horse battery")
    assert extract_parameters(unknown) == extract_parameters(known)
