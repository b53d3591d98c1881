"""How many heaps the C library keeps for a process with many threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import sys, threading
from agent.host.allocator import share_one_heap
if sys.argv[1] == "one":
    assert share_one_heap()
HEAP = 64 << 20  # glibc puts every heap but the first at a multiple of this
done, held = threading.Barrier(7), []
def work():
    held.append([bytes(2000) for _ in range(20)])
    done.wait()
    done.wait()
for _ in range(6):
    threading.Thread(target=work).start()
done.wait()
starts = [int(line.split("-")[0], 16) for line in open("/proc/self/maps") if " rw-p 00000000 00:00 0" in line]
print(sum(start % HEAP == 0 for start in starts))
done.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_threads_share_one_heap_when_told_so() -> None:
    assert _heaps("many") > 0
    assert _heaps("one") == 0


def _heaps(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", COUNT, how], check=True, capture_output=True, text=True, timeout=30)
    return int(done.stdout)
