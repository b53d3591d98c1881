"""Machines for the tests: `vm` and `container` are clean and the test's own, `lab_image` is what they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.sim.farm import Farm
from tests.lab import cache, qemu
from tests.lab import container as nspawn
from tests.lab import image as images
from tests.lab.container import LabContainer
from tests.lab.image import Image, obtain_image
from tests.lab.machine import LabError
from tests.lab.vm import LabVm, obtain_warm
from tests.postgres_fixture import missing_service

MakeVm = Callable[..., LabVm]
MakeContainer = Callable[[], LabContainer]
_HERE = Path(__file__).parent
_TEST_SECONDS = 900
_JOURNAL_SECONDS = 20.0
_TOLD_CHARACTERS = 8000
_MACHINES = pytest.StashKey[list[LabVm | LabContainer]]()
_not_run: list[str] = []
"""What this run leaves to the long form; pytest tells it before, and asks for it after the tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            # The image's build is no part of a test's own time; it has deadlines of its own.
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS, func_only=True))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    _not_run.extend(item.nodeid for item in items if item.get_closest_marker("vm_long") is not None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _not_run:
        terminalreporter.write_line(f"{len(_not_run)} tests of the lab's long form were not run: `make test-vm` does.")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """What the machines have to say goes into a failed test's report, while they still run."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed:
        machines: list[LabVm | LabContainer] = item.stash.get(_MACHINES, [])
        for number, machine in enumerate(machines):
            report.sections.append((f"lab machine {number}", last_words(machine)))


def last_words(machine: LabVm | LabContainer) -> str:
    """The ends of its console and of its journal."""
    try:
        journal = machine.run("journalctl --no-pager -b -n 60 -o short-monotonic", timeout=_JOURNAL_SECONDS).out
    except LabError as error:
        journal = f"no journal: {error}"
    return f"{machine.console()[-_TOLD_CHARACTERS:]}\n{journal[-_TOLD_CHARACTERS:]}"


def require(missing: list[str]) -> None:
    """Skip, or fail in CI, without root or with programs missing."""
    if os.geteuid() != 0:
        missing_service("the lab needs root")
    if missing:
        missing_service(f"the lab needs {', '.join(missing)}: `make lab-image` installs them")


def _say(request: pytest.FixtureRequest, text: str) -> None:
    """To the terminal, whatever pytest captures: someone waits for it."""
    reporter: Any = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(text)


@pytest.fixture(scope="session")
def lab_image(request: pytest.FixtureRequest) -> Image:
    """The image; built when the cache has none of the present recipe."""
    folder = cache.cache_folder() / f"{images.PREFIX}{images.recipe_digest()}"
    if not folder.is_dir():
        require(images.missing_programs())
        _say(request, "\nBuilding the lab's image, which takes one to three minutes …")
    image, seconds = obtain_image()
    if seconds is not None:
        _say(request, f"built in {seconds:.0f} s: {image.folder}")
    return image


@pytest.fixture(scope="session")
def warm_image(request: pytest.FixtureRequest, lab_image: Image) -> Image:
    """The image, with a saved machine to restore."""
    require(qemu.missing_programs())
    _, seconds = obtain_warm(lab_image)
    if seconds is not None:
        _say(request, f"booted and saved a machine in {seconds:.0f} s")
    return lab_image


@pytest.fixture
def make_vm(request: pytest.FixtureRequest, warm_image: Image) -> Iterator[MakeVm]:
    """Makes VMs with the arguments of `LabVm.restore` after the image; they end with the test."""
    with ExitStack() as machines:

        def make(*, farm: Farm | None = None, **options: Any) -> LabVm:
            vm = machines.enter_context(LabVm.restore(warm_image, farm=farm, **options))
            request.node.stash.setdefault(_MACHINES, []).append(vm)
            return vm

        yield make


@pytest.fixture
def vm(make_vm: MakeVm) -> LabVm:
    """A VM with networks of its own and no modems."""
    return make_vm()


@pytest.fixture
def make_container(request: pytest.FixtureRequest, lab_image: Image) -> Iterator[MakeContainer]:
    """Makes booted containers; they end with the test."""
    require(nspawn.missing_programs())
    with ExitStack() as machines:

        def make() -> LabContainer:
            container = machines.enter_context(LabContainer.boot(lab_image))
            request.node.stash.setdefault(_MACHINES, []).append(container)
            container.wait_booted()
            return container

        yield make


@pytest.fixture
def container(make_container: MakeContainer) -> LabContainer:
    """A container that has booted."""
    return make_container()
