"""What a step frees is there for the next one, and the system has it again afterwards."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from napari_ois.training import memory

# 64 MiB at a time, each page of it touched; page faults are counted, which no other program can slow down.
STEPS = """
import resource
import torch
from napari_ois.training.memory import kept_memory

torch.set_num_threads(1)


def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


plain = faults()
with kept_memory() as is_kept:
    faults()
    print(is_kept, faults() / plain, end=" ")
    inside = held()
print(inside - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told so")
def test_pages_are_taken_once_and_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    is_kept, share, given_back = done.stdout.split()
    assert is_kept == "True"
    assert float(share) < 0.1
    assert float(given_back) > 50  # MiB


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory._glibc() is None
    with memory.kept_memory() as is_kept:
        assert not is_kept
