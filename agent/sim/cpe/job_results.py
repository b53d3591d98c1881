"""What a job that ended does to the CPE: firmware, a configuration, a deployment unit, news for the ACS. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from agent.sim.cpe.device import BOOT, Device
from agent.sim.cpe.jobs import Completion, DuOperation, DuResult, Job, JobKind, JobState
from agent.sim.cpe.records import Moment

_FIRMWARE_LINE = b"SoftwareVersion="
MOST_CONFIGURATION_LINES = 20_000


@dataclass(frozen=True, slots=True)
class JobFault:
    """Why a job failed: a fault code of TransferComplete or DUStateChangeComplete, and words."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file: its beginning, and the size of all of it."""

    content: bytes
    size: int


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What the wire brought: a file, a fault, or (None) nothing; the device may find a fault of its own."""

    brought: Fetched | JobFault | None
    started: datetime | None


def end_job(device: Device, job: Job, end: JobEnd, moment: Moment) -> None:
    """Apply it, and make it known: the ACS learns of it in the next session.

    New firmware means a reboot first: SoftwareVersion is the rest of a line `SoftwareVersion=…` at the start of the
    file, or else the file's name without its extension."""
    job.state = JobState.COMPLETE
    if job not in device.work.jobs:
        # A factory reset came in between.
        return
    device.work.jobs.remove(job)
    fault = end.brought if isinstance(end.brought, JobFault) else None
    file = end.brought if isinstance(end.brought, Fetched) else Fetched(b"", 0)
    if fault is None and job.file_size not in {0, file.size}:
        fault = JobFault(9018, f"the file has {file.size} bytes, not {job.file_size}")
    du_result = None
    if job.operation is not None:
        fault, du_result = _change_du_state(device, job, job.operation, fault)
    completion = Completion(
        job=job,
        fault_code=fault.code if fault else 0,
        fault_text=_printable(fault.text)[:256] if fault else "",
        started=end.started,
        completed=moment.wall if fault is None else None,
        du_result=du_result,
    )
    device.work.completions.append(completion)
    if fault is None and job.is_firmware:
        _install(device, job, file.content, moment.at)
    elif fault is None and job.file_type.startswith("3 ") and job.kind is not JobKind.UPLOAD:
        _configure(device, file.content)
    at = max(moment.at, device.online_at)
    for event in completion.events:
        device.raise_event(event, at)


def _install(device: Device, job: Job, content: bytes, now: float) -> None:
    if content.startswith(_FIRMWARE_LINE):
        version = content.split(b"\n", 1)[0][len(_FIRMWARE_LINE) :].decode("ascii", "replace").strip()
    else:
        name = job.target or urlsplit(job.place.url).path
        version = name.rpartition("/")[2].rpartition(".")[0] or name.rpartition("/")[2] or "unknown"
    device.restart(now + device.scaled(device.timing.install_seconds))
    device.change(device.tree.root + "DeviceInfo.SoftwareVersion", _printable(version)[:64], device.work.events[BOOT])


def _configure(device: Device, content: bytes) -> None:
    for name, value in _configuration_lines(content):
        node = device.tree.node(name)
        if node is not None and node.kind is not None:
            device.tree.set_value(name, value)


def _configuration_lines(content: bytes) -> Iterator[tuple[str, str]]:
    for line in content.decode("utf-8", "replace").splitlines()[:MOST_CONFIGURATION_LINES]:
        name, is_pair, value = line.partition("=")
        if is_pair:
            yield name.strip(), _printable(value)


def _printable(text: str) -> str:
    """Without what cannot be told in XML."""
    return "".join(each for each in text if each.isprintable())


def upload_content(device: Device, job: Job) -> bytes:
    """The file that an upload sends: the log, or the configuration as `_configure` reads it."""
    if "Log" in job.file_type:
        return device.tree.get("DeviceInfo.DeviceLog", "nothing happened\n").encode()
    version = device.tree.get("DeviceInfo.SoftwareVersion")
    lines = [f"# {device.identity.serial_number} {version}", *(f"{k}={v}" for k, v in device.tree.changes().items())]
    return ("\n".join(lines) + "\n").encode()


def _change_du_state(
    device: Device, job: Job, operation: DuOperation, fault: JobFault | None
) -> tuple[JobFault | None, DuResult]:
    units = device.deployment_units
    known = job.uuid.lower()
    if fault is None:
        match operation:
            case DuOperation.INSTALL:
                known = known or str(uuid.UUID(int=device.random.getrandbits(128), version=4))
                fault = JobFault(9026, "installed already") if known in units else None
            case DuOperation.UPDATE | DuOperation.UNINSTALL:
                fault = JobFault(9028, "no such deployment unit") if known not in units else None
    version = job.version or units.get(known, "1.0")
    if fault is not None:
        return fault, DuResult(uuid=known, version=version, state="Failed")
    if operation is DuOperation.UNINSTALL:
        del units[known]
        return None, DuResult(uuid=known, version=version, state="Uninstalled")
    units[known] = version
    return None, DuResult(uuid=known, version=version, state="Installed")
