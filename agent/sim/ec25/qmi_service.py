"""What all QMI services of an emulated modem have in common: handlers by message, and who wants to be told of what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from agent.sim.ec25.firmware import Change, Firmware
from agent.sim.ec25.qmux import QmiFault, Request, Tlvs

Answer = Callable[[Tlvs, int], None]
"""(TLVs, protocol error or 0); may be called later."""
Handler = Callable[[Firmware, Request], Tlvs]
Indicate = Callable[[int, int, Tlvs], None]
"""(client, message, TLVs)"""


class QmiRefused(Exception):
    """A request is refused with this protocol error, and with TLVs that say more."""

    def __init__(self, fault: QmiFault, tlvs: Tlvs = ()) -> None:
        super().__init__(fault.name)
        self.fault = fault
        self.tlvs = tlvs


def required(request: Request, kind: int, size: int = 1) -> bytes:
    """A TLV that must be there with at least so many bytes; refuses the request else."""
    value = request.tlvs.get(kind)
    if value is None:
        raise QmiRefused(QmiFault.MISSING_ARGUMENT)
    if len(value) < size:
        raise QmiRefused(QmiFault.MALFORMED_MESSAGE)
    return value


class Subscriptions:
    """Which clients want which kind of indication; the kinds are the TLVs that ask for them."""

    def __init__(self) -> None:
        self._wanted: set[tuple[int, int]] = set()

    def note(self, request: Request, kinds: Iterable[int]) -> None:
        """Take the switches that are in the request: a first byte of 0 ends the subscription."""
        for kind in kinds:
            if value := request.tlvs.get(kind):
                self.put(request.client, kind, wanted=value[0] != 0)

    def put(self, client: int, kind: int, *, wanted: bool) -> None:
        (self._wanted.add if wanted else self._wanted.discard)((client, kind))

    def clients(self, kind: int) -> tuple[int, ...]:
        return tuple(sorted(client for client, each in self._wanted if each == kind))

    def forget(self, client: int) -> None:
        self._wanted = {each for each in self._wanted if each[0] != client}


class QmiService:
    """A service whose requests are answered at once."""

    def __init__(self, firmware: Firmware, indicate: Indicate, handlers: Mapping[int, Handler]) -> None:
        self._firmware = firmware
        self._indicate = indicate
        self._handlers = handlers
        self._subscriptions = Subscriptions()

    def handle(self, request: Request, answer: Answer) -> None:
        """Answer one request of a client that exists."""
        handler = self._handlers.get(request.message)
        if handler is None:
            answer((), QmiFault.INVALID_QMI_COMMAND)
            return
        try:
            tlvs = handler(self._firmware, request)
        except QmiRefused as refused:
            answer(refused.tlvs, refused.fault)
        else:
            answer(tlvs, 0)

    def forget(self, client: int) -> None:
        """The client id was given back."""
        self.unsubscribe(client)

    def unsubscribe(self, client: int) -> None:
        """The client is told of nothing any more."""
        self._subscriptions.forget(client)

    def changed(self, change: Change) -> None:
        """Something about the modem is different now."""
        del change

    def _tell(self, kind: int, message: int, tlvs: Tlvs) -> None:
        """Send an indication to every client that wants this kind."""
        for client in self._subscriptions.clients(kind):
            self._indicate(client, message, tlvs)


def accept(_: Firmware, __: Request) -> Tlvs:
    """For what changes nothing that is emulated."""
    return ()
