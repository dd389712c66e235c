"""Start-up: what needs no compute imports nothing that computes."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.real_process

HEAVY = ("keras", "tensorflow", "jax", "mlflow", "numpy", "pandas", "matplotlib", "sklearn", "scipy", "torch")
PROBE = """
import sys
try:
    {action}
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {heavy!r} if name in sys.modules]
print("LOADED", *loaded)
"""


@pytest.mark.parametrize(
    "action",
    [
        "import kexp, kexp.cli, kexp.api",
        "from kexp.cli import main; main(['--help'])",
        "from kexp.cli import main; main(['--cfg', 'job', 'optimizer=nadam', 'loss=huber', 'schedule=cosine_decay'])",
        "from kexp.cli import main; main(['components'])",
        "from kexp.cli import main; main(['show', 'optimizer', 'adagrad'])",
        "from kexp.cli import main; main(['show', 'layer', 'Dense'])",
        "from kexp.cli import main; main(['show', 'model', 'mlp'])",
        "from kexp.cli import main; main(['show', 'data', 'digits'])",
    ],
)
def test_listing_and_composing_import_nothing_heavy(action: str) -> None:
    code = PROBE.format(action=action, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"
