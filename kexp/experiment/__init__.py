"""One experiment: from a checked config to a finished and tracked run.

Input: a checked `Experiment`. Output: a `Result`, and the run in the store.
May be imported by sweeps, engines and commands. Imports data, model, training, tracking and persistence.
"""

from kexp.experiment.compiled import build_compiled, compile_model
from kexp.experiment.earlier import begins_with_run, inherited_variables
from kexp.experiment.engines import Engine, Trained, engine_of
from kexp.experiment.kept_models import save_kept
from kexp.experiment.logging.epoch_metrics import log_epoch_time, log_rates, model_size
from kexp.experiment.logging.extras import log_extras
from kexp.experiment.logging.note import NOTE
from kexp.experiment.logging.recording import (
    Source,
    config_tags,
    describe_data,
    model_summary,
    record_setup,
    run_parameters,
    run_tags,
)
from kexp.experiment.logging.serving import formats_for_serving, outputs_of, rows_of
from kexp.experiment.own_files import own_modules
from kexp.experiment.prepared import Prepared, feeds, load_data, prepare, split_data
from kexp.experiment.prepared.own_compile import may_compile
from kexp.experiment.requirements import check_installed, store_of
from kexp.experiment.result import Result
from kexp.experiment.running import checkpointing_of, run
from kexp.experiment.state import TrainedState, write_trained_state
from kexp.experiment.tracing import why_untraceable

__all__ = [
    "NOTE",
    "Engine",
    "Prepared",
    "Result",
    "Source",
    "Trained",
    "TrainedState",
    "begins_with_run",
    "build_compiled",
    "check_installed",
    "checkpointing_of",
    "compile_model",
    "config_tags",
    "describe_data",
    "engine_of",
    "feeds",
    "formats_for_serving",
    "inherited_variables",
    "load_data",
    "log_epoch_time",
    "log_extras",
    "log_rates",
    "may_compile",
    "model_size",
    "model_summary",
    "outputs_of",
    "own_modules",
    "prepare",
    "record_setup",
    "rows_of",
    "run",
    "run_parameters",
    "run_tags",
    "save_kept",
    "split_data",
    "store_of",
    "why_untraceable",
    "write_trained_state",
]
