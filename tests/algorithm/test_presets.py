"""Presets by name, what a wrong option is told, and the hydra group that spells the presets out."""

from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path

import pytest
import yaml

from rest_verl import config as config_package
from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.presets import PRESETS

GROUP = Path(config_package.__file__).parent / "rest"
GAMMAS = ("gamma_format", "gamma_name", "gamma_args", "gamma_think", "gamma_text")
ALPHAS = ("alpha_format", "alpha_args", "alpha_think")

# preset, scope, clock, bounds, gammas, alphas, caps of ARGS and THINK
TABLE = [
    ("paper", "batch", "progress", (0.6, 1.2), (None,) * 5, (0.2, 0.2, 0.2), (None, None)),
    ("calibrated", "batch", "progress", (0.6, 1.2), (None,) * 5, (0.2, 0.2, 0.2), (None, None)),
    (
        "official", "batch", "step", (0.001, 8), (1, 1.2, 0.6, 0.6, 0), (0, 0.002, 0.002),
        (1.2, 1.0),
    ),
    ("static", "batch", "progress", (0.6, 1.2), (None,) * 5, (0, 0, 0), (None, None)),
    (
        "no_think", "batch", "progress", (0.6, 1.2), (None, None, None, 0, None), (0.2, 0.2, 0.2),
        (None, None),
    ),
    ("uniform", "batch", "progress", (0.6, 1.2), (1, 1, 1, 1, 1), (0, 0, 0), (None, None)),
    ("token", "token", "progress", (0.6, 1.2), (None,) * 5, (0, 0, 0), (None, None)),
    ("tool_tokens", "batch", "progress", (0.6, 1.2), (1, 1, 1, 0, 0), (0, 0, 0), (None, None)),
    ("top_entropy", "token", "progress", (0.6, 1.2), (None,) * 5, (0, 0, 0), (None, None)),
    ("shuffled", "batch", "progress", (0.6, 1.2), (None,) * 5, (0.2, 0.2, 0.2), (None, None)),
]  # fmt: skip

# What the table above leaves out; most presets share all of it.
SHARED = {
    "entropy_rule": "score_norm",
    "top_share": 0.2,
    "entropy_floor": 1e-3,
    "entropy_ema": 0.0,
    "scale": "mean",
    "horizon": None,
    "constant_name": "before",
    "normalise_over": "trained",
    "weights_per": "response",
    "w_cap": 4.0,
    "shuffle": False,
    "syntax": "auto",
    "turn_gamma": 1.0,
    "outcome_weight": 1.0,
}
OWN = {
    "calibrated": {"scale": "calibrated", "constant_name": "after"},
    "top_entropy": {"entropy_rule": "top", "scale": "none"},
    "shuffled": {"shuffle": True},
}


def test_every_preset_is_in_the_table():
    assert [row[0] for row in TABLE] == list(PRESETS)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_preset_values(row):
    name, scope, clock, bounds, gammas, alphas, caps = row
    config = ReSTConfig.preset(name)
    assert (config.scope, config.clock) == (scope, clock)
    assert (config.w_min, config.w_max) == bounds
    assert tuple(getattr(config, gamma) for gamma in GAMMAS) == gammas
    assert tuple(getattr(config, alpha) for alpha in ALPHAS) == alphas
    assert (config.cap_args, config.cap_think) == caps
    assert {field: getattr(config, field) for field in SHARED} == {**SHARED, **OWN.get(name, {})}
    assert config.needs_entropy == (name not in ("official", "uniform", "tool_tokens"))
    assert config.has_curriculum == (
        name in ("paper", "calibrated", "official", "no_think", "shuffled")
    )


def test_the_tables_cover_every_field():
    columns = {"scope", "clock", "w_min", "w_max", *GAMMAS, *ALPHAS, "cap_args", "cap_think"}
    assert columns | SHARED.keys() == {field.name for field in fields(ReSTConfig)}
    assert not columns & SHARED.keys()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_no_more_than_it_changes(name):
    paper, config = asdict(ReSTConfig()), asdict(ReSTConfig.preset(name))
    changed = {field: value for field, value in config.items() if value != paper[field]}
    assert dict(PRESETS[name].values) == changed
    assert all((PRESETS[name].formula, PRESETS[name].source, PRESETS[name].assumption))


def test_a_preset_cannot_be_changed_in_place():
    config = ReSTConfig.preset("paper")
    with pytest.raises(FrozenInstanceError):
        config.w_max = 2.0
    assert replace(config, w_max=2.0).w_max == 2.0
    assert ReSTConfig() == config


# message, options
REFUSED_OPTIONS = [
    (
        r"^unknown option algorithm\.rest\.gama_name; did you mean algorithm\.rest\.gamma_name\? "
        r"known: preset, scope, .*; remove or correct it$",
        {"gama_name": 1},
    ),
    (r"^unknown option algorithm\.rest\.zzz; known: preset", {"preset": "paper", "zzz": 1}),
    (
        r"^algorithm\.rest\.preset 'papr' is unknown; did you mean paper\? "
        r"known: paper, calibrated, official",
        {"preset": "papr"},
    ),
    ("rest.preset None is unknown; known", {"preset": None}),
    (r"^options must be a mapping, as .*, got 'paper'$", "paper"),
    ("rest.scope must be one of batch, sequence, token, got 'row'", {"scope": "row"}),
    ("rest.entropy_rule must be one of", {"entropy_rule": ["inverse"]}),
    ("rest.clock must be one of progress, step", {"clock": None}),
    ("rest.w_min must be a finite number, got '0.5'", {"w_min": "0.5"}),
    ("rest.w_max must be a finite number, got nan", {"w_max": float("nan")}),
    ("rest.w_max must be a finite number, got None", {"w_max": None}),
    ("rest.alpha_args must be a finite number, got True", {"alpha_args": True}),
    ("rest.gamma_name must be a finite number or null, got 'x'", {"gamma_name": "x"}),
    ("rest.w_min, w_max: need 0 <= w_min < w_max", {"w_min": 1.5}),
    ("rest.w_min, w_max: need 0 <= w_min < w_max", {"w_min": -0.1}),
    ("rest.entropy_floor must be above 0", {"entropy_floor": 0}),
    ("rest.alpha_think must not be negative", {"alpha_think": -0.1}),
    (r"rest.cap_args must be null or lie in .*\[0.6, 1.2\], got 1.3", {"cap_args": 1.3}),
    (r"rest.gamma_name must be null, 0 or lie in \[0.6, 1.2\]", {"gamma_name": 2}),
    (r"rest.gamma_text .* \[0.6, 0.8\]", {"cap_think": 0.8, "gamma_text": 1.0}),
    ("rest.gamma_.*all are 0", dict.fromkeys(GAMMAS, 0)),
    ("rest.scope token knows no regions", {"scope": "token"}),
    ("rest.scope token knows no regions", {"preset": "token", "gamma_think": 0}),
    ("rest.scope token knows no regions", {"preset": "top_entropy", "alpha_args": 0.1}),
    ("rest.scale must be one of mean, calibrated, none, got 'max'", {"scale": "max"}),
    ("rest.constant_name must be one of before, after, got True", {"constant_name": True}),
    ("rest.normalise_over must be one of trained, sampled", {"normalise_over": "all"}),
    ("rest.weights_per must be one of response, turn, got 'row'", {"weights_per": "row"}),
    (r"rest.turn_gamma must lie in \[0, 1\], got 1.5", {"turn_gamma": 1.5}),
    (r"rest.turn_gamma must lie in \[0, 1\], got -0.1", {"turn_gamma": -0.1}),
    ("rest.turn_gamma must be a finite number, got None", {"turn_gamma": None}),
    ("rest.outcome_weight must be a finite number, got inf", {"outcome_weight": float("inf")}),
    (
        "rest.scale calibrated needs w_min < 1 < w_max, got 0.6, 1.0",
        {"preset": "calibrated", "w_max": 1.0},
    ),
    (
        "rest.scale calibrated needs w_min < 1 < w_max, got 1, 1.2",
        {"scale": "calibrated", "w_min": 1},
    ),
    ("rest.top_share must be above 0 and at most 1, got 0", {"top_share": 0}),
    ("rest.top_share must be above 0 and at most 1, got 1.5", {"top_share": 1.5}),
    (r"rest.entropy_ema must lie in \[0, 1\), got 1", {"entropy_ema": 1}),
    (r"rest.entropy_ema must lie in \[0, 1\), got -0.1", {"entropy_ema": -0.1}),
    (
        "rest.entropy_ema .*: set it to 0 for scope sequence",
        {"entropy_ema": 0.5, "scope": "sequence"},
    ),
    ("rest.entropy_ema .*: set it to 0 for scope token", {"preset": "token", "entropy_ema": 0.5}),
    ("rest.horizon must be null or above 0, got 0", {"horizon": 0}),
    ("rest.horizon must be a finite number or null, got 'run'", {"horizon": "run"}),
    ("rest.w_cap must be at least 1, the mean of the weights, got 0.9", {"w_cap": 0.9}),
    ("rest.w_cap must be a finite number, got inf", {"w_cap": float("inf")}),
    ("rest.w_cap must be a finite number, got None", {"w_cap": None}),
    ("rest.shuffle must be true or false, got 1", {"shuffle": 1}),
    ("rest.entropy_rule top .* needs scope token and scale none", {"entropy_rule": "top"}),
    (
        "rest.entropy_rule top .* needs scope token and scale none",
        {"preset": "top_entropy", "scale": "mean"},
    ),
]


@pytest.mark.parametrize(("message", "options"), REFUSED_OPTIONS)
def test_refused_options(message, options):
    with pytest.raises(ValueError, match=message):
        ReSTConfig.from_options(options)


def test_options_override_the_preset():
    options = {"preset": "static", "w_max": 2, "gamma_think": 0}
    assert ReSTConfig.from_options(options) == ReSTConfig(
        w_max=2.0, gamma_think=0.0, alpha_format=0.0, alpha_args=0.0, alpha_think=0.0
    )
    assert ReSTConfig.from_options({}) == ReSTConfig.preset("paper")
    # the control of another preset is that preset with its weights permuted
    assert ReSTConfig.from_options({"preset": "calibrated", "shuffle": True}) == replace(
        ReSTConfig.preset("shuffled"), scale="calibrated", constant_name="after"
    )


def test_the_group_has_one_file_a_preset():
    assert sorted(path.stem for path in GROUP.glob("*.yaml")) == sorted(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_yaml_is_complete_and_agrees(name):
    text = (GROUP / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    content = yaml.safe_load(text)
    assert set(content) == {"algorithm", "trainer", "actor_rollout_ref", "hydra"}
    options = content["algorithm"]["rest"]
    assert list(options) == ["preset", *(field.name for field in fields(ReSTConfig))]
    assert options == {"preset": name, **asdict(ReSTConfig.preset(name))}
    assert content["trainer"] == {"v1": {"trainer_mode": "rest_sync"}}
    assert content["actor_rollout_ref"] == {"actor": {"loss_agg_mode": "seq-mean-token-mean"}}


@pytest.fixture(scope="module")
def compose():
    """Composes verl's own, unmodified config with overrides from a command line."""
    pytest.importorskip("verl", reason="composes verl's configuration")
    hydra = pytest.importorskip("hydra", reason="composes verl's configuration")
    search_path = "hydra.searchpath=[pkg://rest_verl.config]"
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        yield lambda *overrides: hydra.compose("ppo_trainer", [search_path, *overrides])


@pytest.mark.parametrize("name", PRESETS)
def test_composes_with_verl(compose, name):
    config = compose(f"+rest={name}")
    assert ReSTConfig.from_options(config.algorithm.rest) == ReSTConfig.preset(name)
    assert config.trainer.v1.trainer_mode == "rest_sync"
    assert config.actor_rollout_ref.actor.loss_agg_mode == "seq-mean-token-mean"


def test_the_command_line_wins(compose):
    config = compose(
        "actor_rollout_ref.actor.loss_agg_mode=token-mean",
        "+rest=paper",
        "algorithm.rest.w_max=2",
        "algorithm.rest.gamma_think=0",
        "trainer.v1.trainer_mode=sync",
    )
    assert config.actor_rollout_ref.actor.loss_agg_mode == "token-mean"
    assert config.trainer.v1.trainer_mode == "sync"
    expected = replace(ReSTConfig(), w_max=2, gamma_think=0)
    assert ReSTConfig.from_options(config.algorithm.rest) == expected


def test_an_added_option_is_refused_by_name(compose):
    config = compose("+rest=paper", "+algorithm.rest.gama_name=1")
    with pytest.raises(ValueError, match="did you mean algorithm"):
        ReSTConfig.from_options(config.algorithm.rest)
