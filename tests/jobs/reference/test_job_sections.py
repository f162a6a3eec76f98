from __future__ import annotations

import pytest
from pydantic import BaseModel

from gauntlet.jobs.reference.field_words import meaning
from gauntlet.jobs.reference.job_page import markdown
from gauntlet.jobs.reference.job_sections import models, sections
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.run.plan import Plan

MODELS = [*(model for _, model in models()), Plan, ModelSpec]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_says_what_it_means(model: type[BaseModel]) -> None:
    silent = [name for name, field in model.model_fields.items() if not meaning(field)]
    assert not silent, f"{model.__name__}: {', '.join(silent)}"


def test_every_field_is_on_the_page() -> None:
    page = markdown(sections())
    for heading, model in models():
        part = page.split(f"## {heading}\n")[1].split("\n## ")[0]
        for name in model.model_fields:
            assert f"| `{name}` |" in part


def test_defaults_and_types_read_as_in_a_job() -> None:
    page = markdown(sections())
    assert "| `epsilon` | number or expression | `8/255` |" in page
    assert "| `in_flight` | whole number or `auto` | `auto` |" in page
    assert "| `fold` | true or false | `true` |" in page
    assert "| `goal` | `untargeted`, `targeted`, `impersonation`, `dodging` | required |" in page
    assert "<class" not in page
    assert "typing." not in page
