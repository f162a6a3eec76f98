"""Sources of libraries that are not part of the package; each test needs the one that it is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.build import build, check, describe, weights_file
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.wanted import wanted

HF = "pip install 'gauntlet[hf]'"
OPEN_CLIP = "pip install 'gauntlet[open-clip]'"
ONNX = "pip install 'gauntlet[onnx]'"


def spec(source: str, **fields: Any) -> ModelSpec:
    return ModelSpec(name="m", source=source, **fields)


def whats(source: str, root: Path, **fields: Any) -> list[str]:
    return [str(problem) for problem in check(spec(source, **fields), root)]


@pytest.mark.parametrize(
    ("source", "module", "line"),
    [
        ("hf:./net", "transformers", HF),
        ("open_clip:ViT-B-32/openai", "open_clip", OPEN_CLIP),
        ("onnx:net.onnx", "onnx", ONNX),
        ("robustbench:cifar10/Linf/Standard", "robustbench", "pip install --no-deps robustbench"),
    ],
)
def test_a_missing_library_names_the_line_that_installs_it(
    source: str, module: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "config.json").write_text("{}")
    (tmp_path / "names").write_text("cat\ndog\n")
    monkeypatch.setitem(__import__("sys").modules, module, None)
    options = {"classes": "names"} if module == "open_clip" else {}
    (problem,) = whats(source, tmp_path, options=options)
    assert f"{module} " in problem
    assert line in problem


class TestHuggingFace:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A tiny ViT and its processor, as save_pretrained writes them."""
        transformers = pytest.importorskip("transformers", reason=HF)
        root = tmp_path_factory.mktemp("hf")
        torch.manual_seed(0)
        config = transformers.ViTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            image_size=32, patch_size=8, num_labels=5,
        )  # fmt: skip
        transformers.ViTForImageClassification(config).save_pretrained(root / "vit")
        transformers.ViTImageProcessor(
            size={"height": 32, "width": 32}, image_mean=[0.5, 0.4, 0.3], resample=3
        ).save_pretrained(root / "vit")
        return root

    def test_logits_are_the_library_s_own(self, folder: Path) -> None:
        import transformers

        images = torch.rand(2, 3, 32, 32)
        model = build(spec("hf:./vit"), root=folder)
        own = transformers.AutoModelForImageClassification.from_pretrained(folder / "vit")
        processor = transformers.AutoImageProcessor.from_pretrained(folder / "vit")
        wanted = own(**processor(images, do_rescale=False, return_tensors="pt")).logits
        torch.testing.assert_close(model(images), wanted)
        images.requires_grad_()
        model(images)[:, 0].sum().backward()
        assert images.grad is not None
        assert images.grad.abs().min() > 0

    def test_the_processor_is_the_convention(self, folder: Path) -> None:
        found = describe(spec("hf:./vit"), folder)
        assert found.classes == 5
        assert weights_file(spec("hf:./vit"), folder) == folder / "vit" / "model.safetensors"
        assert str(found.preprocessing) == (
            "32x32 (bicubic), rgb, mean (0.5, 0.4, 0.3), std (0.5, 0.5, 0.5)"
        )

    def test_a_network_without_a_head_gives_what_it_pools(self, folder: Path) -> None:
        import transformers

        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        vision = {"image_size": 32, "patch_size": 8, "intermediate_size": 32, **sizes}
        both = transformers.CLIPConfig(
            text_config={"vocab_size": 50, "intermediate_size": 32, **sizes},
            vision_config=vision,
            projection_dim=8,
        )
        processor = transformers.AutoImageProcessor.from_pretrained(folder / "vit")
        images = torch.rand(2, 3, 32, 32)
        inputs = processor(images, do_rescale=False, return_tensors="pt")["pixel_values"]
        for own in (
            transformers.CLIPModel(both),
            transformers.Dinov2Model(transformers.Dinov2Config(**vision)),
            transformers.ResNetModel(
                transformers.ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1])
            ),
        ):
            name = type(own).__name__
            own.save_pretrained(folder / name)
            processor.save_pretrained(folder / name)
            model: Model = build(spec(f"hf:./{name}"), root=folder, task=Task.EMBEDDING)
            assert model.task is Task.EMBEDDING
            assert not any("text_model" in part for part, _ in model.named_parameters())
            own.eval()
            if name == "CLIPModel":
                seen = own.vision_model(pixel_values=inputs).pooler_output
                wanted = own.visual_projection(seen)
            else:
                wanted = own(pixel_values=inputs).pooler_output.flatten(1)
            torch.testing.assert_close(model(images), wanted)
            (problem,) = check(spec(f"hf:./{name}"), folder, Task.CLASSIFICATION)
            assert "is an embedding model, the job's task is classification" in str(problem)

    def test_bad_folders_are_refused_in_a_line(self, folder: Path) -> None:
        import shutil

        def broken(name: str) -> Path:
            return shutil.copytree(folder / "vit", folder / name)

        config = json.loads((folder / "vit" / "config.json").read_text())
        (broken("pickled") / "model.safetensors").rename(folder / "pickled" / "pytorch_model.bin")
        (problem,) = whats("hf:./pickled", folder)
        assert "no such file; pytorch_model.bin is a pickle, which is not read here" in problem
        (broken("other") / "config.json").write_text(json.dumps({**config, "hidden_size": 8}))
        with pytest.raises(Exception, match=r"weights do not fit the network: \d+ mismatched: "):
            build(spec("hf:./other"), root=folder)
        (broken("text") / "config.json").write_text(json.dumps({"model_type": "bert"}))
        assert "'bert' is no image classifier" in whats("hf:./text", folder)[0]
        (broken("code") / "config.json").write_text(
            json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}})
        )
        (problem,) = whats("hf:./code", folder)
        assert "hf:./code: " in problem
        (broken("bare") / "preprocessor_config.json").unlink()
        assert "preprocessor_config.json: no such file" in whats("hf:./bare", folder)[0]
        assert "no folder" in whats("hf:./nowhere", folder)[0]
        assert "takes only 'pretrained'" in whats("hf:./vit", folder, options={"depth": 3})[0]

    def test_what_is_not_here_says_what_to_fetch(self, folder: Path, caches: Path) -> None:
        (problem,) = whats("hf:google/vit-base-patch16-224", folder)
        assert "fetch https://huggingface.co/google/vit-base-patch16-224/resolve/main/" in problem
        assert f"put it at {caches}" in problem
        found = wanted([spec("hf:google/vit-base-patch16-224")], folder)
        names = ["config.json", "preprocessor_config.json", "model.safetensors"]
        assert [one.missing.path.name for one in found] == names


class TestOpenClip:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A tiny CLIP as the library publishes them."""
        open_clip = pytest.importorskip("open_clip", reason=OPEN_CLIP)
        from safetensors.torch import save_file

        root = tmp_path_factory.mktemp("clip")
        (root / "clip").mkdir()
        sides = {"layers": 1, "width": 16}
        config = {
            "model_cfg": {
                "embed_dim": 8,
                "vision_cfg": {"image_size": 32, "patch_size": 8, "head_width": 8, **sides},
                "text_cfg": {"context_length": 77, "vocab_size": 49408, "heads": 2, **sides},
            },
            "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        }
        (root / "clip" / "open_clip_config.json").write_text(json.dumps(config))
        torch.manual_seed(0)
        model = open_clip.create_model(f"local-dir:{root / 'clip'}", load_weights=False)
        state = {name: value.contiguous() for name, value in model.state_dict().items()}
        save_file(state, root / "clip" / "open_clip_model.safetensors")
        (root / "names").write_text("cat\ndog\nbird\n")
        (root / "prompts").write_text("a photo of a {}.\na drawing of a {}.\n")
        return root

    def logits(self, folder: Path, images: Tensor) -> Tensor:
        import open_clip

        model = open_clip.create_model(f"local-dir:{folder / 'clip'}").eval()
        tokens = open_clip.get_tokenizer("ViT-B-32")
        rows = []
        for name in ("cat", "dog", "bird"):
            both = tokens([f"a photo of a {name}.", f"a drawing of a {name}."])
            texts = model.encode_text(both, normalize=True).mean(0)
            rows.append(texts / texts.norm())
        image = model.encode_image((images - 0.5) / 0.5, normalize=True)
        return model.logit_scale.exp() * image @ torch.stack(rows).T

    def test_logits_are_the_cosines_with_the_prompts(self, folder: Path) -> None:
        options = {"classes": "names", "prompts": "prompts"}
        model: Model = build(spec("open_clip:./clip", options=options), root=folder)
        images = torch.rand(2, 3, 32, 32)
        torch.testing.assert_close(model(images), self.logits(folder, images))
        assert not any("token" in name for name, _ in model.named_parameters())
        found = describe(spec("open_clip:./clip", options=options), folder)
        assert found.classes == 3
        assert found.preprocessing.input_size == (32, 32)

    def test_without_classes_it_gives_the_image_s_embedding(self, folder: Path) -> None:
        import open_clip

        model: Model = build(spec("open_clip:./clip"), root=folder, task=Task.EMBEDDING)
        images = torch.rand(2, 3, 32, 32)
        own = open_clip.create_model(f"local-dir:{folder / 'clip'}").eval()
        torch.testing.assert_close(model(images), own.encode_image((images - 0.5) / 0.5))
        assert not any("token" in name for name, _ in model.named_parameters())
        assert model.task is Task.EMBEDDING
        assert check(spec("open_clip:./clip"), folder, Task.VERIFICATION) == []

    def test_bad_input_is_refused_in_a_line(self, folder: Path, caches: Path) -> None:
        (folder / "gap").write_text("cat\n\ndog\n")
        (folder / "bare").write_text("a photo\n")
        options = {"classes": "names"}
        (task,) = check(spec("open_clip:./clip"), folder, Task.CLASSIFICATION)
        assert "an embedding model, the job's task is classification; the option `cl" in str(task)
        (alone,) = whats("open_clip:./clip", folder, options={"prompts": "prompts"})
        assert "`prompts` has no effect without `classes`" in alone
        assert (
            "gap: line 2 is empty"
            in whats("open_clip:./clip", folder, options={"classes": "gap"})[0]
        )
        wrong = {**options, "prompts": "bare"}
        assert "line 1 needs one {}" in whats("open_clip:./clip", folder, options=wrong)[0]
        assert "no folder" in whats("open_clip:./nowhere", folder, options=options)[0]
        (problem,) = whats("open_clip:ViT-B-32/laion2b_s34b_b79k", folder, options=options)
        assert "CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/main/open_clip_model.safeten" in problem
        assert (
            "unknown weights of ViT-B-32"
            in whats("open_clip:ViT-B-32/x", folder, options=options)[0]
        )
