from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.database import Database
from outbox.key_ring import KeyRing, KeyRingError, load_key_ring

if TYPE_CHECKING:
    from pathlib import Path

OLD = "an old key, which is long enough to be one"
NEW = "the new key, also long enough to be a key"
PLACE = "url of 0192"


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'history.db'}")


@given(text=st.text(), place=st.text())
def test_what_is_encrypted_comes_back_at_its_place(text: str, place: str) -> None:
    ring = KeyRing([NEW])
    assert ring.decrypt(ring.encrypt(text, place), place) == text


def test_the_ciphertext_shows_nothing_and_is_never_the_same_twice() -> None:
    ring = KeyRing([NEW])
    first, second = ring.encrypt("whsec_secret", PLACE), ring.encrypt("whsec_secret", PLACE)
    assert first != second
    assert b"whsec_secret" not in first


def test_the_newest_key_encrypts_and_the_older_ones_still_decrypt() -> None:
    old = KeyRing([OLD]).encrypt("kept", PLACE)
    ring = KeyRing([NEW, OLD])
    assert ring.decrypt(old, PLACE) == "kept"
    assert KeyRing([NEW]).decrypt(ring.encrypt("fresh", PLACE), PLACE) == "fresh"


def test_a_key_that_left_the_ring_is_asked_back() -> None:
    with pytest.raises(KeyRingError, match=r"not in the ring.*Add the former key.*ORCHEST_SECRET_KEYS"):
        KeyRing([NEW]).decrypt(KeyRing([OLD]).encrypt("lost", PLACE), PLACE)


def test_a_ciphertext_moved_to_another_row_is_not_believed() -> None:
    ring = KeyRing([NEW])
    with pytest.raises(KeyRingError, match="moved there from another row"):
        ring.decrypt(ring.encrypt("of one", "secret of one"), "secret of another")


@given(data=st.data())
def test_a_damaged_ciphertext_is_an_error_and_never_another_text(data: st.DataObject) -> None:
    ring = KeyRing([NEW])
    whole = ring.encrypt("text", PLACE)
    position = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[position] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), whole[:position]):
        with pytest.raises(KeyRingError):
            ring.decrypt(damaged, PLACE)


def test_the_keys_are_read_from_the_text_newest_first(sqlite: Database, tmp_path: Path) -> None:
    keys = ["0" * 32, "1" * 32]
    ring = load_key_ring(f" {keys[0]},\n{keys[1]} ", tmp_path / "secret.keys", sqlite)
    assert KeyRing(keys[:1]).decrypt(ring.encrypt("text", PLACE), PLACE) == "text"
    assert ring.decrypt(KeyRing(keys[1:]).encrypt("text", PLACE), PLACE) == "text"
    assert not (tmp_path / "secret.keys").exists()


def test_a_key_too_short_is_refused_without_being_shown() -> None:
    with pytest.raises(KeyRingError, match=r"Key 2 .* has 6 characters, at least 32 are needed.*openssl") as caught:
        KeyRing([NEW, "hunter"])
    assert "hunter" not in str(caught.value)


def test_without_a_text_one_private_file_is_made_however_many_come_first(sqlite: Database, tmp_path: Path) -> None:
    file = tmp_path / "state" / "secret.keys"
    with ThreadPoolExecutor(8) as threads:
        rings = list(threads.map(lambda _: load_key_ring("", file, sqlite), range(8)))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    sealed = rings[0].encrypt("text", PLACE)
    assert {ring.decrypt(sealed, PLACE) for ring in rings} == {"text"}
    assert [path.name for path in file.parent.iterdir()] == ["secret.keys"]


def test_a_key_put_before_the_one_in_the_file_becomes_the_newest(sqlite: Database, tmp_path: Path) -> None:
    file = tmp_path / "secret.keys"
    before = load_key_ring("", file, sqlite).encrypt("kept", PLACE)
    file.write_text(f"{'0' * 32}\n{file.read_text()}")
    ring = load_key_ring("", file, sqlite)
    assert ring.decrypt(before, PLACE) == "kept"
    assert KeyRing(["0" * 32]).decrypt(ring.encrypt("fresh", PLACE), PLACE) == "fresh"


def test_a_file_that_others_may_read_is_not_used(sqlite: Database, tmp_path: Path) -> None:
    file = tmp_path / "secret.keys"
    load_key_ring("", file, sqlite)
    file.chmod(0o640)
    with pytest.raises(KeyRingError, match=r"mode 640.*chmod 600"):
        load_key_ring("", file, sqlite)


@pytest.mark.parametrize(("content", "word"), [(b"", "empty"), (b"\xff" * 40, "not text"), (b"short", "characters")])
def test_a_file_without_usable_keys_is_an_error_with_the_mend(
    content: bytes, word: str, sqlite: Database, tmp_path: Path
) -> None:
    file = tmp_path / "secret.keys"
    file.touch(mode=0o600)
    file.write_bytes(content)
    with pytest.raises(KeyRingError, match=word):
        load_key_ring("", file, sqlite)


def test_a_place_that_cannot_be_written_is_an_error_with_the_mend(sqlite: Database, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    with pytest.raises(KeyRingError, match=r"Set XDG_STATE_HOME.*or ORCHEST_SECRET_KEYS"):
        load_key_ring("", tmp_path / "state" / "secret.keys", sqlite)


def test_a_database_that_hosts_may_share_needs_configured_keys(tmp_path: Path) -> None:
    shared = Database("postgresql://user:hunter2@db.example/orchest")
    with pytest.raises(KeyRingError, match=r"set ORCHEST_SECRET_KEYS, the same on all") as caught:
        load_key_ring("", tmp_path / "secret.keys", shared)
    assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
