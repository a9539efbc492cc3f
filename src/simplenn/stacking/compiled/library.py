"""Compiled code on disk: a C++ source becomes a shared library, once for a machine, and is loaded in a millisecond.

The libraries lie in the user's own cache directory, under a name made of the source, the compiler's options and the
CPU, and of the library's own content: what is not as it was written is compiled again. Knows no graphs.
"""

import ctypes
import hashlib
import os
import platform
import stat
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from simplenn.compiler import compiler
from simplenn.stacking.reasons import CannotCompile

# Each number is rounded as it stands there: no contraction to fused operations, no other order of a sum. What is left
# out are only the marks that an operation may leave for others to ask: errno and the processor's exception flags.
OPTIONS = ("-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno")
OPTIONS += ("-fno-strict-aliasing", "-fno-trapping-math", "-Wno-psabi", "-w")
SECONDS = 120  # that the compiler may take
KEPT = 1000  # libraries; a few tens of kB each
TORCH = Path(torch.__file__).parent / "lib"


def load(source: str) -> ctypes.CDLL:
    """The library of this source, from the cache or compiled now. Raises `CannotCompile`."""
    options = [*OPTIONS, *_of_torch()]
    key = hashlib.sha256("\n".join([source, *options, _cpu()]).encode()).hexdigest()[:32]
    directory = _directory()
    for path in sorted(directory.glob(f"{key}-*.so")):
        with suppress(FileNotFoundError):
            if path.stem == f"{key}-{_digest(path)}":
                return ctypes.CDLL(str(path))
            path.unlink()
    with tempfile.TemporaryDirectory(dir=directory, prefix="compiling-") as scratch:
        made = _compile(source, Path(scratch), options)
        path = directory / f"{key}-{_digest(made)}.so"
        os.replace(made, path)
    _forget(directory)
    return ctypes.CDLL(str(path))


def _forget(directory: Path) -> None:
    """Deletes what was written long ago; another process may be at it, too."""
    written = {}
    for path in directory.glob("*.so"):
        with suppress(FileNotFoundError):
            written[path] = path.stat().st_mtime
    for path in sorted(written, key=written.__getitem__)[:-KEPT]:
        path.unlink(missing_ok=True)


def _compile(source: str, scratch: Path, options: list[str]) -> Path:
    text, made = scratch / "epoch.cpp", scratch / "epoch.so"
    text.write_text(source)
    try:
        command = [compiler(), *options, str(text), "-o", str(made), *_linked(options)]
        done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    except OSError as error:
        raise CannotCompile(f"the C++ compiler {compiler()} can't be started ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise CannotCompile(f"the C++ compiler takes more than {SECONDS} s") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        wrong = next((line for line in lines if "error" in line), lines[0] if lines else f"status {done.returncode}")
        raise CannotCompile(f"{compiler()} fails: {wrong:.160}")
    return made


def _of_torch() -> list[str]:
    """Whether libtorch holds Intel's MKL, by which it computes functions of arrays."""
    return ["-DMKL"] if _has_mkl() else []


def _linked(options: list[str]) -> list[str]:
    return [f"-L{TORCH}", "-ltorch_cpu"] if "-DMKL" in options else []


@cache
def _has_mkl() -> bool:
    path = TORCH / "libtorch_cpu.so"
    return torch.backends.mkl.is_available() and path.exists() and hasattr(ctypes.CDLL(str(path)), "VMSSQRT_")


@cache
def _cpu() -> str:
    """What `-march=native` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = {line.split(":")[0].strip(): line for line in reversed(lines)}
    return "\n".join([platform.machine(), platform.processor(), named.get("model name", ""), named.get("flags", "")])


@cache
def _directory() -> Path:
    """Of the user's own, where nobody else can put a library; else one that ends with the process."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(home) / "simplenn" / "compiled"
    try:
        if not path.is_absolute():
            raise OSError("the user has no home")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.stat()
        is_own = not hasattr(os, "getuid") or (
            info.st_uid == os.getuid() and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        )
        if is_own and os.access(path, os.W_OK):
            return path
    except OSError:
        pass
    return Path(_temporary().name)


@cache
def _temporary() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="simplenn-compiled-")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
