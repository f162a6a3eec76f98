"""FaceNet: facenet-pytorch's Inception-ResNet v1, for 160 x 160; embeddings of length 1."""

from __future__ import annotations

from typing import cast

from torch import nn


def facenet() -> nn.Module:
    """Return the network without the training set's classifier (`logits` in files)."""
    from facenet_pytorch import InceptionResnetV1

    return cast(nn.Module, InceptionResnetV1(pretrained=None, classify=False))
