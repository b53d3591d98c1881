"""`lastmile device get`, `set`, `reboot`, …: what a device does itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agent.cli.context import as_json
from agent.cli.device_asking import Wish, ask
from agent.cli.device_store import open_devices
from agent.cli.device_view import parameter_lines, printable, task_mapping

if TYPE_CHECKING:
    from agent.cli.device_store import Opened
    from agent.store.device_rows import DeviceTask, ParameterRow

Function = TypeVar("Function", bound=Callable[..., Any])
_TYPES = ("string", "int", "unsignedInt", "boolean", "dateTime", "base64", "long", "unsignedLong", "hexBinary")


def _waiting(function: Function) -> Function:
    """The options of every command that asks a device for something."""
    for option in (
        click.option("--json", "as_json_", is_flag=True, help="Print the task as JSON."),
        click.option("--no-wait", is_flag=True, help="Only queue it for the device's next session; do not wake it."),
        click.option(
            "--timeout",
            "timeout_seconds",
            type=click.FloatRange(0.5, 3600),
            default=60.0,
            show_default=True,
            help="Seconds to wait for the device.",
        ),
    ):
        function = option(function)
    return function


def _carry_out(
    config: Path | None,
    device: str,
    wish: Wish,
    waiting: dict[str, Any],
    show: Callable[[Opened, DeviceTask], None],
) -> None:
    """Ask a device, and print the outcome."""
    seconds = 0.0 if waiting["no_wait"] else waiting["timeout_seconds"]
    with open_devices(config) as opened:
        task = ask(opened, device, wish, seconds)
        if waiting["as_json_"]:
            click.echo(as_json(task_mapping(task)))
        elif task.status.value == "completed":
            show(opened, task)
        elif task.status.value == "sent":
            click.echo(f"The device has begun the transfer; how it ends: lastmile device tasks {task.device_id}")
        else:
            click.echo(f"Task {task.id} waits for the device's next session.")


def _says(text: str) -> Callable[[Opened, DeviceTask], None]:
    def show(_opened: Opened, _task: DeviceTask) -> None:
        click.echo(text)

    return show


@click.command("get")
@click.argument("device")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@_waiting
@click.pass_obj
def get(config: Path | None, /, device: str, paths: tuple[str, ...], **waiting: Any) -> None:
    """Ask a device for values: lastmile device get ID Device.DeviceInfo.UpTime Device.Hosts."""
    _carry_out(config, device, Wish(kind="getParameterValues", arguments={"names": list(paths)}), waiting, _show_values)


def _show_values(opened: Opened, task: DeviceTask) -> None:
    from agent.store.device_parameters import place_of

    values = (task.result or {}).get("values")
    if isinstance(values, dict):
        width = max((len(name) for name in values), default=0)
        for name in sorted(values, key=place_of):
            click.echo(f"{name:<{width}}  {printable(str(values[name]))}")
        return
    # So many that the result only counts them: they are among what is stored now.
    found: dict[str, ParameterRow] = {}
    for name in task.arguments.get("names", ()):
        page = opened.acs.parameters.fetch_page(task.device_id, prefix=name)
        rows = page.parameters if page is not None else ()
        found.update({row.name: row for row in rows if name.endswith(".") or row.name == name})
    for line in parameter_lines([found[name] for name in sorted(found, key=place_of)]):
        click.echo(line)


@click.command("set")
@click.argument("device")
@click.argument("values", metavar="PATH=VALUE...", nargs=-1, required=True)
@click.option("--type", "type_", type=click.Choice(_TYPES), help="Type of the values; default: the data model's.")
@_waiting
@click.pass_obj
def set_(config: Path | None, /, device: str, values: tuple[str, ...], type_: str | None, **waiting: Any) -> None:
    """Set values, all or none: lastmile device set ID Device.WiFi.SSID.1.SSID=home"""
    given = []
    for each in values:
        path, sign, value = each.partition("=")
        if not sign:
            raise click.UsageError(f"{each!r} is not PATH=VALUE")
        given.append({"name": path, "value": value, **({"type": type_} if type_ else {})})

    def show(_opened: Opened, task: DeviceTask) -> None:
        later = (task.result or {}).get("status") == 1
        click.echo("The device has taken it, and applies it later." if later else "The device has set it.")

    _carry_out(config, device, Wish(kind="setParameterValues", arguments={"values": given}), waiting, show)


@click.command("refresh")
@click.argument("device")
@click.argument("path", default="")
@_waiting
@click.pass_obj
def refresh(config: Path | None, /, device: str, path: str, **waiting: Any) -> None:
    """Read a device's values anew: everything, or what is below PATH."""

    def show(_opened: Opened, task: DeviceTask) -> None:
        result = task.result or {}
        missing = f"; {result['missing']} were listed and not given" if result.get("missing") else ""
        click.echo(f"Parameters read: {result.get('count', 0)}{missing}.")

    _carry_out(config, device, Wish(kind="refreshObject", arguments={"path": path}), waiting, show)


@click.command("reboot")
@click.argument("device")
@_waiting
@click.pass_obj
def reboot(config: Path | None, /, device: str, **waiting: Any) -> None:
    """Restart a device."""
    _carry_out(config, device, Wish(kind="reboot", arguments={}), waiting, _says("The device restarts."))


@click.command("factory-reset")
@click.argument("device")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_waiting
@click.pass_obj
def factory_reset(config: Path | None, /, device: str, yes: bool, **waiting: Any) -> None:
    """Put a device back to how it left the factory. It may never come back, if its way to this server is lost."""
    if not yes:
        click.confirm(f"{device} forgets all of its settings. Go on?", abort=True)
    _carry_out(config, device, Wish(kind="factoryReset", arguments={}), waiting, _says("The device resets itself."))


@click.command("add-object")
@click.argument("device")
@click.argument("path")
@_waiting
@click.pass_obj
def add_object(config: Path | None, /, device: str, path: str, **waiting: Any) -> None:
    """Make an instance of the table PATH, and print the instance's path."""

    def show(_opened: Opened, task: DeviceTask) -> None:
        click.echo((task.result or {}).get("path", "The device has made it."))

    _carry_out(config, device, Wish(kind="addObject", arguments={"path": path}), waiting, show)


@click.command("delete-object")
@click.argument("device")
@click.argument("path")
@_waiting
@click.pass_obj
def delete_object(config: Path | None, /, device: str, path: str, **waiting: Any) -> None:
    """Remove the instance PATH of a table."""
    _carry_out(
        config,
        device,
        Wish(kind="deleteObject", arguments={"path": path}),
        waiting,
        _says("The device has removed it."),
    )


@click.command("download")
@click.argument("device")
@click.argument("file", default="")
@click.option("--url", default="", help="A place elsewhere, instead of a stored file.")
@click.option(
    "--type",
    "file_type",
    default="1 Firmware Upgrade Image",
    show_default=True,
    help="TR-069's FileType, such as '3 Vendor Configuration File'.",
)
@_waiting
@click.pass_obj
def download(config: Path | None, /, device: str, file: str, url: str, file_type: str, **waiting: Any) -> None:
    """Have a device fetch a stored FILE and use it: firmware, a configuration."""
    given = {"file": file, "url": url}
    arguments = {"file_type": file_type, **{name: text for name, text in given.items() if text}}
    _carry_out(
        config,
        device,
        Wish(kind="download", arguments=arguments),
        waiting,
        _says("The device has fetched and applied it."),
    )


@click.command("upload")
@click.argument("device")
@click.option(
    "--type",
    "file_type",
    default="1 Vendor Configuration File",
    show_default=True,
    help="TR-069's FileType, such as '2 Vendor Log File'.",
)
@_waiting
@click.pass_obj
def upload(config: Path | None, /, device: str, file_type: str, **waiting: Any) -> None:
    """Have a device send its configuration or its log; `lastmile file list` shows it then."""

    def show(_opened: Opened, task: DeviceTask) -> None:
        name = (task.result or {}).get("file")
        click.echo(f"The device has sent {name}." if name else "The device has sent it.")

    _carry_out(config, device, Wish(kind="upload", arguments={"file_type": file_type}), waiting, show)


ORDERS = (get, set_, refresh, reboot, factory_reset, add_object, delete_object, download, upload)
