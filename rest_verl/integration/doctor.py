"""Is rest_verl really loaded by verl here? Reads verl's own registries back.

verl swallows a plugin that fails to import, so nothing short of looking tells whether it is there.
"""

import importlib.metadata
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rest_verl.integration.chosen_platform import runs_on_cpu
from rest_verl.integration.registries import registrations
from rest_verl.integration.template_syntax import NoSyntax, template_syntax
from rest_verl.integration.when_imported import FAILURES

PACKAGES = ("verl", "torch", "vllm", "transformers", "ray", "tensordict", "TransferQueue")
VERL_VERSION = "0.9.1"
INSTALL = "install rest_verl here: pip install -e . (CPU: bash run_scripts/setup_cpu.sh)"

PACKAGES_MEND = "CPU: run_scripts/setup_cpu.sh; GPU: pip install 'rest-verl[gpu]'"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


def check_packages() -> Iterator[Finding]:
    """The versions of what a run needs; only verl's version is required exactly."""
    for package in PACKAGES:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(
                name=package,
                ok=False,
                detail="not installed",
                mend=PACKAGES_MEND,
            )
            continue
        wrong = package == "verl" and version != VERL_VERSION
        yield Finding(
            name=package,
            ok=not wrong,
            detail=version,
            mend=f"rest_verl is written for verl {VERL_VERSION}: pip install verl=={VERL_VERSION}",
        )


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


def check_platform() -> Finding:
    """An accelerator that verl knows, or the platform `cpu` chosen and registered."""
    import torch
    from verl.plugin.platform.platform_manager import PlatformRegistry

    if runs_on_cpu():
        present = PlatformRegistry.get("cpu") is not None
        detail = "cpu registered" if present else "cpu not in verl's registry"
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
        tokenizer = AutoTokenizer.from_pretrained(model)
        syntax = template_syntax(tokenizer, model=model, mend=mend)
    except (OSError, ValueError) as error:
        mend = mend if isinstance(error, NoSyntax) else "name a Hugging Face folder"
        return Finding(name=name, ok=False, detail=str(error).split("\n", 1)[0], mend=mend)
    return Finding(name=name, ok=True, detail=f"syntax {syntax.name}, as its chat template writes")


def examine() -> list[Finding]:
    """Every finding for the current environment."""
    findings = list(check_packages())
    if not next(finding.ok for finding in findings if finding.name == "verl"):
        return findings
    try:
        # First, as verl left them: check_plugin's own import would fill them.
        registered = [*check_registries(), check_platform()]
        return [*findings, check_plugin(), *registered, check_hydra_group()]
    except ImportError as error:
        detail = f"import failed: {error}"
        return [*findings, Finding(name="verl", ok=False, detail=detail, mend=PACKAGES_MEND)]


def report(findings: list[Finding]) -> str:
    """The findings as lines of text, each failing one with its mend."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        mark = "ok     " if finding.ok else "MISSING"
        lines.append(f"{mark}  {finding.name:<{width}}  {finding.detail}")
        if not finding.ok:
            lines.append(f"{'':{width + 11}}→ {finding.mend}")
    wrong = sum(not finding.ok for finding in findings)
    lines.append("all present" if not wrong else f"{wrong} of {len(findings)} missing")
    return "\n".join(lines)
