"""Writes a GGUF model as a folder of transformers', in a process of its own.

    python -m recipes.smollm2.from_gguf MODEL.gguf FOLDER

transformers looks for the package `gguf` once, when it is imported.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    file, folder = map(Path, sys.argv[1:])
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    model.save_pretrained(folder)
