"""A Slurm of one node on this machine, with nothing outside of a folder: munged, slurmctld and slurmd, run by root."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch")

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,requeue_delay=0
MinJobAge=30
KillWait=2
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES:64
"""


def missing() -> list[str]:
    """What is not installed, or that this user is not root."""
    return [name for name in COMMANDS if shutil.which(name) is None] + (["root"] if os.geteuid() else [])


@contextmanager
def one_node_slurm(folder: Path) -> Iterator[Path]:
    """A cluster while the context lasts; the environment says where it is. Gives the folder, in which its logs are."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    ports = [_free_port(), _free_port()]
    names = {"host": socket.gethostname(), "folder": folder, "cpus": os.cpu_count()}
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(**names, controller=ports[0], daemon=ports[1]))
    munge = ["munged", "-F", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
    munge += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    earlier = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(configuration)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            with open(folder / f"{command[0]}.out", "wb") as output:
                running.append(subprocess.Popen(command, stdout=output, stderr=output))
            time.sleep(1)
        _wait_until_idle(folder)
        yield folder
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        if earlier is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = earlier


def _wait_until_idle(folder: Path) -> None:
    for _ in range(60):
        found = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True)
        if found.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("*.log")))
    raise RuntimeError(f"The node did not come up: {found.stdout} {found.stderr}\n{logs}")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
