"""Row-wise steps after the solve (arXiv 2601.06162): each keeps a row in the plane of its old and new value.

A row is described by inner products alone: r0² = ‖w0‖², a² = ‖w‖², cross = w0·w. Every step returns the two factors
of w' = new w + old w0, so that no step touches a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Plane:
    """Inner products of old rows w0 and new rows w, each (n,), float64.

    Attributes:
        old: ‖w0‖².
        new: ‖w‖².
        cross: w0·w.
        outside: Part of both squares outside the basis.
    """

    old: Tensor
    new: Tensor
    cross: Tensor
    outside: Tensor


@dataclass(frozen=True)
class Mix:
    """Factors of w' = new w + old w0, each (n,), float64."""

    new: Tensor
    old: Tensor

    def within(self, plane: Plane) -> Plane:
        """The plane of w0 and w'."""
        cross = self.new * plane.cross + self.old * plane.old
        new = self.new**2 * plane.new + self.old**2 * plane.old + 2 * self.new * self.old * plane.cross
        return Plane(plane.old, new.clamp(min=0), cross, plane.outside)

    def after(self, first: Mix) -> Mix:
        """This mix applied to the result of `first`."""
        return Mix(self.new * first.new, self.new * first.old + self.old)


def bures_step(plane: Plane, ridge: float, retained: float, steps: int) -> Mix:
    """Bures proximal: draws direction and length of a row back to the old ones.

    Args:
        plane: Of the old rows and the solved rows.
        ridge: λp = λ + μ.
        retained: μ.
        steps: Iterations; 0 gives the solved rows.
    """
    length, old_length = plane.new.sqrt(), plane.old.sqrt()
    cosine = _ratio(plane.cross, length * old_length)
    along, back, norm = torch.ones_like(length), torch.zeros_like(length), length
    for _ in range(steps):
        alike = (along * cosine + back).clamp(min=0)
        norm = (ridge * length + retained * old_length * alike) / (ridge + retained)
        along, back = _unit(ridge * length, retained * old_length * alike, cosine)
    return Mix(_ratio(norm * along, length), _ratio(norm * back, old_length))


def row_valve(plane: Plane, entropy: Tensor) -> Mix:
    """Row safety valve: a row's direction leans to the new one by its share, its length is interpolated in logs.

    Args:
        plane: Of the old rows and the rows so far.
        entropy: (n,) h, the retention's complement.
    """
    share = 1 - torch.exp(-entropy / entropy.max().clamp(min=torch.finfo(entropy.dtype).tiny))
    cosine = _ratio(plane.cross, (plane.old * plane.new).sqrt())
    lean = share * cosine.clamp(min=0)
    along, back = _unit(lean, 1 - lean, cosine)
    tiny = torch.finfo(plane.old.dtype).tiny
    norm = torch.exp(((1 - share) * plane.old.clamp(min=tiny).log() + share * plane.new.clamp(min=tiny).log()) / 2)
    return Mix(_ratio(norm * along, plane.new.sqrt()), _ratio(norm * back, plane.old.sqrt()))


def _unit(along: Tensor, back: Tensor, cosine: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients of along u + back u0 scaled to length 1, for unit vectors at the given cosine."""
    length = (along**2 + back**2 + 2 * along * back * cosine).clamp(min=0).sqrt()
    return _ratio(along, length), _ratio(back, length)


def _ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """top / bottom, and 0 where a zero row makes the bottom vanish."""
    return torch.where(bottom > 0, top / bottom.clamp(min=torch.finfo(bottom.dtype).tiny), torch.zeros_like(top))
