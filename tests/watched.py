"""What code opens, fetches, starts or unpickles, by Python's audit events."""

import sys
import sysconfig
from contextlib import contextmanager
from contextvars import ContextVar

WATCHED: ContextVar[list | None] = ContextVar('WATCHED', default=None)

LIBRARIES = tuple({sysconfig.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')})
"""Where Python finds the modules that parts import when they are first used."""

STARTED = ('socket.connect', 'socket.getaddrinfo', 'subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn')


@contextmanager
def watched():
    """A context that gives a list of what happens inside it, except reading installed modules."""
    before = WATCHED.set([])
    try:
        yield WATCHED.get()
    finally:
        WATCHED.reset(before)


def _note(event, arguments):
    seen = WATCHED.get()
    if seen is None:
        return
    if event == 'open' and isinstance(arguments[0], str | bytes):
        path = arguments[0] if isinstance(arguments[0], str) else arguments[0].decode()
        if not path.startswith((*LIBRARIES, '/proc', '/sys')):
            seen.append((event, path))
    elif event in STARTED or event == 'pickle.find_class':
        seen.append((event, '.'.join(map(str, arguments))))


sys.addaudithook(_note)
