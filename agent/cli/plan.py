"""`lastmile plan`"""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.asking import ask
from agent.cli.context import as_json, load_settings, open_database
from agent.core.errors import AgentError, DeadlineExceeded, TransientError


@click.command("plan")
@click.argument("serials", nargs=-1, metavar="[SERIAL]...")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.5, 600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for each answer.",
)
@click.pass_obj
def command(config: Path | None, serials: tuple[str, ...], as_json_: bool, timeout_seconds: float) -> None:
    """What the agent's next pass would do to the modems (default: all that are plugged in). Nothing is done.

    The agent answers, since it holds the modems' ports: it must be running on the modems' host."""
    from agent.store.fleet import Fleet

    answers: list[dict[str, object]] = []
    with open_database(load_settings(config), "plan") as database:
        fleet = Fleet(database)
        try:
            wanted = serials or tuple(row.serial for row in fleet.fetch_modems() if row.slot is not None)
            for serial in wanted:
                try:
                    answers.append({"serial": serial, **ask(fleet, serial, "plan", {}, timeout_seconds)})
                except (DeadlineExceeded, TransientError) as error:
                    if serials:
                        raise
                    answers.append({"serial": serial, "error": str(error)})
        finally:
            fleet.close()
    click.echo(
        as_json(answers) if as_json_ else "\n".join(_lines(answer) for answer in answers) or "No modem is plugged in."
    )
    if answers and all("error" in answer for answer in answers):
        raise AgentUnavailableError("no modem's agent has answered")


class AgentUnavailableError(TransientError, AgentError):
    """Nobody has answered."""


def _lines(answer: dict[str, object]) -> str:
    if "error" in answer:
        return f"{answer['serial']}: {answer['error']}"
    actions = answer.get("actions")
    steps = actions if isinstance(actions, list) else []
    head = f"{answer['serial']}: {answer['state']}" + (f" ({answer['reason']})" if answer.get("reason") else "")
    return "\n".join(
        [head, *(f"  {number}. {step}" for number, step in enumerate(steps, 1))]
        if steps
        else [f"{head}: nothing to do"]
    )
