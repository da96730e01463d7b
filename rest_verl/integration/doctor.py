"""Is rest_verl really loaded by verl here? Reads verl's own registries back.

verl swallows a plugin that fails to import, so nothing short of looking tells whether it is there.
"""

import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rest_verl.integration.chosen_platform import choose_platform, runs_on_cpu
from rest_verl.integration.names import INSTALL_VERL
from rest_verl.integration.registries import registrations
from rest_verl.integration.template_syntax import NoSyntax, template_syntax
from rest_verl.integration.when_imported import FAILURES

RUN_PACKAGES = ("verl", "vllm", "ray", "tensordict", "TransferQueue")
"""What a training run needs besides; they come with verl."""
OWN_PACKAGES = (
    *("torch", "transformers", "numpy", "jinja2", "jsonschema", "matplotlib", "pyarrow", "rich"),
    *("scipy", "tqdm", "typer", "httpx"),
)
"""What the commands need: the requirements of setup.cfg."""
VERL_VERSION = "0.9.1"
BFCL = "bfcl-eval"
INSTALL = "in a clone of rest_verl: pip install -e . (without a GPU: bash run_scripts/setup_cpu.sh)"
_WIDTH = 30  # of the names


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's report, and a second with the mend where it is not ok."""

    name: str
    ok: bool
    detail: str
    mend: str = ""
    is_needed: bool = True
    """False: only some commands want it, and all is well without it."""

    @property
    def is_missing(self) -> bool:
        return self.is_needed and not self.ok

    def __str__(self) -> str:
        mark = "ok" if self.ok else "MISSING" if self.is_needed else "absent"
        line = f"{mark:<9}{self.name:<{_WIDTH}}  {self.detail}"
        return line if self.ok else f"{line}\n{'':{_WIDTH + 11}}→ {self.mend}"


def check_packages() -> Iterator[Finding]:
    """The versions of what is needed; only verl's version is required exactly."""
    wanted = f"rest_verl is written for verl {VERL_VERSION}: pip install verl=={VERL_VERSION}"
    for package in RUN_PACKAGES + OWN_PACKAGES:
        version = _version(package)
        mend = INSTALL if package in OWN_PACKAGES else INSTALL_VERL
        if package == "verl" and version not in (None, VERL_VERSION):
            yield Finding(name=package, ok=False, detail=str(version), mend=wanted)
        else:
            detail = version or "not installed"
            yield Finding(name=package, ok=version is not None, detail=detail, mend=mend)
    version = _version(BFCL)
    yield Finding(
        name=BFCL,
        ok=version is not None,
        detail=version or "not installed: BFCL's data, environments and evaluation want it",
        mend=f"pip install --no-deps {BFCL}==2026.3.23",
        is_needed=False,
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_plugin() -> Finding:
    """Imports what verl imports, without verl's swallowing."""
    name = "plugin rest_verl.plugin"
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if policy != "auto" and "rest_verl" not in map(str.strip, policy.split(",")):
        mend = "unset VERL_USE_EXTERNAL_PLUGINS, or add rest_verl to it"
        return Finding(name=name, ok=False, detail=f"VERL_USE_EXTERNAL_PLUGINS={policy}", mend=mend)
    entry_points = importlib.metadata.entry_points(group="verl.plugins")
    ours = [point for point in entry_points if point.value == "rest_verl.plugin"]
    if not ours:
        return Finding(name=name, ok=False, detail="no verl.plugins entry point", mend=INSTALL)
    try:
        ours[0].load()
        error = next(iter(FAILURES.values()), None)
    except Exception as raised:  # whatever an import can raise is what the user has to see
        error = raised
    if error is not None:
        detail = f"import failed: {type(error).__name__}: {error}"
        return Finding(name=name, ok=False, detail=detail, mend="mend the import named here")
    return Finding(name=name, ok=True, detail="imports")


def check_registries() -> Iterator[Finding]:
    """Each registration, looked up where verl looks it up."""
    for name, present in registrations().items():
        detail = "registered" if present else "not in verl's registry"
        yield Finding(name=name, ok=present, detail=detail, mend=INSTALL)


def check_platform(*, is_chosen_here: bool = False) -> Finding:
    """An accelerator that verl knows, or the platform `cpu` chosen and registered."""
    import torch
    from verl.plugin.platform.platform_manager import PlatformRegistry

    if runs_on_cpu():
        present = PlatformRegistry.get("cpu") is not None
        detail = "cpu registered" if present else "cpu not in verl's registry"
        if is_chosen_here:
            detail += "; no accelerator here: looked at as the CPU scripts run"
        return Finding(name="platform", ok=present, detail=detail, mend=INSTALL)
    found = os.environ.get("VERL_PLATFORM") or ("cuda" if torch.cuda.is_available() else "")
    mend = "without an accelerator: export VERL_PLATFORM=cpu"
    return Finding(name="platform", ok=bool(found), detail=found or "no accelerator", mend=mend)


def check_hydra_group() -> Finding:
    """Composes verl's config with `+rest=paper`, as a training command does."""
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            config = compose("ppo_trainer", overrides=["+rest=paper"])
    except HydraException as error:
        detail = str(error).splitlines()[0]
        return Finding(name="hydra group +rest=paper", ok=False, detail=detail, mend=INSTALL)
    mode = config.trainer.v1.trainer_mode
    detail = f"composes (trainer {mode})"
    return Finding(name="hydra group +rest=paper", ok=True, detail=detail)


def check_model(model: Path) -> Finding:
    """How a model in a folder writes tool calls, by its chat template."""
    from transformers import AutoTokenizer

    name = f"tool calls of {model}"
    mend = "name it with algorithm.rest.syntax=<name>"
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        syntax = template_syntax(tokenizer, model=model, mend=mend)
    except (OSError, ValueError) as error:
        mend = mend if isinstance(error, NoSyntax) else "name a Hugging Face folder"
        return Finding(name=name, ok=False, detail=str(error).split("\n", 1)[0], mend=mend)
    return Finding(name=name, ok=True, detail=f"syntax {syntax.name}, as its chat template writes")


def examine(model: Path | None = None) -> Iterator[Finding]:
    """Every finding for the current environment, each as soon as it is known.

    Args:
        model: a model's folder, to be looked at as well.
    """
    has_verl = True
    for finding in check_packages():
        has_verl &= finding.name != "verl" or finding.ok
        yield finding
    if has_verl:
        yield from _examine_verl()
    if model is not None:
        yield check_model(model)


def _examine_verl() -> Iterator[Finding]:
    try:
        chose_cpu = choose_platform()
        # Before the plugin, as verl left them: check_plugin's own import would fill them.
        yield from check_registries()
        yield check_platform(is_chosen_here=chose_cpu)
        yield check_plugin()
        yield check_hydra_group()
    except ImportError as error:
        detail = f"import failed: {error}"
        yield Finding(name="verl", ok=False, detail=detail, mend=INSTALL_VERL)


def verdict(findings: Sequence[Finding]) -> str:
    """The last line of the report."""
    missing = sum(finding.is_missing for finding in findings)
    return f"{missing} of {len(findings)} missing" if missing else "all present"
