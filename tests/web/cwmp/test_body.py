"""Bodies of CPEs: bounded, whole, and unpacked."""

from __future__ import annotations

import contextlib
import gzip
import io
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.errors import ProtocolError
from agent.web.cwmp.body import CHUNK_BYTES, TooLarge, UnknownCoding, charset_of, read_body, unpack

MOST = 1000
XML = b"<soap:Envelope>...</soap:Envelope>"


class Wire(io.BytesIO):
    """A body as granian gives it; how much of it was read counts."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def request(body: bytes, *, length: str | None = "right", coding: str | None = None) -> dict[str, Any]:
    environ: dict[str, Any] = {"wsgi.input": Wire(body)}
    if length is not None:
        environ["CONTENT_LENGTH"] = str(len(body)) if length == "right" else length
    if coding is not None:
        environ["HTTP_CONTENT_ENCODING"] = coding
    return environ


def deflate(data: bytes) -> bytes:
    """Without zlib's header, as some send it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": deflate,
}


class TestLength:
    @pytest.mark.parametrize("length", ["right", None, ""])
    def test_a_plain_body_is_given_as_it_is(self, length: str | None) -> None:
        assert read_body(request(XML, length=length), MOST) == XML

    @pytest.mark.parametrize("coding", [None, "", "identity", " Identity "])
    def test_identity_is_no_packing(self, coding: str | None) -> None:
        assert read_body(request(XML, coding=coding), MOST) == XML

    @pytest.mark.parametrize("coding", [None, "gzip", "br"])
    def test_nothing_is_nothing(self, coding: str | None) -> None:
        assert read_body(request(b"", coding=coding), MOST) == b""
        assert read_body(request(b"", coding=coding, length=None), MOST) == b""

    def test_no_byte_more_than_may_be_is_taken(self) -> None:
        assert read_body(request(b"x" * MOST), MOST) == b"x" * MOST
        assert read_body(request(b"x" * MOST, length=None), MOST) == b"x" * MOST
        with pytest.raises(TooLarge):
            read_body(request(b"x" * (MOST + 1), length=None), MOST)

    def test_what_says_that_it_is_too_large_is_not_read(self) -> None:
        environ = request(b"x" * 5000)
        with pytest.raises(TooLarge):
            read_body(environ, MOST)
        assert environ["wsgi.input"].taken == 0

    def test_of_what_does_not_say_it_only_so_much_is_read(self) -> None:
        environ = request(b"x" * 5000, length=None)
        with pytest.raises(TooLarge):
            read_body(environ, MOST)
        assert environ["wsgi.input"].taken == MOST + 1

    @pytest.mark.parametrize("body", [b"", b"x", XML[:-1]])
    def test_a_body_that_was_cut_off_is_no_message_and_no_empty_post(self, body: bytes) -> None:
        with pytest.raises(ProtocolError, match=f"cut off: {len(body)} of {len(XML)} bytes"):
            read_body(request(body, length=str(len(XML))), MOST)

    def test_a_body_that_is_longer_than_it_says_is_refused(self) -> None:
        with pytest.raises(ProtocolError):
            read_body(request(XML, length="5"), MOST)

    @pytest.mark.parametrize(
        "length",
        ["-1", "+5", " 5", "5 ", "5,5", "0x5", "5.0", "1e3", "five", "\N{ARABIC-INDIC DIGIT FIVE}", "²", "9" * 5000],
    )
    def test_a_length_that_is_no_number_is_refused(self, length: str) -> None:
        with pytest.raises(ProtocolError):
            read_body(request(b"12345", length=length), MOST)

    def test_a_length_may_have_zeros_in_front(self) -> None:
        assert read_body(request(b"12345", length="0005"), MOST) == b"12345"
        assert read_body(request(b"12345", length="000"), MOST) == b""


class TestPacking:
    @pytest.mark.parametrize("coding", PACKERS)
    def test_packed_bodies_are_unpacked(self, coding: str) -> None:
        assert read_body(request(PACKERS[coding](XML), coding=coding), MOST) == XML
        assert read_body(request(PACKERS[coding](b""), coding=coding.upper()), MOST) == b""

    @pytest.mark.parametrize("coding", PACKERS)
    @pytest.mark.parametrize(
        "size", [CHUNK_BYTES + extra for extra in (-1, 0, 1, 2, 17, 100, 257, 258, 259, CHUNK_BYTES)]
    )
    def test_the_end_of_a_body_is_found_wherever_it_is(self, coding: str, size: int) -> None:
        """All of the input may have been taken while there is still output to come."""
        data = b"a" * size
        assert unpack(PACKERS[coding](data), coding.strip().lower(), 1 << 20) == data

    @settings(max_examples=60)
    @given(st.binary(max_size=300), st.integers(1, 900), st.sampled_from(sorted(PACKERS)))
    @example(b"\x08", 1, "Deflate ")
    def test_whatever_is_packed_comes_back(self, data: bytes, times: int, coding: str) -> None:
        packed = PACKERS[coding](data * times)
        assert unpack(packed, coding.strip().lower(), 1 << 20) == data * times

    @pytest.mark.parametrize("coding", PACKERS)
    def test_the_limit_is_that_of_the_unpacked_body(self, coding: str) -> None:
        assert len(read_body(request(PACKERS[coding](b"a" * MOST), coding=coding), MOST)) == MOST
        with pytest.raises(TooLarge, match="when unpacked"):
            read_body(request(PACKERS[coding](b"a" * (MOST + 1)), coding=coding), MOST)

    @pytest.mark.parametrize("coding", PACKERS)
    def test_a_bomb_is_not_blown_up(self, coding: str) -> None:
        bomb = PACKERS[coding](b"\x00" * 50_000_000)
        tracemalloc.start()
        try:
            with pytest.raises(TooLarge):
                unpack(bomb, coding.strip().lower(), 100_000)
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("coding", PACKERS)
    def test_a_truncated_body_is_refused(self, coding: str) -> None:
        packed = PACKERS[coding](XML * 20)
        for length in range(1, len(packed)):
            with pytest.raises(ProtocolError):
                read_body(request(packed[:length], coding=coding), MOST)

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_a_body_that_was_damaged_on_its_way_is_refused(self, coding: str) -> None:
        packed = bytearray(PACKERS[coding](XML))
        packed[-1] ^= 1
        with pytest.raises(ProtocolError, match="not packed"):
            read_body(request(bytes(packed), coding=coding), MOST)

    @pytest.mark.parametrize(
        ("body", "coding"), [(XML, "gzip"), (zlib.compress(XML), "gzip"), (b"\xff" * 9, "deflate")]
    )
    def test_what_is_not_packed_as_it_says_is_refused(self, body: bytes, coding: str) -> None:
        with pytest.raises(ProtocolError):
            read_body(request(body, coding=coding), MOST)

    @pytest.mark.parametrize("coding", ["br", "compress", "gzip, gzip", "gzip,deflate", "zstd", "gzip;q=1", "\x00"])
    def test_other_codings_are_not_taken(self, coding: str) -> None:
        with pytest.raises(UnknownCoding):
            read_body(request(gzip.compress(XML), coding=coding), MOST)

    @given(st.binary(min_size=1, max_size=60), st.sampled_from(["gzip", "deflate"]), st.integers(0, 100))
    def test_nothing_but_a_protocol_error_comes_of_garbage(self, body: bytes, coding: str, most: int) -> None:
        with contextlib.suppress(ProtocolError):
            assert len(unpack(body, coding, most)) <= most


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/xml; charset=utf-8", "utf-8"),
        ("text/xml;charset=UTF-8", "UTF-8"),
        ('text/xml; charset="utf-8"', "utf-8"),
        ("text/xml; charset='iso-8859-1'", "iso-8859-1"),
        ("text/xml; encoding=utf-8", "utf-8"),
        ("text/xml ; Charset = utf-8 ; x=1", "utf-8"),
        ("text/xml; x=1; charset=gb2312", "gb2312"),
        ('text/xml; action="urn:x"; charset=utf-8', "utf-8"),
        ("; charset=utf-8", "utf-8"),
        ("text/xml", None),
        ("text/xml;", None),
        ("text/xml; charset", None),
        ("text/xml; charset=", None),
        ('text/xml; charset=""', None),
        ("text/xml; mycharset=utf-8", None),
        ("charset=utf-8", None),
        ("text/html", None),
        ("", None),
    ],
)
def test_the_character_set_is_read_as_cpes_write_it(content_type: str, charset: str | None) -> None:
    assert charset_of(content_type) == charset


@given(st.text(max_size=40))
def test_a_content_type_says_something_or_nothing(text: str) -> None:
    found = charset_of(f"text/xml; charset={text}")
    assert found is None or found
