"""The id that stays the same from one command to the next."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import pytest

from zaqarclient.queues.v2.cli import client_id


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_the_id_is_made_once_and_kept(state: Path) -> None:
    first = client_id.persistent()
    assert uuid.UUID(first).hex == first
    assert client_id.persistent() == first
    files = [path.name for path in (state / "zaqarclient").iterdir()]
    assert files == ["client-id"]


def test_an_id_that_is_there_is_used_in_any_spelling(state: Path) -> None:
    kept = uuid.uuid4()
    (state / "zaqarclient").mkdir()
    (state / "zaqarclient" / "client-id").write_text(f"{str(kept).upper()}\n")
    assert client_id.persistent() == kept.hex


def test_a_damaged_file_is_named_and_left_alone(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (state / "zaqarclient").mkdir()
    file = state / "zaqarclient" / "client-id"
    file.write_text("nonsense")
    with caplog.at_level(logging.WARNING):
        assert uuid.UUID(client_id.persistent())
    assert f"{file} does not hold a UUID" in caplog.text
    assert file.read_text() == "nonsense"


def test_where_nothing_can_be_kept_there_still_is_an_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(blocker))
    with caplog.at_level(logging.WARNING):
        assert client_id.persistent() != client_id.persistent()
    assert "client id is not kept" in caplog.text


@pytest.mark.parametrize("state_home", ["", "relative/path"])
def test_without_a_proper_state_directory_it_is_the_usual_one(
    state_home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state_home)
    monkeypatch.setenv("HOME", "/home/somebody")
    expected = Path("/home/somebody/.local/state/zaqarclient/client-id")
    assert client_id.path() == expected
