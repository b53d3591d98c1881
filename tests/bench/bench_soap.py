"""How long the CWMP codec takes for what it does most, on what real devices sent; beside it lxml's own part."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lxml import etree

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.encode import encode
from tests.bench.figures import Figure, median, spread

NAME = "soap"
TURNS = 200
TURN_SECONDS = 0.003
MANY = 500
DATA = Path(__file__).parents[1] / "data" / "cwmp"
# Ten parameters and three events, in 2.8 kB.
INFORM = "80-zte-f600w-inform-bootstrap-boot-valuechange.xml"
NAMES = "12-thomson-st706-gpn-response-586KB.xml"


def run() -> list[Figure]:
    inform = (DATA / INFORM).read_bytes()
    listed = decode((DATA / NAMES).read_bytes()).message
    assert isinstance(listed, soap.GetParameterNamesResponse)
    names = tuple(info.name for info in listed.parameters[:MANY])
    values = tuple(
        soap.ParameterValue(name=name, value=f"value {number}", type="string" if number % 3 else "unsignedInt")
        for number, name in enumerate(names)
    )
    answer = encode(soap.Envelope(message=soap.GetParameterValuesResponse(parameters=values), id="7"))
    response = soap.Envelope(message=soap.InformResponse(), id="7")
    question = soap.Envelope(message=soap.GetParameterValues(names=names), id="7")
    setting = soap.Envelope(message=soap.SetParameterValues(parameters=values), id="7")
    works: dict[str, tuple[Callable[[], object], float | None]] = {
        "decode an Inform of 10 parameters": (lambda: decode(inform), 35.0),
        "beside: lxml alone, the same Inform": (lambda: etree.fromstring(inform, etree.XMLParser()), None),
        "encode an InformResponse": (lambda: encode(response), 4.0),
        f"decode a GetParameterValuesResponse of {MANY} values": (lambda: decode(answer), 1200.0),
        "beside: lxml alone, the same answer": (lambda: etree.fromstring(answer, etree.XMLParser()), None),
        f"encode a GetParameterValues of {MANY} names": (lambda: encode(question), 300.0),
        f"encode a SetParameterValues of {MANY} values": (lambda: encode(setting), None),
    }
    turns: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(TURNS):
        # In turns, so that a busy moment of the machine hits all of them.
        for name, (work, _) in works.items():
            turns[name].append(_microseconds(work))
    return [
        Figure(
            benchmark=NAME,
            name=name,
            value=median(turns[name]),
            unit="µs",
            goal=goal,
            note=f"best {min(turns[name]):.1f} µs; {spread(turns[name], 'µs')}",
        )
        for name, (_, goal) in works.items()
    ]


def _microseconds(work: Callable[[], object]) -> float:
    """How long `work` takes, of as many times as fit in a turn."""
    times = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < TURN_SECONDS:
        work()
        times += 1
    return elapsed / times * 1e6
