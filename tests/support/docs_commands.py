"""How each command of the documentation is tested; `test_docs_commands.py` holds it to this table.

The first pattern that fits a command counts. A command that none fits fails the test: add it here.
"""

from enum import Enum
from fnmatch import fnmatchcase
from typing import NamedTuple


class Kind(Enum):
    """What the test does with a command."""

    RUN = "runs it here, on small inputs"
    COMPOSE = "composes verl's configuration from it, as `rest-verl dry-run` does"
    COVERED = "looks up the named test, which runs it; options of rest-verl are parsed here"
    SHELL = "nothing: it prepares the shell for the commands after it"
    NOT_HERE = "nothing, for the reason given"


class How(NamedTuple):
    kind: Kind
    by: str = ""
    """COVERED: the test, as pytest names it. NOT_HERE: the reason."""


_TINY = "tests/end_to_end/test_tiny_run.py::test_the_summary_and_the_report_are_complete"
_SMOLLM2 = "tests/end_to_end/test_smollm2_run.py::test_a_pretrained_model_goes_through_the_same_run"
_TALKS = "tests/end_to_end/test_multi_turn_run.py::test_rollouts_are_multi_turn_and_dumped"
_ROWS = "tests/data/test_multi_turn_scripts.py::test_"
_GPU = "tests/recipes/test_gpu_scripts.py::test_"
_GRADIENTS = "tests/study/test_gradients_command.py::test_"
_EVALUATE = "tests/evaluation/commands/test_evaluate_runs.py::test_"

_EVIDENCE = "tests/recipes/evidence/test_evidence_"

TABLE = {
    "pip install *": How(Kind.NOT_HERE, "would change the environment that the tests run in"),
    "git clone *": How(Kind.NOT_HERE, "needs the network"),
    "cd *": How(Kind.SHELL),
    "python -m venv *": How(Kind.SHELL),
    "docker *": How(
        Kind.NOT_HERE, "builds and runs images; tests/test_docker.py reads their files"
    ),
    "pip wheel *": How(
        Kind.COVERED, "tests/test_distribution.py::test_the_wheel_holds_all_files_and_no_others"
    ),
    "hf download *": How(Kind.NOT_HERE, "downloads a model"),
    "bash run_scripts/run_tests.sh*": How(Kind.NOT_HERE, "runs this test"),
    "python benchmarks/*": How(Kind.NOT_HERE, "takes minutes, and measures the machine"),
    "source *": How(Kind.SHELL),
    "export *": How(Kind.SHELL),
    "run=*": How(Kind.SHELL),
    "*python -m verl.trainer.main_ppo *": How(Kind.COMPOSE),
    "rest-verl dry-run *": How(Kind.COMPOSE),
    "*sbatch *": How(Kind.COVERED, f"{_GPU}slurm"),
    "*bash run_scripts/qwen3_8b_ablations.sh *": How(
        Kind.COVERED, f"{_GPU}all_ablations_run_one_after_the_other"
    ),
    "*bash run_scripts/qwen3_*_rest_*.sh": How(Kind.COVERED, f"{_GPU}other_recipes"),
    "*bash run_scripts/qwen3_*.sh": How(Kind.COVERED, f"{_GPU}recipes_with_the_papers_setup"),
    "bash run_scripts/ray_cluster.sh *": How(Kind.RUN),
    "bash run_scripts/setup_cpu.sh": How(Kind.COVERED, _TINY),
    "*bash run_scripts/tiny_cpu_rest.sh*": How(Kind.COVERED, _TINY),
    "python -m recipes.turn_credit.run*": How(
        Kind.NOT_HERE, f"trains for minutes, by the script of {_TALKS}"
    ),
    "python -m recipes.turn_credit.tables": How(
        Kind.COVERED,
        "tests/recipes/test_turn_credit_runs.py::test_the_page_shows_each_run_and_the_paired_difference",
    ),
    "DRY_RUN=1 * bash run_scripts/smollm2_135m_rest.sh": How(
        Kind.COVERED, "tests/recipes/test_smollm2.py::test_both_devices_compose"
    ),
    "*bash run_scripts/smollm2_135m_rest.sh*": How(Kind.COVERED, _SMOLLM2),
    "*bash run_scripts/tiny_cpu_multi_turn.sh*": How(Kind.COVERED, _TALKS),
    "python data_prep/*.py --categories multi_turn *": How(Kind.COVERED, f"{_ROWS}multi_turn_rows"),
    "python data_prep/*.py --bfcl *": How(Kind.COVERED, f"{_ROWS}steps_of_bfcl"),
    "python data_prep/*": How(Kind.RUN),
    "rest-verl doctor": How(
        Kind.COVERED, "tests/integration/test_doctor.py::test_healthy_environment"
    ),
    "*rest-verl evaluate bfcl *": How(Kind.COVERED, f"{_EVALUATE}a_run_from_end_to_end"),
    "*rest-verl evaluate api-bank *": How(Kind.COVERED, f"{_EVALUATE}api_bank"),
    "*rest-verl evaluate env *": How(
        Kind.COVERED, "tests/recipes/test_own_tools.py::test_an_evaluation"
    ),
    "python -m recipes.own_tools.make_rows *": How(
        Kind.COVERED, "tests/recipes/test_own_tools.py::test_rows_are_made"
    ),
    "*rest-verl evaluate compare *": How(Kind.COVERED, f"{_EVALUATE}compare"),
    "python -m recipes.evidence.run *": How(
        Kind.COVERED, f"{_EVIDENCE}run.py::test_cells_are_written_once_and_accepted"
    ),
    "python -m recipes.evidence.to_measure *": How(
        Kind.COVERED, f"{_EVIDENCE}run.py::test_what_the_gradient_measure_reads"
    ),
    "python -m recipes.evidence.tables": How(
        Kind.COVERED, f"{_EVIDENCE}tables.py::test_the_command"
    ),
    "python -m recipes.plain_torch.train *": How(
        Kind.COVERED,
        "tests/recipes/test_plain_torch.py::test_the_command_trains_on_the_rows_of_a_data_script",
    ),
    "python -m recipes.tiny_cpu.prepare *": How(Kind.COVERED, _TINY),
    "rest-verl gradients *--rollouts *": How(Kind.COVERED, f"{_GRADIENTS}dumps_are_measured"),
    "rest-verl gradients *": How(Kind.COVERED, f"{_GRADIENTS}sampled_groups_are_measured"),
    "rest-verl rescore *": How(
        Kind.COVERED, "tests/study/test_rescore.py::test_another_reward_shows_what_it_changes"
    ),
    "rest-verl replay-step *": How(
        Kind.COVERED, "tests/study/test_replay_step.py::test_a_step_of_the_plain_loop"
    ),
    "rest-verl report *--watch": How(
        Kind.COVERED, "tests/viewing/report/test_report_live.py::test_command_watches"
    ),
    "rest-verl report *": How(Kind.RUN),
    "rest-verl view *": How(Kind.RUN),
    "*rest-verl view *--syntax *": How(Kind.COVERED, "tests/syntax/test_your_syntax.py::test_view"),
}


def how(command: str) -> How | None:
    """How that command is tested; None if the table does not know it."""
    return next((found for pattern, found in TABLE.items() if fnmatchcase(command, pattern)), None)
