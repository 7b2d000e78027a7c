"""What every test stands on: no hub is asked, few threads, the same random numbers each time."""

from __future__ import annotations

import os
import random

# Before anything imports a hub client: a test that would download must fail at once, everywhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Start each test from one seed, so that it gives the same result alone and in any order."""
    random.seed(0)
    np.random.seed(0)  # the old global generator, which libraries still draw from
    torch.manual_seed(0)
