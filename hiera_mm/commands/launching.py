"""Starts a command in several processes, one for each GPU, by torch's own launcher."""

import argparse
import os
import sys

from hiera_mm.errors import UserError


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`launch`."""
    group = parser.add_argument_group('several GPUs')
    group.add_argument('--gpus', type=int, metavar='N', help='processes on this machine, one for each GPU')
    group.add_argument('--nodes', type=int, default=1, help='machines; run the command on each (%(default)s)')
    group.add_argument('--node-rank', type=int, default=0, help="this machine's number, from 0 (%(default)s)")
    group.add_argument('--master-addr', help='address of machine 0')
    group.add_argument('--master-port', type=int, default=29500, help='a free port of machine 0 (%(default)s)')
    group.add_argument(
        '--max-restarts', type=int, default=0, help='how often all processes start again after a fault (%(default)s)'
    )


def launch(command: str, arguments: argparse.Namespace) -> None:
    """Go on as torch's launcher, if several processes are asked for; it starts the command in each of them.

    Raises:
        UserError: if the options don't fit together, or there are fewer GPUs.
    """
    asked = arguments.nodes != 1 or arguments.node_rank or arguments.master_addr or arguments.max_restarts
    if arguments.gpus is None and not asked:
        return
    if arguments.launcher != 'none':
        raise UserError('--gpus starts the processes itself; leave --launcher out, or --gpus.')
    if arguments.gpus is None or arguments.gpus < 1 or arguments.nodes < 1:
        raise UserError('--gpus is the number of processes on each machine, 1 or more, and so is --nodes of machines.')
    if arguments.gpus == 1 and not asked:
        return
    if arguments.nodes > 1 and (arguments.master_addr is None or not 0 <= arguments.node_rank < arguments.nodes):
        raise UserError(
            f'--nodes {arguments.nodes} takes --master-addr, the address of machine 0, and on each machine another '
            f'--node-rank from 0 to {arguments.nodes - 1}.'
        )
    _refuse_more_than_there_are(arguments.gpus)
    machines = (
        ['--standalone']
        if arguments.nodes == 1
        else [
            *('--nnodes', str(arguments.nodes), '--node-rank', str(arguments.node_rank)),
            *('--master-addr', arguments.master_addr, '--master-port', str(arguments.master_port)),
        ]
    )
    processes = ['--nproc-per-node', str(arguments.gpus), '--max-restarts', str(arguments.max_restarts)]
    own = argparse.ArgumentParser(add_help=False)
    add_launch_options(own)
    _, others = own.parse_known_args(arguments.words)
    started = ['-m', 'hiera_mm', command, *others, '--launcher', 'pytorch']
    words = [sys.executable, '-m', 'torch.distributed.run', *machines, *processes, *started]
    # Otherwise every process would compute with a thread for each core.
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // arguments.gpus)))
    sys.stdout.flush()
    os.execv(sys.executable, words)


def _refuse_more_than_there_are(gpus: int) -> None:
    import torch

    count, visible = torch.cuda.device_count(), os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')
    if 0 < count < gpus:
        raise UserError(
            f'--gpus {gpus}, but torch sees {count} GPUs here (CUDA_VISIBLE_DEVICES={visible}); take --gpus {count}, '
            "or set CUDA_VISIBLE_DEVICES='' to train on the CPU."
        )
