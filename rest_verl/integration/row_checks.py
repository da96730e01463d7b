"""Can the run eat its rows: will verl read them, does somebody score them, do the prompts fit?

Each check takes verl's composed configuration and returns one message, which names the file, mostly
the row, and the mend, or None. It looks at a few rows of each file that is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rest_verl.environments.base import environment_class
from rest_verl.integration.agent_loops.rows import Row
from rest_verl.integration.data_files import (
    LOOP,
    SOURCE,
    DataFile,
    data_files,
    named_files,
)
from rest_verl.integration.scorers import FUNCTION, MANAGER, Scorer, scorer, verl_scores
from rest_verl.integration.syntax_check import local_tokenizer
from rest_verl.prompts.template import prompt_ids
from rest_verl.rewards.ground_truth import parse_ground_truth

DEFAULT_LOOP = "actor_rollout_ref.rollout.agent.default_agent_loop"
LONGEST = "data.max_prompt_length"
DROPS = "data.filter_overlong_prompts"
TRAIN_FILES = "data.train_files"
ENVIRONMENT_LOOP = "rest_tool_env"
SCORED_LOOPS = ("single_turn_agent", "tool_agent", "rest_single_turn")
"""Agent loops that leave the score to the reward; another's may bring its own."""
_OTHER_PARTS = ("image", "video", "audio")


def files_to_read(config: DictConfig) -> str | None:
    """Is each file one that verl reads, with rows in it?"""
    try:
        for _ in data_files(config):
            pass
    except ValueError as error:
        return str(error)
    return None


def prompts_are_chats(config: DictConfig) -> str | None:
    """Is there a column of prompts, each a list of messages?"""
    key = OmegaConf.select(config, "data.prompt_key")
    for file in data_files(config):
        if key not in file.columns:
            return (
                f"{file.name}: has no column {key}; it has {', '.join(file.columns)}. verl reads "
                "a list of messages there: write it, or name its column with data.prompt_key"
            )
        for place, row in file.rows.items():
            if wrong := _no_chat(row.get(key)):
                return (
                    f"{file.row_name(place)}: its {key} {wrong}. Write it as messages, "
                    '[{"role": "user", "content": "…"}]'
                )
            if not isinstance(row.get("extra_info") or {}, Mapping):
                return (
                    f"{file.row_name(place)}: its extra_info is {repr(row['extra_info'])[:40]}: "
                    'verl reads keys of it. Write it as an object, {"index": 0}'
                )
    return None


def a_batch_is_full(config: DictConfig) -> str | None:
    """Are there rows for one step? verl trains on no batch that is not full."""
    named = [path for setting, path in named_files(config) if setting == TRAIN_FILES]
    counts = [file.count for file in data_files(config) if file.name.startswith(f"{TRAIN_FILES}=")]
    if not counts or len(counts) < len(named):
        return None
    rows, most = sum(counts), OmegaConf.select(config, "data.train_max_samples")
    rows = min(rows, most) if most and most > 0 else rows
    batch = OmegaConf.select(config, "data.train_batch_size")
    if rows >= batch:
        return None
    return (
        f"data.train_batch_size={batch}: {TRAIN_FILES} holds {rows} rows, too few for one step. "
        f"Set data.train_batch_size={rows} or less, or give more rows"
    )


def rows_have_a_scorer(config: DictConfig) -> str | None:
    """Does whoever scores the answers know the rows' data sources, and find what it reads?"""
    who = scorer(config)
    if who in (Scorer.MODEL, Scorer.UNKNOWN):
        return None
    for file in data_files(config):
        sources = {source for source, loop in file.kinds if _loop(config, loop) in SCORED_LOOPS}
        if not sources:
            continue
        for column in ("reward_model",) if who is Scorer.OURS else ("reward_model", SOURCE):
            if column not in file.columns:
                return (
                    f"{file.name}: has no column {column}, which {who.value} needs to score an "
                    f"answer; it has {', '.join(file.columns)}. Write it as docs/data.md says"
                )
        unknown = sorted(str(source) for source in sources if not verl_scores(source))
        if who is Scorer.VERLS and unknown:
            name = OmegaConf.select(config, f"{MANAGER}.name")
            return (
                f"{file.name}: nobody scores the answers to rows of data_source {unknown[0]}: "
                f"{MANAGER}.name={name} asks verl's own function, which does not know it. Set "
                f"{MANAGER}.name=rest for tool calls, or {FUNCTION}.path to a function of your own"
            )
    return None


def ground_truths_are_read(config: DictConfig) -> str | None:
    """Can the tool-call reward read each ground truth?"""
    if scorer(config) is not Scorer.OURS:
        return None
    for file in data_files(config):
        for place, row in file.rows.items():
            if _loop(config, row.get(LOOP)) not in SCORED_LOOPS:
                continue
            model = row.get("reward_model")
            truth = model.get("ground_truth") if isinstance(model, Mapping) else None
            try:
                parse_ground_truth(truth)  # type: ignore[arg-type]
            except ValueError as error:
                return (
                    f"{file.row_name(place)}: {error}. Write reward_model.ground_truth in a "
                    f"notation of docs/data.md, or take another reward than {MANAGER}.name=rest"
                )
    return None


def environments_are_there(config: DictConfig) -> str | None:
    """Do rows of tool environments name one that is registered, and a task to read?"""
    for file, row in environment_rows(config):
        import verl  # noqa: F401  # loads the modules that register a user's environments

        import rest_verl.environments.bfcl  # noqa: F401

        try:
            environment_class(Row.from_extra_info(row.get("extra_info")).environment)
        except ValueError as error:
            return f"{file.name}: {error}"
    return None


def environment_rows(config: DictConfig) -> Iterator[tuple[DataFile, dict[str, Any]]]:
    """Of the rows looked at, those whose conversations our agent loop holds."""
    for file in data_files(config):
        for row in file.rows.values():
            if _loop(config, row.get(LOOP)) == ENVIRONMENT_LOOP:
                yield file, row


def prompts_fit(config: DictConfig) -> str | None:
    """Does each prompt fit into data.max_prompt_length, with its row's tools?

    Under `data.filter_overlong_prompts` longer ones are dropped, and some row has to stay. Else a
    `rest_*` trainer refuses those with tools, and verl cuts off the start of the others, whatever
    `data.truncation` says: verl's own value of it, `error`, is taken at its word here.
    """
    drops = OmegaConf.select(config, DROPS)
    try:
        for file, sizes, longest in _prompt_sizes(config):
            too_long = {place: size for place, size in sizes.items() if size > longest}
            if not too_long or (drops and len(too_long) < file.count):
                continue
            place, size = next(iter(too_long.items()))
            return (
                f"{file.row_name(place)}: its prompt has {size} tokens with its tools, and "
                f"{LONGEST}={longest}; so it is with {len(too_long)} of the {len(file.rows)} rows "
                f"looked at. Set {LONGEST}={max(too_long.values())} or more"
                + ("" if drops else f", or {DROPS}=True to drop such rows")
            )
    except ValueError as error:
        return str(error)
    return None


def prompts_dropped(config: DictConfig) -> list[str]:
    """A warning for each file of which verl is told to drop rows; after `prompts_fit`."""
    if not OmegaConf.select(config, DROPS):
        return []
    return [
        f"{file.name}: {count} of the {len(file.rows)} rows looked at are dropped: their prompts, "
        f"with tools, are longer than {LONGEST}={longest}"
        for file, sizes, longest in _prompt_sizes(config)
        if (count := sum(size > longest for size in sizes.values()))
    ]


def _prompt_sizes(config: DictConfig) -> Iterator[tuple[DataFile, dict[int, int], int]]:
    """Each file, tokens by the place of those rows whose prompts must fit, and the limit; none
    where the tokenizer is not here.

    Raises:
        ValueError: tools that are no JSON, or the template refuses a prompt; names the row.
    """
    tokenizer = local_tokenizer(config)
    if tokenizer is None or not tokenizer.chat_template:
        return
    for file in data_files(config):
        sizes = {
            place: _size(config, tokenizer, file, place)
            for place, row in file.rows.items()
            if _must_fit(config, row)
        }
        yield file, sizes, OmegaConf.select(config, LONGEST)


def _must_fit(config: DictConfig, row: Mapping[str, Any]) -> bool:
    if any(row.get(OmegaConf.select(config, f"data.{part}_key")) for part in _OTHER_PARTS):
        return False  # pictures and sounds take tokens that only verl's processor counts
    if (row.get("extra_info") or {}).get("tools") or OmegaConf.select(config, DROPS):
        return True
    is_talk = _loop(config, row.get(LOOP)) == ENVIRONMENT_LOOP  # scores 0 where it is too long
    return not is_talk and OmegaConf.select(config, "data.truncation") == "error"


def _size(config: DictConfig, tokenizer: Any, file: DataFile, place: int) -> int:
    row = file.rows[place]
    tools = (row.get("extra_info") or {}).get("tools")
    kwargs: Any = OmegaConf.to_container(config.data.apply_chat_template_kwargs)
    try:
        return len(prompt_ids(tokenizer, row[config.data.prompt_key], tools, kwargs))
    except ValueError as error:
        raise ValueError(f"{file.row_name(place)}: {error}") from error


def _loop(config: DictConfig, named: object) -> Any:
    """The agent loop of a row whose column `agent_name` holds `named`."""
    return named or OmegaConf.select(config, DEFAULT_LOOP)


def _no_chat(prompt: Any) -> str:
    """What keeps a prompt from being a list of messages; "" where it is one."""
    if not isinstance(prompt, list):
        return f"is {'a text' if isinstance(prompt, str) else repr(prompt)[:40]}, no list"
    if not prompt:
        return "is an empty list"
    for message in prompt:
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            return f"holds {repr(message)[:60]}, which has no role and content"
    return ""
