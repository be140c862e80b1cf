"""Checks how `flowrake histories` places points in polygons, against whole-number ray casting in numpy.

usage: geocode.py FOLDER SEEDS

FOLDER holds units.csv, borders.geojson, points.csv, zips.csv and a crosswalk, all coordinates multiples of 1/8
degree, and a person who stays at each address; SEEDS what `flowrake histories` made of them. Ends with
exit code 0 only if the stayers of every unit and every count are those of numpy.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

FOLDER, SEEDS = Path(sys.argv[1]), Path(sys.argv[2])


def table(name):
    with open(FOLDER / name, newline="") as file:
        return list(csv.DictReader(file))


def whole(degrees):
    eighths = np.asarray(degrees, dtype=float) * 8
    assert (eighths == np.round(eighths)).all()
    return eighths.astype(np.int64)


def sides(rings, x, y):
    """For every point 1 inside, 0 on the border, -1 outside of the polygon of some rings."""
    inside = np.zeros(len(x), dtype=bool)
    border = np.zeros(len(x), dtype=bool)
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(whole(ring[:-1]), whole(ring[1:])):
            cross = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
            within = (np.minimum(x1, x2) <= x) & (x <= np.maximum(x1, x2))
            within &= (np.minimum(y1, y2) <= y) & (y <= np.maximum(y1, y2))
            border |= (cross == 0) & within
            # The edge passes the height of the point, to its right.
            passes = (y1 > y) != (y2 > y)
            inside ^= passes & ((cross > 0) == (y2 > y1))
    return np.where(border, 0, np.where(inside, 1, -1))


def main():
    units = table("units.csv")
    index = {row["geoid"]: k for k, row in enumerate(units)}
    points, zips = table("points.csv"), {row["address_id"] for row in table("zips.csv")}
    located = [row for row in points if row["latitude"]]
    x, y = (whole([float(row[name]) for row in located]) for name in ("longitude", "latitude"))

    areas = {}
    for feature in json.loads((FOLDER / "borders.geojson").read_text())["features"]:
        geometry = feature["geometry"]
        parts = geometry["coordinates"]
        parts = [parts] if geometry["type"] == "Polygon" else parts
        side = areas.setdefault(feature["properties"]["GEOID"], np.full(len(x), -1))
        for rings in parts:
            np.maximum(side, sides(rings, x, y), out=side)

    names = sorted(areas)
    matrix = np.array([areas[name] for name in names])
    inside, border = (matrix == 1), (matrix == 0)
    counts = dict.fromkeys(("matched", "territory", "other_vintage", "outside"), 0)
    overlapping, on_border = [], 0
    stayers = np.zeros(len(units))
    persons = np.array([float(row["population"]) for row in units])
    tracts = np.array([row["geoid"][:11] for row in units])
    ratios = {row["TRACT"]: float(row["RES_RATIO"]) for row in table("ZIP_TRACT_032011.csv")}
    spread = persons * [ratios[t] / persons[tracts == t].sum() for t in tracts]
    for k, row in enumerate(located):
        chosen = np.flatnonzero(inside[:, k] if inside[:, k].any() else border[:, k])
        name = names[chosen[0]] if len(chosen) else None
        on_border += name is not None and not inside[:, k].any()
        if inside[:, k].sum() > 1:
            overlapping.append((row, name, names[chosen[1]]))
        if name in index:
            counts["matched"] += 1
            stayers[index[name]] += 1
            continue
        kind = "outside" if name is None else "other_vintage"
        kind = "territory" if name is not None and name.startswith("72") else kind
        counts[kind] += 1
        if kind != "territory" and row["address_id"] in zips:
            stayers += spread
    empty = [row for row in points if not row["latitude"]]
    stayers += spread * sum(row["address_id"] in zips for row in empty)

    found = json.loads((SEEDS / "manifest.json").read_text())["report"]["points"]
    for name, number in counts.items():
        assert number > 50, (name, number)
        own = found[name] if isinstance(found[name], int) else found[name]["count"]
        assert own == number, (name, own, number)
    assert found["empty"]["count"] == len(empty) > 0, found
    assert found["on_border"] == on_border > 100, (found, on_border)
    row, first, second = overlapping[0]
    assert found["overlapping"]["count"] == len(overlapping) > 100, found
    line = points.index(row) + 2
    place = f"points.csv:{line}: column latitude: {row['latitude']}, {row['longitude']}"
    assert found["overlapping"]["first"] == f"{place}: in {first} and {second}", found

    seed = sp.load_npz(SEEDS / "seed-2011.npz").toarray()
    assert (stayers > 0).all(), stayers
    assert np.allclose(seed, np.diag(stayers), rtol=1e-12, atol=0), (np.diag(seed), stayers)


main()
