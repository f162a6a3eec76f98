"""The committed cluster file is one that Ray's launcher accepts."""

import json
import re
from pathlib import Path

import jsonschema
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[1] / "cluster.yaml"
IMAGE = CLUSTER.with_name("Dockerfile")


def test_the_cluster_file_is_valid_and_installs_this_project():
    config = yaml.safe_load(CLUSTER.read_text())
    validate_config(prepare_config(config))
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    nodes = config["available_node_types"]
    assert nodes[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert nodes["gpu"]["resources"]["GPU"] == 1
    assert nodes["gpu"]["min_workers"] == 0 < nodes["gpu"]["max_workers"]
    pinned = re.compile(r'"ray\[default\]==([\d.]+)"')
    installed = "\n".join(config["setup_commands"])
    assert pinned.findall(installed) == pinned.findall(IMAGE.read_text()) != []
    (mounted,) = config["file_mounts"]
    assert any(
        f'--editable "{mounted}[cluster]"' in command for command in config["setup_commands"]
    )
