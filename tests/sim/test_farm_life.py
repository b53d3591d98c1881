"""How a farm comes and goes: many modems at once, and nothing left behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, TransientError
from agent.sim.farm import Farm
from agent.sim.namespaces import names_of
from tests.sim.drive import end_checked, farm_name, output, qmicli, require, until

pytestmark = pytest.mark.root


def test_thirty_modems_at_once(tmp_path: Path) -> None:
    require("nsenter", "qmicli")
    started = time.monotonic()
    with Farm.create(farm_name("x"), tmp_path / "farm", modems=30, profile="demo") as farm:
        up_seconds = time.monotonic() - started
        assert len({modem.slot for modem in farm.status()}) == 30
        until(lambda: all(modem.registered for modem in farm.status()), 30)
        assert len(output(farm, "ls", "/sys/class/tty", "/sys/class/usbmisc").split()) == 30 * 5 + 2

        def busy_seconds() -> float:
            fields = Path(f"/proc/{farm.info.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        assert busy_seconds() < 10
        before = busy_seconds()
        time.sleep(2)
        assert busy_seconds() - before <= 0.1
        assert farm.failures() == ()
    assert up_seconds < 30
    assert names_of(f"lm-{farm_name('x')}-") == []


def test_close_ends_programs_inside_and_leaves_nothing(tmp_path: Path) -> None:
    require("nsenter", "qmicli")
    directory = tmp_path / "farm"
    directory.mkdir()
    (directory / "mine").write_text("kept")
    farm = Farm.create(farm_name("c"), directory, modems=2, profile="instant")
    qmicli(farm, farm.modem(1).qmi_node, "--dms-get-ids")
    lan_link = farm.info.lan_link
    with subprocess.Popen(farm.command(["sleep", "60"])) as sleeper:
        until(lambda: "sleep" in Path(f"/proc/{sleeper.pid}/comm").read_text())
        terminals = sum(1 for _ in Path("/dev/pts").iterdir())
        end_checked(farm)
        assert sleeper.wait(5) != 0
    assert names_of(f"lm-{farm_name('c')}-") == []
    assert [entry.name for entry in directory.iterdir()] == ["mine"]
    assert not Path(f"/sys/class/net/{lan_link}").exists()
    assert sum(1 for _ in Path("/dev/pts").iterdir()) <= terminals - 10
    assert farm_name("c") not in Path("/proc/self/mountinfo").read_text()


def test_purge_removes_what_a_killed_farm_left(tmp_path: Path) -> None:
    require("nsenter")
    name, directory = farm_name("k"), tmp_path / "farm"
    farm = Farm.create(name, directory, modems=3, profile="instant")
    with subprocess.Popen(farm.command(["sleep", "60"])) as sleeper:
        until(lambda: "sleep" in Path(f"/proc/{sleeper.pid}/comm").read_text())
        os.kill(farm.info.pid, signal.SIGKILL)
        with pytest.raises(TransientError):
            farm.close()
        assert len(names_of(f"lm-{name}-")) == 5
        with pytest.raises(ConfigError):
            Farm.create(name, directory)
        assert Farm.purge(name, directory)
        assert sleeper.wait(5) != 0
    assert names_of(f"lm-{name}-") == []
    assert list(directory.iterdir()) == []
    assert not Farm.purge(name, directory)
    Farm.create(name, directory, modems=1, profile="instant").close()


def test_a_farm_ends_with_the_process_that_made_it(tmp_path: Path) -> None:
    require("nsenter")
    name, directory = farm_name("o"), tmp_path / "farm"
    script = (
        "import os, signal, sys; from pathlib import Path; from agent.sim.farm import Farm\n"
        "farm = Farm.create(sys.argv[1], Path(sys.argv[2]), modems=1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    owner = subprocess.run([sys.executable, "-c", script, name, str(directory)], check=False, cwd=Path.cwd())
    assert owner.returncode == -signal.SIGKILL
    until(lambda: names_of(f"lm-{name}-") == [] and not any(directory.iterdir()))


@pytest.mark.parametrize("name", ["", "Upper", "with-dash", "muchtoolongname"])
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Farm.create(name, tmp_path / "farm")


def test_an_unknown_profile_is_refused(tmp_path: Path) -> None:
    require("nsenter")
    with pytest.raises(ConfigError):
        Farm.create(farm_name("u"), tmp_path / "farm", profile="nonsense")
    assert names_of(f"lm-{farm_name('u')}-") == []


UNSHARE = ("unshare", "--mount", "--propagation", "private")
IN_CHROOT = """
import subprocess, sys
from pathlib import Path
from agent.sim.farm import Farm
with Farm.create(sys.argv[1], Path(sys.argv[2]), modems=1, profile="instant") as farm:
    command = farm.command(["ls", "/sys/class/usbmisc", sys.argv[3]], directory=Path("/run"))
    listed = subprocess.run(command, capture_output=True, text=True)
    print(listed.stdout + listed.stderr)
"""


def test_a_farm_in_a_plain_chroot(tmp_path: Path) -> None:
    """A fresh system that was only unpacked: its root is no mount, and the programs in the farm must find themselves in
    it. The way out of the chroot, back to this machine's own tree, must not be taken."""
    require("nsenter", "unshare", "ip")
    script = """
        set -e
        mount -t tmpfs tmpfs "$1"
        # One folder further down: the chroot's root is no mount point.
        root="$1/inner"
        mkdir "$root"
        for each in /*; do
            if [ -L "$each" ]; then ln -s "$(readlink "$each")" "$root$each"
            elif [ -d "$each" ] && [ "$each" != /run ]; then mkdir "$root$each"; mount --rbind "$each" "$root$each"; fi
        done
        mkdir "$root/run"
        mount -t tmpfs tmpfs "$root/run"
        touch "$root/mark"
        shift
        exec chroot "$root" "$@"
    """
    name = farm_name("r")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    inner = [sys.executable, "-c", IN_CHROOT, name, "/run/farm", "/mark"]
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", script, "sh", str(mounted), *inner],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["/mark", "/sys/class/usbmisc:", "cdc-wdm0"]
    assert names_of(f"lm-{name}-") == []


def test_the_last_farm_takes_the_mount_of_the_names_away(tmp_path: Path) -> None:
    require("nsenter", "unshare")
    script = (
        "import sys\nfrom pathlib import Path\nfrom agent.sim.farm import Farm\n"
        "import os\n"
        "def mount(path):\n"
        "    text = open(f'/proc/self/fdinfo/{os.open(path, os.O_PATH)}').read()\n"
        "    return text.partition('mnt_id:')[2].split()[0]\n"
        "def mounted(): return mount('/run') != mount('/run/netns')\n"
        "with Farm.create(sys.argv[1], Path(sys.argv[2]) / 'one', profile='instant'):\n"
        "    with Farm.create(sys.argv[1] + '2', Path(sys.argv[2]) / 'two', profile='instant'): pass\n"
        "    between = mounted()\n"
        "print(between, mounted())"
    )
    command = 'mount -t tmpfs tmpfs /run && exec "$0" -c "$1" "$2" "$3"'
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", command, sys.executable, script, farm_name("m")[:10], str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout.split()) == (0, ["True", "False"]), done.stderr
