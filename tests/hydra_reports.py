"""What users of Hydra have reported, and what kexp does: the rows of a table in `docs/hydra.md`."""

from __future__ import annotations

REPORTS: dict[int, tuple[str, str]] = {
    125: (
        "folders of trials by number",
        "a trial's folder is its number in the sweep, on every launcher and after a resume",
    ),
    274: ("folders of YAML set in the config", "`hydra.searchpath`, in the primary config or on the command line"),
    283: ("a value for options of a swept group", "it belongs to the trials whose option has it"),
    394: ("a sweep without a flag", "`hydra.mode: MULTIRUN` in the config or in a preset"),
    573: ("a comma in a value of a sweep", "one value where it is quoted: `'a,b'`"),
    851: ("the configured launcher for one run", "`kexp -m` without axes is a sweep of one trial, on the launcher"),
    856: ("completion beside swept values", "goes on after `optimizer=sgd,adam`, and within it"),
    962: ("`%` in a value", "accepted as it is"),
    1016: ("two options of a group at once", "`experiment=[a,b]`, and lists of `metrics` and `callbacks`"),
    1052: ("options that each have parameters of their own", "each trial has those of its option, and is run once"),
    1259: ("a folder of YAML given in code", "`kexp.run(..., config_dir=...)`, `kexp.sweep(..., config_dir=...)`"),
    1306: ("a failure ends what comes after it", "a trial fails alone; the others run"),
    1344: ("`override_dirname` differs among launchers", "it is the trial's own on every launcher of kexp's"),
    1407: ("resuming a sweep", "the same command again, or `kexp resume`, runs what is missing"),
    1462: (
        "a sweep that continues after failures",
        "it does, and retries a trial whose process died (`sweep.max_retries`)",
    ),
    1600: ("a backslash at the end of a quoted text", "the text, as it is"),
    1788: ("folders relative to the working directory", "`--config-dir` and `--config-path` are"),
    1841: ("completion of `+GROUP=`", "as of `GROUP=`"),
    1843: ("a vertical bar in a value", "accepted as it is"),
    1954: ("pruning in searches", "`hydra.sweeper.pruner`, on every launcher of kexp's"),
    2284: (
        "failures are not reported while a sweep runs",
        "each is reported when it happens, and all at the end, with their reasons",
    ),
    2381: ("a sweep over Hydra's own settings", "refused in a sentence, since a sweep has one of each"),
    2433: ("conditional search spaces", "derived from the options, or written as a mapping in `hydra.sweeper.space`"),
    2551: ("continuing after a failure", "the default"),
    2705: ("`#` in a value", "accepted as it is"),
    2807: ("a sweep over sweeps", "the trials of each"),
    2824: ("ending with the first failure", "`sweep.fail_fast=true`"),
    2888: ("a value that the default option lacks", "it belongs to the trials whose option has it"),
    2891: ("letters outside ASCII", "accepted as they are"),
    2946: ("a launcher in a preset", "it is the sweep's launcher"),
    3018: (
        "`/` in `override_dirname`",
        "makes folders in the sweep's, as in Hydra; `exclude_keys` leaves overrides out",
    ),
    3231: ("presets of a sweep that choose launchers", "one launcher is used, several are refused in a sentence"),
    3328: ("resuming, as a part of Hydra", "a sweep is recognised by its command, a trial by its fingerprint"),
}


def rows() -> list[str]:
    """The table's rows."""
    address = "https://github.com/facebookresearch/hydra/issues"
    return [f"| [#{number}]({address}/{number}) | {about} | {does} |" for number, (about, does) in REPORTS.items()]
