"""Training: fits and evaluates Keras models that are ready. Does not import Hydra, the registry or MLflow."""

from kexp.training.checkpoints.checkpoint import Checkpointing, remove_checkpoints
from kexp.training.fit import evaluate, fit, predict
from kexp.training.history import History
from kexp.training.listeners import Stop, notify_epoch, notify_resumed
from kexp.training.plan import Plan, compile_model
from kexp.training.process.backend import (
    check_backend,
    check_backend_installed,
    loaded_backend,
    own_process,
    prepare_backend,
    seed_everything,
    set_precision,
    user_precision,
)
from kexp.training.process.cleanup import forget_model, freeze_imports
from kexp.training.progress import progress
from kexp.training.watch import best_epoch, check_monitors, why_stopped

__all__ = [
    "Checkpointing",
    "History",
    "Plan",
    "Stop",
    "best_epoch",
    "check_backend",
    "check_backend_installed",
    "check_monitors",
    "compile_model",
    "evaluate",
    "fit",
    "forget_model",
    "freeze_imports",
    "loaded_backend",
    "notify_epoch",
    "notify_resumed",
    "own_process",
    "predict",
    "prepare_backend",
    "progress",
    "remove_checkpoints",
    "seed_everything",
    "set_precision",
    "user_precision",
    "why_stopped",
]
