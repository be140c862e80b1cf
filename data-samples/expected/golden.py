"""Golden results of the harmonization, from a second program.

Computes a handful of small problems the way the method is published (Agostini et al., Nature
Communications 2025): dense numpy matrices, one scaling after the other, every entry rewritten at
every step. It shares no code and no data structure with flowrake, so that an error in one of them
shows as a difference.

    .venv/bin/python data-samples/expected/golden.py       writes golden.json beside this file

golden.json is a list of problems:

    name            what the problem is about
    n               number of units N
    stayer_floor    the diagonal is raised to at least this many persons before the first step
    entries         [[origin, destination, persons], ..]  the seed; the diagonal are the stayers
    steps           constraints applied once, in this order
    repeat          {"max_iterations", "tolerance", "steps"}, or null
    total_ratios    per constraint of the repeat group: its targets were multiplied by this
    iterations      iterations run
    max_violation   largest |current - target| / target over the repeat group's targets above 0 at
                    the end, measured where the factor rule below lets a cell move at all
    converged       whether that is at most the tolerance
    expected        [[origin, destination, persons], ..]  every entry above 0 of the result

A constraint is

    margin          "origin", "destination" or "block"
    entries         "all", "movers" or "stayers"
    origin_cell     cell of each unit as an origin (margins origin and block), else null
    destination_cell  cell of each unit as a destination (margins destination and block), else null
    targets         [[cell, persons], ..], for blocks [[origin cell, destination cell, persons], ..];
                    a cell that is not listed is left alone

Rules (METHOD of the package, section 5):
- factor = target / current, and 1 where either of them is 0;
- within a repeat group the last origin or destination constraint that targets all its cells over
  all entries sets the total; the targets of every other such constraint are multiplied by
  (that total) / (their sum) before the first iteration;
- an iteration applies all constraints of the group once; iteration stops when max_violation is at
  most the tolerance.
"""

import csv
import json
from pathlib import Path

import numpy as np
import scipy.sparse as sp

HERE = Path(__file__).resolve().parent


def selection(constraint, n):
    """Which entries the constraint is about, as an N x N array of booleans."""
    diagonal = np.eye(n, dtype=bool)
    return {"all": np.ones((n, n), bool), "movers": ~diagonal, "stayers": diagonal}[
        constraint["entries"]
    ]


def cell_masks(constraint, n):
    """Yields (entries of a targeted cell, target)."""
    chosen = selection(constraint, n)
    for *cell, target in constraint["targets"]:
        mask = chosen.copy()
        if constraint["margin"] in ("origin", "block"):
            mask &= (np.array(constraint["origin_cell"]) == cell[0])[:, None]
        if constraint["margin"] in ("destination", "block"):
            mask &= (np.array(constraint["destination_cell"]) == cell[-1])[None, :]
        yield mask, target


def scale(matrix, constraint):
    """Applies one constraint in place."""
    for mask, target in cell_masks(constraint, len(matrix)):
        current = matrix[mask].sum()
        if current != 0 and target != 0:
            matrix[mask] *= target / current


def violation(matrix, constraints):
    """Largest relative violation over cells that a factor can move."""
    worst = 0.0
    for constraint in constraints:
        for mask, target in cell_masks(constraint, len(matrix)):
            current = matrix[mask].sum()
            if current != 0 and target != 0:
                worst = max(worst, abs(current - target) / target)
    return worst


def normalized(constraints):
    """Rescales the targets of the complete margins to one total; returns them and the ratios."""

    def complete(c):
        if c["entries"] != "all" or c["margin"] == "block":
            return False
        cells = set(c[c["margin"] + "_cell"])
        return {t[0] for t in c["targets"]} == cells

    def total(c):
        return sum(t[-1] for t in c["targets"])

    reference = [total(c) for c in constraints if complete(c)]
    out, ratios = [], []
    for c in constraints:
        ratio = reference[-1] / total(c) if complete(c) else 1.0
        ratios.append(ratio)
        out.append({**c, "targets": [[*t[:-1], t[-1] * ratio] for t in c["targets"]]})
    return out, ratios


def solve(problem):
    """Adds the results to a problem."""
    n = problem["n"]
    matrix = np.zeros((n, n))
    for i, j, persons in problem["entries"]:
        matrix[i, j] += persons
    diagonal = np.diag_indices(n)
    matrix[diagonal] = np.maximum(matrix[diagonal], problem["stayer_floor"])
    for constraint in problem["steps"]:
        scale(matrix, constraint)
    ratios, iterations, worst = [], 0, 0.0
    repeat = problem["repeat"]
    if repeat:
        constraints, ratios = normalized(repeat["steps"])
        worst = np.inf
        while worst > repeat["tolerance"] and iterations < repeat["max_iterations"]:
            for constraint in constraints:
                scale(matrix, constraint)
            iterations += 1
            worst = violation(matrix, constraints)
    return {
        **problem,
        "total_ratios": ratios,
        "iterations": iterations,
        "max_violation": worst,
        "converged": bool(repeat is None or worst <= repeat["tolerance"]),
        "expected": triplets(matrix),
    }


def triplets(matrix):
    rows, columns = np.nonzero(matrix)
    return [[int(i), int(j), float(matrix[i, j])] for i, j in zip(rows, columns)]


def constraint(margin, cells, targets, entries="all"):
    """A constraint whose cells are the same for origins and destinations."""
    cells = [int(c) for c in cells]
    return {
        "margin": margin,
        "entries": entries,
        "origin_cell": cells if margin != "destination" else None,
        "destination_cell": cells if margin != "origin" else None,
        "targets": [[*(int(c) for c in t[:-1]), float(t[-1])] for t in targets],
    }


def measured(matrix, margin, cells, entries="all", only=None):
    """A constraint whose targets are the sums of a given matrix; `only` keeps some cells."""
    n = len(matrix)
    count = max(cells) + 1
    keys = (
        [(a, b) for a in range(count) for b in range(count)]
        if margin == "block"
        else [(a,) for a in range(count)]
    )
    keys = [k for k in keys if only is None or k in only]
    c = constraint(margin, cells, [[*k, 0.0] for k in keys], entries)
    sums = [matrix[mask].sum() for mask, _ in cell_masks(c, n)]
    return constraint(margin, cells, [[*k, s] for k, s in zip(keys, sums)], entries)


def random_pair(rng, n, density):
    """A seed with planted zeros, and a truth with the same support to take targets from."""
    seed = rng.lognormal(1.0, 1.5, (n, n)) * (rng.random((n, n)) < density)
    np.fill_diagonal(seed, rng.lognormal(4.0, 1.0, n))
    truth = seed * rng.lognormal(0.3, 0.6, (n, n))
    return seed, truth


def problem(name, seed, steps, repeat=None, stayer_floor=0.0):
    return {
        "name": name,
        "n": len(seed),
        "stayer_floor": stayer_floor,
        "entries": triplets(seed),
        "steps": steps,
        "repeat": repeat,
    }


def repeat(*constraints, tolerance=1e-13, max_iterations=20000):
    return {"max_iterations": max_iterations, "tolerance": tolerance, "steps": list(constraints)}


def small_problems():
    """Random problems, each about one awkward thing."""
    rng = np.random.default_rng(20250327)

    seed, truth = random_pair(rng, 7, 0.5)
    units = range(7)
    yield problem(
        "rows and columns of every unit",
        seed,
        [],
        repeat(measured(truth, "destination", units), measured(truth, "origin", units)),
    )

    # Groups that are not neighbors, and a published order of steps over them.
    seed, truth = random_pair(rng, 12, 0.4)
    states = [0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 2]
    counties = [0, 1, 2, 3, 4, 5, 2, 1, 3, 0, 4, 5]
    columns = measured(truth * 1.0021, "destination", counties)
    yield problem(
        "the published order, column targets 0.21 % above the row targets",
        seed,
        [
            measured(truth * rng.lognormal(0, 0.05, (12, 1)), "origin", range(12)),
            measured(truth, "destination", states, "movers"),
            measured(truth, "destination", states, "stayers"),
            measured(truth, "block", states),
        ],
        repeat(columns, measured(truth, "origin", counties)),
        stayer_floor=1.0,
    )

    # An empty row and an empty column, zero targets on cells with people, targets without people.
    seed, truth = random_pair(rng, 8, 0.5)
    seed[2, :] = 0
    seed[:, 5] = 0
    rows = rng.uniform(10, 90, 8).round(2)
    rows[4] = 0
    blocks = [0, 0, 1, 1, 0, 1, 0, 1]
    yield problem(
        "zeros: an empty row, an empty column, zero targets",
        seed,
        [
            constraint("origin", range(8), list(enumerate(rows))),
            constraint("block", blocks, [[0, 1, 0.0], [1, 0, 44.5], [1, 1, 120.0]]),
            constraint("destination", blocks, [[0, 71.25], [1, 0.0]], "movers"),
        ],
    )

    # A stayer floor that creates entries, stayers scaled alone, movers scaled alone.
    seed, truth = random_pair(rng, 6, 0.6)
    seed[1, 1] = 0
    seed[3, 3] = 0.125
    halves = [0, 1, 0, 1, 0, 1]
    yield problem(
        "stayer floor, then stayers and movers apart, by origin and by destination",
        seed,
        [
            measured(truth, "origin", halves, "stayers"),
            measured(truth, "destination", halves, "movers"),
            measured(truth, "origin", range(6), "movers", only=[(0,), (2,), (5,)]),
        ],
        stayer_floor=1.0,
    )

    # Some cells of a level have no target and are left alone.
    seed, truth = random_pair(rng, 9, 0.5)
    thirds = [0, 1, 2] * 3
    yield problem(
        "partly targeted levels, repeated",
        seed,
        [],
        repeat(
            measured(truth, "destination", range(9), only=[(0,), (3,), (4,), (8,)]),
            measured(truth, "origin", thirds, only=[(0,), (2,)]),
        ),
    )

    # Blocks repeated with rows: a margin that no row or column factor alone could meet.
    seed, truth = random_pair(rng, 8, 0.6)
    quarters = [0, 1, 2, 3, 3, 2, 1, 0]
    yield problem(
        "blocks, stayers and rows repeated together",
        seed,
        [],
        repeat(
            measured(truth, "block", quarters),
            measured(truth, "destination", quarters, "stayers"),
            measured(truth, "origin", range(8)),
        ),
    )

    # No matrix with this support has these margins: nobody may call this converged.
    seed = np.array([[5.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 2.0, 6.0]])
    yield problem(
        "blocked by zeros: the 6 persons of unit 0 can only stay, where 2 are wanted",
        seed,
        [],
        repeat(
            constraint("destination", range(3), [[0, 2.0], [1, 8.0], [2, 8.0]]),
            constraint("origin", range(3), [[0, 6.0], [1, 6.0], [2, 6.0]]),
            max_iterations=50,
        ),
    )


def region_counties():
    """The region sample by county: an IPF of its seed table towards the county totals."""
    folder = HERE.parent / "region"
    with (folder / "units.csv").open(newline="") as file:
        counties = [row["geoid"][:5] for row in csv.DictReader(file)]
    codes = sorted(set(counties))
    index = {code: k for k, code in enumerate(codes)}
    group = sp.csr_matrix(
        (np.ones(len(counties)), ([index[c] for c in counties], range(len(counties))))
    )
    seed = sp.load_npz(folder / "seed.npz").astype(float)

    def targets(name):
        with (folder / name).open(newline="") as file:
            return [[index[r["geoid"]], float(r["target"])] for r in csv.DictReader(file)]

    units = range(len(codes))
    return problem(
        "county totals of the region sample",
        (group @ seed @ group.T).toarray(),
        [],
        repeat(
            constraint("destination", units, targets("county_in.csv")),
            constraint("origin", units, targets("county_out.csv")),
            tolerance=1e-12,
        ),
    )


def main():
    solved = [solve(p) for p in [*small_problems(), region_counties()]]
    lines = ",\n".join(json.dumps(p) for p in solved)
    (HERE / "golden.json").write_text(f"[\n{lines}\n]\n")
    for p in solved:
        print(f"{p['name']}: {p['iterations']} iterations, {p['max_violation']:.1e}")


if __name__ == "__main__":
    main()
