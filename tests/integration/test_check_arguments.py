"""Which command lines ResT refuses before Hydra reads them, and with which words."""

import pytest
from check_settings import FUSED, KEYS, LOSS_MODE

from rest_verl.integration.checks import (
    ReSTConfigError,
    check_arguments,
)
from rest_verl.integration.estimator_checks import (
    TOKEN_BASELINES,
)

# arguments, what the message names, the mend
REFUSED_ARGUMENTS = [
    (["algorithm.adv_estimator=rest"], "trainer.v1.trainer_mode=sync", "add +rest=paper"),
    ([f"{LOSS_MODE}=rest"], "trainer.v1.trainer_mode=sync", "add +rest=paper"),
    # with a + Hydra accepts the option, and verl's own trainer would not look at it
    (["+algorithm.rest.w_max=2"], "trainer.v1.trainer_mode=sync", "add +rest=paper"),
    (
        ["trainer.v1.trainer_mode=rest_sync", "trainer.use_v1=False"],
        "trainer.use_v1=False",
        "set trainer.use_v1=True",
    ),
    *(
        (
            ["+rest=paper", f"{plus}algorithm.rest.gama_name=1"],
            "unknown option algorithm.rest.gama_name",
            "did you mean algorithm.rest.gamma_name?",
        )
        for plus in ("", "+", "++")
    ),
    (
        ["trainer.v1.trainer_mode=rest_sync", "algorithm.adv_estimator=gdpo"],
        "algorithm.adv_estimator=gdpo",
        f"Set +{KEYS}=[format,correctness]",
    ),
    (
        [
            "trainer.v1.trainer_mode=rest_sync",
            f"algorithm.adv_estimator={TOKEN_BASELINES[0]}",
            f"{FUSED}=True",
        ],
        f"{FUSED}=True",
        f"Set {FUSED}=False",
    ),
    (["+rest=paper", "algorithm.rest.zzz=1"], "algorithm.rest.zzz", "known: preset, scope"),
    (["+rest=paper", "algorithm.rest.preset=static"], "algorithm.rest.preset", "+rest=static"),
    (["+algorithm.rest=paper"], "algorithm.rest=paper: a preset is", "Use +rest=paper"),
    (["+algorithm.rest={preset: static, w_max: 2}"], "algorithm.rest.preset", "+rest=static"),
]


@pytest.mark.parametrize(("arguments", "name", "mend"), REFUSED_ARGUMENTS)
def test_refused_arguments(arguments, name, mend):
    with pytest.raises(ReSTConfigError) as refusal:
        check_arguments(["data.train_files=[a.parquet,b.parquet]", *arguments])
    message = str(refusal.value)
    assert name in message
    assert mend in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["algorithm.adv_estimator=grpo", "trainer.use_v1=False"],  # a run without ResT
        ["+rest=paper", "algorithm.adv_estimator=rest"],
        ["+rest=paper", "algorithm.rest.gamma_name=1.0", "++algorithm.rest.w_max=1.5"],
        ["trainer.v1.trainer_mode=rest_sync", "+algorithm.rest.w_max=1.5"],
        ["reward.reward_manager.name=rest"],
        [
            "trainer.v1.trainer_mode=rest_sync",
            "algorithm.adv_estimator=gdpo",
            f"+{KEYS}=[format,correctness]",
            "+algorithm.gdpo_reward_weights=[1,2]",
        ],
        # the group may be in that file's defaults
        ["--config-name", "mine", "algorithm.adv_estimator=rest"],
        ["--config-path=/mine", "algorithm.adv_estimator=rest"],
        ["-cn", "mine", "algorithm.adv_estimator=rest"],
        [
            "trainer.v1.trainer_mode=rest_sync",
            "+algorithm.rest.horizon=${trainer.total_training_steps}",
            "distillation.enabled=${mine}",
        ],
        # Hydra's to refuse or to read
        ["+data.x=[1,", "~algorithm.rest.w_max", "data.y={a:b,c:${d}}", "=", "nonsense"],
    ],
)
def test_accepted_arguments(arguments):
    check_arguments(arguments)


def test_a_value_that_does_not_parse_is_left_to_hydra():
    check_arguments(["+rest=paper", "algorithm.rest.w_max=[1"])
