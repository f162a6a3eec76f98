"""Published face networks by name: whose they are, and how each takes its images.

A file does not tell channel order, scaling or batch norm's eps, and several publishers' networks
have the same names and shapes of weights. So each has an entry of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.architectures.architecture import (
    AS_THEY_ARE,
    BY_128,
    HALF,
    Architecture,
)
from gauntlet.pipeline.models.architectures.faces.attentionnet import AttentionNet
from gauntlet.pipeline.models.architectures.faces.efficientnet import EfficientNetB0
from gauntlet.pipeline.models.architectures.faces.facenet import facenet
from gauntlet.pipeline.models.architectures.faces.ghostnet import GhostNet
from gauntlet.pipeline.models.architectures.faces.hrnet import HRNet
from gauntlet.pipeline.models.architectures.faces.ir import IR, AdaFaceIR
from gauntlet.pipeline.models.architectures.faces.iresnet import IResNet, LResNet50E
from gauntlet.pipeline.models.architectures.faces.lightcnn import LightCNN29
from gauntlet.pipeline.models.architectures.faces.mobilefacenet import (
    InsightMobileFaceNet,
    MobileFaceNet,
)
from gauntlet.pipeline.models.architectures.faces.mobilenet import MobileNetV1, MobileNetV2
from gauntlet.pipeline.models.architectures.faces.repvgg import RepVGG
from gauntlet.pipeline.models.architectures.faces.resnest import ResNeSt50
from gauntlet.pipeline.models.architectures.faces.resnet import ResNet
from gauntlet.pipeline.models.architectures.faces.rexnet import ReXNet
from gauntlet.pipeline.models.architectures.faces.shufflenet import ShuffleNetV1, ShuffleNetV2
from gauntlet.pipeline.models.architectures.faces.sphere import Sphere, Sphere20a
from gauntlet.pipeline.models.architectures.faces.swin import Swin
from gauntlet.pipeline.models.architectures.faces.tfnas import TFNASA
from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING
from gauntlet.pipeline.models.architectures.faces.vit import ViT
from gauntlet.pipeline.models.architectures.mobilefacenet import MobileFaceNet112x96
from gauntlet.pipeline.models.preprocessing import Triple

Channels = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class Publisher:
    """Whose networks these are.

    Attributes:
        title: what people call it.
        where: where the files are, or where links to them are.
        scale: mean and std that the networks were trained with.
        channels: channel order that they were trained with.
        remark: what has to be known before figures are compared.
    """

    title: str
    where: str
    scale: tuple[Triple, Triple] = HALF
    channels: Channels = "rgb"
    remark: str = ""


PUBLISHERS = {
    "insightface": Publisher("insightface", "github.com/deepinsight/insightface"),
    "evolve": Publisher(
        "face.evoLVe",
        "github.com/ZhaoJ9014/face.evoLVe",
        remark="its accuracies are of crops resized to 128 and cropped to 112",
    ),
    "treb1en": Publisher(
        "TreB1eN",
        "github.com/TreB1eN/InsightFace_Pytorch",
        channels="bgr",
        remark="trained on BGR; most who use its files feed RGB, as `robfr-` and `advmakeup-` do",
    ),
    "adaface": Publisher("AdaFace", "github.com/mk-minchul/AdaFace", channels="bgr"),
    "cvlface": Publisher("CVLFace", "github.com/mk-minchul/CVLface"),
    "magface": Publisher("MagFace", "github.com/IrvingMeng/MagFace", AS_THEY_ARE, "bgr"),
    "facexzoo": Publisher("FaceX-Zoo", "github.com/JDAI-CV/FaceX-Zoo", BY_128, "bgr"),
    "robfr": Publisher(
        "RobFR",
        "github.com/ShawnXYang/Face-Robustness-Benchmark",
        BY_128,
        remark="all sizes are made of the 112 x 112 crop by resizing",
    ),
    "cosface": Publisher("CosFace", "github.com/MuggleWang/CosFace_pytorch"),
    "sphereface": Publisher("SphereFace", "github.com/clcarwin/sphereface_pytorch", BY_128, "bgr"),
    "facenet": Publisher(
        "facenet-pytorch",
        "github.com/timesler/facenet-pytorch",
        BY_128,
        remark="trained on boxes of MTCNN, not on aligned faces",
    ),
    "advmakeup": Publisher(
        "Adv-Makeup",
        "github.com/TencentYoutuResearch/Adv-Makeup",
        remark="the same four files are AMT-GAN's and Clip2Protect's",
    ),
    "curricular": Publisher("CurricularFace", "github.com/HuangYG123/CurricularFace"),
}
"""By the beginning of their networks' names."""

_REPVGG = (64, 128, 256, 512)
_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{f"insightface-iresnet{n}": partial(IResNet, n) for n in (18, 34, 50, 100, 200)},
    "insightface-mbf": InsightMobileFaceNet,
    "insightface-mbf-scale1": partial(InsightMobileFaceNet, 1),
    "insightface-mbf-large": partial(InsightMobileFaceNet, 4, (2, 8, 12, 4)),
    "insightface-vit-t": partial(ViT, 256, 12),
    "insightface-vit-s": partial(ViT, 512, 12),
    "insightface-vit-b": partial(ViT, 512, 24),
    "insightface-vit-l": partial(ViT, 768, 24),
    "insightface-vit-h": partial(ViT, 1024, 48),
    **{f"evolve-ir-{n}": partial(IR, n) for n in (50, 101, 152)},
    **{f"evolve-ir-se-{n}": partial(IR, n, se=True) for n in (50, 101, 152)},
    **{f"evolve-resnet-{n}": partial(ResNet, n) for n in (50, 101, 152)},
    "evolve-mobilefacenet": MobileFaceNet,
    "treb1en-ir50": partial(IR, 50, unit=True),
    "treb1en-ir-se50": partial(IR, 50, se=True, unit=True),
    "treb1en-mobilefacenet": partial(MobileFaceNet, unit=True),
    **{f"adaface-ir-{n}": partial(AdaFaceIR, n) for n in (18, 34, 50, 101, 152, 200)},
    "adaface-ir-se-50": partial(AdaFaceIR, 50, se=True),
    **{f"cvlface-ir{n}": partial(AdaFaceIR, n) for n in (18, 50, 101)},
    "cvlface-vit-base": partial(ViT, 512, 24, heads=16, patch=8, expansion=3),
    **{f"magface-iresnet{n}": partial(IResNet, n, 2e-5) for n in (18, 34, 50, 100)},
    "facexzoo-mobilefacenet": MobileFaceNet,
    "facexzoo-resnet50-ir": partial(IR, 50),
    "facexzoo-resnet152-irse": partial(IR, 152, se=True),
    "facexzoo-hrnet": HRNet,
    "facexzoo-efficientnet-b0": EfficientNetB0,
    "facexzoo-tf-nas-a": TFNASA,
    "facexzoo-lightcnn-29": LightCNN29,
    "facexzoo-ghostnet": GhostNet,
    "facexzoo-attentionnet-56": partial(AttentionNet, (1, 1, 1)),
    "facexzoo-attentionnet-92": partial(AttentionNet, (1, 2, 3)),
    "facexzoo-resnest50": ResNeSt50,
    "facexzoo-rexnet-1.0": ReXNet,
    "facexzoo-repvgg-a0": partial(RepVGG, (2, 4, 14, 1), (48, 96, 192, 1280)),
    "facexzoo-repvgg-b0": partial(RepVGG, (4, 6, 16, 1), (64, 128, 256, 1280)),
    "facexzoo-repvgg-b1": partial(RepVGG, (4, 6, 16, 1), (128, 256, 512, 2048)),
    "facexzoo-swin-t": partial(Swin, (2, 2, 6, 2)),
    "facexzoo-swin-s": partial(Swin, (2, 2, 18, 2)),
    "robfr-arcface-ir-se-50": partial(IR, 50, se=True),
    "robfr-cosface-sphere20": partial(Sphere, 20),
    "robfr-sphereface-sphere20a": Sphere20a,
    "robfr-facenet-vggface2": facenet,
    "robfr-facenet-casia": facenet,
    "robfr-ir-50": partial(IR, 50),
    "robfr-ir-50-rgb": partial(IR, 50),
    "robfr-mobileface": partial(MobileFaceNet112x96, EMBEDDING, (7, 7)),
    "robfr-mobilenet-stride2": MobileNetV1,
    "robfr-mobilenet-stride1": partial(MobileNetV1, 1),
    "robfr-mobilenetv2-stride2": MobileNetV2,
    "robfr-mobilenetv2-stride1": partial(MobileNetV2, 1),
    "robfr-resnet50": partial(ResNet, 50),
    "robfr-resnet50-rgb": partial(ResNet, 50),
    "robfr-shufflenet-v1-gdconv": ShuffleNetV1,
    "robfr-shufflenet-v2-gdconv-stride1": ShuffleNetV2,
    "cosface-sphere20": partial(Sphere, 20),
    "cosface-sphere64": partial(Sphere, 64),
    "cosface-lresnet50e-ir": LResNet50E,
    "sphereface-sphere20a": Sphere20a,
    "facenet-inceptionresnetv1-vggface2": facenet,
    "facenet-inceptionresnetv1-casia": facenet,
    "advmakeup-ir152": partial(IR, 152),
    "advmakeup-irse50": partial(IR, 50, se=True, unit=True),
    "advmakeup-mobile-face": partial(MobileFaceNet, unit=True),
    "advmakeup-facenet": facenet,
    "curricular-ir-101": partial(IR, 101, affine=False),
}
_SIZES: dict[Callable[..., nn.Module], tuple[int, int]] = {
    **dict.fromkeys((Sphere, Sphere20a, LResNet50E), (112, 96)),
    facenet: (160, 160),
    Swin: (224, 224),
}
"""Height and width that a constructor's networks take; of the others 112 x 112."""
_BGR_OF_ROBFR = frozenset(
    {
        "sphereface-sphere20a", "ir-50", "mobileface", "mobilenet-stride2", "mobilenet-stride1",
        "mobilenetv2-stride2", "mobilenetv2-stride1", "resnet50", "shufflenet-v1-gdconv",
        "shufflenet-v2-gdconv-stride1",
    }
)  # fmt: skip
_UNUSED: dict[Callable[..., nn.Module], tuple[str, ...]] = {
    Sphere20a: ("fc6.",),
    facenet: ("logits.",),
    EfficientNetB0: ("_fc.",),
    ViT: ("mask_token",),
}
"""What files hold beside the networks of a constructor."""

_MARKS: dict[Callable[..., nn.Module], str] = {
    IResNet: "layer1.0.prelu.weight",
    LResNet50E: "layer1.0.prelu1.weight",
    IR: "body.0.res_layer.3.weight",
    AdaFaceIR: "body.0.res_layer.3.weight",
    ResNet: "bn_o2.weight",
    MobileFaceNet: "conv_6_dw.conv.weight",
    InsightMobileFaceNet: "conv_sep.layers.0.weight",
    MobileFaceNet112x96: "linear7.conv.weight",
    ViT: "pos_embed",
    Sphere: "layer1.2.prelu1.weight",
    Sphere20a: "relu1_1.weight",
    facenet: "mixed_6a.branch0.conv.weight",
    MobileNetV1: "model.0.0.weight",
    MobileNetV2: "features.0.0.weight",
    ShuffleNetV1: "stage2.ShuffleUnit_Stage2_0.bn_after_depthwise.weight",
    ShuffleNetV2: "features.0.banch1.0.weight",
    HRNet: "transition1.0.0.weight",
    EfficientNetB0: "_conv_stem.weight",
    TFNASA: "first_stem.conv.weight",
    LightCNN29: "group1.conv_a.filter.weight",
    GhostNet: "conv_stem.weight",
    AttentionNet: "attention_body.0.bn1.weight",
    ResNeSt50: "body.layer1.0.conv2.fc1.weight",
    ReXNet: "features.3.out.0.weight",
    RepVGG: "stage0.rbr_dense.conv.weight",
    Swin: "patch_embed.proj.weight",
}
"""An entry that all networks of a constructor have."""


def _rows() -> Iterator[tuple[str, Architecture]]:
    for name, constructor in _NETWORKS.items():
        key, _, network = name.partition("-")
        publisher = PUBLISHERS[key]
        scale, channels = publisher.scale, publisher.channels
        if key == "robfr":
            channels = "bgr" if network in _BGR_OF_ROBFR else "rgb"
            scale = HALF if network.startswith("ir-50") else BY_128
        made = constructor.func if isinstance(constructor, partial) else constructor
        high, wide = _SIZES.get(made, (112, 112))
        yield (
            name,
            Architecture(
                constructor,
                Task.VERIFICATION,
                (high, wide),
                *scale,
                channels=channels,
                # The 112 x 96 template is the 112 x 112 one without 8 columns on either side.
                resize="crop" if wide == 96 and key != "robfr" else "bilinear",
                summary=f"{network} of {publisher.title}; embeddings of {EMBEDDING} numbers",
                unused=_UNUSED.get(made, ()),
                mark=_MARKS[made],
                embedding=EMBEDDING,
                publisher=key,
            ),
        )


FACES = dict(_rows())
"""Name to network, in the order of their publishers."""
