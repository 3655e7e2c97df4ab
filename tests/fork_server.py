"""Runs ``python -m hiera_mm ...`` as a program of its own, without the seconds of processor time that importing takes.

``python -m tests.fork_server`` imports everything once and then forks for each request of ``tests/programs.py``, which
holds the other end of the socket that is its standard input. What it forks is a real process: arguments, environment,
folder, standard streams, signals, process group and exit code are its own.

What it does not test: that starting Python, importing the package and finding its plugins work (see
``test_from_an_empty_folder.py``, ``test_commands.py`` and the tests of several processes), and anything that depends on
Python's hash seed, which is the server's.
"""

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import sys
import tempfile

from hiera_mm.config import read_config_file

from tests.remembered import remember_answers

STREAMS = 3
"""Standard output and error, and where the program's number and exit code are told to."""

IMPORTED = ('hiera_mm.tasks', 'hiera_mm.commands.train', 'mmaction.models', 'mmdet.visualization')


def main() -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    remember_answers()
    for config in ('mask_rcnn_hiera_t_shapes', 'k400_hiera_t_shapes'):
        read_config_file(config)
    gc.collect()
    gc.freeze()
    # Extensions tell what the interpreter's end hasn't freed.
    atexit.register(gc.unfreeze)
    become(next_request())
    runpy.run_module('hiera_mm', run_name='__main__', alter_sys=True)


def next_request() -> dict:
    """Returns in forked processes only; the server ends when whoever asks does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as requests:
        while True:
            data, files, _, _ = socket.recv_fds(requests, 2**20, STREAMS)
            if not data:
                sys.exit()
            if os.fork() == 0:
                break
            for file in files:
                os.close(file)
    *streams, told = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    program = os.fork()
    if program:
        for stream in streams:
            os.close(stream)
        code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        os.write(told, f'{code}\n'.encode())
        os._exit(0)
    os.setsid()
    os.write(told, f'{os.getpid()}\n'.encode())
    os.close(told)
    return dict(json.loads(data), streams=streams)


def become(request: dict) -> None:
    """Take the request's place in the system, and lose what this process has of the server's."""
    import numpy as np
    import torch

    signal.signal(signal.SIGINT, signal.default_int_handler)
    output, errors = request['streams']
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.close(output)
    os.close(errors)
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, 'w', closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, 'w', buffering=1, errors='backslashreplace', closefd=False)
    os.chdir(request['folder'])
    os.environ.clear()
    os.environ.update(request['environment'])
    sys.argv[1:] = request['words']
    sys.path[:0] = filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))
    tempfile.tempdir = None
    random.seed()
    np.random.seed()
    torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', os.cpu_count() or 1)))


if __name__ == '__main__':
    main()
