"""A broken, a slow or a refused check is a finding of its own, and hides no other."""

from __future__ import annotations

import threading
import time

import pytest

from agent.core.errors import TransientError
from agent.doctor.findings import Findings, Severity, ok
from agent.host.doctor.examination import Check, Shared, examine


def fine() -> Findings:
    return (ok("fine.one", "it is"), ok("fine.two", "it is too"))


def broken() -> Findings:
    raise ZeroDivisionError("by zero")


def refused() -> Findings:
    raise TransientError("netlink: not permitted")


def test_every_check_gives_its_findings_in_order() -> None:
    release = threading.Event()

    def slow() -> Findings:
        release.wait(30)
        return ()

    started = time.monotonic()
    found = examine(
        [
            Check(name="slow", group="A", run=slow, seconds=0.3),
            Check(name="broken", group="A", run=broken),
            Check(name="refused", group="B", run=refused),
            Check(name="fine", group="C", run=fine),
        ]
    )
    release.set()
    assert time.monotonic() - started < 5
    assert [(each.group, each.finding.id, each.finding.severity) for each in found] == [
        ("A", "slow", Severity.UNKNOWN),
        ("A", "broken", Severity.FAILURE),
        ("B", "refused", Severity.UNKNOWN),
        ("C", "fine.one", Severity.OK),
        ("C", "fine.two", Severity.OK),
    ]
    assert "0.3 s" in found[0].finding.finding
    assert "ZeroDivisionError: by zero" in found[1].finding.finding
    assert "netlink: not permitted" in found[2].finding.finding


def test_a_shared_fact_is_read_once_by_many() -> None:
    reads = []

    def read() -> int:
        time.sleep(0.05)
        reads.append(1)
        return 7

    shared = Shared(read)
    values: list[int] = []
    threads = [threading.Thread(target=lambda: values.append(shared.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert values == [7] * 8
    assert len(reads) == 1


def test_a_shared_failure_is_told_to_everybody() -> None:
    reads = []

    def read() -> int:
        reads.append(1)
        raise TransientError("away")

    shared = Shared(read)
    for _ in range(3):
        with pytest.raises(TransientError, match="away"):
            shared.get()
    assert len(reads) == 1
