"""Construction of the trainers: the configuration is checked, and verl's parents are there."""

import logging
from dataclasses import asdict

import pytest
from omegaconf import OmegaConf
from trainer_in_memory import Parent

from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration import trainer
from rest_verl.integration.checks import ReSTConfigError
from rest_verl.integration.estimators import EstimatorInputs
from rest_verl.integration.trainer import ReSTMixin


def test_construction_checks_and_hands_the_parents_mode_on(monkeypatch, capsys):
    class Base:
        def __init__(self, config) -> None:
            self.mode = config.trainer.v1.trainer_mode

    class Registered(ReSTMixin, Base):
        trainer_name, parent_mode = "rest_sync", "sync"

    monkeypatch.setattr(trainer, "require_registered", lambda: None)
    config = OmegaConf.create({"algorithm": {}, "trainer": {"v1": {"trainer_mode": "rest_sync"}}})
    OmegaConf.set_struct(config, True)
    instance = Registered(config)
    assert instance.mode == "sync"
    assert instance.rest_config == ReSTConfig()
    assert config.algorithm.rest == {"preset": "paper", **asdict(ReSTConfig())}
    assert "[rest] trainer rest_sync, weights: preset paper" in capsys.readouterr().out
    with pytest.raises(ReSTConfigError, match=r"trainer\.use_v1=False"):
        Registered(OmegaConf.create({"trainer": {"use_v1": False}}))


TRAINERS = {
    "rest_sync": ("sync", trainer.PPOTrainerSync),
    "rest_colocate_async": ("colocate_async", trainer.PPOTrainerColocateAsync),
    "rest_separate_async": ("separate_async", trainer.PPOTrainerSeparateAsync),
}


@pytest.mark.parametrize("name", TRAINERS)
def test_verl_knows_the_trainer_and_has_what_it_extends(name):
    from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

    import rest_verl.plugin  # noqa: F401 (registers)

    parent_mode, parent = TRAINERS[name]
    ours = get_trainer_cls(name)
    assert (ours.trainer_name, ours.parent_mode) == (name, parent_mode)
    assert get_trainer_cls(parent_mode) is parent
    assert ours.__mro__[1:4] == (ReSTMixin, EstimatorInputs, parent)
    for extended in ("_init_dataloader", *(n for n in vars(Parent) if n.startswith("_c"))):
        assert callable(getattr(parent, extended))


def test_verl_starts_where_its_logger_would_refuse_the_call(monkeypatch):
    """verl's message without a hybrid sampler has an argument that no logger takes."""

    def setup(self):
        trainer.verl_logger.info("no hybrid sampler", flush=True)
        self.done = True

    logger = logging.getLogger("verl's, in a test")
    logger.setLevel(logging.INFO)
    monkeypatch.setattr(trainer, "verl_logger", logger)
    monkeypatch.setattr(trainer.PPOTrainerSeparateAsync, "_setup", setup)
    instance = object.__new__(trainer.ReSTTrainerSeparateAsync)
    with pytest.raises(TypeError, match="flush"):
        setup(instance)
    instance._setup()
    assert instance.done
    assert logger.level == logging.INFO  # and goes on logging
