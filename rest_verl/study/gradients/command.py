"""The command `rest-verl gradients`: is a weighting's lower variance more than a shorter step?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rest_verl.algorithm.presets import PRESETS
from rest_verl.options.lists import Listed
from rest_verl.options.values import json_object, positive_int, positive_number, training_progress

LEAST_SKETCH = 16_384
"""Numbers of a sketch below which its own error (one standard deviation of a squared length is
√(2 / D) of it) would be above 1.2 %."""

_DESCRIPTION = (
    "variance, noise-to-signal and first-order gain of each weighting on a policy, before training"
)


def add_gradients(commands: Any) -> None:
    """Adds `gradients` to the sub-commands of the command line."""
    command = commands.add_parser("gradients", help=_DESCRIPTION, description=_DESCRIPTION)
    add = command.add_argument
    add("--model", required=True, help="Hugging Face folder, global_step_* of verl's, or hub name")
    source = command.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--rollouts",
        type=Path,
        metavar="DUMP",
        help="of this policy, with rewards: tq_batch.pt of skip.rollout_tq, a global_step_* that "
        "holds transfer_queue, <step>.jsonl of trainer.rollout_data_dir, or that folder",
    )
    source.add_argument(
        "--prompts",
        type=Path,
        metavar="PARQUET",
        help="rows of verl's: responses are sampled here and scored by the tool-call reward",
    )
    add("--output", type=Path, required=True, help="folder for gradients.json, .md and .png")
    add(
        "--presets",
        action=Listed,
        choices=list(PRESETS),
        default=list(PRESETS),
        metavar="NAME",
        help="default: all; uniform is always there. token, top_entropy and shuffled cost a "
        "backward pass each, the others share one a region",
    )
    add(
        "--weights",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME:REGION=W,...",
        help="weights of your own beside them, such as mine:name=1.2,args=1.2,think=0.8; as many "
        "as you like",
    )
    add(
        "--progress",
        action=Listed,
        type=training_progress,
        default=[0.0, 0.5, 1.0],
        metavar="NU",
        help="moments of the curriculum, 0 to 1 (default: 0,0.5,1)",
    )
    add(
        "--total-steps",
        type=positive_int,
        default=105,
        metavar="N",
        help="steps at progress 1, for the preset official, which counts steps (default: 105)",
    )
    add("--parameters", metavar="REGEX", help="only parameters whose name it fits (default: all)")
    add(
        "--sketch",
        type=positive_int,
        default=LEAST_SKETCH,
        metavar="D",
        help=f"numbers of a gradient's sketch, at least {LEAST_SKETCH} (default)",
    )
    add(
        "--batch-prompts",
        type=positive_int,
        default=32,
        metavar="N",
        help="prompts of a training batch: weighted together, and what a step's noise is of "
        "(default: 32)",
    )
    add(
        "--num-prompts",
        type=positive_int,
        default=256,
        metavar="P",
        help="at most as many prompts (default: 256)",
    )
    add(
        "--num-samples",
        type=positive_int,
        default=8,
        metavar="G",
        help="with --prompts: responses to each (default: 8)",
    )
    add(
        "--max-tokens",
        type=positive_int,
        default=512,
        metavar="T",
        help="with --prompts: of a response (default: 512)",
    )
    add(
        "--temperature",
        type=positive_number,
        default=1.0,
        help="of sampling, here or in the dump (default: 1)",
    )
    add(
        "--syntax",
        default="auto",
        metavar="NAME",
        help="how the model writes calls (default: auto)",
    )
    add(
        "--chat-template-kwargs",
        type=json_object,
        default={},
        metavar="JSON",
        help="""with --prompts: the run's, such as '{"enable_thinking": false}'""",
    )
    add("--seed", type=int, default=0, help="of choice, sampling and sketch (default: 0)")
    command.set_defaults(run_command=measure_gradients)


def measure_gradients(arguments: argparse.Namespace) -> int:
    """Reads or samples, measures, and writes the report."""
    from rest_verl.study.gradients.moments import check_enough
    from rest_verl.study.gradients.weightings import parse_weights, weightings

    # before the model is read: what can be refused at once
    if arguments.sketch < LEAST_SKETCH:
        raise ValueError(f"--sketch {arguments.sketch}: too few; give {LEAST_SKETCH} or more")
    if arguments.num_samples < 2:
        raise ValueError("--num-samples 1: a response is judged against others; give 2 or more")
    check_enough(arguments.num_prompts)
    found = weightings(arguments.presets, map(parse_weights, arguments.weights), arguments.progress)
    for option in ("rollouts", "prompts"):
        path = getattr(arguments, option)
        if path is not None and not path.exists():
            raise ValueError(f"--{option} {path}: no such file")
    output = arguments.output
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output {output}: is a file; name a folder")

    from rich.console import Console
    from tqdm import tqdm

    from rest_verl.files.atomic import write_atomically, write_json
    from rest_verl.integration.cores import use_free_cores
    from rest_verl.study.gradients.backward import GroupGradients, chosen_parameters
    from rest_verl.study.gradients.measure import measure
    from rest_verl.study.gradients.picture import picture_png
    from rest_verl.study.gradients.reading import Policy
    from rest_verl.study.gradients.result import result_of
    from rest_verl.study.gradients.sketch import CountSketch
    from rest_verl.study.gradients.tables import markdown, print_result

    use_free_cores()
    policy = Policy.load(
        arguments.model, arguments.syntax, arguments.temperature, arguments.chat_template_kwargs
    )
    parameters = chosen_parameters(policy.model, arguments.parameters)
    num_prompts, groups, source = _source(arguments, policy)
    check_enough(num_prompts)
    sketch = CountSketch(parameters.values(), arguments.sketch, arguments.seed)
    gradients = GroupGradients(
        policy.model, list(parameters.values()), sketch, arguments.temperature
    )
    measuring = measure(
        groups,
        gradients,
        found,
        num_prompts=num_prompts,
        batch_prompts=arguments.batch_prompts,
        total_steps=arguments.total_steps,
        sketch_size=arguments.sketch,
    )
    bar = tqdm(measuring, total=num_prompts, desc="gradients", unit="prompt", disable=None)
    *_, measured = bar
    num_parameters = sum(parameter.numel() for parameter in parameters.values())
    result = result_of(
        measured,
        found,
        batch_prompts=arguments.batch_prompts,
        sketch_size=arguments.sketch,
        seed=arguments.seed,
        facts={
            "model": arguments.model,
            **source,
            "parameters": arguments.parameters or "all",
            "num_parameters": num_parameters,
            "temperature": arguments.temperature,
            "seed": arguments.seed,
        },
    )
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "gradients.json", result.as_dict())
    write_atomically(output / "gradients.md", markdown(result))
    (output / "gradients.png").write_bytes(picture_png(result))
    print_result(result, Console())
    print(output / "gradients.md")
    return 0


def _source(arguments: argparse.Namespace, policy: Any) -> tuple[int, Any, dict[str, Any]]:
    """How many groups there are, an iterator of them, and what to say about them."""
    if arguments.prompts:
        from rest_verl.study.gradients.sampled import read_prompts, sample_groups

        prompts, num_rows = read_prompts(
            arguments.prompts,
            policy,
            num_prompts=arguments.num_prompts,
            max_tokens=arguments.max_tokens,
            seed=arguments.seed,
        )
        print(f"{len(prompts):,} of {num_rows:,} prompts of {arguments.prompts}")
        groups = sample_groups(
            policy,
            prompts,
            num_samples=arguments.num_samples,
            max_tokens=arguments.max_tokens,
            seed=arguments.seed,
        )
        about = {"prompts": str(arguments.prompts), "num_samples": arguments.num_samples}
        return len(prompts), groups, {**about, "max_tokens": arguments.max_tokens}
    from rest_verl.study.gradients.dumped import measured_groups, read_groups

    dump = read_groups(arguments.rollouts, arguments.num_prompts)
    print(f"{len(dump.groups):,} groups of {arguments.rollouts}; {dump.num_left_out:,} left out")
    if dump.is_text:
        print(
            "their text has lost the special tokens of prompts and the end of each response: the "
            "gradients are those of such text. tq_batch.pt of skip.rollout_tq holds the ids"
        )
    about = {"rollouts": str(arguments.rollouts), "left_out": dump.num_left_out}
    return len(dump.groups), measured_groups(policy, dump.groups), about
