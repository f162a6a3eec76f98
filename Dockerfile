# The image of every node: head, workers, and whoever submits.
#
#   docker build --tag gauntlet:0.1.0 .
FROM python:3.12-slim-bookworm

# KubeRay's probes ask with wget; nothing of ours is compiled.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ray

# torch and torchvision together, from one index, so that their builds match. They are most of the
# image, and this layer stays as it is when Gauntlet changes.
RUN pip install --no-cache-dir "torch>=2.6,<3" "torchvision>=0.21,<1" "ray[default]==2.60.0"

WORKDIR /opt/gauntlet
COPY pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
COPY actors actors
COPY jobs jobs
COPY gauntlet gauntlet
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[cluster]"

USER 1000
WORKDIR /home/ray
