"""The cache never shows a half-made folder, and forgets what nobody uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import cache


def fill(folder: Path) -> None:
    (folder / "file").write_text("complete")


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        fill(folder)

    assert cache.obtain(tmp_path / "thing", make)
    assert not cache.obtain(tmp_path / "thing", make)
    assert len(made) == 1
    assert (tmp_path / "thing" / "file").read_text() == "complete"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        cache.obtain(tmp_path / "thing", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_killed_build_does_not_count_and_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.lab import cache\n"
        "cache.obtain(Path(sys.argv[1]), lambda folder: ((folder / 'file').touch(), os.kill(0, signal.SIGKILL)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "thing")]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=False, start_new_session=True)
    assert not (tmp_path / "thing").exists()
    assert any(path.name.startswith("part-") for path in tmp_path.iterdir())
    assert cache.obtain(tmp_path / "thing", fill)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "thing"]


def test_the_newest_used_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(("image-c", "image-a", "image-b", "other")):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age * 60,) * 2)
    assert [path.name for path in cache.prune(tmp_path, "image-", kept=2)] == ["image-b"]
    assert {"image-a", "image-c", "other"} < {path.name for path in tmp_path.iterdir()}


def test_a_scratch_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run-left").mkdir()
    with cache.scratch(tmp_path) as first, cache.scratch(tmp_path) as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not (tmp_path / "run-left").exists()
    assert not first.exists()
    assert not second.exists()
