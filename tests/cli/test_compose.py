"""What a reload takes over, and what it says that only a restart does."""

from __future__ import annotations

from agent.cli.compose import changes_for_restart, conduct_of
from agent.core.settings.schema import HealthSettings, HotplugSettings, ProxySettings, Settings


def test_settings_that_are_taken_over_need_no_restart() -> None:
    new = Settings(
        health=HealthSettings(interval_seconds=60.0, grace_seconds=5.0), proxy=ProxySettings(maximum_connections=7)
    )
    assert changes_for_restart(Settings(), new) == ()
    assert conduct_of(new).timing.look_seconds == 60.0


def test_settings_that_are_read_once_are_named() -> None:
    new = Settings(
        health=HealthSettings(probe_target="192.0.2.1:443"),
        hotplug=HotplugSettings(batch_size=9),
        proxy=ProxySettings(runner="process", tcp_port_last=4000),
    )
    assert set(changes_for_restart(Settings(), new)) == {
        "health.probe_target",
        "hotplug.batch_size",
        "proxy.runner",
        "proxy.tcp_port_last",
    }
    assert changes_for_restart(new, new) == ()
