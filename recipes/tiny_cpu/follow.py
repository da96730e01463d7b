"""A progress bar over verl's file log, until the training process ends.

python -m recipes.tiny_cpu.follow RUN/verl_metrics.jsonl --steps 36 --pid 1234 \
    --show reward=reward/total/mean
"""

import argparse
import json
import time
from pathlib import Path

import psutil
from tqdm import tqdm

POLL_SECONDS = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--show", nargs="+", required=True, help="name=metric of verl's log")
    arguments = parser.parse_args()
    shown = dict(pair.split("=", 1) for pair in arguments.show)
    bar = tqdm(total=arguments.steps, desc="starting verl, Ray and vLLM", unit="step")
    with bar:
        while bar.n < arguments.steps and psutil.pid_exists(arguments.pid):
            time.sleep(POLL_SECONDS)
            text = arguments.log.read_text() if arguments.log.exists() else ""
            # The part after the last newline may still be being written.
            for record in map(json.loads, text.split("\n")[:-1]):
                step, data = record["step"], record["data"]
                if step <= bar.n:  # shown already, or the validation before training
                    continue
                bar.set_description("training")
                values = [f"{name} {data[metric]:.2f}" for name, metric in shown.items()]
                bar.set_postfix_str(", ".join(values))
                bar.update(step - bar.n)


if __name__ == "__main__":
    main()
