"""What a hostile peer may send, and what it is told."""

from __future__ import annotations

from collections.abc import Callable

from tests.acs.soap.wire import DEVICE_ID, INFORM, envelope, value, values

GOOD = envelope(INFORM)
LAUGHS = "".join("<!ENTITY l{} '{}'>".format(n, f"&l{n - 1};" * 10) for n in range(1, 10))
LONG = "x" * 60_000


def in_body(inner: str) -> bytes:
    return envelope(f"<cwmp:Inform>{inner}</cwmp:Inform>")


def with_prolog(prolog: str, text: str = "1") -> bytes:
    return prolog.encode() + values(value("A", f"<Value>{text}</Value>"))


def with_attributes(written: str, count: int) -> str:
    return f"<a {' '.join(written.format(number) for number in range(count))}/>"


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "billion laughs": (lambda: with_prolog(f'<!DOCTYPE l [<!ENTITY l0 "lol">{LAUGHS}]>', "&l9;"), "a DOCTYPE"),
    "quadratic blow-up": (
        lambda: with_prolog(f'<!DOCTYPE l [<!ENTITY a "{LONG}">]>', "&a;" * 10_000),
        "a DOCTYPE",
    ),
    "external entity": (
        lambda: with_prolog('<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "&a;"),
        "a DOCTYPE",
    ),
    "external subset": (lambda: with_prolog('<!DOCTYPE l SYSTEM "http://127.0.0.1:9/x.dtd">'), "a DOCTYPE"),
    "parameter entity": (
        lambda: with_prolog('<!DOCTYPE l [<!ENTITY % a SYSTEM "http://127.0.0.1:9/"> %a;]>'),
        "a DOCTYPE",
    ),
    "a DOCTYPE that does nothing": (lambda: with_prolog("<!DOCTYPE Envelope>"), "a DOCTYPE"),
    "a DOCTYPE behind other things": (
        lambda: with_prolog('<?xml version="1.0"?> <!-- <a> --> <?b c?>\n<!-- > --><!DOCTYPE Envelope []>'),
        "a DOCTYPE",
    ),
    "a DOCTYPE behind white space": (lambda: b"\n\t " + with_prolog("<!DOCTYPE Envelope>"), "a DOCTYPE"),
    "a DOCTYPE behind a mark": (lambda: b"\xef\xbb\xbf" + with_prolog("<!DOCTYPE Envelope>"), "a DOCTYPE"),
    "a DOCTYPE that a repair would uncover": (
        lambda: with_prolog("<?a \x01?><!DOCTYPE Envelope>"),
        "a DOCTYPE",
    ),
    "a DOCTYPE in the wrong case": (lambda: with_prolog("<!doctype Envelope>"), "a DOCTYPE"),
    "a DOCTYPE after the message": (lambda: GOOD + b"<!DOCTYPE Envelope>", "not well-formed XML"),
    "a DOCTYPE in an unclosed comment": (lambda: with_prolog("<!-- <!DOCTYPE Envelope>"), "has no end"),
    "an entity that nobody declared": (lambda: with_prolog("", "&secret;"), "not well-formed XML"),
    "deep": (lambda: in_body("<a>" * 100_000 + "</a>" * 100_000), "not well-formed XML: Excessive depth"),
    "just too deep": (lambda: in_body("<a>" * 300 + "</a>" * 300), "not well-formed XML: Excessive depth"),
    "deep and never closed": (lambda: in_body("<a>" * 2_000_000), "more than 300000 tags"),
    "10,000 attributes": (
        lambda: in_body(with_attributes('a{}=""', 10_000)),
        "an element with more than 100 attributes",
    ),
    "10,000 attributes with odd blanks": (
        lambda: in_body(with_attributes("a{} =\n'>'", 10_000)),
        "an element with more than 100 attributes",
    ),
    "a million attributes": (
        lambda: in_body(with_attributes('a{}=""', 700_000)),
        "more than 200000 attributes",
    ),
    "many elements with many attributes": (
        lambda: in_body(with_attributes('a{}=""', 90) * 3_000),
        "more than 200000 attributes",
    ),
    "10,000 namespaces": (
        lambda: in_body(with_attributes('xmlns:a{}="u"', 10_000)),
        "an element with more than 100 attributes",
    ),
    "a huge name": (lambda: in_body(f"<{LONG}/>"), "a name longer than 512 letters"),
    "a huge name of an attribute": (lambda: in_body(f"<a {LONG}='1'/>"), "a name longer than 512 letters"),
    "a huge prefix": (lambda: in_body(f"<{LONG}:a xmlns:{LONG}='u'/>"), "a name longer than 512 letters"),
    "a huge name of an RPC": (lambda: envelope(f"<cwmp:{'x' * 400}/>"), "cannot be the name of an RPC"),
    "a huge name of a parameter": (
        lambda: values(value("x" * 513, "<Value/>")),
        "the name of a parameter is longer than 512 letters",
    ),
    "a huge value": (
        lambda: values(value("A", f"<Value>{'x' * 1_100_000}</Value>")),
        "a value is longer than 1048576 letters",
    ),
    "a huge value in pieces": (
        lambda: values(value("A", f"<Value>{'<![CDATA[xxxxxxxx]]>' * 140_000}</Value>")),
        "a value is longer than 1048576 letters",
    ),
    "a huge text elsewhere": (
        lambda: envelope(f"<cwmp:Kicked><Next>{'x' * 1_100_000}</Next></cwmp:Kicked>"),
        "Next is longer than 1048576 letters",
    ),
    "a huge code of a fault": (
        lambda: envelope(f"<s:Fault><detail><FaultCode>{'9' * 600}</FaultCode></detail></s:Fault>"),
        "FaultCode is longer than 512 letters",
    ),
    "a huge name in a list of attributes": (
        lambda: envelope(
            "<cwmp:GetParameterAttributesResponse><ParameterList><ParameterAttributeStruct>"
            f"<Name>{'x' * 600}</Name></ParameterAttributeStruct></ParameterList></cwmp:GetParameterAttributesResponse>"
        ),
        "Name is longer than 512 letters",
    ),
    "a huge id": (lambda: envelope(INFORM, header=f"<cwmp:ID>{'x' * 300}</cwmp:ID>"), "the cwmp:ID is longer than 256"),
    "a huge key": (
        lambda: in_body(
            f"{DEVICE_ID}<Event><EventStruct><EventCode>1 BOOT</EventCode>"
            f"<CommandKey>{'x' * 600}</CommandKey></EventStruct></Event>"
        ),
        "CommandKey is longer than 512 letters",
    ),
    "an endless message": (lambda: GOOD[:-15] + b"<a>x</a>" * 1_100_000, "the message is longer than 8388608 bytes"),
    "300,000 elements": (lambda: in_body("<a/>" * 300_001), "more than 300000 tags"),
    "300,000 comments": (lambda: in_body("<!---->" * 300_001), "more than 300000 tags"),
    "UTF-16 with a mark": (lambda: GOOD.decode().encode("utf-16"), "UTF-8 is expected"),
    "UTF-16 without one": (lambda: GOOD.decode().encode("utf-16-be"), "UTF-8 is expected"),
    "UTF-16 of letters without a NUL": (lambda: "\ufeff\u4e2d\u6587".encode("utf-16-le"), "UTF-8 is expected"),
    "UTF-32": (lambda: GOOD.decode().encode("utf-32"), "UTF-8 is expected"),
    "UTF-7 that says so": (
        lambda: b'<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-',
        "UTF-7 is not taken",
    ),
    "UTF-7 that says so before something else": (
        lambda: with_prolog('<?xml version="1.0" encoding="utf-7"?><?a?>'),
        "UTF-7 is not taken",
    ),
    "UTF-7 that does not say so": (lambda: b"+ADw-a/+AD4-", "not well-formed XML"),
    "EBCDIC": (lambda: GOOD.decode().encode("cp037"), "not well-formed XML"),
    "NUL inside": (lambda: GOOD.replace(b"S1", b"S\x001"), "NUL bytes"),
    "NUL behind": (lambda: GOOD + b"\0", "NUL bytes"),
    "an HTML page": (lambda: b"<html><body>hello</body></html>", "no SOAP envelope"),
    "JSON": (lambda: b'{"a": 1}', "not well-formed XML"),
    "an envelope without a body": (lambda: GOOD.replace(b"s:Body", b"s:Tail"), "has no body"),
    "no device": (lambda: envelope("<cwmp:Inform/>"), "Inform without DeviceId"),
    "300 events": (
        lambda: envelope(
            INFORM.replace(
                "</cwmp:Inform>",
                f"<Event>{'<EventStruct><EventCode>1 BOOT</EventCode></EventStruct>' * 300}</Event></cwmp:Inform>",
            )
        ),
        "more than 256 events",
    ),
    "an operation of no kind": (
        lambda: envelope("<cwmp:ChangeDUState><Operations xsi:type='cwmp:Evil'/></cwmp:ChangeDUState>"),
        "does not say which operation",
    ),
    "an inclusion": (
        lambda: values(
            value("A", '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>') + "<a"
        ),
        "not well-formed XML",
    ),
}
