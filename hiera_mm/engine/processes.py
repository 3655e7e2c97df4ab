"""Starts the communication between the processes of a run, and checks that all begin at the same point."""

import contextlib
import gc
import os
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from hiera_mm.engine.interruption import end_with_launcher
from hiera_mm.engine.running import restarted
from hiera_mm.errors import UserError

import psutil
import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, init_dist
from torch.distributed import PrefixStore, TCPStore


@contextlib.contextmanager
def process_group(config: Config) -> Iterator[None]:
    """Start the processes' communication, by gloo where there is no GPU, and end it.

    No reference to the runner may be left at the end.
    """
    end_with_launcher()
    if config.launcher != 'none':
        _start(config)
    yield
    if torch.distributed.is_initialized():
        # Threads of gloo that outlive the interpreter abort the process. They end with the last reference to the
        # group, and the model holds one.
        gc.collect()
        torch.distributed.destroy_process_group()


def _start(config: Config) -> None:
    _set_master_address(config.launcher)
    settings = config.get('env_cfg', {}).get('dist_cfg', {}) | _restart_store()
    if torch.cuda.is_available():
        init_dist(config.launcher, **settings)
        return
    # mmengine would need a CUDA device for each process.
    _choose_network_interface()
    seconds = settings.get('timeout')
    timeout = None if seconds is None else timedelta(seconds=seconds)
    torch.distributed.init_process_group(**settings | dict(backend='gloo', timeout=timeout))
    config.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


def _set_master_address(launcher: str) -> None:
    """Set the address and port of the first process, as torchrun does, if the launcher does not.

    Raises:
        UserError: if the launcher doesn't give the address either.
    """
    if 'MASTER_ADDR' not in os.environ:
        nodes = os.environ.get('SLURM_NODELIST')
        if launcher != 'slurm' or not nodes:
            raise UserError(
                f'--launcher {launcher} needs the address of the first machine; set MASTER_ADDR to it in all processes.'
            )
        hosts = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True)
        os.environ['MASTER_ADDR'] = hosts.stdout.split()[0]
    os.environ.setdefault('MASTER_PORT', '29500')


def _restart_store() -> dict[str, Any]:
    """Arguments of ``init_process_group`` for processes that torchrun has restarted.

    Each restart uses its own prefix in torchrun's store, which still has the addresses of ended processes; torch 2.15
    would connect to those.
    """
    if not restarted():
        return {}
    rank, world_size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    store = TCPStore(os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']), world_size, is_master=False)
    prefix = f'restart_{os.environ["TORCHELASTIC_RESTART_COUNT"]}'
    return dict(store=PrefixStore(prefix, store), rank=rank, world_size=world_size)


def _choose_network_interface() -> None:
    """Choose the network interface from which the first process can be reached. By default gloo takes the one of the
    host name, often the loopback, which other machines can't reach.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Connecting a datagram socket sends nothing; it only selects a route.
        probe.connect((os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])))
        own = probe.getsockname()[0]
        for name, addresses in psutil.net_if_addrs().items():
            if own in {each.address for each in addresses}:
                os.environ.setdefault('GLOO_SOCKET_IFNAME', name)


def check_same_start(begins: str) -> None:
    """Check that all processes begin at the same point.

    Args:
        begins: Where this process begins, in words.

    Raises:
        UserError: if others begin elsewhere, as on machines that don't share the work folder.
    """
    starts = all_gather_object((begins, socket.gethostname()))
    for number, (other, machine) in enumerate(starts):
        if other != starts[0][0]:
            raise UserError(
                f'The processes of this run begin at different points: process 0 ({starts[0][1]}) {starts[0][0]}, '
                f'process {number} ({machine}) {other}. Give all machines the same options, and a work folder on '
                'storage that they share.'
            )
