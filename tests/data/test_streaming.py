from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

READ = """
import resource, sys
import numpy as np
import pandas
from kexp.data import split
from kexp.data.table.component import csv
held = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = held()
part = split(csv(sys.argv[1], "y")).train
total = sum(part.batch(np.arange(start, start + 4096) % len(part))[0].sum() for start in range(0, len(part), 4096))
print(held() - before)
"""


@pytest.mark.real_process
def test_csv_is_read_in_a_fraction_of_its_size(tmp_path: Path, random: np.random.Generator) -> None:
    rows, columns = 200_000, 20
    lines = [",".join(f"{value:.17f}" for value in row) for row in random.random((500, columns))]
    path = tmp_path / "big.csv"
    with path.open("w") as file:
        file.write(",".join(f"c{column}" for column in range(columns)) + ",y\n")
        for start in range(0, rows, 500):
            file.write("".join(f"{line},{start + row}\n" for row, line in enumerate(lines)))
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    assert path.stat().st_size > 70e6
    assert int(done.stdout) < rows * (16 + 16 + 8) + 60e6  # offsets, targets, row numbers; what pandas needs a chunk
