"""A farm, a VM on its bus, and lastmile to be installed in it: what every test of the product in a VM begins with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agent.cli.playground import Overrides
from agent.sim.farm import Farm
from tests.lab.image import Image
from tests.lab.product import SETTINGS, Product
from tests.lab.standin import install_3proxy
from tests.lab.vm import LabVm
from tests.packaging.build import NoBuildError, built_package
from tests.postgres_fixture import missing_service

CONNECT_SECONDS = 60.0


def package_under_test(version: str | None = None) -> Path:
    """The package of this checkout (`version`: under another one, for an upgrade), or the one that LASTMILE_LAB_PACKAGE
    names. Skips, or fails in CI, where packages cannot be built."""
    given = os.environ.get("LASTMILE_LAB_PACKAGE")
    if given and version is None:
        return Path(given)
    try:
        return built_package(version)
    except NoBuildError as error:
        missing_service(str(error))


@contextmanager
def lab_ground(
    image: Image, *, profile: str = "instant", overrides: Overrides | None = None, **options: Any
) -> Iterator[Product]:
    """A clean VM with a 3proxy, on the bus of a farm without modems; lastmile is not installed yet."""
    settings = {section: dict(values) for section, values in SETTINGS.items()}
    for section, values in (overrides or {}).items():
        settings.setdefault(section, {}).update(values)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-farm-"))
        farm = stack.enter_context(
            Farm.create(f"vm{os.getpid() % 10**6}", Path(folder), profile=profile, transport="usbip")
        )
        vm = stack.enter_context(LabVm.restore(image, farm=farm, **options))
        product = Product(vm, farm, settings)
        product.proxy_program = install_3proxy(vm)
        product.wait(lambda: farm.guest().connected, CONNECT_SECONDS, "the guest's bus is there")
        yield product
