"""The commands `rest-verl evaluate bfcl | api-bank | env | compare`."""

from __future__ import annotations

import argparse
import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

from rest_verl.options.assignments import read_assignments
from rest_verl.options.lists import Listed, split_paths
from rest_verl.options.values import json_object, positive_int

_DESCRIPTION = "how good a model's tool calls are, and whether a difference is noise"


def add_evaluate(commands: Any) -> None:
    """Adds `evaluate` to the sub-commands of the command line."""
    evaluate = commands.add_parser("evaluate", help=_DESCRIPTION, description=_DESCRIPTION)
    benchmarks = evaluate.add_subparsers(required=True, metavar="what")

    bfcl = benchmarks.add_parser("bfcl", help="the Berkeley Function-Calling Leaderboard's data")
    _add_generation(bfcl)
    bfcl.add_argument(
        "--categories",
        action=Listed,
        default=[],
        metavar="NAME",
        help="of categories, or single_turn (default), multi_turn, all",
    )
    bfcl.add_argument(
        "--data-dir", type=Path, help="folder of BFCL files (default: the package bfcl-eval)"
    )
    bfcl.add_argument(
        "--mode",
        choices=("tools", "prompt", "compact"),  # MODES, which would import much for --help
        help="functions through the chat template; in the prompt, in the format of training; or as "
        "signatures, for the tiny recipes' models (default: as in the rows of RUN, else tools)",
    )
    bfcl.add_argument(
        "--syntax",
        metavar="NAME",
        help="how the model writes calls with --mode tools (default: as RUN was told, else auto, "
        "as its chat template)",
    )
    bfcl.add_argument(
        "--score-only",
        type=Path,
        metavar="RESULTS",
        help="score the answers in an output folder anew, without a model",
    )
    bfcl.set_defaults(run_command=evaluate_bfcl, defaults=vars(bfcl.parse_args([])))

    api_bank = benchmarks.add_parser("api-bank", help="API-Bank, levels 1 to 3")
    _add_generation(api_bank)
    api_bank.add_argument(
        "--data", type=Path, required=True, help="folder of level-<N>-api_processed.json"
    )
    api_bank.set_defaults(run_command=evaluate_api_bank)

    env = benchmarks.add_parser("env", help="rows of tool environments, your own among them")
    _add_generation(env)
    env.add_argument(
        "--data",
        action=Listed,
        split=split_paths,
        type=Path,
        metavar="PARQUET",
        help="files of rows, such as validation.parquet (default: those that RUN validates on)",
    )
    env.add_argument(
        "--tool-env",
        action=Listed,
        default=[],
        metavar="KEY=VALUE",
        help="options of rest_tool_env, such as max_turns=8; those of training where they are not "
        "its defaults (RUN tells them)",
    )
    env.add_argument(
        "--syntax",
        metavar="NAME",
        help="how the model writes calls where a row leaves that to it (default: as RUN was told, "
        "else auto, as its chat template)",
    )
    env.set_defaults(run_command=evaluate_env)

    compare = benchmarks.add_parser("compare", help="two runs on the same rows")
    compare.add_argument("first", type=Path, metavar="A", help="output folder of one run")
    compare.add_argument("second", type=Path, metavar="B", help="and of the other")
    compare.add_argument("--json", type=Path, help="also write the whole comparison to this file")
    compare.set_defaults(run_command=compare_runs)


def _add_generation(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "run",
        nargs="?",
        type=Path,
        metavar="RUN",
        help="folder of a run: its last checkpoint, unless --model names another model",
    )
    add("--model", type=Path, help="Hugging Face folder or global_step_*")
    add(
        "--output",
        type=Path,
        help="folder for the results; goes on there (default: in RUN/evaluation)",
    )
    add("--limit", type=positive_int, metavar="N", help="only the first N rows of each category")
    add("--samples", type=positive_int, default=1, metavar="K", help="answers for each row")
    add("--seed", type=int, default=0)
    add("--temperature", type=float, help="default: 0 for one sample, 1 for several")
    add("--max-tokens", type=positive_int, default=4096, help="of one message (default: 4096)")
    add("--max-model-len", type=positive_int, help="of a conversation (default: the model's own)")
    add("--tensor-parallel-size", type=positive_int, default=1, help="GPUs that share each layer")
    add("--data-parallel-size", type=positive_int, default=1, help="copies of the model")
    add(
        "--chat-template-kwargs",
        type=json_object,
        metavar="JSON",
        help="""such as '{"enable_thinking": false}' (default: those of RUN)""",
    )


def _quieten() -> None:
    # As in `doctor`: verl warns about every engine that is not installed.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def evaluate_bfcl(arguments: argparse.Namespace) -> int:
    """Generates, scores and writes the results, or only scores them anew."""
    from rest_verl.data.bfcl import BfclSource
    from rest_verl.evaluation.bfcl.rows import MODES, bfcl_rows, select_categories
    from rest_verl.evaluation.bfcl.summary import write_bfcl_summary
    from rest_verl.evaluation.of_run import prompt_style, settle
    from rest_verl.evaluation.run import Evaluation, run_evaluation
    from rest_verl.evaluation.store import read_run
    from rest_verl.integration.checkpoints import find_model

    if arguments.score_only:
        for name, default in arguments.defaults.items():
            if name not in ("score_only", "data_dir") and getattr(arguments, name) != default:
                option = "RUN" if name == "run" else f"--{name.replace('_', '-')}"
                raise ValueError(
                    f"{option} has no part in --score-only: what the folder holds is scored as it "
                    "was run; leave it out"
                )
        return _score_bfcl(arguments.score_only, arguments.data_dir)
    run = settle(arguments, "bfcl")
    if arguments.mode is None:
        style = prompt_style(run)
        arguments.mode = next((mode for mode in MODES if MODES[mode] == style), "tools")
    _quieten()
    options = _generation_options(arguments)
    source = BfclSource.open(arguments.data_dir)
    categories = select_categories(source, arguments.categories)
    rows, num_rows = bfcl_rows(source, categories, arguments.mode, arguments.limit)
    evaluation = Evaluation(
        model=find_model(arguments.model),
        options=options,
        rows=rows,
        shows_tools=arguments.mode == "tools",
        syntax=arguments.syntax if arguments.mode == "tools" else "toolrl",
        about={
            "benchmark": "bfcl",
            "data_version": source.version,
            "mode": arguments.mode,
            "categories": categories,
            "limit": arguments.limit,
            "data": {
                "folder": arguments.data_dir and str(arguments.data_dir.resolve()),
                "name": source.name,
                "release": source.release,
                "files": source.checksums(categories),
            },
        },
    )
    records = run_evaluation(evaluation, arguments.output)
    print(write_bfcl_summary(arguments.output, read_run(arguments.output), records, num_rows))
    return 0


def _score_bfcl(folder: Path, data_dir: Path | None) -> int:
    from rest_verl.data.bfcl import BfclSource
    from rest_verl.evaluation.bfcl.rows import MODES, bfcl_rows
    from rest_verl.evaluation.bfcl.summary import write_bfcl_summary
    from rest_verl.evaluation.run import rescore
    from rest_verl.evaluation.store import RUN_FILE, read_run

    run = read_run(folder)
    if run.get("benchmark") != "bfcl":
        raise ValueError(f"{folder}: holds results of {run.get('benchmark')}, not of bfcl")
    match run:
        case {
            "data": {"folder": str() | None, "files": dict(), "name": _, "release": _} as data,
            "categories": list(categories),
            "mode": str(mode),
            "limit": int() | None as limit,
            "options": {"samples": int(samples), "temperature": float() | int(), "seed": int()},
            "model": {"path": str()},
        } if mode in MODES:
            pass
        case _:
            raise ValueError(f"{folder / RUN_FILE}: lacks what a run of bfcl has; evaluate again")
    source = BfclSource.open(data_dir or (data["folder"] and Path(data["folder"])))
    if source.checksums(source.select(categories)) != data["files"]:
        raise ValueError(
            f"{source.folder}: is not the data that these answers were given to "
            f"({data['name']} {data['release'] or ''}); name that with --data-dir"
        )
    rows, num_rows = bfcl_rows(source, categories, mode, limit)
    records = rescore(folder, rows, samples)
    print(write_bfcl_summary(folder, run, records, num_rows))
    return 0


def evaluate_api_bank(arguments: argparse.Namespace) -> int:
    """Generates, scores and writes the results."""
    from rest_verl.data.api_bank import LEVELS, level_file
    from rest_verl.evaluation.api_bank.rows import api_bank_rows
    from rest_verl.evaluation.api_bank.summary import write_api_bank_summary
    from rest_verl.evaluation.of_run import settle
    from rest_verl.evaluation.run import Evaluation, run_evaluation
    from rest_verl.evaluation.store import read_run
    from rest_verl.integration.checkpoints import find_model

    settle(arguments, "api_bank")
    _quieten()
    options = _generation_options(arguments)
    rows = api_bank_rows(arguments.data, arguments.limit)
    files = [level_file(arguments.data, level) for level in LEVELS]
    evaluation = Evaluation(
        model=find_model(arguments.model),
        options=options,
        rows=rows,
        shows_tools=False,
        syntax="toolrl",
        about={
            "benchmark": "api_bank",
            "data_version": None,
            "mode": "prompt",
            "limit": arguments.limit,
            "data": {
                "folder": str(arguments.data.resolve()),
                "name": arguments.data.resolve().name,
                "release": None,
                "files": {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
            },
        },
    )
    records = run_evaluation(evaluation, arguments.output)
    print(write_api_bank_summary(arguments.output, read_run(arguments.output), records))
    return 0


def evaluate_env(arguments: argparse.Namespace) -> int:
    """Holds the conversations, scores them and writes the results."""
    from rest_verl.evaluation.of_run import settle, validation_files
    from rest_verl.integration.chosen_platform import choose_platform

    run = settle(arguments, "env")
    data = arguments.data or validation_files(run)
    if not data:
        raise ValueError("name the files of rows with --data; no RUN tells them")
    _quieten()
    options = _generation_options(arguments)
    choose_platform()  # before verl is imported, with which the user's environments come
    from rest_verl.evaluation.environments.evaluation import evaluate_environments
    from rest_verl.integration.agent_loops.options import ToolEnvironmentOptions
    from rest_verl.integration.checkpoints import find_model

    own = run.about.get("tool_env", {}) if run else {}
    settings = {**own, **read_assignments(arguments.tool_env, "--tool-env")}
    table = evaluate_environments(
        find_model(arguments.model),
        data,
        arguments.output,
        options=options,
        tool_env=ToolEnvironmentOptions.from_mapping(settings),
        syntax=arguments.syntax,
        limit=arguments.limit,
    )
    print(table)
    return 0


def compare_runs(arguments: argparse.Namespace) -> int:
    """Prints the comparison."""
    from rest_verl.evaluation.comparison import compare_folders
    from rest_verl.files.atomic import write_atomically

    if arguments.json and arguments.json.is_dir():
        raise ValueError(f"--json {arguments.json}: is a folder; name a file")
    comparison = compare_folders(arguments.first, arguments.second)
    if arguments.json:
        write_atomically(arguments.json, comparison.to_json())
    print(comparison.to_markdown())
    return 0


def _generation_options(arguments: argparse.Namespace) -> Any:
    from rest_verl.evaluation.generation import GenerationOptions

    temperature = arguments.temperature
    if temperature is None:
        temperature = 0.0 if arguments.samples == 1 else 1.0
    return GenerationOptions(
        samples=arguments.samples,
        temperature=temperature,
        seed=arguments.seed,
        max_tokens=arguments.max_tokens,
        max_model_len=arguments.max_model_len,
        tensor_parallel_size=arguments.tensor_parallel_size,
        data_parallel_size=arguments.data_parallel_size,
        chat_template_kwargs=arguments.chat_template_kwargs,
    )
