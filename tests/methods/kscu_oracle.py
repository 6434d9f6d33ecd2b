"""KSCU's pseudocode, written out again with lists and loops, and its loss with finite differences."""

from __future__ import annotations

import torch

DOUBLE = torch.float64


def table(first: int, last: int, most: int, passes: int, length: int) -> list[int]:
    """Steps of the first `length` iterations: the list grows by [S .. last], S by one after every few passes."""
    steps: list[int] = []
    start, done = first, 0
    while len(steps) < length:
        for step in range(start, last + 1):
            steps.append(step)
        done += 1
        if done == passes:
            done, start = 0, start + 1
            if start >= most:
                start = first
    return steps[:length]


def loss(tuned_c, tuned_u, frozen_c, frozen_u, timestep, *, g, l1, l2):
    """Both terms, number by number."""
    first = second = 0.0
    size = tuned_c.numel()
    rows = zip(*(values.flatten().tolist() for values in (tuned_c, tuned_u, frozen_c, frozen_u)), strict=True)
    for star_c, star_u, c, u in rows:
        first += (star_c - (u - g * (c - u))) ** 2 / size
        second += (star_u - (u - (1000 - timestep) * l1 * (c - u))) ** 2 / size
    return first + l2 * second


def slope(function, parameter, place, step=1e-6):
    """Central difference of a function at one number of a parameter."""
    flat = parameter.data.view(-1)
    before = flat[place].item()
    flat[place] = before + step
    above = function()
    flat[place] = before - step
    below = function()
    flat[place] = before
    return (above - below) / (2 * step)
