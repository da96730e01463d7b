"""Tasks with invented tool names in a new order: names to be copied, not remembered."""

import random
import re

from recipes.tiny_cpu.data import Task
from recipes.tiny_cpu.warm_start import Conversation

RENAME_SHARE = 0.4


def partly_renamed(tasks: list[Task], rng: random.Random) -> list[Conversation]:
    """Each task with its right answer, RENAME_SHARE of them with other tool names."""
    words = sorted({w for task in tasks for w in re.findall(r"[A-Za-z]{3,}", _tools(task))})
    conversations = []
    for task in tasks:
        messages, answer = task.messages, task.answer
        if rng.random() < RENAME_SHARE:
            messages, answer = _renamed(task, words, rng)
        conversations.append([*messages, {"role": "assistant", "content": answer}])
    return conversations


def _tools(task: Task) -> str:
    return task.messages[0]["content"]


def _renamed(task: Task, words: list[str], rng: random.Random) -> tuple[Conversation, str]:
    names = [function["name"] for function in task.row.functions]
    invented = {name: "_".join(rng.choices(words, k=rng.randint(1, 3))) for name in names}
    head, *lines = _tools(task).split("\n")
    # A system message of the row's own may follow the signatures.
    signatures, rest = lines[: len(names)], lines[len(names) :]
    signatures = [
        invented[name] + signature.removeprefix(name)
        for name, signature in zip(names, signatures, strict=True)
    ]
    rng.shuffle(signatures)
    answer = task.answer
    for name, new_name in invented.items():
        answer = answer.replace(f'"{name}"', f'"{new_name}"')
    system = {"role": "system", "content": "\n".join([head, *signatures, *rest])}
    return [system, *task.messages[1:]], answer
