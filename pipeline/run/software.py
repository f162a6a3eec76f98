"""Versions of the software and the kind of device that determine a run's last bits."""

from __future__ import annotations

import platform
from importlib import metadata

import torch


def software() -> dict[str, str]:
    """Return the versions in this process, by package."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("gauntlet", "torch", "torchvision", "numpy", "ray"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions


def hardware(device: torch.device) -> str:
    """Return what computes in this process: a GPU's name, or the vector units of a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU with {torch.backends.cpu.get_cpu_capability()}"
