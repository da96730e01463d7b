"""A policy of the small task and requests to it, as `rest-verl gradients` reads them.

    python -m recipes.evidence.to_measure --output-dir outputs/evidence/to_measure

Fills `model/` and `data/requests.parquet`. The seed is none of the study's, nor are the requests.
"""

import argparse
import shutil
from pathlib import Path

from recipes.evidence.desk import STYLE, make_requests
from recipes.evidence.run import STARTS
from recipes.evidence.start import start_folder
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset
from rest_verl.prompts.styles import asked_syntax

SEED = 100
NUM_REQUESTS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output-dir", type=Path, required=True)
    folder = parser.parse_args().output_dir
    start = start_folder(STARTS / "tiny", SEED)
    shutil.copytree(start / "model", folder / "model", dirs_exist_ok=True)
    rows = [
        {
            "data_source": "desk",
            "prompt": request.messages,
            "ability": "tool_use",
            "reward_model": {"style": "rule", "ground_truth": request.ground_truth},
            "extra_info": {
                "index": index,
                "id": f"desk_{index}",
                "category": "desk",
                "split": "requests",
                "version": "",
                "tools": "",
                "syntax": asked_syntax(STYLE),
            },
        }
        for index, request in enumerate(make_requests(NUM_REQUESTS, "to measure"))
    ]
    write_dataset(folder / "data", {"requests": rows}, BFCL_EXTRA_INFO, {"style": STYLE})


if __name__ == "__main__":
    main()
