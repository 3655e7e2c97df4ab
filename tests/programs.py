"""Commands of the suite as programs of their own, forked by ``tests/fork_server.py``."""

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Program:
    """``hiera-mm WORDS``, with what tests use of ``subprocess.Popen``: its outputs, both in one, are ``stdout``.

    Args:
        words: The command and its arguments.
        folder: Where it runs.
        environment: All its variables.
        stdout: A file descriptor to write to instead of a pipe, such as a terminal's.
    """

    def __init__(self, words, folder, environment, stdout=None):
        ours, theirs = os.pipe()
        self._told, tell = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), 'rw', strict=True))
        request = dict(words=list(map(str, words)), folder=str(folder), environment=environment)
        output = theirs if stdout is None else stdout
        socket.send_fds(server(), [json.dumps(request).encode()], [output, output, tell.fileno()])
        os.close(theirs)
        tell.close()
        self.stdout = os.fdopen(ours, errors='replace')
        self.returncode = None
        line = self._told.readline()
        assert line, 'the server of tests/fork_server.py has ended; what it wrote says why'
        self.pid = int(line)

    def wait(self, timeout=600):
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired('hiera-mm', timeout)
            self.returncode = int(self._told.readline())
        return self.returncode

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout=600):
        """The rest of what is printed, and None; the program is killed after ``timeout`` seconds."""
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        printed = self.stdout.read()
        timer.cancel()
        self.wait()
        return printed, None

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


@functools.cache
def server():
    """The socket of this process's server, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Asked through CUDA whether there are GPUs, it could no longer fork.
    environment = dict(os.environ, PYTORCH_NVML_BASED_CUDA_CHECK='1', PYTHONPATH=str(ROOT))
    command = [sys.executable, '-W', 'ignore', '-m', 'tests.fork_server']
    subprocess.Popen(command, stdin=theirs, cwd=ROOT, env=environment)
    theirs.close()
    return ours
