"""How a CPE answers the RPCs on files: it accepts the transfer, which happens between sessions (A.3.2.8, A.4.1)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from agent.sim.cpe.device import Device
from agent.sim.cpe.jobs import MOST_JOBS, FilePlace, Job, JobKind, JobState
from agent.sim.cpe.rpc import Call, RpcFault, argument, items, number
from agent.sim.cpe.soap import Element, add, add_array, render_time

_FILE_TYPE = re.compile(r"[1-9]\d*( \S+)+|X \S+ .+")
_DU_KINDS = {JobKind.CHANGE_DU_STATE}


def download(call: Call) -> Element:
    """Status 1: the file is fetched after DelaySeconds, and told by TransferComplete."""
    return _accept(call, JobKind.DOWNLOAD, number(call.request, "DelaySeconds"))


def upload(call: Call) -> Element:
    """Status 1, as for a download."""
    return _accept(call, JobKind.UPLOAD, number(call.request, "DelaySeconds"))


def schedule_download(call: Call) -> Element:
    """Fetched at the start of the first time window (A.4.1.8)."""
    windows = items(call.request, "TimeWindowList", "TimeWindowStruct")
    if len(windows) > 2:
        raise RpcFault(9003, "one or two time windows")
    for window in windows:
        if number(window, "WindowEnd") <= number(window, "WindowStart"):
            raise RpcFault(9003, "a time window ends before it starts")
        argument(window, "WindowMode")
    enqueue(call.device, _job(call, JobKind.SCHEDULE_DOWNLOAD, number(windows[0], "WindowStart")))
    return call.response()


def _accept(call: Call, kind: JobKind, delay_seconds: int) -> Element:
    enqueue(call.device, _job(call, kind, delay_seconds))
    response = call.response()
    add(response, "Status", "1")
    add(response, "StartTime", render_time(None))
    add(response, "CompleteTime", render_time(None))
    return response


def _job(call: Call, kind: JobKind, delay_seconds: int) -> Job:
    url, file_type = argument(call.request, "URL"), argument(call.request, "FileType")
    if _FILE_TYPE.fullmatch(file_type) is None:
        raise RpcFault(9003, "FileType")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise RpcFault(9003, "URL") from error
    if parts.scheme not in {"http", "https"}:
        raise RpcFault(9013 if parts.scheme else 9003)
    if parts.username is not None:
        raise RpcFault(9003, "user information in the URL")
    is_upload = kind is JobKind.UPLOAD
    return Job(
        kind=kind,
        command_key=argument(call.request, "CommandKey"),
        place=FilePlace(
            url=url, username=argument(call.request, "Username"), password=argument(call.request, "Password")
        ),
        start_at=call.moment.at + call.device.scaled(delay_seconds),
        file_type=file_type,
        file_size=0 if is_upload else number(call.request, "FileSize"),
        target="" if is_upload else argument(call.request, "TargetFileName"),
    )


def enqueue(device: Device, *jobs: Job) -> None:
    """Accept jobs; RpcFault 9004 when the CPE has too many already."""
    if len(device.work.jobs) + len(device.work.completions) + len(jobs) > MOST_JOBS:
        raise RpcFault(9004, "too many transfers")
    device.work.jobs.extend(jobs)


def _transfers(device: Device) -> list[Job]:
    told = [*device.work.jobs, *(completion.job for completion in device.work.completions)]
    return [job for job in told if job.kind not in _DU_KINDS]


def get_queued_transfers(call: Call) -> Element:
    """Also those that ended and are not told yet (A.4.1.1)."""
    response = call.response()
    found = _transfers(call.device)
    array = add_array(response, "TransferList", "cwmp:QueuedTransferStruct", len(found))
    for job in found:
        struct = add(array, "QueuedTransferStruct")
        add(struct, "CommandKey", job.command_key)
        add(struct, "State", str(job.state.value))
    return response


def get_all_queued_transfers(call: Call) -> Element:
    """The same with what is transferred (A.4.1.7)."""
    response = call.response()
    found = _transfers(call.device)
    array = add_array(response, "TransferList", "cwmp:AllQueuedTransferStruct", len(found))
    for job in found:
        struct = add(array, "AllQueuedTransferStruct")
        add(struct, "CommandKey", job.command_key)
        add(struct, "State", str(job.state.value))
        add(struct, "IsDownload", "0" if job.kind is JobKind.UPLOAD else "1")
        add(struct, "FileType", job.file_type)
        add(struct, "FileSize", str(job.file_size))
        add(struct, "TargetFileName", job.target)
    return response


def cancel_transfer(call: Call) -> Element:
    """Those that wait are gone without a TransferComplete; 9021 when one is under way (A.4.1.9)."""
    key = argument(call.request, "CommandKey")
    named = [job for job in call.device.work.jobs if job.command_key == key and job.kind not in _DU_KINDS]
    if any(job.state is JobState.UNDER_WAY for job in named):
        raise RpcFault(9021)
    for job in named:
        call.device.work.jobs.remove(job)
    return call.response()
