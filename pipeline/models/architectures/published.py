"""Published files of face networks: their own figures, to compare a file at hand with.

Accuracies and thresholds are the authors', each by the protocol of its own; they say whether a
file is read as it was meant, and are no results of this project.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """A file that can be had.

    Attributes:
        architecture: name of its network.
        file: what it is called; "" where no file is named.
        lfw: accuracy on LFW, in percent; None where the authors state none.
        threshold: cosine threshold with the best accuracy on LFW, where it is stated.
        far: cosine thresholds by false-accept rate, where they are stated.
    """

    architecture: str
    file: str
    lfw: float | None = None
    threshold: float | None = None
    far: tuple[tuple[float, float], ...] = ()


def _insightface() -> list[Checkpoint]:
    accuracies = {
        18: (99.77, 99.77),
        34: (99.80, 99.82),
        50: (99.83, 99.83),
        100: (99.85, 99.82),
    }
    return [
        Checkpoint(f"insightface-iresnet{depth}", f"{folder}/backbone.pth", lfw)
        for depth, both in accuracies.items()
        for folder, lfw in zip(
            (f"ms1mv3_arcface_r{depth}_fp16", f"glint360k_cosface_r{depth}_fp16_0.1"),
            both,
            strict=True,
        )
    ]


_ROBFR = """
robfr-shufflenet-v2-gdconv-stride1 ShuffleNet_V2_GDConv-stride1 0.224 99.15
robfr-mobilenet-stride2 Mobilenet 0.1585 99.35
robfr-mobilenetv2-stride1 MobilenetV2-stride1 0.2434 99.05
robfr-cosface-sphere20 CosFace 0.2463 98.68
robfr-facenet-vggface2 FaceNet-VGGFace2 0.4207 99.23
robfr-mobilenet-stride1 Mobilenet-stride1 0.1934 99.57
robfr-sphereface-sphere20a SphereFace 0.3493 98.18
robfr-mobileface MobileFace 0.2112 99.45
robfr-facenet-casia FaceNet-casia 0.429 98.1
robfr-mobilenetv2-stride2 MobilenetV2 0.2267 99.33
robfr-arcface-ir-se-50 ArcFace 0.284 99.5
robfr-resnet50 ResNet50 0.1912 99.72
robfr-shufflenet-v1-gdconv ShuffleNet_V1_GDConv 0.1907 99.47
robfr-resnet50-rgb ResNet50-casia 0.1855 98.6
robfr-ir-50 IR50-Am 0.4584 99.22
robfr-ir-50 IR50-ArcFace 0.2774 99.7
robfr-ir-50 IR50-CosFace 0.224 99.7
robfr-ir-50 IR50-Softmax 0.3423 99.6
robfr-ir-50 IR50-SphereFace 0.3616 99.58
robfr-ir-50-rgb IR50-PGDSoftmax 0.3053 91.3
robfr-ir-50-rgb IR50-TradesSoftmax 0.3278 90.95
robfr-ir-50-rgb IR50-PGDArcFace 0.3751 87.67
robfr-ir-50-rgb IR50-TradesArcFace 0.8526 95.07
robfr-ir-50-rgb IR50-PGDCosFace 0.2336 86.18
robfr-ir-50-rgb IR50-TradesCosFace 0.6368 90.73
robfr-ir-50-rgb IR50-PGDAm 0.4151 85.0
robfr-ir-50-rgb IR50-PGDSphereFace 0.5209 88.82
robfr-ir-50-rgb CASIA-Am 0.4615 97.8
robfr-ir-50-rgb CASIA-ArcFace 0.3242 99.05
robfr-ir-50-rgb CASIA-CosFace 0.2315 99.12
robfr-ir-50-rgb CASIA-Softmax 0.3242 98.83
robfr-ir-50-rgb CASIA-SphereFace 0.4366 97.65
"""
"""Network, name in RobFR's zoo, threshold, accuracy; by its wrapper, which resizes 112 x 112."""


def _robfr() -> list[Checkpoint]:
    rows = (line.split() for line in _ROBFR.split("\n") if line)
    return [Checkpoint(name, zoo, float(lfw), float(cos)) for name, zoo, cos, lfw in rows]


def _far(*thresholds: float) -> tuple[tuple[float, float], ...]:
    return tuple(zip((0.1, 0.01, 0.001), thresholds, strict=True))


CHECKPOINTS: tuple[Checkpoint, ...] = (
    *_insightface(),
    Checkpoint("evolve-ir-50", "backbone_ir50_ms1m_epoch120.pth", 99.78),
    Checkpoint(
        "evolve-ir-152",
        "Backbone_IR_152_Epoch_112_Batch_2547328_Time_2019-07-13-02-59_checkpoint.pth",
        99.82,
    ),
    Checkpoint("treb1en-ir-se50", "model_ir_se50.pth", 99.52),
    Checkpoint("treb1en-mobilefacenet", "model_mobilefacenet.pth", 99.18),
    Checkpoint("adaface-ir-18", "adaface_ir18_casia.ckpt", 99.13),
    Checkpoint("adaface-ir-18", "adaface_ir18_vgg2.ckpt", 99.47),
    Checkpoint("adaface-ir-18", "adaface_ir18_webface4m.ckpt", 99.53),
    Checkpoint("adaface-ir-50", "adaface_ir50_casia.ckpt", 99.42),
    Checkpoint("adaface-ir-50", "adaface_ir50_ms1mv2.ckpt", 99.82),
    Checkpoint("adaface-ir-50", "adaface_ir50_webface4m.ckpt", 99.78),
    Checkpoint("adaface-ir-101", "adaface_ir101_ms1mv2.ckpt", 99.82),
    Checkpoint("adaface-ir-101", "adaface_ir101_ms1mv3.ckpt", 99.78),
    Checkpoint("adaface-ir-101", "adaface_ir101_webface4m.ckpt", 99.80),
    Checkpoint("adaface-ir-101", "adaface_ir101_webface12m.ckpt", 99.82),
    Checkpoint("cvlface-vit-base", "cvlface_adaface_vit_base_webface4m", 99.80),
    Checkpoint("magface-iresnet100", "magface_epoch_00025.pth"),
    Checkpoint("magface-iresnet50", "magface_iresnet50_MS1MV2_ddp_fp32.pth"),
    Checkpoint("magface-iresnet18", "magface_iresnet18_casia_dp.pth"),
    Checkpoint("facexzoo-mobilefacenet", "Epoch_N.pt", 99.57),
    Checkpoint("facexzoo-resnet50-ir", "Epoch_N.pt", 99.78),
    Checkpoint("facexzoo-resnet152-irse", "Epoch_N.pt", 99.85),
    Checkpoint("facexzoo-hrnet", "Epoch_N.pt", 99.80),
    Checkpoint("facexzoo-efficientnet-b0", "Epoch_N.pt", 99.55),
    Checkpoint("facexzoo-tf-nas-a", "Epoch_N.pt", 99.75),
    Checkpoint("facexzoo-lightcnn-29", "Epoch_N.pt", 99.57),
    Checkpoint("facexzoo-ghostnet", "Epoch_N.pt", 99.65),
    Checkpoint("facexzoo-attentionnet-56", "Epoch_N.pt", 99.88),
    Checkpoint("facexzoo-attentionnet-92", "Epoch_N.pt", 99.82),
    Checkpoint("facexzoo-resnest50", "Epoch_N.pt", 99.80),
    Checkpoint("facexzoo-rexnet-1.0", "Epoch_N.pt", 99.65),
    Checkpoint("facexzoo-repvgg-a0", "Epoch_N.pt", 99.77),
    Checkpoint("facexzoo-repvgg-b0", "Epoch_N.pt", 99.72),
    Checkpoint("facexzoo-repvgg-b1", "Epoch_N.pt", 99.82),
    Checkpoint("facexzoo-swin-t", "Epoch_N.pt", 99.87),
    Checkpoint("facexzoo-swin-s", "Epoch_N.pt", 99.85),
    Checkpoint("facenet-inceptionresnetv1-vggface2", "20180402-114759-vggface2.pt", 99.65),
    Checkpoint("facenet-inceptionresnetv1-casia", "20180408-102900-casia-webface.pt", 99.05),
    Checkpoint("sphereface-sphere20a", "sphere20a_20171020.pth", 99.22),
    Checkpoint("cosface-sphere20", "CosFace_24_checkpoint.pth", 99.23),
    Checkpoint("cosface-lresnet50e-ir", "", 99.45),
    Checkpoint("curricular-ir-101", "CurricularFace_Backbone.pth", 99.80),
    *_robfr(),
    Checkpoint("advmakeup-ir152", "ir152.pth", far=_far(0.094632, 0.166788, 0.227922)),
    Checkpoint("advmakeup-irse50", "irse50.pth", far=_far(0.144840, 0.241045, 0.312703)),
    Checkpoint("advmakeup-facenet", "facenet.pth", far=_far(0.256587, 0.409131, 0.591191)),
    Checkpoint("advmakeup-mobile-face", "mobile_face.pth", far=_far(0.183635, 0.301611, 0.380878)),
)
"""Names of files that are shared by links only are those that other public code calls them."""


def lfw_accuracies(architecture: str) -> list[float]:
    """Return the published accuracies on LFW of a network's files, in percent, lowest first."""
    found = (one.lfw for one in CHECKPOINTS if one.architecture == architecture)
    return sorted(lfw for lfw in found if lfw is not None)
