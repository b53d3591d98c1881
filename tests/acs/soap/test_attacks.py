"""What a hostile peer may send ends in a clear refusal, soon, and without much memory."""

from __future__ import annotations

import resource
import threading
import time

import psutil
import pytest
from lxml import etree

from agent.acs.soap import messages as soap
from agent.acs.soap.decode import decode
from agent.acs.soap.encode import encode
from agent.acs.soap.limits import Limits
from agent.core.errors import ProtocolError
from tests.acs.soap.attacks import ATTACKS, GOOD
from tests.acs.soap.wire import INFORM, envelope, value, values

DEADLINE_SECONDS = 2.0
MEMORY_MOST_BYTES = 200_000_000


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_soon_and_cheaply(name: str) -> None:
    make, reason = ATTACKS[name]
    data = make()
    peak = peak_bytes()
    started = time.process_time()

    with pytest.raises(ProtocolError) as refused:
        decode(data)

    seconds = time.process_time() - started
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 250
    assert len(refused.value.sample) <= ProtocolError.SAMPLE_LIMIT
    assert seconds < DEADLINE_SECONDS
    assert peak_bytes() - peak < MEMORY_MOST_BYTES


def test_a_charset_of_utf_7_is_refused_whatever_the_bytes_are() -> None:
    for charset in ("utf-7", " UTF7 ", "unicode-1-1-utf-7", "utf_7"):
        with pytest.raises(ProtocolError, match="UTF-7 is not taken"):
            decode(GOOD, charset=charset)


@pytest.mark.parametrize("charset", ["utf-16", "x-unheard-of", "rot13", "unicode_escape", "idna", "zip", "../../etc"])
def test_a_charset_that_is_none_changes_nothing(charset: str) -> None:
    assert decode(GOOD, charset=charset) == decode(GOOD)
    latin = envelope(INFORM.replace("S1", "Sé")).decode().encode("latin-1")
    assert decode(latin, charset=charset) == decode(envelope(INFORM.replace("S1", "Sé")))


def test_an_inclusion_is_not_followed() -> None:
    message = decode(
        values(value("A", '<Value><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/></Value>'))
    ).message

    assert message == soap.GetParameterValuesResponse(parameters=(soap.ParameterValue(name="A", value=""),))


def test_an_id_full_of_markup_is_echoed_as_text() -> None:
    header = '<cwmp:ID>1&lt;/cwmp:ID>&lt;evil a="b"/>&amp;\' ]]&gt;&#13;x</cwmp:ID>'
    received = decode(envelope(INFORM, header=header))

    answer = encode(soap.Envelope(message=soap.InformResponse(), id=received.id))

    root = etree.fromstring(answer)
    assert [etree.QName(element).localname for element in root.iter()] == [
        *("Envelope", "Header", "ID", "Body", "InformResponse", "MaxEnvelopes"),
    ]
    assert root[0][0].text == received.id == '1</cwmp:ID><evil a="b"/>&\' ]]>\rx'


def test_an_error_shows_names_of_tags_and_never_what_they_hold() -> None:
    secret = "hunter2"
    for data in (
        values(value(secret, f"<Value a='{secret}'>{secret}<![CDATA[{secret}]]></Value>"))[:-3],
        f"<a {secret}><!--{secret}--><b x={secret}>{secret}</c>".encode(),
        f"{secret} < {secret}".encode(),
    ):
        with pytest.raises(ProtocolError) as refused:
            decode(data)
        assert secret not in str(refused.value.sample)


def test_limits_can_be_set() -> None:
    for limits in (Limits(size_bytes=100), Limits(name_length=0), Limits(id_length=1)):
        with pytest.raises(ProtocolError, match="longer than"):
            decode(envelope(INFORM, header="<cwmp:ID>12</cwmp:ID>"), limits=limits)


@pytest.mark.parametrize("spaces", ["", "\n      "])
def test_20000_values_in_one_answer_are_read(spaces: str) -> None:
    count = 20_000
    structs = "".join(
        spaces
        + value(
            f"InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.AssociatedDevice.{number}.X_001122_SomeThing",
            f'{spaces}<Value xsi:type="xsd:string">a value = {number}</Value>{spaces}',
        )
        for number in range(count)
    )
    started = time.process_time()

    message = decode(values(structs)).message

    assert isinstance(message, soap.GetParameterValuesResponse)
    assert len(message.parameters) == count
    assert message.parameters[-1].value == f"a value = {count - 1}"
    assert time.process_time() - started < DEADLINE_SECONDS


def test_20000_attributes_in_one_answer_are_read() -> None:
    count = 20_000
    attributes = tuple(
        soap.ParameterAttribute(name=f"Device.X.{number}", notification=1, access_list=("Subscriber",))
        for number in range(count)
    )
    message = soap.GetParameterAttributesResponse(attributes=attributes)

    assert decode(encode(soap.Envelope(message=message))).message == message


@pytest.mark.parametrize(
    "filling",
    [b"\xe9" * 200, b"\x01" * 200, b"\xef\xbf\xbe" * 60, b"&#1;" * 2, b"&#65;" * 40, b"\xc3\xa9\xe9" * 60],
)
def test_even_what_is_dear_to_repair_is_soon_read(filling: bytes) -> None:
    data = values(value("A", "<Value>_</Value>") * 20_000).replace(b"_", filling)
    started = time.process_time()

    message = decode(data).message

    assert isinstance(message, soap.GetParameterValuesResponse)
    assert len(message.parameters) == 20_000
    assert time.process_time() - started < 2 * DEADLINE_SECONDS


def test_ever_new_names_do_not_fill_the_memory() -> None:
    """lxml 6 would keep them all: 2 MB of each of these messages."""

    def growth(messages: int) -> int:
        before = psutil.Process().memory_info().rss
        for turn in range(messages):
            names = "".join(f"<n{turn}x{number}{'y' * 100}/>" for number in range(20_000))
            decode(envelope(f"{INFORM}{names}"))
        return psutil.Process().memory_info().rss - before

    growth(10)

    assert growth(30) < 20_000_000


def test_ever_new_names_in_small_messages_do_not_either() -> None:
    def growth(messages: int) -> int:
        before = psutil.Process().memory_info().rss
        for turn in range(messages):
            names = "".join(f"<n{turn}x{number}{'y' * 100}/>" for number in range(100))
            decode(envelope(f"{INFORM}{names}"))
        return psutil.Process().memory_info().rss - before

    growth(1000)

    assert growth(3000) < 15_000_000


def test_threads_decode_side_by_side() -> None:
    data = [envelope(INFORM.replace("S1", f"S{number}") + f"<x{number}/>") for number in range(8)]
    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(300):
            message = decode(data[number]).message
            if not isinstance(message, soap.Inform) or message.identity.serial_number != f"S{number}":
                wrong.append(message)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(data))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
