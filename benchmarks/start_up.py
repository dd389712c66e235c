"""How long kexp takes to begin: light commands as whole processes, against a Hydra program with one key.

    python benchmarks/start_up.py [--repeats 15] [--json]

The commands run in turns, so that a busy moment hits all alike, and the least of each counts. To reach: 1.3 times the
bare program, which composes and prints its config as kexp does. Processor time is shown as well: other work on the
machine moves it less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

BARE = """
import hydra

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    pass

main()
"""
COMMANDS = {
    "import kexp": ["-c", "import kexp"],
    "kexp --help": ["-m", "kexp", "--help"],
    "kexp --cfg job": ["-m", "kexp", "--cfg", "job"],
    "kexp components": ["-m", "kexp", "components"],
    "kexp show optimizer adam": ["-m", "kexp", "show", "optimizer", "adam"],
    "completion of a word": ["-m", "kexp", "completion", "--line", "kexp optimizer=ad"],
    "completion of a key": ["-m", "kexp", "completion", "--line", "kexp optimizer=adam optimizer.lea"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="how often each is run; the least counts")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bare.py").write_text(BARE)
        Path(folder, "config.yaml").write_text("key: value\n")
        commands = {"bare Hydra --cfg job": ["bare.py", "--cfg", "job"], **COMMANDS}
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        for repeat in range(given.repeats + 1):
            for name, command in commands.items():
                taken, used = measured(command, folder)
                if repeat:  # the first time bytecode is written and files are read from the disk
                    seconds[name].append(taken)
                    cpu[name].append(used)
    least = {name: (min(seconds[name]), min(cpu[name])) for name in commands}
    bare = least["bare Hydra --cfg job"]
    ratio = {name: (value[0] / bare[0], value[1] / bare[1]) for name, value in least.items()}
    print(f"{'':<26}{'seconds':>9}{'ratio':>8}{'CPU s':>10}{'ratio':>8}")
    for name in commands:
        wall, used = least[name]
        print(f"{name:<26}{wall:>9.3f}{ratio[name][0]:>8.2f}{used:>10.3f}{ratio[name][1]:>8.2f}")
    print("\nto reach: a ratio of 1.30")
    if given.json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "hydra-core": version("hydra-core")}
        columns = {
            "seconds": {name: value[0] for name, value in least.items()},
            "cpu_seconds": {name: value[1] for name, value in least.items()},
            "ratio": {name: value[0] for name, value in ratio.items()},
            "cpu_ratio": {name: value[1] for name, value in ratio.items()},
        }
        print(json.dumps({**columns, "machine": machine}))


def measured(command: list[str], folder: str) -> tuple[float, float]:
    """Seconds of the whole process, and of processor time."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # Without kept bytecode every module would be compiled anew; an installed package has it.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, env=env)
    taken, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stderr[-2000:]}")
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
