"""The lab's VM does what it promises, before anything is concluded from what happens in one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.core.identifiers import Serial
from agent.host.proxy.render import ThreeProxyRenderer
from agent.modem.model import Allocation, Desired, ProxyPolicy
from tests.lab import cache
from tests.lab.conftest import MakeVm
from tests.lab.image import Image
from tests.lab.machine import MOST_OUTPUT_BYTES, CommandTimeout, LabError, MachineRestarted
from tests.lab.qemu import MACS
from tests.lab.standin import PROGRAM, install_3proxy
from tests.lab.vm import LabVm

pytestmark = [pytest.mark.vm, pytest.mark.root]
MODULES = (
    "option qmi_wwan cdc_wdm cdc_ether cdc_mbim rndis_host vhci-hcd usbip-core veth dummy tun wwan nft_masq sch_netem"
)
GREETER = b"import socket; s = socket.create_server(('', 5000)); s.accept()[0].send(b'hello')"
WAIT_FOR_GREETER = "for i in {1..100}; do ss -Hltn sport = 5000 | grep -q . && exit; sleep 0.1; done; exit 1"


def test_a_restored_machine_is_up_and_has_the_present_time(vm: LabVm) -> None:
    assert vm.run("systemctl is-system-running").out == "running\n"
    assert abs(float(vm.run("date +%s.%N").out) - time.time()) < 3
    assert vm.run("hostname; runuser -u postgres -- psql -XAtc 'SELECT 1'").out == "lab\n1\n"


def test_it_has_debians_own_kernel_with_the_modems_drivers(vm: LabVm) -> None:
    assert "-amd64" in vm.run("uname -r").out
    for module in MODULES.split():
        found = vm.run(f"modprobe {module}")
        assert found.rc == 0, found.err


def test_commands_tell_their_status_and_both_outputs(vm: LabVm) -> None:
    result = vm.run("echo out; echo err >&2; exit 7")
    assert (result.rc, result.out, result.err) == (7, "out\n", "err\n")
    assert vm.run("kill -TERM $$").rc == 128 + signal.SIGTERM
    assert vm.run("cat", stdin=b"given").out == "given"
    assert vm.run("cat").out == ""


def test_commands_run_side_by_side(vm: LabVm) -> None:
    slow = vm.start("read -r _ < <(sleep 30); echo slow")
    assert vm.run("echo quick").out == "quick\n"
    assert slow.output is None
    slow.signal(signal.SIGKILL)
    assert slow.wait().rc == 128 + signal.SIGKILL


def test_a_command_that_takes_too_long_is_killed_with_its_children(vm: LabVm) -> None:
    with pytest.raises(CommandTimeout, match="begun"):
        vm.run("echo begun; sleep 9876 & sleep 9876", timeout=2)
    assert vm.run("pgrep -f '^sleep 9876'").rc == 1


def test_a_command_does_not_wait_for_what_it_leaves_behind(vm: LabVm) -> None:
    began = time.monotonic()
    assert vm.run("sleep 60 & echo gone").out == "gone\n"
    assert time.monotonic() - began < 20


def test_output_comes_as_it_is_written(vm: LabVm) -> None:
    seen = threading.Event()
    running = threading.Thread(
        target=vm.run,
        args=("echo now; until [ -e /run/go-on ]; do sleep 0.1; done",),
        kwargs={"on_output": lambda _stream, data: seen.set() if b"now" in data else None},
    )
    running.start()
    assert seen.wait(20)
    assert running.is_alive()
    vm.put("/run/go-on", b"")
    running.join(20)
    assert not running.is_alive()


def test_endless_output_is_cut_at_its_beginning(vm: LabVm) -> None:
    result = vm.run(f"head -c {MOST_OUTPUT_BYTES + 1_000_000} /dev/zero | tr '\\0' x; echo; echo last")
    assert result.out.startswith("[")
    assert result.out.endswith("\nlast\n")
    assert len(result.out) < MOST_OUTPUT_BYTES + 200_000


def test_files_go_in_and_out_unchanged(vm: LabVm) -> None:
    data = os.urandom(3_000_000)
    vm.put("/srv/new folder/file", data, 0o750)
    assert vm.get("/srv/new folder/file") == data
    assert vm.run("stat -c %a '/srv/new folder/file'; ls -A '/srv/new folder'").out == "750\nfile\n"
    with pytest.raises(LabError, match="No such file"):
        vm.get("/srv/nothing")
    with pytest.raises(LabError, match="longer than 1000 bytes"):
        vm.get("/srv/new folder/file", most=1000)


def test_the_links_are_where_the_farm_expects_them(vm: LabVm) -> None:
    for name, mac in zip(("eth0", "eth1", "eth2"), MACS, strict=True):
        assert vm.run(f"cat /sys/class/net/{name}/address").out.strip() == mac
    reached = vm.run("ping -c1 -W5 10.213.0.1 && ping -c1 -W5 192.0.2.1 && ping -c1 -W5 fd00:213::1")
    assert reached.rc == 0, reached.out

    def greet() -> bytes:
        with socket.create_connection(("10.213.0.2", 5000), 10) as client:
            return client.recv(10)

    vm.put("/srv/greeter", GREETER)
    vm.run("systemd-run --quiet python3 /srv/greeter")
    assert vm.run(WAIT_FOR_GREETER).rc == 0
    assert vm.taps.run(greet) == b"hello"


def test_two_machines_share_nothing(make_vm: MakeVm) -> None:
    first, second = make_vm(), make_vm()
    first.put("/etc/mine", b"first")
    assert second.run("cat /etc/mine").rc == 1
    drawn = "od -An -N16 -tx1 /dev/urandom"
    assert first.run(drawn).out != second.run(drawn).out


def test_a_power_outage_keeps_what_was_written_and_loses_what_was_not(vm: LabVm) -> None:
    vm.put("/srv/durable", b"kept")
    vm.run(
        "systemctl stop systemd-journal-flush; echo lost > /srv/volatile; logger -p user.err before the outage; sleep 2"
    )
    before = vm.channel.boot
    waiting = vm.start("sleep 600", timeout=600)
    # Appended: ext4 writes a file out at once when it was truncated (`auto_da_alloc` in ext4(5)).
    vm.run("echo lost >> /srv/volatile")
    vm.hard_reset()
    vm.wait_booted()
    with pytest.raises(MachineRestarted):
        waiting.wait()
    assert vm.channel.boot not in (None, before)
    assert vm.get("/srv/durable") == b"kept"
    assert vm.run("cat /srv/volatile").out == ""
    assert "before the outage" in vm.run("journalctl -b -1 --no-pager").out
    assert vm.run("systemctl is-system-running").out == "running\n"
    assert abs(float(vm.run("date +%s").out) - time.time()) < 5
    assert vm.run("runuser -u postgres -- psql -XAtc 'SELECT 1'").out == "1\n"


@pytest.mark.vm_long
def test_an_orderly_reboot_and_power_off(vm: LabVm) -> None:
    vm.run("echo kept > /srv/file")
    vm.reboot()
    vm.wait_booted()
    assert vm.run("cat /srv/file").out == "kept\n"
    vm.power_off()
    with pytest.raises(LabError):
        vm.run("true")


def test_the_proxy_program_runs(vm: LabVm) -> None:
    install_3proxy(vm)
    wishes = Desired(
        serial=Serial("867698040000011"),
        allocation=Allocation(tcp_port=3128, uid=70_000, table=20_000),
        proxy=ProxyPolicy(
            listen=ip_address("127.0.0.1"), allow=("127.0.0.0/8",), nameservers=(ip_address("203.0.113.53"),)
        ),
    )
    vm.put("/srv/3proxy.cfg", ThreeProxyRenderer().render(wishes, ()).encode())
    vm.run("install -d -o 70000 /run/lastmile/proxies/867698040000011 /run/lastmile/proxies")
    program = vm.start(f"{PROGRAM} /srv/3proxy.cfg", timeout=120)
    refused = "curl -sS -o /dev/null -w '%{http_code}' -x http://127.0.0.1:3128 http://127.0.0.1/"
    answer = vm.run(f"for i in {{1..60}}; do {refused} 2>/dev/null && exit; sleep 0.5; done; exit 1")
    program.signal(signal.SIGKILL)
    assert answer.out.endswith("403"), program.wait()


def test_a_killed_test_run_leaves_no_machine(warm_image: Image) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tests.lab.image import Image; from tests.lab.vm import LabVm\n"
        "vm = LabVm.restore(Image(Path(sys.argv[1]))); print(vm.qemu.folder, vm.qemu.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(warm_image.folder)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        folder, pid = run.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        run.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    # What it wrote is removed by the next machine.
    with cache.scratch(warm_image.folder.parent):
        assert not Path(folder).exists()


def test_nothing_is_left_of_a_closed_machine(warm_image: Image) -> None:
    with LabVm.restore(warm_image) as vm:
        folder, pid = vm.qemu.folder, vm.qemu.pid
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
