"""What is kept of a message: everything but secrets, however they are written."""

from __future__ import annotations

import pytest

from agent.acs.soap.redaction import redact
from agent.core.errors import ProtocolError

ENVELOPE = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:c="urn:dslforum-org:cwmp-1-0">'
    "<s:Header><c:ID>7</c:ID></s:Header><s:Body>%s</s:Body></s:Envelope>"
)


def is_secret(path: str) -> bool:
    return path.endswith("Key")


def kept(body: str) -> str:
    return redact((ENVELOPE % body).encode(), is_secret).text


@pytest.mark.parametrize(
    "struct",
    [
        "<V><Name>A.Key</Name><Value>sesame</Value></V>",
        "<V><Value>sesame</Value><Name>A.Key</Name></V>",
        "<V><Name> A.Key\n</Name><Value><![CDATA[sesame]]></Value></V>",
        "<V><c:Name>A.<![CDATA[Key]]></c:Name><c:Value>ses<b>sesame</b>ame</c:Value></V>",
        "<V><Name>A.Key</Name><Value>&#115;esame</Value></V>",
        "<V><Name>A.<!-- x -->Key</Name><Value>ses<!-- y -->sesame</Value></V>",
        "<c:Download><Username>me</Username><Password>sesame</Password></c:Download>",
        "<c:Download><URL>http://me:sesame@example.org/f</URL></c:Download>",
        "<V><Name>A.B</Name><Value>x</Value></V><!-- sesame -->",
        "<V><Name>A.B</Name><?sesame?><Value>x</Value></V>",
    ],
)
def test_secrets_go(struct: str) -> None:
    text = kept(f"<c:X><L>{struct}<V><Name>A.SSID</Name><Value>open</Value></V></L></c:X>")
    assert "sesame" not in text
    assert "open" in text


def test_the_rest_stays() -> None:
    text = kept("<c:X><V>\n <Name>A.Key</Name>\n <Value></Value></V><V><Name>B</Name><Value>a &lt; b</Value></V></c:X>")
    assert "***" not in text
    assert "a &lt; b" in text
    assert "\n <Name>A.Key</Name>\n" in text


def test_the_method_is_told() -> None:
    assert redact((ENVELOPE % "<c:Inform/>").encode(), is_secret).method == "Inform"
    assert redact((ENVELOPE % "").encode(), is_secret).method == ""


@pytest.mark.parametrize("body", [b"<a>", b"hello", b"<!DOCTYPE a><a/>"])
def test_what_is_no_message_is_not_kept(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        redact(body, is_secret)
