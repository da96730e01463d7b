"""What the plugin adds to `import verl`: seconds, memory and modules, in processes of their own.

    python benchmarks/startup.py [--repeats 5]

verl loads its plugins in the driver and in every worker, so what one costs at import is paid many
times over. Processes with and without the plugin take turns; the difference of the medians counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import write_json

CODE = """
import json, resource, sys, time
start = time.perf_counter()
import verl
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
heavy = [name for name in ("vllm", "verl.trainer.ppo.v1.trainer_base") if name in sys.modules]
print(json.dumps({"seconds": seconds, "mib": peak / 1024, "modules": len(sys.modules),
                  "heavy": heavy}))
"""
POLICIES = {"without": "none", "with": "rest_verl"}


def run_once(policy: str) -> dict[str, Any]:
    """`import verl` in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE],
        env={**os.environ, "VERL_USE_EXTERNAL_PLUGINS": policy, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind")
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/benchmarks/startup.json"), help="JSON file"
    )
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in POLICIES}
    run_once("none")  # so that all files are in the system's cache
    for _ in range(options.repeats):
        for name, policy in POLICIES.items():
            runs[name].append(run_once(policy))
    medians = {
        name: {key: statistics.median(run[key] for run in found) for key in ("seconds", "mib")}
        for name, found in runs.items()
    }
    added = {key: medians["with"][key] - medians["without"][key] for key in ("seconds", "mib")}
    for name, found in medians.items():
        print(f"{name:>8} the plugin: {found['seconds']:.2f} s, {found['mib']:.0f} MiB")
    print(
        f"   added: {added['seconds']:+.2f} s, {added['mib']:+.1f} MiB; loaded by it: "
        f"{', '.join(runs['with'][0]['heavy']) or 'neither vLLM nor a trainer'}"
    )
    write_json(options.output, {"runs": runs, "medians": medians, "added": added})
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
