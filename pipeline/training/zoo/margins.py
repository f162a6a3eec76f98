"""Margin-softmax heads: what turns embeddings and identities into a training loss.

With W_j the unit-length weight of identity j, x the embedding, y the true identity, and
cos theta_j = W_j . x / |x|, every head but `softmax` is cross-entropy on the logits

    z_y = s psi(theta_y),    z_j = s cos theta_j  for j != y,

and differs in psi: the margin m asks more of the true identity than of the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.cross_entropy import cross_entropy
from gauntlet.pipeline.models.zoo.recipes import HeadName


class Head(nn.Module):
    """Cross-entropy over N identities on logits that a subclass makes.

    Args:
        embedding: numbers of an embedding D.
        identities: number of identities N.
    """

    def __init__(self, embedding: int, identities: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(identities, embedding))
        nn.init.normal_(self.weight, std=embedding**-0.5)

    def logits(self, embeddings: Tensor, identities: Tensor, ramp: float = 1.0) -> Tensor:
        """Return logits, (B, N), of embeddings (B, D) whose true identities are int64 (B,).

        Args:
            embeddings: not normalised.
            identities: true identities.
            ramp: share of the margin that is asked for, 0 to 1.
        """
        raise NotImplementedError

    def forward(self, embeddings: Tensor, identities: Tensor, ramp: float = 1.0) -> Tensor:
        """Return the loss of each example, (B,)."""
        return cross_entropy(self.logits(embeddings, identities, ramp), identities)

    @torch.no_grad()
    def centre(self, means: Tensor) -> None:
        """Put each identity's weight on the direction of its mean embedding, (N, D)."""
        length = self.weight.norm(dim=1, keepdim=True).mean()
        self.weight.copy_(F.normalize(means) * length)


class Softmax(Head):
    """Plain softmax, z_j = W_j . x + b_j, with neither normalisation nor margin (Deng 2019, eq. 1).

    Args:
        embedding: numbers of an embedding D.
        identities: number of identities N.
    """

    def __init__(self, embedding: int, identities: int) -> None:
        super().__init__(embedding, identities)
        self.bias = nn.Parameter(torch.zeros(identities))

    def logits(self, embeddings: Tensor, identities: Tensor, ramp: float = 1.0) -> Tensor:
        """Return W x + b; there is no margin for ``ramp`` to scale."""
        return F.linear(embeddings, self.weight, self.bias)


class AngularHead(Head):
    """A head on cosines; `psi` is the subclass's.

    Args:
        embedding: numbers of an embedding D.
        identities: number of identities N.
        scale: s.
        margin: m.
    """

    def __init__(self, embedding: int, identities: int, scale: float, margin: float) -> None:
        super().__init__(embedding, identities)
        self.scale, self.margin = scale, margin

    def psi(self, cosine: Tensor, margin: float) -> Tensor:
        """Return psi(theta_y) of cos theta_y, (B,)."""
        raise NotImplementedError

    def neutral(self) -> float:
        """Return the margin at which psi is the cosine."""
        return 0.0

    def logits(self, embeddings: Tensor, identities: Tensor, ramp: float = 1.0) -> Tensor:
        """Return s cos theta_j, and s psi(theta_y) for the true identity, (B, N)."""
        cosines = F.linear(F.normalize(embeddings), F.normalize(self.weight))
        neutral = self.neutral()
        margin = neutral + ramp * (self.margin - neutral)
        own = cosines.gather(1, identities[:, None])
        harder = self.psi(own, margin)
        return self.scale * cosines.scatter(1, identities[:, None], harder)


class CosFace(AngularHead):
    """psi = cos theta - m (Wang 2018, CosFace, eq. 4)."""

    def psi(self, cosine: Tensor, margin: float) -> Tensor:
        """Return cos theta - m."""
        return cosine - margin


class ArcFace(AngularHead):
    """psi = cos(theta + m) (Deng 2019, eq. 3).

    Beyond theta = pi - m, where that would rise again, psi = -2 - cos(theta + m): continuous and
    falling, as in SphereFace's own continuation. The paper leaves this part open.
    """

    def psi(self, cosine: Tensor, margin: float) -> Tensor:
        """Return cos(theta + m), continued."""
        turned = (_angle(cosine) + margin).cos()
        return torch.where(cosine >= -math.cos(margin), turned, -2 - turned)


class SphereFace(AngularHead):
    """psi = (-1)^k cos(m theta) - 2 k for theta in [k pi / m, (k + 1) pi / m] (Liu 2017, eq. 7).

    Two differences to the paper: embeddings are normalised and scaled by s, and m may be any number
    from 1 up, not only whole ones; the formula is the same.
    """

    def psi(self, cosine: Tensor, margin: float) -> Tensor:
        """Return the multiplied angle's cosine, continued so that it falls on all of [0, pi]."""
        turned = margin * _angle(cosine)
        k = (turned.detach() / math.pi).floor()
        return (1 - 2 * (k % 2)) * turned.cos() - 2 * k

    def neutral(self) -> float:
        """Return 1."""
        return 1.0


def _angle(cosine: Tensor) -> Tensor:
    # The arc cosine has no finite slope at -1 and 1.
    most = 1 - 4 * torch.finfo(cosine.dtype).eps
    return cosine.clamp(-most, most).acos()


_ANGULAR: dict[str, type[AngularHead]] = {
    "cosface": CosFace,
    "arcface": ArcFace,
    "sphereface": SphereFace,
}


def make_head(
    name: HeadName, embedding: int, identities: int, *, scale: float, margin: float
) -> Head:
    """Return a head; ``scale`` and ``margin`` belong to those on cosines."""
    if name == "softmax":
        return Softmax(embedding, identities)
    return _ANGULAR[name](embedding, identities, scale, margin)
