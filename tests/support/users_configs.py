"""Configuration files as users write them around `+rest`, and whose word counts on each option."""

from pathlib import Path
from typing import NamedTuple

MODE = "trainer.v1.trainer_mode"
AGGREGATION = "actor_rollout_ref.actor.loss_agg_mode"

COMMAND_LINE, PRESET = "command line", "+rest"
FILE = "{folder}/mine.yaml"
OWN = ("--config-path", "{folder}", "--config-name", "mine")
"""Arguments that make the user's file the primary one."""

PRESETS_MODE, PRESETS_AGGREGATION = "rest_sync", "seq-mean-token-mean"
LINE = {
    MODE: "trainer: {v1: {trainer_mode: %s}}\n",
    AGGREGATION: "actor_rollout_ref: {actor: {loss_agg_mode: %s}}\n",
}


class UsersConfig(NamedTuple):
    """One start: files, arguments (`{folder}` is where the files lie), and what has to come out."""

    files: dict[str, str]
    arguments: tuple[str, ...]
    mode: str = PRESETS_MODE
    mode_from: str = PRESET
    aggregation: str = PRESETS_AGGREGATION
    aggregation_from: str = PRESET

    def written(self, folder: Path) -> list[str]:
        """The arguments, with the files in place."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return [argument.replace("{folder}", str(folder)) for argument in self.arguments]

    def lines(self, folder: Path) -> list[str]:
        """What the log says at the start."""
        lines = [
            f"[rest] {MODE}={self.mode} (from {self.mode_from})",
            f"[rest] {AGGREGATION}={self.aggregation} (from {self.aggregation_from})",
        ]
        return [line.replace("{folder}", str(folder)) for line in lines]


def settings(mode: str | None = None, aggregation: str | None = None) -> str:
    """A file that sets these two and nothing else."""
    given = {MODE: mode, AGGREGATION: aggregation}
    return "".join(LINE[key] % value for key, value in given.items() if value is not None)


def mine(
    *defaults: str,
    mode: str | None = None,
    aggregation: str | None = None,
    searchpath: str = "pkg://verl.trainer.config",
) -> dict[str, str]:
    """`mine.yaml`: a primary configuration of the user's own on top of verl's."""
    listed = ", ".join(defaults or ("ppo_trainer", "_self_"))
    found_in = f"hydra: {{searchpath: [{searchpath}]}}\n"
    return {"mine.yaml": f"defaults: [{listed}]\n{found_in}{settings(mode, aggregation)}"}


SEPARATE = {"mode": "rest_separate_async", "mode_from": f"{FILE}: separate_async"}
TOKEN_MEAN = {"aggregation": "token-mean", "aggregation_from": FILE}
BOTH = mine(mode="separate_async", aggregation="token-mean")
GROUP = {"exp/a.yaml": f"# @package _global_\n{settings('separate_async', 'token-mean')}"}
GROUPS_WORD = {
    "mode": "rest_separate_async",
    "mode_from": "{folder}/exp/a.yaml: separate_async",
    "aggregation": "token-mean",
    "aggregation_from": "{folder}/exp/a.yaml",
}
SEARCHPATH = "hydra.searchpath=[file://{folder}]"

STARTS = {
    "nothing set": UsersConfig({}, ("+rest=paper",)),
    "a file that sets neither": UsersConfig(mine(), (*OWN, "+rest=paper")),
    "rest_separate_async in a file": UsersConfig(
        mine(mode="rest_separate_async"),
        (*OWN, "+rest=paper"),
        mode="rest_separate_async",
        mode_from=FILE,
    ),
    "verl's separate_async in a file": UsersConfig(
        mine(mode="separate_async"), (*OWN, "+rest=paper"), **SEPARATE
    ),
    "verl's own default mode in a file": UsersConfig(
        mine(mode="sync"), (*OWN, "+rest=paper"), mode_from=f"{FILE}: sync"
    ),
    # the value that verl has anyway, but the user's word: not the preset's seq-mean-token-mean
    "verl's own default mean in a file": UsersConfig(
        mine(aggregation="token-mean"), (*OWN, "+rest=paper"), **TOKEN_MEAN
    ),
    "another mean in a file": UsersConfig(
        mine(aggregation="seq-mean-token-sum"),
        (*OWN, "+rest=paper"),
        aggregation="seq-mean-token-sum",
        aggregation_from=FILE,
    ),
    "the command line alone": UsersConfig(
        {},
        ("+rest=paper", f"{MODE}=rest_colocate_async", f"{AGGREGATION}=token-mean"),
        "rest_colocate_async",
        COMMAND_LINE,
        "token-mean",
        COMMAND_LINE,
    ),
    "the command line against a file": UsersConfig(
        BOTH,
        (*OWN, f"{MODE}=rest_colocate_async", "+rest=paper", f"{AGGREGATION}=seq-mean-token-sum"),
        "rest_colocate_async",
        COMMAND_LINE,
        "seq-mean-token-sum",
        COMMAND_LINE,
    ),
    "one on the command line, one in a file": UsersConfig(
        BOTH,
        (*OWN, "+rest=paper", f"{MODE}=rest_colocate_async"),
        "rest_colocate_async",
        COMMAND_LINE,
        **TOKEN_MEAN,
    ),
    "the group before the file's own words": UsersConfig(
        mine(
            "ppo_trainer", "rest: paper", "_self_", mode="separate_async", aggregation="token-mean"
        ),
        OWN,
        **SEPARATE,
        **TOKEN_MEAN,
    ),
    "the group after the file's own words": UsersConfig(
        mine(
            "ppo_trainer", "_self_", "rest: paper", mode="separate_async", aggregation="token-mean"
        ),
        OWN,
        **SEPARATE,
        **TOKEN_MEAN,
    ),
    "the group in the file, another on the command line": UsersConfig(
        mine("ppo_trainer", "_self_", "rest: paper", aggregation="token-mean"),
        (*OWN, "rest=official"),
        **TOKEN_MEAN,
    ),
    "a group of the user's before +rest": UsersConfig(
        GROUP, ("+exp=a", "+rest=paper", SEARCHPATH), **GROUPS_WORD
    ),
    "a group of the user's after +rest": UsersConfig(
        GROUP, ("+rest=paper", "+exp=a", SEARCHPATH), **GROUPS_WORD
    ),
    "a group in --config-dir": UsersConfig(
        GROUP, ("--config-dir", "{folder}", "+exp=a", "+rest=paper"), **GROUPS_WORD
    ),
    # Hydra takes a searchpath in the primary file and --config-dir together
    "a group in --config-dir beside a file with a searchpath": UsersConfig(
        {**mine(), **{f"more/{name}": text for name, text in GROUP.items()}},
        ("--config-dir", "{folder}/more", *OWN, "+exp=a", "+rest=paper"),
        **{key: value.replace("/exp", "/more/exp") for key, value in GROUPS_WORD.items()},
    ),
    "the file's name with its suffix": UsersConfig(
        BOTH, (*OWN[:3], "mine.yaml", "+rest=paper"), **SEPARATE, **TOKEN_MEAN
    ),
    "a group's file with its suffix": UsersConfig(
        GROUP, ("+exp=a.yaml", "+rest=paper", SEARCHPATH), **GROUPS_WORD
    ),
    "a searchpath with a package that is not installed": UsersConfig(
        mine(searchpath="pkg://not.there, pkg://verl.trainer.config", mode="separate_async"),
        (*OWN, "+rest=paper"),
        **SEPARATE,
    ),
}
