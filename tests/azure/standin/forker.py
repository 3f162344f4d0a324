"""`python` on a node: forks from a process that has loaded the training libraries once for all jobs.

As a script it is that process; `shim()` gives the folder of a `python` that asks it, and starts it if needed.
"""

from __future__ import annotations

import array
import atexit
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = ("torch", "transformers", "trl.trainer.sft_trainer", "peft", "datasets")
SHIM = """#!{python} -IS
import array, json, os, signal, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect({address!r})
request = json.dumps({{"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}}).encode()
descriptors = array.array("i", [1, 2]).tobytes()
peer.sendmsg([len(request).to_bytes(8, "little")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
peer.sendall(request)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = peer.recv(16)
sys.exit(int(code) if code else 137)
"""
"""Waits for the exit code; a signal reaches the real process by itself, as the node knows its id."""

_running: list[tuple[subprocess.Popen[bytes], Path]] = []


def shim() -> Path:
    """The folder to put first on PATH."""
    if not _running:
        folder = Path(tempfile.mkdtemp(prefix="phichat-node-"))
        address = str(folder / "socket")
        process = subprocess.Popen(
            [sys.executable, __file__, address], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        (folder / "bin").mkdir()
        script = folder / "bin" / "python"
        script.write_text(SHIM.format(python=sys.executable, address=address), encoding="utf-8")
        script.chmod(0o755)
        _running.append((process, folder))
        atexit.register(_stop)
    return _running[0][1] / "bin"


def _stop() -> None:
    process, folder = _running.pop()
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


def main(address: str) -> None:
    """Listen first, load then: who asks meanwhile waits."""
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(16)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for name in LIBRARIES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        peer, _ = server.accept()
        if os.fork() == 0:
            server.close()
            _become(peer)
        peer.close()


def _become(peer: socket.socket) -> None:
    """Be what the shim was asked to be: a script with its arguments, folder, environment and output."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, control, _, _ = peer.recvmsg(8, socket.CMSG_LEN(2 * 4))
    descriptors = array.array("i", control[0][2])
    length, body = int.from_bytes(size, "little"), b""
    while len(body) < length:
        body += peer.recv(length - len(body))
    request = json.loads(body)
    for number, descriptor in zip((1, 2), descriptors, strict=True):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(request["env"])
    with Path(os.environ["PHICHAT_NODE_PIDS"]).open("a", encoding="utf-8") as pids:
        pids.write(f"{os.getpid()}\n")
    os.chdir(request["cwd"])
    script, *rest = request["argv"]
    sys.argv = [script, *rest]
    sys.path[0] = str(Path(script).absolute().parent)
    code = 1
    try:
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        peer.sendall(str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
