"""The DIAG port of an emulated modem."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.sim.ec25.diag import DiagPort, parse_frame, render_frame
from tests.sim.test_firmware import Bench, on_bench

VERSION_REQUEST = bytes.fromhex("0078f07e")
"""As libqcdm sends it."""


def test_a_request_for_the_version_is_answered_however_it_is_cut() -> None:
    async def test(bench: Bench) -> None:
        whole, cut = bytearray(), bytearray()
        DiagPort(bench.firmware, whole.extend).receive(b"\x7e" + VERSION_REQUEST)
        port = DiagPort(bench.firmware, cut.extend)
        for byte in b"\x7e" + VERSION_REQUEST:
            port.receive(bytes([byte]))
        assert whole == cut
        body = parse_frame(bytes(whole[:-1]))
        assert body is not None
        assert len(body) == 55
        assert body[:12] == b"\x00Mar 21 2019"

    on_bench(test)


def test_what_it_does_not_know_is_refused_and_what_is_damaged_is_dropped() -> None:
    async def test(bench: Bench) -> None:
        heard = bytearray()
        port = DiagPort(bench.firmware, heard.extend)
        port.receive(render_frame(b"\x7e\x7d\x01"))
        assert parse_frame(bytes(heard[:-1])) == b"\x13\x7e\x7d\x01"
        heard.clear()
        port.receive(b"\x00\x78\xf1\x7e")
        port.receive(b"x" * 5000)
        port.receive(b"\x7e")
        assert not heard
        port.receive(VERSION_REQUEST)
        assert heard

    on_bench(test)


@given(st.binary(min_size=1, max_size=80))
def test_frames_come_back_as_they_went(body: bytes) -> None:
    frame = render_frame(body)
    assert frame.count(b"\x7e") == 1
    assert parse_frame(frame[:-1]) == body
