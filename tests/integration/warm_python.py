"""How can many runs of ``python -m tracegate`` share one start of it? Most of a run is the import of SQLAlchemy.

Gives a ``python`` for PATH that hands its arguments, environment, folder and standard streams to a process that has
imported everything, which forks for each run. Everything after the imports is as it would be.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import tracegate
from tracegate.cli import main

__all__ = ["warm_python"]

_LONGEST_RUN_BYTES = 1 << 17
_PYTHON = """#!{interpreter} -IS
import json, os, socket, sys
run = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [run], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(4)))
"""


@contextmanager
def warm_python() -> Iterator[Path]:
    """Give a folder that holds ``python``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = str(folder / "socket")
        (folder / "python").write_text(_PYTHON.format(interpreter=sys.executable, address=address))
        (folder / "python").chmod(0o755)
        source = str(Path(tracegate.__file__).parents[1])
        server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, address],
            env={**os.environ, "PYTHONPATH": source},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield folder
        finally:
            server.terminate()
            server.communicate()


def serve(address: str) -> NoReturn:
    """Run what comes, one after the other."""
    from tracegate.ops import gate_watch
    from tracegate.sinks import spool

    assert gate_watch, spool  # imported for those who fork
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            with listener.accept()[0] as caller:
                data, streams, _, _ = socket.recv_fds(caller, _LONGEST_RUN_BYTES, 3)
                while more := caller.recv(_LONGEST_RUN_BYTES):
                    data += more
                child = os.fork()
                if not child:
                    run(*json.loads(data), streams)
                for stream in streams:
                    os.close(stream)
                caller.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def run(arguments: list[str], environ: dict[str, str], folder: str, streams: list[int]) -> NoReturn:
    """Be the process that was asked for, and end at once: to take down what was imported is half of such a run."""
    status: object = 70
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        assert arguments[:2] == ["-m", "tracegate"], arguments
        status = main(arguments[2:])
    except SystemExit as left:
        status = left.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


if __name__ == "__main__":
    serve(sys.argv[1])
