"""What a command does outside its own process: the sockets it opens, the programs it starts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.conftest import Argument, command, environment

_SYSTEM_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")
_LOCAL_SOCKET = re.compile(r"socketpair\(AF_UNIX, SOCK_STREAM\|SOCK_CLOEXEC, 0, ")
_ON_A_SOCKETPAIR = {
    "recvmsg", "sendmsg", "sendto", "recvfrom", "shutdown", "getsockopt", "setsockopt", "getsockname",
    "getpeername",
}  # fmt: skip
_NAMELESS = re.compile(r"\{sa_family=AF_UNIX\}")
_HAS_ADDRESS = re.compile(r"sa_family=|msg_name=\{|AF_(?!UNIX)\w+")
# How Python's ctypes asks where a shared library lies; a package of NVIDIA does so when torch is imported.
_LIBRARY_LIST = re.compile(r'"/sbin/ldconfig", \["/sbin/ldconfig", "-p"\]')
# How the C library asks for the name of the user, which torch does.
_USER_NAMES = re.compile(
    r'socket\(AF_UNIX,|connect\(\d+, \{sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"\}'
)
_OWN_WORKER = "from photoclip.images.serving import serve"

STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e", "trace=%network,execve,execveat")
"""Writes down what touches a network or starts a program, and leaves all else at its speed."""


def why_nothing_can_be_traced() -> str:
    """Return why this machine cannot watch system calls, or nothing."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run([*STRACE, "true"], capture_output=True, timeout=60)
    return "" if done.returncode == 0 else "strace is old, or may not trace here"


def trace(place: Path, *arguments: Argument) -> list[str]:
    """Run a command under strace and return its system calls that touch a network or start a program."""
    file = place / "trace"
    line = [*STRACE, "-o", str(file), *command(*arguments)]
    done = subprocess.run(line, env=environment(), capture_output=True, timeout=200, cwd=place)
    assert done.returncode == 0, done.stderr
    return file.read_text("utf-8", "replace").splitlines()


def strangers(calls: Sequence[str]) -> Iterator[str]:
    """Yield the calls of a trace that reach outside: sockets that are not pairs, addresses, programs that
    are neither the command itself (the first call) nor a decode worker."""
    for number, call in enumerate(calls):
        found = _SYSTEM_CALL.match(call)
        if found is None:  # a signal, an end, the second half of a call
            continue
        name, rest = found.groups()
        if name in ("execve", "execveat"):
            own = rest.startswith(f'"{sys.executable}"') and (number == 0 or _OWN_WORKER in rest)
            own = own or _LIBRARY_LIST.match(rest) is not None
        elif name == "socketpair":
            own = _LOCAL_SOCKET.match(f"{name}({rest}") is not None
        elif _USER_NAMES.match(f"{name}({rest}"):
            own = True
        else:
            own = name in _ON_A_SOCKETPAIR and not _HAS_ADDRESS.search(_NAMELESS.sub("", rest))
        if not own:
            yield call[:300]
