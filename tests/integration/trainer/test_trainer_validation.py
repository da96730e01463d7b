"""The trainer marks the batches of validation, and only while validation runs."""

import numpy as np
import pytest
from trainer_in_memory import Parent, Trainer

from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration.validation_mark import VALIDATION_MARK, MarkedLoader


def test_validation_batches_are_marked():
    batches = [{"raw_prompt": ["a", "b"], "index": [0, 1]}, {"raw_prompt": ["c"], "index": [2]}]
    loader = MarkedLoader(batches)
    assert len(loader) == 2
    first, second = loader
    assert first["index"] == [0, 1]
    assert first[VALIDATION_MARK].tolist() == [True, True]
    assert second[VALIDATION_MARK].dtype == np.dtype(object)
    assert VALIDATION_MARK not in batches[0]


def test_the_loader_is_put_back_after_validation(monkeypatch):
    instance = Trainer(ReSTConfig())
    loader = instance.val_dataloader = [{"raw_prompt": ["a", "b"]}, {"raw_prompt": ["c"]}]
    assert instance._validate() == {"marks": 3}
    assert instance.val_dataloader is loader
    monkeypatch.setattr(Parent, "_validate", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        instance._validate()
    assert instance.val_dataloader is loader
