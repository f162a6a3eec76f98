"""Heads for the features of the toys."""

import pytest

from gauntlet import adapt
from gauntlet.pipeline.models.heads import Head, HeadSettings, head_path, heads_key, write_head
from tests.toys.features import Net, random_head


@pytest.fixture
def heads(tmp_path):
    """Random heads for `Net(seed)`, seeds 0 and 1, at `features`, in a folder; good ones."""

    def make(folder=tmp_path, layer="features", settings=None, **changes):
        settings = settings or HeadSettings(hidden=5)
        for seed in (0, 1):
            key = heads_key(adapt(Net(seed)).fingerprint, layer, settings)
            for label in range(4):
                head = random_head(label, settings.pool)
                fields = {**vars(head), **changes}
                write_head(head_path(folder, key, label), Head(**fields), {"label": label})
        return str(folder)

    return make
