"""Checks `flowrake validate` against dense numpy.

usage: validate.py FOLDER

FOLDER holds seed.npz, truth.npz, harmonized.npz, units.csv, and what `flowrake validate` made of
them: validate.json (--json) and validate.csv (--out). Ends with exit code 0 only if every number is
that of numpy to 1e-10, errors below the rounding of the numbers compared left aside.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

FOLDER = Path(sys.argv[1])
TOLERANCE = 1e-10
ROUNDING = 64 * np.finfo(float).eps  # of a sum, relative to it
DIGITS = {"state": 2, "county": 5, "tract": 11, "block_group": 12}
NUMBERS = [
    "pearson_raw",
    "pearson_harmonized",
    "rmse_raw",
    "rmse_harmonized",
    "rmse_reduction_percent",
]


def quantities(flows, areas):
    """Every quantity of a dense matrix, by the areas that its rows and columns are in."""
    n = areas.max() + 1
    member = sp.csr_matrix((np.ones(len(areas)), (areas, np.arange(len(areas)))))
    table = member @ (member @ flows.T).T
    between = table[~np.eye(n, dtype=bool)]
    off = table - np.diag(np.diag(table))
    return {
        "population_before": table.sum(axis=1),
        "population_now": table.sum(axis=0),
        "flows": between,
        "movers_out": off.sum(axis=1),
        "movers_in": off.sum(axis=0),
        "stayers": np.diag(table),
    }


def agreement(estimate, truth):
    return np.corrcoef(estimate, truth)[0, 1], np.sqrt(np.mean((estimate - truth) ** 2))


def main():
    matrices = {
        name: sp.load_npz(FOLDER / f"{name}.npz").toarray().astype(float)
        for name in ("seed", "harmonized", "truth")
    }
    with open(FOLDER / "units.csv", newline="") as file:
        geoids = [row["geoid"] for row in csv.DictReader(file)]
    found = json.loads((FOLDER / "validate.json").read_text())
    with open(FOLDER / "validate.csv", newline="") as file:
        table = list(csv.DictReader(file))
    scale = matrices["truth"].sum() / matrices["seed"].sum()
    matrices["seed"] *= scale

    expected = [("raw_scale", found["raw_scale"], scale, 0.0)]
    rows = iter(zip(found["comparisons"], table, strict=True))
    for level, digits in DIGITS.items():
        areas = np.unique([geoid[:digits] for geoid in geoids], return_inverse=True)[1]
        raw, harmonized, truth = (quantities(matrices[k], areas) for k in matrices)
        for quantity, numbers in truth.items():
            row, line = next(rows)
            place = f"{level} {quantity}"
            assert [row["level"], row["quantity"]] == [level, quantity], row
            assert [line["level"], line["quantity"]] == [level, quantity], line
            assert row["values"] == int(line["values"]) == len(numbers), row
            (r_raw, raw_error), (r_new, new_error) = (
                agreement(of[quantity], numbers) for of in (raw, harmonized)
            )
            reduction = 100 * (1 - new_error / raw_error)
            for name, number in zip(NUMBERS, [r_raw, r_new, raw_error, new_error, reduction]):
                is_error = name in ("rmse_raw", "rmse_harmonized")
                rounding = ROUNDING * numbers.max() if is_error else 0.0
                expected.append((f"{place} {name}", row[name], number, rounding))
                assert float(line[name]) == row[name], line
    assert next(rows, None) is None
    for place, number, by_numpy, rounding in expected:
        allowed = TOLERANCE * abs(by_numpy) + rounding
        assert abs(number - by_numpy) <= allowed, (place, number, by_numpy)


main()
