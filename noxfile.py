"""Every check of the project: `nox` runs what CI runs, `nox -l` lists the rest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "tests"]
nox.options.error_on_external_run = True
nox.needs_version = ">=2025.2.9"

GROUPS = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "test")
LINT = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "lint")
# A file's fixtures are made once. A sixth of the time is spent waiting: three processes keep two cores at work.
PARALLEL = ("-q", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")
# Which need neither Keras nor MLflow.
QUICK = [
    f"tests/{name}"
    for name in """
        config test_rules.py test_hyperparameters.py test_passwords.py test_api.py test_schema.py test_laziness.py
        test_child_process.py commands/test_help.py components/test_catalogue.py training/test_progress.py
        training/test_checkpoint.py data/test_brought_tables.py data/test_builtin.py data/test_cuts.py
        data/test_exported_members.py data/test_files.py data/test_image_folder.py data/test_inference.py
        data/test_npz_file.py data/test_odd_files.py data/test_odd_tables.py data/test_order.py data/test_parts.py
        data/test_series.py data/test_splits.py data/test_table.py data/test_weights.py sweeps/test_report.py
        sweeps/test_reports.py sweeps/test_samplers.py sweeps/test_search_space.py sweeps/test_statistics.py
    """.split()
]
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONFAULTHANDLER": "1"}


def _install(session: nox.Session) -> None:
    session.install("-q", "-e", ".[optuna]", *GROUPS)
    session.install("-q", "--no-deps", "./plugins/kexp-example")


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, types and layers."""
    session.install("-q", *LINT)
    session.install("-q", "--no-deps", "-e", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")
    session.run("mypy")


@nox.session
def quick(session: nox.Session) -> None:
    """A minute's look at a change: lint, types, layers, and the tests that need neither Keras nor MLflow."""
    lint(session)  # the same checks, in this session's environment
    _install(session)
    session.run("pytest", "-q", "-n", "2", *QUICK, env=QUIET)


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, once on TensorFlow and the JAX part on JAX."""
    _install(session)
    if session.posargs:
        session.run("pytest", *session.posargs, env={**QUIET, "KERAS_BACKEND": "tensorflow"})
        return
    session.run("pytest", *PARALLEL, env={**QUIET, "KERAS_BACKEND": "tensorflow"})
    session.run("pytest", *PARALLEL, "tests/fused", env={**QUIET, "KERAS_BACKEND": "jax"})


@nox.session
def real_processes(session: nox.Session) -> None:
    """The same tests, with every process started anew: `tests` forks those that it can from one that has Keras."""
    _install(session)
    anew = {**QUIET, "KEXP_TESTS_REAL_PROCESSES": "1"}
    session.run("pytest", *(session.posargs or PARALLEL), env={**anew, "KERAS_BACKEND": "tensorflow"})
    if not session.posargs:
        session.run("pytest", *PARALLEL, "tests/fused", env={**anew, "KERAS_BACKEND": "jax"})


@nox.session
def slow(session: nox.Session) -> None:
    """The long tests too: every kill point, every store outage, every component as a lane."""
    _install(session)
    session.run("pytest", "-q", "-m", "slow", *session.posargs, env={**QUIET, "KERAS_BACKEND": "tensorflow"})
    if not session.posargs:
        session.run("pytest", *PARALLEL, "-m", "slow", "tests/fused", env={**QUIET, "KERAS_BACKEND": "jax"})


@nox.session
def optional(session: nox.Session) -> None:
    """What needs the optional dependencies: ONNX and PyTorch."""
    _install(session)
    session.install("-q", "-e", ".[onnx,torch]")
    session.run("pytest", "-q", "-m", "optional", *session.posargs, env={**QUIET, "KERAS_BACKEND": "tensorflow"})


@nox.session
def browser(session: nox.Session) -> None:
    """The report of a sweep in headless Chromium (`apt install chromium`)."""
    _install(session)
    session.install("-q", *nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "browser"))
    session.run("pytest", "-q", "-s", "-m", "browser", *session.posargs, env={**QUIET, "KERAS_BACKEND": "tensorflow"})


@nox.session
def postgres(session: nox.Session) -> None:
    """A store of many people: PostgreSQL, of Debian's package unless it is on the path, behind a server that asks."""
    if not (shutil.which("initdb") or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        session.error("PostgreSQL is neither on the path nor in /usr/lib/postgresql: apt-get install postgresql")
    _install(session)
    session.install("-q", "psycopg2-binary", "flask-wtf")  # what MLflow's server takes for the database and for logins
    session.run("pytest", "-q", "-m", "postgres", *session.posargs, env={**QUIET, "KERAS_BACKEND": "tensorflow"})


@nox.session
def ray(session: nox.Session) -> None:
    """The launcher of plugins/kexp-ray, on a Ray cluster of several nodes on this machine."""
    _install(session)
    session.install("-q", "-e", "./plugins/kexp-ray", "ray")
    session.run("pytest", "-q", *(session.posargs or ["plugins/kexp-ray"]), env={**QUIET})


@nox.session
def docs(session: nox.Session) -> None:
    """The site, from docs/, into build/site: a warning is an error, and every link within it is followed."""
    _install(session)
    session.install("-q", "sphinx>=8", "furo>=2024.8", "myst-parser>=4", "sphinx-copybutton>=0.5")
    session.run("sphinx-build", "-q", "-W", "--keep-going", "docs", "build/site", env=QUIET)


@nox.session
def release(session: nox.Session) -> None:
    """An sdist and a wheel in dist/, checked, and the wheel tried in an environment of its own."""
    session.install("-q", "build", "twine")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "-q", "--outdir", "dist", ".")
    made = [str(each) for each in sorted(Path("dist").iterdir())]
    session.run("twine", "check", "--strict", *made)
    wheel = next(each for each in made if each.endswith(".whl"))
    fresh = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "venv", str(fresh / "venv"))
    python = str(fresh / "venv" / "bin" / "python")
    session.run(python, "-m", "pip", "install", "-q", str(Path(wheel).resolve()), external=True)
    session.chdir(fresh)
    session.run(python, "-m", "kexp", "optimizer=adam", "loss=huber_loss", "trainer.epochs=2", external=True, env=QUIET)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """The benchmarks, at sizes that take minutes."""
    session.install("-q", "-e", ".[optuna]", "keras-tuner", "tensorboard", "ray[tune]")
    session.install("-q", "-e", "./plugins/kexp-ray")
    for script in ("single_run.py", "sweep_overhead.py --trials 100 1000", "sweep_peers.py"):
        session.run("python", *f"benchmarks/{script}".split(), env={"PYTHONUNBUFFERED": "1", **os.environ})
