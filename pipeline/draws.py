"""Random numbers keyed by what they are for.

Every number is a hash of (run seed, example, attack, step, model, purpose, position): neither the
batch that an example travels in, nor the worker, nor a restart, nor another draw can change it.
Nothing here touches a global generator.

The hash is SplitMix64 (Steele, Lea, Flood 2014) run in counter mode on a 64-bit stream key. All of
it is integer arithmetic on int64 tensors, whose products wrap modulo 2**64 on every device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """Return the int64 with the same bits as an unsigned 64-bit integer."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


_GAMMA = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


@lru_cache(maxsize=65536)
def _name_key(*parts: str | int) -> int:
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)


def _shift(value: Tensor, bits: int) -> Tensor:
    # int64 shifts are arithmetic: clear the copied sign bits.
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)) * _MIX_1
    value = (value ^ _shift(value, 27)) * _MIX_2
    return value ^ _shift(value, 31)


@dataclass(frozen=True)
class Draws:
    """One independent random stream per row of a batch.

    Attributes:
        keys: int64 stream keys, shape (B,), on the CPU.
    """

    keys: Tensor

    @classmethod
    def keyed(
        cls,
        seed: int,
        examples: Sequence[str],
        *,
        attack: str = "",
        step: int = 0,
        model: str = "",
    ) -> Draws:
        """Return the streams of ``examples`` for one attack, step and model."""
        rows = torch.tensor([_name_key(example) for example in examples], dtype=torch.int64)
        context = _name_key(seed, attack, step, model)
        return cls(_mix(rows ^ _mix(torch.tensor(context, dtype=torch.int64))))

    def __len__(self) -> int:
        return self.keys.numel()

    def rows(self, index: Tensor) -> Draws:
        """Return the streams of the rows in ``index`` (int64, any length)."""
        return Draws(self.keys[index.cpu()])

    def bits(
        self, purpose: str, shape: Sequence[int] = (), device: torch.device | str = "cpu"
    ) -> Tensor:
        """Return raw 64-bit numbers as int64, shape (B, *shape)."""
        stream = _mix(self.keys + _name_key(purpose)).to(device)
        size = math.prod(shape)
        position = torch.arange(1, size + 1, dtype=torch.int64, device=device) * _GAMMA
        return _mix(stream[:, None] + position).reshape(len(self), *shape)

    def uniform(
        self,
        purpose: str,
        shape: Sequence[int] = (),
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return numbers uniform in [0, 1), (B, *shape): 24 bits in float32, 53 in float64."""
        digits = 53 if dtype == torch.float64 else 24
        return _shift(self.bits(purpose, shape, device), 64 - digits).to(dtype) * 2.0**-digits

    def normal(
        self,
        purpose: str,
        shape: Sequence[int] = (),
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return standard normal numbers (Box-Muller), shape (B, *shape)."""
        # The two halves of one 64-bit number give radius and angle; 1 - u keeps the log finite.
        bits = self.bits(purpose, shape, device)
        radius = (1.0 - _shift(bits, 32).to(torch.float64) * 2.0**-32).log().mul(-2.0).sqrt()
        angle = (bits & 0xFFFFFFFF).to(torch.float64) * (2.0 * math.pi * 2.0**-32)
        return (radius * angle.cos()).to(dtype)

    def integers(
        self,
        purpose: str,
        low: int,
        high: int,
        shape: Sequence[int] = (),
        *,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Return integers uniform in low..high - 1 as int64, shape (B, *shape).

        The modulo bias is below (high - low) / 2**53.
        """
        if high <= low:
            raise ValueError(f"integers need low < high, got {low} and {high}")
        return low + _shift(self.bits(purpose, shape, device), 11) % (high - low)
