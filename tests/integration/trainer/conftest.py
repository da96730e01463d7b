"""The data queue of the trainer's tests."""

import pytest
from trainer_in_memory import TEXTS, Queue, jagged

from rest_verl.integration import trainer


@pytest.fixture
def queue(monkeypatch) -> Queue:
    masks = [[1] * len(TEXTS[0]), [1] * len(TEXTS[1]), [0] * len(TEXTS[2])]
    queue = Queue(
        responses=jagged([list(text.encode()) for text in TEXTS]),
        response_mask=jagged(masks),
        entropy=jagged([[0.5] * len(text) for text in TEXTS]),
    )
    monkeypatch.setattr(trainer, "tq", queue)
    return queue
