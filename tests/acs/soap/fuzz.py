"""Mutations of the captured messages and of our own; only ProtocolError may come of them.

`python -m tests.acs.soap.fuzz --count 100000 --seed 1` runs as long as you like; a seed always gives the same bytes.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from lxml import etree

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.encode import encode
from agent.core.errors import ProtocolError
from tests.acs.soap import captures
from tests.acs.soap.examples import MESSAGES

LENGTH_MOST = 64 * 1024
SPICES = (
    *(b"<", b">", b"&", b"'", b'"', b"/", b"=", b"\0", b"\x01", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"\xff\xfe", b"\xef\xbf\xbe", "ü".encode(), b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<?xml", b"?>", b" " * 600),
    *(b"<!DOCTYPE a>", b"<!ENTITY", b"&lt;", b"&#0;", b"&#x1;", b"&#99999999999;", b"&amp", b"&a;", b"xmlns="),
    *(b"xmlns:a='b'", b"xsi:type='xsd:int'", b"xsi:nil='true'", b"SOAP-ENC:arrayType='x[9]'", b"<Name/>", b"<Value/>"),
    *(b"<Value>", b"</Value>", b"<ParameterValueStruct>", b"<EventCode>", b"<FaultCode>-1</FaultCode>", b"<Status>9"),
    *(b"urn:dslforum-org:cwmp-1-9", b"urn:dslforum-org:cwmp-1-4", b"99999999999999999999999", b"-1", b"1e9", b"0x1"),
    *(b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59-14:00", b"encoding='utf-7'", b"encoding='latin-1'", b"<a>" * 300),
    *(b"<Fault>", b"<Body/>", b"<Header>", b"Envelope", b"<cwmp:Inform>", b"<a b=''" + b" c=''" * 200 + b"/>"),
)

TEXTS = (
    *("", " ", "0", "1", "-1", "true", "9" * 30, "x" * 600, "ü\u2028\U0001f600", "<&>]]>", "\t\r\n"),
    *("0 BOOTSTRAP", "9005", "xsd:int", "cwmp:UpdateOpStruct", "0001-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59-14:00", "2026-11-27T10:30:00.5+01:00"),
)
ATTRIBUTES = ("a", "{u}b", *(f"{{http://www.w3.org/{year}/XMLSchema-instance}}type" for year in ("2001", "1999")))


def seeds() -> list[bytes]:
    """What mutations begin with."""
    captured = [captures.read(name.partition("-")[0]) for name in captures.names()]
    ours = [encode(soap.Envelope(message=message, id="1")) for message in MESSAGES]
    return [data for data in captured + ours if len(data) <= LENGTH_MOST]


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """`count` messages that were good once, always the same for a seed."""
    chance = random.Random(seed)
    begin = seeds()
    ways: tuple[Callable[[random.Random, bytes, list[bytes]], bytes], ...] = (
        *(_flip, _cut, _truncate, _double, _spice, _splice, _swap_tags),
    )
    for _ in range(count):
        data = chance.choice(begin)
        only_elements = chance.random() < 0.5
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            way = _element if only_elements else chance.choice(ways)
            data = way(chance, data, begin)[:LENGTH_MOST]
        yield data


def _place(chance: random.Random, data: bytes) -> int:
    return chance.randrange(len(data) + 1)


def _flip(chance: random.Random, data: bytes, _begin: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start = _place(chance, data)
    return data[:start] + data[start + chance.randint(1, 200) :]


def _truncate(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    return data[: _place(chance, data)]


def _double(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start = _place(chance, data)
    return data[:start] + data[start : start + chance.randint(1, 300)] * chance.randint(2, 5) + data[start:]


def _spice(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    start = _place(chance, data)
    return data[:start] + chance.choice(SPICES) + data[start:]


def _splice(chance: random.Random, data: bytes, begin: list[bytes]) -> bytes:
    other = chance.choice(begin)
    return data[: _place(chance, data)] + other[_place(chance, other) :]


def _swap_tags(chance: random.Random, data: bytes, _: list[bytes]) -> bytes:
    pieces = data.split(b"<")
    first, second = chance.randrange(len(pieces)), chance.randrange(len(pieces))
    pieces[first], pieces[second] = pieces[second], pieces[first]
    return b"<".join(pieces)


def _element(chance: random.Random, data: bytes, begin: list[bytes]) -> bytes:
    """Drop, double, move, rename or refill an element: the message stays well-formed and goes further."""
    try:
        root, other = (etree.fromstring(each, etree.XMLParser()) for each in (data, chance.choice(begin)))
    except etree.XMLSyntaxError:
        return _spice(chance, data, begin)
    element, place = chance.choice(list(root.iter())), chance.choice(list(root.iter()))
    stranger = chance.choice(list(other.iter()))
    match chance.randrange(6):
        case 0 if element is not root:
            element.getparent().remove(element)  # type: ignore[union-attr]  # only the root has none
        case 1:
            place.append(copy.deepcopy(element))
        case 2:
            place.insert(0, copy.deepcopy(stranger))
        case 3 if isinstance(element.tag, str) and isinstance(stranger.tag, str):
            element.tag = stranger.tag
        case 4:
            element.text = chance.choice(TEXTS)
        case _:
            element.attrib.update({chance.choice(ATTRIBUTES): chance.choice(TEXTS)})
    return etree.tostring(root)


def run(count: int, seed: int) -> Counter[str]:
    """Decode `count` mutations; how many became which message, or were refused for which reason."""
    outcomes: Counter[str] = Counter()
    for number, data in enumerate(mutations(count, seed)):
        try:
            message = decode(data).message
        except ProtocolError as refused:
            outcomes["refused: " + str(refused).partition(":")[0]] += 1
        except BaseException as error:
            error.add_note(f"mutation {number} of seed {seed}: {data[:2000]!r}")
            raise
        else:
            outcomes[type(message).__name__] += 1
            _say_again(message, f"mutation {number} of seed {seed}")
    return outcomes


def _say_again(message: soap.Message | None, what: str) -> None:
    """What was read can be written, and is then read as the same."""
    data = encode(soap.Envelope(message=message))
    assert decode(data).message == message, what


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acs.soap.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.perf_counter()
    outcomes = run(options.count, options.seed)
    seconds = time.perf_counter() - started
    for outcome, times in outcomes.most_common():
        print(f"{times:8} {outcome}")
    refused = sum(times for outcome, times in outcomes.items() if outcome.startswith("refused"))
    print(f"{options.count} mutations of seed {options.seed}: {options.count - refused} read, {refused} refused,")
    print(f"nothing else; {seconds:.1f} s, {seconds / max(options.count, 1) * 1e6:.0f} µs each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
