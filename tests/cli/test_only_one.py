"""Only one demo at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from agent.cli.only_one import only_one
from agent.core.errors import TransientError

WHAT = f"test-{os.getpid()}"


def test_the_second_is_refused_and_told_who_the_first_is() -> None:
    with only_one(WHAT):
        with pytest.raises(TransientError, match=rf"already \(process {os.getpid()}\): end it first"), only_one(WHAT):
            pytest.fail("two at once")
        with only_one(f"{WHAT}-other"):
            pass
    with only_one(WHAT):
        pass


def test_a_killed_one_leaves_no_claim() -> None:
    script = (
        f"from agent.cli.only_one import only_one\nwith only_one({WHAT!r}):\n    print('here', flush=True)\n    input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "here\n"
        with pytest.raises(TransientError, match=str(other.pid)), only_one(WHAT):
            pytest.fail("two at once")
        other.kill()
    with only_one(WHAT):
        pass
