"""The QMI port of an emulated modem: client ids, and requests led to their services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from agent.sim.ec25 import qmi_wds
from agent.sim.ec25.bearers import BearerChange
from agent.sim.ec25.firmware import Change, Firmware, Power
from agent.sim.ec25.qmi_card import Uim
from agent.sim.ec25.qmi_device import WDA, Dms
from agent.sim.ec25.qmi_nas import Nas
from agent.sim.ec25.qmi_service import QmiService
from agent.sim.ec25.qmux import (
    QmiFault,
    QmuxDecoder,
    Request,
    Service,
    Tlvs,
    render_indication,
    render_response,
)

_VERSIONS = {Service.CTL: (1, 5), Service.WDS: (1, 67), Service.DMS: (1, 14), Service.NAS: (1, 25)} | {
    Service.UIM: (1, 46),
    Service.WDA: (1, 16),
}
_VERSION_INFO, _ALLOCATE, _RELEASE, _SET_DATA_FORMAT, _SYNC = 0x21, 0x22, 0x23, 0x26, 0x27


class QmiPort:
    """Feed `receive` with what the host writes; frames for the host go to `write`."""

    def __init__(self, firmware: Firmware, write: Callable[[bytes], None]) -> None:
        self.hung = False
        """Answers nothing more."""
        self._firmware = firmware
        self._write = write
        self._decoder = QmuxDecoder()
        self._clients: dict[int, set[int]] = {service: set() for service in _VERSIONS if service != Service.CTL}
        self._wds = qmi_wds.Wds(firmware, partial(self._indicate, Service.WDS))
        self._services: Mapping[int, QmiService] = {
            Service.WDS: self._wds,
            Service.DMS: Dms(firmware, partial(self._indicate, Service.DMS)),
            Service.NAS: Nas(firmware, partial(self._indicate, Service.NAS)),
            Service.UIM: Uim(firmware, partial(self._indicate, Service.UIM)),
            Service.WDA: QmiService(firmware, partial(self._indicate, Service.WDA), WDA),
        }
        firmware.on_bearer.append(self._bearer_changed)
        firmware.on_change.append(self._changed)

    @property
    def clients(self) -> dict[str, list[int]]:
        """Client ids that are given out, by service."""
        return {Service(service).name.lower(): sorted(ids) for service, ids in self._clients.items() if ids}

    def receive(self, data: bytes) -> None:
        """The host wrote `data`."""
        if self._firmware.power is not Power.ON or not self._firmware.qmi_ready or self.hung:
            return
        for request in self._decoder.receive(data):
            self._handle(request)

    def close(self) -> None:
        """The port is gone, and every client id with it."""
        self._firmware.on_bearer.remove(self._bearer_changed)
        self._firmware.on_change.remove(self._changed)
        for service, clients in self._clients.items():
            for client in tuple(clients):
                clients.discard(client)
                self._services[service].unsubscribe(client)

    def _handle(self, request: Request) -> None:
        if request.service == Service.CTL:
            self._control(request)
        elif request.client not in self._clients.get(request.service, ()):
            self._answer(request, (), QmiFault.INVALID_CLIENT_ID)
        else:
            self._services[request.service].handle(request, partial(self._answer, request))

    def _answer(self, request: Request, tlvs: Tlvs, fault: int = 0) -> None:
        if not self.hung:
            self._write(render_response(request, tlvs, fault))

    def _control(self, request: Request) -> None:
        if request.message == _VERSION_INFO:
            entries = b"".join(
                bytes([service]) + major.to_bytes(2, "little") + minor.to_bytes(2, "little")
                for service, (major, minor) in _VERSIONS.items()
            )
            self._answer(request, ((0x01, bytes([len(_VERSIONS)]) + entries),))
        elif request.message == _ALLOCATE:
            self._allocate(request)
        elif request.message == _RELEASE:
            self._release(request)
        elif request.message == _SYNC:
            for service, clients in self._clients.items():
                for client in tuple(clients):
                    self._forget(service, client)
            self._answer(request, ())
        elif request.message == _SET_DATA_FORMAT:
            self._answer(request, ((0x10, (2).to_bytes(2, "little")),))
        else:
            self._answer(request, (), QmiFault.INVALID_QMI_COMMAND)

    def _allocate(self, request: Request) -> None:
        service = (request.tlvs.get(0x01) or b"\xff")[0]
        if service not in self._clients:
            self._answer(request, (), QmiFault.INVALID_ARGUMENT)
            return
        taken = self._clients[service]
        free = next((each for each in range(1, self._firmware.profile.client_ids + 1) if each not in taken), None)
        if free is None:
            self._answer(request, (), QmiFault.CLIENT_IDS_EXHAUSTED)
            return
        taken.add(free)
        self._answer(request, ((0x01, bytes([service, free])),))

    def _release(self, request: Request) -> None:
        wanted = request.tlvs.get(0x01, b"")
        if len(wanted) != 2 or wanted[1] not in self._clients.get(wanted[0], ()):
            self._answer(request, (), QmiFault.INVALID_CLIENT_ID)
            return
        self._forget(wanted[0], wanted[1])
        self._answer(request, ((0x01, wanted),))

    def _forget(self, service: int, client: int) -> None:
        self._clients[service].discard(client)
        self._services[service].forget(client)

    def _indicate(self, service: int, client: int, message: int, tlvs: Tlvs) -> None:
        if not self.hung and self._firmware.power is Power.ON and client in self._clients[service]:
            self._write(render_indication(service, client, message, tlvs))

    def _changed(self, change: Change) -> None:
        for service in self._services.values():
            service.changed(change)

    def _bearer_changed(self, change: BearerChange) -> None:
        for client in sorted(self._clients[Service.WDS]):
            if self._wds.family_of(client) == change.family:
                self._indicate(Service.WDS, client, qmi_wds.PACKET_SERVICE_STATUS, qmi_wds.service_status(change))
