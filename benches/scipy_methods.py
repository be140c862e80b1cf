"""The published method in scipy, written from its description, and two faster ways to do the same.

A plan as `flowrake targets` writes it: steps applied once, and one group of an origin and a
destination constraint over all entries that is repeated. Every scaling is target / current, 1 where
either is 0. Where the totals of the two differ, destination targets are rescaled to those of
origins, of the cells that are not empty.

- As published, every step multiplies the matrix by a diagonal one: `diags(f) @ M`, `M @ diags(f)`.
- With factor vectors the matrix is left as it is: sums are `d * (M.T @ o)` and `o * (M @ d)`.
- On the class table (cell of origin x cell of destination) the same iterations are small. Stayers
  and movers of a class are summed together: both constraints count all entries.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

DIGITS = {"state": 2, "county": 5, "tract": 11, "block_group": 12, "cbg": 12}


@dataclasses.dataclass
class Step:
    """A constraint: the cell of every unit as an origin and as a destination, and targets."""

    name: str
    margin: str
    entries: str
    origin: np.ndarray
    destination: np.ndarray
    targets: np.ndarray  # persons per cell, or per pair of cells; NaN where there is none


def read_steps(folder: Path, plan: dict) -> tuple[list[Step], list[Step]]:
    """The steps of a plan, those applied once and those repeated."""
    with open(folder / plan["seed"]["units"], newline="") as file:
        units = list(csv.DictReader(file))
    if len(plan.get("repeat", [])) != 1:
        sys.exit("expected a plan with one repeat group")
    repeat = plan["repeat"][0]["step"]
    kinds = sorted((step["margin"], step.get("entries", "all")) for step in repeat)
    if kinds != [("destination", "all"), ("origin", "all")]:
        sys.exit("expected to repeat one origin and one destination step over all entries")
    once = [read_step(folder, units, step) for step in plan.get("step", [])]
    return once, [read_step(folder, units, step) for step in repeat]


def read_step(folder: Path, units: list[dict], step: dict) -> Step:
    if step.get("zero_targets", "keep") != "keep":
        sys.exit(f"{step['targets']}: expected a step that keeps zeros")
    codes, cells = partition(units, step["level"])
    other_codes, others = partition(units, step.get("destination_level", step["level"]))
    with open(folder / step["targets"], newline="") as file:
        rows = list(csv.DictReader(file))
    if step["margin"] == "block":
        targets = np.full((len(codes), len(other_codes)), np.nan)
        for row in rows:
            pair = codes[row["origin"]], other_codes[row["destination"]]
            targets[pair] = float(row["target"])
    else:
        targets = np.full(len(codes), np.nan)
        for row in rows:
            targets[codes[row["geoid"]]] = float(row["target"])
    name = step.get("name", step["targets"])
    entries = step.get("entries", "all")
    return Step(name, step["margin"], entries, cells, others, targets)


def partition(units: list[dict], level: str) -> tuple[dict[str, int], np.ndarray]:
    """Number of each code, and the cell of each unit."""
    if level in DIGITS:
        texts = [unit["geoid"][: DIGITS[level]] for unit in units]
    else:
        texts = [unit[level] for unit in units]
    codes, cells = np.unique(texts, return_inverse=True)
    return {code: k for k, code in enumerate(codes.tolist())}, cells


def raise_stayers(matrix, floor: float):
    """The diagonal is at least `floor`."""
    missing = np.maximum(floor - matrix.diagonal(), 0.0)
    return (matrix + sp.diags(missing)).tocsr() if missing.any() else matrix


def factor(targets, current):
    """target / current, 1 where either is 0 or there is no target."""
    scaled = (targets > 0) & (current > 0)
    return np.divide(targets, current, out=np.ones_like(current), where=scaled)


def rewrite(matrix, step: Step):
    """One step as published: the matrix, multiplied by its factors."""
    if step.entries == "stayers":
        stayers = matrix.diagonal()
        current = np.bincount(step.origin, stayers, minlength=len(step.targets))
        factors = factor(step.targets, current)[step.origin]
        return (matrix + sp.diags(stayers * (factors - 1.0))).tocsr()
    if step.entries == "movers":
        stayers = sp.diags(matrix.diagonal())
        movers = dataclasses.replace(step, entries="all")
        return (rewrite((matrix - stayers).tocsr(), movers) + stayers).tocsr()
    if step.margin == "origin":
        sums = np.asarray(matrix.sum(axis=1)).ravel()
        current = np.bincount(step.origin, sums, minlength=len(step.targets))
        return (sp.diags(factor(step.targets, current)[step.origin]) @ matrix).tocsr()
    if step.margin == "destination":
        sums = np.asarray(matrix.sum(axis=0)).ravel()
        current = np.bincount(step.destination, sums, minlength=len(step.targets))
        return (matrix @ sp.diags(factor(step.targets, current)[step.destination])).tocsr()
    return rewrite_blocks(matrix, step)


def rewrite_blocks(matrix, step: Step):
    """Every block of the rows of a cell, cell after cell."""
    parts, order = [], []
    for cell, targets in enumerate(step.targets):
        rows = np.flatnonzero(step.origin == cell)
        part = matrix[rows]
        sums = np.asarray(part.sum(axis=0)).ravel()
        current = np.bincount(step.destination, sums, minlength=len(targets))
        parts.append(part @ sp.diags(factor(targets, current)[step.destination]))
        order.append(rows)
    order = np.concatenate(order)
    matrix = sp.vstack(parts, format="csr")
    return matrix if (np.diff(order) > 0).all() else matrix[np.argsort(order)]


@dataclasses.dataclass
class Factors:
    """What every row and column of a matrix is multiplied by."""

    origin: np.ndarray
    destination: np.ndarray

    @classmethod
    def ones(cls, matrix) -> Factors:
        return cls(np.ones(matrix.shape[0]), np.ones(matrix.shape[1]))

    def sums(self, matrix, step: Step) -> np.ndarray:
        """Persons per cell of a step."""
        if step.margin == "origin":
            sums, cells = self.origin * (matrix @ self.destination), step.origin
        else:
            sums, cells = self.destination * (matrix.T @ self.origin), step.destination
        return np.bincount(cells, sums, minlength=len(step.targets))

    def iterate(self, matrix, steps: list[Step]) -> float:
        """One iteration; the largest relative violation it met in a cell that is not empty."""
        worst = 0.0
        for step in steps:
            current = self.sums(matrix, step)
            factors = factor(step.targets, current)
            scaled = (step.targets > 0) & (current > 0)
            worst = max(worst, np.abs(1.0 / factors[scaled] - 1.0).max(initial=0.0))
            if step.margin == "origin":
                self.origin *= factors[step.origin]
            else:
                self.destination *= factors[step.destination]
        return worst


def balance(matrix, steps: list[Step]) -> list[Step]:
    """The steps, destination targets rescaled to the total of the origins'."""
    start = Factors.ones(matrix)
    reachable = {}
    for step in steps:
        filled = start.sums(matrix, step) > 0
        if not (step.targets[filled] > 0).all():
            return steps  # entries without a target: the totals need not agree
        reachable[step.margin] = step.targets[filled].sum()
    ratio = reachable["origin"] / reachable["destination"]
    scale = {"origin": 1.0, "destination": ratio}
    return [dataclasses.replace(s, targets=s.targets * scale[s.margin]) for s in steps]


def class_table(matrix, steps: list[Step]):
    """The matrix summed to cell of origin x cell of destination, and the steps on it."""
    origin = next(step for step in steps if step.margin == "origin")
    destination = next(step for step in steps if step.margin == "destination")

    def membership(cells, count):
        units = np.arange(len(cells))
        return sp.csr_matrix((np.ones(len(cells)), (cells, units)), (count, len(cells)))

    rows = membership(origin.origin, len(origin.targets))
    columns = membership(destination.destination, len(destination.targets))
    table = (rows @ matrix @ columns.T).tocsr()
    own = [np.arange(n) for n in table.shape]
    return table, [dataclasses.replace(s, origin=own[0], destination=own[1]) for s in steps]
