"""CPEs that hold to HTTP and SOAP, and to nothing else: whatever they answer, nothing breaks here."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape

import pytest

from tests.acs_live.conftest import Ground, Grounds
from tests.acs_live.cpes import clean
from tests.acs_live.messages import device_id_of, inform, new_serial, rpc
from tests.acs_live.raw import Raw, soap_post
from tests.acs_live.records import EVERY_KIND

STEPS_MOST = 25
SESSIONS = 30
TEXTS = (
    "",
    " ",
    "Device.",
    "Device..x",
    "Device.DeviceInfo.SoftwareVersion",
    "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID",
    "x" * 500,
    "'; DROP TABLE tasks; --",
    "<script>alert(1)</script>",
    "\N{PILE OF POO}\u202e\u2028\ufffd",
    "%s %(device)s {0} \\",
    "9" * 40,
    "-1",
    "4294967295",
    "lastmile-1",
    f"lastmile-{2**63}",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999+14:00",
    "true",
    "NaN",
)
TYPES = ("string", "xsd:int", "unsignedInt", "nonsense", "soap-enc:base64", "")


class Hostile:
    """One CPE with a dice."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def text(self) -> str:
        return escape(self._dice.choice(TEXTS))

    def some(self, make: Callable[[], str], most: int = 6) -> str:
        return "".join(make() for _ in range(self._dice.randint(0, most)))

    def value(self) -> str:
        kind = self._dice.choice(TYPES)
        told = f' xsi:type="{kind}"' if kind else ""
        parts = [f"<Name>{self.text()}</Name>", f"<Value{told}>{self.text()}</Value>"]
        self._dice.shuffle(parts)
        return f"<ParameterValueStruct>{''.join(parts[: self._dice.randint(0, 2)] or parts)}</ParameterValueStruct>"

    def info(self) -> str:
        return (
            f"<ParameterInfoStruct><Name>{self.text()}</Name><Writable>{self.text()}</Writable></ParameterInfoStruct>"
        )

    def fault(self) -> str:
        code = self._dice.choice(
            ["9000", "9001", "9002", "9003", "9004", "9005", "9010", "9805", "", "x", "-1", "9" * 30]
        )
        bad = (
            f"<SetParameterValuesFault><ParameterName>{self.text()}</ParameterName><FaultCode>{self.text()}</FaultCode>"
        )
        bad += f"<FaultString>{self.text()}</FaultString></SetParameterValuesFault>"
        return (
            f"<s:Fault><faultcode>{self.text()}</faultcode><faultstring>{self.text()}</faultstring><detail><cwmp:Fault>"
            f"<FaultCode>{code}</FaultCode><FaultString>{self.text()}</FaultString>{self.some(lambda: bad, 2)}"
            "</cwmp:Fault></detail></s:Fault>"
        )

    def transfer(self, method: str = "TransferComplete") -> str:
        names = ("CommandKey", "StartTime", "CompleteTime", "AnnounceURL", "TransferURL", "FileSize", "IsDownload")
        parts = "".join(f"<{name}>{self.text()}</{name}>" for name in names if self._dice.random() < 0.7)
        fault = (
            f"<FaultStruct><FaultCode>{self.text()}</FaultCode><FaultString>{self.text()}</FaultString></FaultStruct>"
        )
        return f"<cwmp:{method}>{parts}{self.some(lambda: fault, 1)}</cwmp:{method}>"

    def answer(self, method: str) -> str:
        """To a request, most often of its kind."""
        listed: dict[str, Callable[[], str]] = {
            "GetParameterNames": lambda: f"<ParameterList>{self.some(self.info)}</ParameterList>",
            "GetParameterValues": lambda: f"<ParameterList>{self.some(self.value)}</ParameterList>",
            "AddObject": lambda: f"<InstanceNumber>{self.text()}</InstanceNumber><Status>{self.text()}</Status>",
            "GetRPCMethods": lambda: f"<MethodList>{self.some(lambda: f'<string>{self.text()}</string>')}</MethodList>",
        }
        inner: Callable[[], str] = listed.get(
            method, lambda: f"<Status>{self.text()}</Status><StartTime>{self.text()}</StartTime>"
        )

        def response() -> str:
            return f"<cwmp:{method}Response>{inner()}</cwmp:{method}Response>"

        kinds: list[Callable[[], str]] = [
            *[response] * 6,
            self.fault,
            self.fault,
            self.transfer,
            lambda: self.transfer("AutonomousTransferComplete"),
            lambda: f"<cwmp:Kicked><Command>{self.text()}</Command><Next>{self.text()}</Next></cwmp:Kicked>",
            lambda: f"<cwmp:RequestDownload><FileType>{self.text()}</FileType></cwmp:RequestDownload>",
            lambda: "<cwmp:GetRPCMethods/>",
            lambda: "<cwmp:X_Own/>",
            lambda: f"<cwmp:{self._dice.choice(['Reboot', 'Inform', 'GetParameterNames'])}Response/>",
        ]
        return self._dice.choice(kinds)()

    def identifier(self, given: str) -> str:
        return given if self._dice.random() < 0.85 else self._dice.choice(["", "x", given[:-1], f"{given}0"])

    def inform(self, serial: str) -> bytes:
        values = [(self._dice.choice(TEXTS), self._dice.choice(TEXTS)) for _ in range(self._dice.randint(0, 6))]
        events = [self._dice.choice(["1 BOOT", "2 PERIODIC", "M Reboot", "X 001122 Odd", *TEXTS]) for _ in range(3)]
        return inform(serial, ["1 BOOT", *events], values=values)


@pytest.fixture(scope="module")
def ground(grounds: Grounds) -> Iterator[Ground]:
    with grounds(workers=2) as made:
        yield made


@pytest.mark.parametrize("seed", range(3))
def test_whatever_they_answer(seed: int, ground: Ground) -> None:
    cpe = Hostile(seed)
    statuses: dict[int, int] = {}
    serials = [new_serial() for _ in range(4)]
    for number in range(SESSIONS):
        serial = serials[number % len(serials)]
        with Raw(ground.acs.port) as raw:
            answer = raw.ask(soap_post(cpe.inform(serial)))
            assert answer is not None
            assert answer.status == 200
            cookie = {"Cookie": (answer.header("set-cookie") or "").partition(";")[0]}
            ground.records.add_tasks(device_id_of(serial), EVERY_KIND)
            body = b""
            for _ in range(STEPS_MOST):
                answer = raw.ask(soap_post(body, cookie))
                assert answer is not None
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
                if answer.status != 200:
                    break
                found = re.search(r"<cwmp:(\w+)[ />]", answer.text.partition("Body>")[2])
                method = found[1] if found else "Fault"
                identifier = answer.text.partition(":ID")[2].partition(">")[2].partition("<")[0]
                is_ours = method.endswith("Response") or method == "Fault"
                body = b"" if is_ours else rpc(cpe.answer(method), cpe.identifier(identifier))
    assert set(statuses) <= {200, 204, 400}, statuses
    assert statuses[200] > SESSIONS, "they got somewhere"
    assert "failed unexpectedly" not in ground.acs.log
    assert clean(ground.make_cpe().run_session())
    wrong = ground.records.rows("SELECT id FROM tasks WHERE status NOT IN ('pending', 'sent', 'completed', 'failed')")
    assert wrong == []
