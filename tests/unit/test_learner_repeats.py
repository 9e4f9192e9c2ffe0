"""One seed on one machine is one run, in whatever process and beside whatever else goes on."""

import json
import subprocess
import sys

import numpy as np
import pytest


def run_twice(tmp_path, network, updates):
    """Two processes at once, each with two threads: they disturb each other as much as they can."""
    folders = [tmp_path / "first", tmp_path / "second"]
    processes = []
    for folder in folders:
        folder.mkdir()
        command = [sys.executable, "-m", "tests.repeated_run", str(folder), network, str(updates)]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return folders


def check_same(folders):
    first, second = ((folder / "steps.jsonl").read_text() for folder in folders)
    assert first == second
    ended = [step for line in first.splitlines() for step in json.loads(line)[2] if step["done"]]
    assert ended, "no episode ended: nothing was compared"
    weights = [np.load(folder / "weights.npz") for folder in folders]
    for name in weights[0].files:
        assert np.allclose(weights[0][name], weights[1][name], rtol=0, atol=1e-6), name
    for file in weights:
        file.close()


def test_one_seed_gives_the_same_episodes_and_weights_in_two_processes(tmp_path):
    check_same(run_twice(tmp_path, "FAST", 6))


@pytest.mark.slow
def test_deepracers_network_repeats_too(tmp_path):
    check_same(run_twice(tmp_path, "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", 4))
