"""The RPC that a task becomes, and what its answer says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from agent.acs import tasks
from agent.acs.soap import messages as soap


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What an answer means for its task and for what is known of the device."""

    result: Mapping[str, Any]
    values: Mapping[str, str] | None = None
    gone: tuple[str, ...] = ()
    awaits_transfer: bool = False
    ends_session: bool = False
    """The device restarts when the session is over: ask nothing more."""
    refresh: str | None = None
    """An object to read now: it is new."""


def request_of(task: tasks.Task) -> soap.Message | None:
    """The RPC for `task`; None for those that are read as a tree (getParameterValues, refreshObject)."""
    arguments = task.arguments
    match arguments:
        case tasks.GetParameterValues() | tasks.RefreshObject():
            return None
        case tasks.SetParameterValues():
            return soap.SetParameterValues(
                parameters=tuple(
                    soap.ParameterValue(name=each.name, value=each.value, type=each.type or "string")
                    for each in arguments.values
                ),
                parameter_key=arguments.parameter_key,
            )
        case tasks.AddObject():
            return soap.AddObject(object_name=arguments.path, parameter_key=arguments.parameter_key)
        case tasks.DeleteObject():
            return soap.DeleteObject(object_name=arguments.path, parameter_key=arguments.parameter_key)
        case tasks.Download():
            return soap.Download(
                command_key=task.command_key,
                file_type=arguments.file_type,
                url=arguments.url,
                username=arguments.username,
                password=arguments.password,
                file_size=arguments.file_size,
                target_file_name=arguments.target_file_name,
                delay_seconds=arguments.delay_seconds,
                success_url=arguments.success_url,
                failure_url=arguments.failure_url,
            )
        case tasks.Upload():
            return soap.Upload(
                command_key=task.command_key,
                file_type=arguments.file_type,
                url=arguments.url,
                username=arguments.username,
                password=arguments.password,
                delay_seconds=arguments.delay_seconds,
            )
        case tasks.Reboot():
            return soap.Reboot(command_key=task.command_key)
        case tasks.FactoryReset():
            return soap.FactoryReset()
        case tasks.ScheduleInform():
            return soap.ScheduleInform(delay_seconds=arguments.delay_seconds, command_key=task.command_key)
        case tasks.SetParameterAttributes():
            return soap.SetParameterAttributes(
                attributes=tuple(
                    soap.SetParameterAttribute(
                        name=each.name, notification=each.notification, access_list=each.access_list
                    )
                    for each in arguments.attributes
                )
            )
        case tasks.GetRPCMethods():
            return soap.GetRPCMethods()
    assert_never(arguments)


def finish(arguments: tasks.Arguments, answer: soap.Message) -> Finished | None:
    """What the answer to a task's RPC means; None when it is the answer to something else."""
    match arguments, answer:
        case tasks.SetParameterValues(), soap.SetParameterValuesResponse():
            # Status 1: applied later; the device keeps the value all the same (TR-069 A6 §A.3.2.1).
            values = {each.name: each.value for each in arguments.values}
            return Finished(result={"status": answer.status}, values=values)
        case tasks.AddObject(), soap.AddObjectResponse():
            path = f"{arguments.path}{answer.instance_number}."
            result = {"instance": answer.instance_number, "path": path, "status": answer.status}
            return Finished(result=result, refresh=path)
        case tasks.DeleteObject(), soap.DeleteObjectResponse():
            return Finished(result={"status": answer.status}, gone=(arguments.path,))
        case tasks.Download(), soap.DownloadResponse():
            return Finished(result={"status": answer.status}, awaits_transfer=answer.status == 1)
        case tasks.Upload(), soap.UploadResponse():
            return Finished(result={"status": answer.status}, awaits_transfer=answer.status == 1)
        case tasks.Reboot(), soap.RebootResponse():
            return Finished(result={}, ends_session=True)
        case tasks.FactoryReset(), soap.FactoryResetResponse():
            return Finished(result={}, ends_session=True)
        case tasks.ScheduleInform(), soap.ScheduleInformResponse():
            return Finished(result={})
        case tasks.SetParameterAttributes(), soap.SetParameterAttributesResponse():
            return Finished(result={})
        case tasks.GetRPCMethods(), soap.GetRPCMethodsResponse():
            return Finished(result={"methods": list(answer.methods)})
    return None
