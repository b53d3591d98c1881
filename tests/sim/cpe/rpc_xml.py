"""XML of RPCs that an ACS asks, without the envelope."""

from __future__ import annotations

from collections.abc import Iterable

IGD = "InternetGatewayDevice."


def get_values(*names: str) -> str:
    told = "".join(f"<string>{name}</string>" for name in names)
    return (
        f'<cwmp:GetParameterValues><ParameterNames e:arrayType="xsd:string[{len(names)}]">{told}</ParameterNames>'
        "</cwmp:GetParameterValues>"
    )


def get_names(path: str, *, next_level: bool = False) -> str:
    return (
        f"<cwmp:GetParameterNames><ParameterPath>{path}</ParameterPath><NextLevel>{int(next_level)}</NextLevel>"
        "</cwmp:GetParameterNames>"
    )


def set_values(*values: tuple[str, str] | tuple[str, str, str], key: str = "") -> str:
    """Name, value, and the type when it is told."""
    told = ""
    for name, value, *kind in values:
        label = f' xsi:type="xsd:{kind[0]}"' if kind else ""
        told += f"<ParameterValueStruct><Name>{name}</Name><Value{label}>{value}</Value></ParameterValueStruct>"
    return (
        f'<cwmp:SetParameterValues><ParameterList e:arrayType="cwmp:ParameterValueStruct[{len(values)}]">{told}'
        f"</ParameterList><ParameterKey>{key}</ParameterKey></cwmp:SetParameterValues>"
    )


def get_attributes(*names: str) -> str:
    return get_values(*names).replace("GetParameterValues", "GetParameterAttributes")


def set_notification(name: str, notification: int) -> str:
    return (
        '<cwmp:SetParameterAttributes><ParameterList e:arrayType="cwmp:SetParameterAttributesStruct[1]">'
        f"<SetParameterAttributesStruct><Name>{name}</Name><NotificationChange>1</NotificationChange>"
        f"<Notification>{notification}</Notification><AccessListChange>0</AccessListChange>"
        '<AccessList e:arrayType="xsd:string[0]"/></SetParameterAttributesStruct></ParameterList>'
        "</cwmp:SetParameterAttributes>"
    )


def object_rpc(method: str, path: str, key: str = "") -> str:
    """AddObject or DeleteObject."""
    return f"<cwmp:{method}><ObjectName>{path}</ObjectName><ParameterKey>{key}</ParameterKey></cwmp:{method}>"


def simple(method: str, **arguments: object) -> str:
    """An RPC whose arguments are plain texts."""
    told = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
    return f"<cwmp:{method}>{told}</cwmp:{method}>"


def download(url: str, file_type: str = "1 Firmware Upgrade Image", key: str = "dl", **arguments: object) -> str:
    told = {
        "CommandKey": key,
        "FileType": file_type,
        "URL": url,
        "Username": "",
        "Password": "",
        "FileSize": 0,
        "TargetFileName": "",
        "DelaySeconds": 0,
        "SuccessURL": "",
        "FailureURL": "",
        **arguments,
    }
    return simple("Download", **told)


def upload(url: str, file_type: str = "1 Vendor Configuration File", key: str = "ul", **arguments: object) -> str:
    told = {"CommandKey": key, "FileType": file_type, "URL": url, "Username": "", "Password": "", "DelaySeconds": 0}
    return simple("Upload", **{**told, **arguments})


def schedule_download(url: str, key: str = "sd", windows: Iterable[tuple[int, int]] = ((0, 3600),)) -> str:
    told = "".join(
        f"<TimeWindowStruct><WindowStart>{start}</WindowStart><WindowEnd>{end}</WindowEnd>"
        "<WindowMode>1 At Any Time</WindowMode><UserMessage/><MaxRetries>0</MaxRetries></TimeWindowStruct>"
        for start, end in windows
    )
    return (
        f"<cwmp:ScheduleDownload><CommandKey>{key}</CommandKey><FileType>1 Firmware Upgrade Image</FileType>"
        f"<URL>{url}</URL><Username/><Password/><FileSize>0</FileSize><TargetFileName/>"
        f"<TimeWindowList>{told}</TimeWindowList></cwmp:ScheduleDownload>"
    )


def change_du_state(operation: str, key: str = "du", **arguments: str) -> str:
    """`operation` is Install, Update or Uninstall."""
    told = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
    return (
        f'<cwmp:ChangeDUState><Operations xsi:type="cwmp:{operation}OpStruct">{told}</Operations>'
        f"<CommandKey>{key}</CommandKey></cwmp:ChangeDUState>"
    )
