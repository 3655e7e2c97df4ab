"""The processes of a run: where they meet, and that all of them begin at the same point."""

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
        # Threads of gloo that outlive the interpreter abort the process; they end with the last holder of the group,
        # and the model is one.
        gc.collect()
        torch.distributed.destroy_process_group()


def _start(config: Config) -> None:
    _say_where_to_meet(config.launcher)
    settings = config.get('env_cfg', {}).get('dist_cfg', {}) | _store_of_a_restart()
    if torch.cuda.is_available():
        init_dist(config.launcher, **settings)
        return
    # mmengine would ask CUDA for a device for each process.
    _listen_where_the_first_process_is_reached()
    seconds = settings.get('timeout')
    timeout = None if seconds is None else timedelta(seconds=seconds)
    torch.distributed.init_process_group(**settings | dict(backend='gloo', timeout=timeout))
    config.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


def _say_where_to_meet(launcher: str) -> None:
    """Name the first process's machine and a port to all, as torchrun does, where the launcher does not.

    Raises:
        UserError: if the launcher doesn't tell the machine either.
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


def _store_of_a_restart() -> dict[str, Any]:
    """Arguments of ``init_process_group`` for processes that torchrun has started again: a part of its store for each
    start, as the store still has the addresses of processes that are gone, and torch 2.15 has them connect there.
    """
    if not restarted():
        return {}
    rank, world_size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    store = TCPStore(os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']), world_size, is_master=False)
    prefix = f'restart_{os.environ["TORCHELASTIC_RESTART_COUNT"]}'
    return dict(store=PrefixStore(prefix, store), rank=rank, world_size=world_size)


def _listen_where_the_first_process_is_reached() -> None:
    """Choose gloo's network interface; it would take the one of the machine's own name, which often is the loopback
    that no other machine sees.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: connecting a datagram's socket only chooses the way.
        probe.connect((os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])))
        own = probe.getsockname()[0]
        for name, addresses in psutil.net_if_addrs().items():
            if own in {each.address for each in addresses}:
                os.environ.setdefault('GLOO_SOCKET_IFNAME', name)


def begin_at_the_same_point(begins: str) -> None:
    """Compare where the processes begin.

    Args:
        begins: Where this one does, in words.

    Raises:
        UserError: if others begin elsewhere, as on machines that don't share the work folder.
    """
    of_all = all_gather_object((begins, socket.gethostname()))
    for number, (other, machine) in enumerate(of_all):
        if other != of_all[0][0]:
            raise UserError(
                f'The processes of this run begin at different points: process 0 ({of_all[0][1]}) {of_all[0][0]}, '
                f'process {number} ({machine}) {other}. Give all machines the same options, and a work folder on '
                'storage that they share.'
            )
