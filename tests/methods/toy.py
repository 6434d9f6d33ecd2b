"""A method of a few lines from outside the pack: the worked example of scapre/README.md, word for word."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pack.scapre.families import Role
from pack.scapre.methods import Fit, Method
from pack.scapre.methods.change import Change
from pack.scapre.methods.payload import Kind, Layout
from pack.scapre.methods.settings import MethodSettings, Preset, number


@dataclass(frozen=True)
class Settings(MethodSettings):
    share: float = number(1.0, "How much of the concepts' own directions is taken away.", 0, 1, step=0.05)


class Projection(Method):
    title, roles, joint = "Projection", frozenset({Role.VALUE}), True
    settings, presets = Settings, {"whole": Preset("whole", "All of it.", Settings())}

    def fit(self, problem, projections):
        concepts = torch.stack([problem.states.subject(pair.concept) for pair in problem.pairs])
        return Fit({"basis": torch.linalg.qr(concepts.T.double()).Q.to(problem.dtype)})

    def delta(self, shared, own, weight, settings):
        weight, basis = weight.to(shared["basis"]), shared["basis"]
        return Change(-settings.share * (weight @ basis), basis, weight)

    def layout(self, settings, held):
        return Layout({"basis": Kind(None, "dk", -1.01, 1.01)})

    def figures(self, payload, settings):
        return {"directions taken away": payload.shared["basis"].shape[1]}
