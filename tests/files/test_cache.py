"""Figures of a text encoder are kept, found again, and believed only where they fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pack.scapre.files.cache import _MOST, Cache

PROBE = torch.arange(12.0).reshape(3, 4)
VALUE = torch.tensor([1.0, 2.5])


class Maker:
    def __init__(self, value: torch.Tensor = VALUE) -> None:
        self.value, self.times = value, 0

    def __call__(self) -> torch.Tensor:
        self.times += 1
        return self.value


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_was_made_is_found_by_its_key_and_encoder(tmp_path: Path) -> None:
    cache, make = Cache(tmp_path / "new" / "folder"), Maker()
    for probe in (PROBE, PROBE, PROBE * (1 + 1e-7)):
        assert torch.equal(cache.get("words", probe, make), VALUE)
    assert make.times == 1
    for key, probe in (("others", PROBE), ("words", PROBE + 1), ("words", PROBE[:2]), ("words", PROBE.T)):
        other = Maker(VALUE + 1)
        assert torch.equal(cache.get(key, probe, other), VALUE + 1) and other.times == 1
    assert torch.equal(cache.get("words", PROBE, make), VALUE) and make.times == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "value", "folder"])
def test_a_damaged_file_is_made_anew_and_mended(tmp_path: Path, damage: str) -> None:
    cache, make = Cache(tmp_path), Maker()
    cache.get("words", PROBE, make)
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        data[data.rindex(VALUE.numpy().tobytes())] ^= damage == "value"
        changed = {"cut": data[:-3], "empty": b"", "text": b"no tensors at all", "value": data}
        file.write_bytes(bytes(changed[damage]))
    assert torch.equal(cache.get("words", PROBE, make), VALUE) and make.times == 2
    if damage != "folder":
        assert torch.equal(cache.get("words", PROBE, make), VALUE) and make.times == 2


@pytest.mark.parametrize("value", [torch.tensor([1.0, float("nan")]), torch.zeros(2)])
def test_what_no_encoder_gives_is_made_anew(tmp_path: Path, value: torch.Tensor) -> None:
    cache, make = Cache(tmp_path), Maker()
    cache.get("words", PROBE, lambda: value)
    assert torch.equal(cache.get("words", PROBE, make), VALUE) and make.times == 1


def test_it_is_bounded_and_the_latest_stay(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for number in range(_MOST + 3):
        cache.get(f"key {number}", PROBE, Maker(VALUE + number))
    assert len(files(tmp_path)) == _MOST
    make = Maker()
    assert torch.equal(cache.get(f"key {_MOST + 2}", PROBE, make), VALUE + _MOST + 2) and not make.times


def test_nothing_is_kept_of_what_was_stopped_and_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    def stop() -> torch.Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get("words", PROBE, stop)
    assert files(tmp_path) == []
    (tmp_path / "file").write_bytes(b"")
    assert torch.equal(Cache(tmp_path / "file").get("words", PROBE, Maker()), VALUE)
    assert torch.equal(Cache(tmp_path / "file" / "below").get("words", PROBE, Maker()), VALUE)
