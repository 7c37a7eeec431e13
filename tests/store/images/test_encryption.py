import base64
from pathlib import Path

import pytest

from gatepost.errors import SettingsError, StoreError
from gatepost.store.images.encryption import HEAD, ImageKeys, is_sealed, read_keys, sample_place

OLD, NEW = b"o" * 32, b"n" * 32
FACE = b"\xff\xd8 a face \xff\xd9" * 100
PLACE = sample_place("10.0.0.9", "no JSON")


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_what_is_sealed_shows_nothing_and_opens_again() -> None:
    keys = ImageKeys([NEW])
    sealed = keys.seal(FACE, PLACE)
    assert is_sealed(sealed)
    assert b"face" not in sealed
    assert len(sealed) == len(FACE) + HEAD + 12 + 16
    assert keys.open(sealed, PLACE) == FACE
    assert keys.seal(FACE, PLACE) != sealed


def test_the_first_key_writes_and_every_key_reads() -> None:
    before, both = ImageKeys([OLD]), ImageKeys([NEW, OLD])
    sealed = before.seal(FACE, PLACE)
    assert both.open(sealed, PLACE) == FACE
    assert not both.is_current(sealed[:HEAD])
    assert both.is_current(both.seal(FACE, PLACE))
    assert ImageKeys([NEW]).open(both.seal(FACE, PLACE), PLACE) == FACE


def test_without_the_key_it_is_said_which_one_is_missing() -> None:
    sealed = ImageKeys([OLD]).seal(FACE, PLACE)
    for keys in (ImageKeys(), ImageKeys([NEW])):
        with pytest.raises(StoreError, match=ImageKeys([OLD]).name):
            keys.open(sealed, PLACE)


def test_what_was_changed_or_moved_does_not_open() -> None:
    keys = ImageKeys([NEW])
    sealed = keys.seal(FACE, PLACE)
    changed = bytearray(sealed)
    changed[-1] ^= 1
    for data, place in (
        (bytes(changed), PLACE),
        (sealed, sample_place("10.0.0.9", "too large")),
        (sealed, sample_place("10.0.0.8", "no JSON")),
        (sealed, b""),
    ):
        with pytest.raises(StoreError, match="was changed"):
            keys.open(data, place)


def test_what_was_never_sealed_is_read_as_it_is() -> None:
    assert ImageKeys([NEW]).open(FACE, PLACE) == FACE
    assert not ImageKeys([NEW]).is_current(FACE)
    assert ImageKeys().is_current(FACE)
    assert ImageKeys().seal(FACE, PLACE) is FACE
    assert not ImageKeys()


def test_keys_come_from_the_environment_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# made in May\n{text(NEW)}\n\n{OLD.hex()}  # the one before\n")
    for keys in (read_keys([text(NEW), OLD.hex()], file=None), read_keys([], file=str(file))):
        assert keys.name == ImageKeys([NEW]).name
        assert keys.open(ImageKeys([OLD]).seal(FACE, PLACE), PLACE) == FACE
    assert not read_keys([], file=None)


@pytest.mark.parametrize("given", ["short", text(b"x" * 31), "zz" * 32, "ä" * 44, text(NEW) + "!"])
def test_what_is_no_key_is_refused_and_not_quoted(given: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="image_keys") as refused:
        read_keys([text(OLD), given], file=None)
    assert "number 2" in str(refused.value)
    assert given not in str(refused.value)


def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    empty, twice = tmp_path / "empty", tmp_path / "twice"
    empty.write_text("# nothing\n")
    twice.write_text(f"{text(NEW)}\n{NEW.hex()}\n")
    for file in (empty, twice, tmp_path / "none"):
        with pytest.raises(SettingsError, match="image_key_file"):
            read_keys([], file=str(file))
    with pytest.raises(SettingsError, match="both"):
        read_keys([text(NEW)], file=str(twice))
