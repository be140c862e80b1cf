"""The year 2011 between counties, from a second program.

Reads the official tables as published and computes the harmonized county-to-county matrix with
dense numpy arrays, every entry rewritten at every step. It shares no code and no data structure with
flowrake, so that an error in one of them shows as a difference.

    python data-samples/expected/year_2011.py FOLDER     writes year_2011.json beside this file

needs numpy and xlrd; FOLDER holds census/co-est2019-alldata.csv,
census/state_to_state_migrations_table_2011.xls, irs/countyinflow1011.csv.gz and
irs/countyoutflow1011.csv.gz.

Rules:
- counties are those of the population estimates; older codes become 02158, 46102 and 51019;
- seed: persons (n2) of the inflow file, else of the outflow file; non-migrants are stayers; flows
  between merged counties are stayers; each stayer count is at least 1;
- persons of pairs not listed: the total of a county with its own state (97/001), and with other states
  (97/003), less the listed pairs of that kind; where suppressed the row of other flows (58/000,
  59/000), else the total (97/000) less everything known, or the nation's share of it; spread over the pairs not listed by
  alternating arrivals and departures from ones, both brought to the mean of their totals (flows
  within states: in each state);
- counties with no total at all get 5 returns times the persons per return of the listed pairs, split
  by the nation's shares of the two kinds; stayers that are suppressed are arrivals times the nation's
  stayers over movers;
- once: state-to-state flows F, with same house + same state + deaths + abroad - international
  migration on the diagonal; repeated: columns to P(2011) - B + D - I, rows to P(2010).
"""

import csv
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import xlrd

HERE = Path(__file__).resolve().parent
RENAMED = {"02270": "02158", "46113": "46102", "51515": "51019"}
COMPONENTS = ["POPESTIMATE2010", "POPESTIMATE2011", "BIRTHS2011", "DEATHS2011", "INTERNATIONALMIG2011"]


def estimates(folder):
    """Counties in the order of the file, and their components as an array."""
    with open(folder / "census/co-est2019-alldata.csv", encoding="latin-1", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["SUMLEV"] == "050"]
    codes = [row["STATE"] + row["COUNTY"] for row in rows]
    return codes, {name: np.array([float(row[name]) for row in rows]) for name in COMPONENTS}


def state_table(folder, states):
    """Same house, same state, abroad and the flows (origin, destination) of the 51 states."""
    sheet = xlrd.open_workbook(folder / "census/state_to_state_migrations_table_2011.xls").sheet_by_index(0)

    def name(cell):
        return " ".join(str(cell.value).split()).rstrip("0123456789").strip()

    cells = [[name(cell) for cell in sheet.row(row)] for row in range(sheet.nrows)]

    def under(words, rows=range(8)):
        """Column of the first header cell that starts with these words."""
        return next(c for r in rows for c, text in enumerate(cells[r]) if text.startswith(words))

    same_house, same_state, abroad = under("Same house"), under("Same state"), under("Abroad")
    origins = {}
    for row in range(8):
        for column, text in enumerate(cells[row]):
            if text in states:
                origins.setdefault(text, column)
    assert len(origins) == 51, len(origins)
    table = {}
    flows = np.zeros((51, 51))
    names = list(states)
    for row in range(9, sheet.nrows):
        state = cells[row][0]
        if state not in states or state in table:
            continue
        values = sheet.row_values(row)
        table[state] = [float(values[c]) for c in (same_house, same_state, abroad)]
        for origin, column in origins.items():
            if origin != state:
                flows[names.index(origin), names.index(state)] = float(values[column])
    assert len(table) == 51
    return np.array([table[state] for state in names]), flows


def migration(folder, direction, index):
    """Listed pairs, non-migrants and totals of a file."""
    pairs, stayers, totals = {}, {}, {}
    own, other = ("y2", "y1") if direction == "inflow" else ("y1", "y2")
    with gzip.open(folder / f"irs/county{direction}1011.csv.gz", "rt", encoding="latin-1") as file:
        for row in csv.DictReader(file):
            a = row[own + "_statefips"].zfill(2) + row[own + "_countyfips"].zfill(3)
            b = row[other + "_statefips"].zfill(2) + row[other + "_countyfips"].zfill(3)
            count = None if int(row["n2"]) < 0 else (int(row["n1"]), int(row["n2"]))
            if a[2:] == "000":
                continue
            if a == b:
                stayers[a] = count
            elif int(b[:2]) <= 56:
                if count is not None:
                    pairs[(b, a) if direction == "inflow" else (a, b)] = count
            else:
                totals.setdefault(a, {})[b] = None if count is None else count[1]
    return pairs, stayers, totals


def alternate(pattern, departures, arrivals):
    """Persons over the pattern, by alternating arrivals and departures from ones."""
    mean = departures.sum()
    u, v = np.ones(len(departures)), np.ones(len(arrivals))
    for _ in range(5000):
        sums = u @ pattern
        v = np.divide(arrivals, sums, out=np.zeros_like(v), where=sums > 0)
        sums = pattern @ v
        before = u
        u = np.divide(departures, sums, out=np.zeros_like(u), where=sums > 0)
        if np.abs(u * sums - before * sums).max() < 1e-12 * mean:
            break
    return u[:, None] * pattern * v[None, :]


def seed(folder, codes):
    n, index = len(codes), {code: k for k, code in enumerate(codes)}
    at = lambda code: index.get(code, index.get(RENAMED.get(code)))
    files = {d: migration(folder, d, index) for d in ("outflow", "inflow")}
    pairs = {**files["outflow"][0], **files["inflow"][0]}
    matrix, stayers = np.zeros((n, n)), np.zeros(n)
    for (i, j), (_, persons) in pairs.items():
        matrix[at(i), at(j)] += persons
    for county in files["inflow"][1]:
        count = files["inflow"][1][county] or files["outflow"][1].get(county)
        if count is not None:
            stayers[at(county)] += count[1]
    stayers += np.diag(matrix)
    np.fill_diagonal(matrix, 0)

    state = np.array([code[:2] for code in codes])
    same = state[:, None] == state[None, :]
    rest = {}
    for end, direction in enumerate(("outflow", "inflow")):
        listed = {}
        for (i, j), (_, persons) in pairs.items():
            own = (i, j)[end]
            listed.setdefault(own, [0, 0])[int(i[:2] != j[:2])] += persons
        sums = [np.full(n, np.nan), np.full(n, np.nan)]
        totals = files[direction][2].values()
        shares = np.array([sum(t.get(row) or 0 for t in totals) for row in ("97001", "97003")])
        shares = shares / shares.sum()
        for county, total in files[direction][2].items():
            if at(county) is None:
                continue
            known = listed.get(county, [0, 0])
            of_kind = []
            for kind, (all_of_it, others) in enumerate((("97001", "58000"), ("97003", "59000"))):
                value = total.get(all_of_it)
                of_kind.append(total.get(others) if value is None else value - known[kind])
            for kind in (0, 1):
                value = of_kind[kind]
                if value is None and total.get("97000") is not None:
                    left = total["97000"] - sum(known)
                    value = left * shares[kind] if of_kind[1 - kind] is None else left - of_kind[1 - kind]
                if value is not None:
                    old = sums[kind][at(county)]
                    sums[kind][at(county)] = max(value, 0) + (0 if np.isnan(old) else old)
        rest[direction] = sums
    known = sum(np.nansum(s) for sums in rest.values() for s in sums) / 2
    by_kind = [
        sum(p for (i, j), (_, p) in pairs.items() if (i[:2] == j[:2]) == (kind == 0))
        + sum(np.nansum(sums[kind]) for sums in rest.values()) / 2
        for kind in (0, 1)
    ]
    returns = sum(c[0] for c in pairs.values())
    persons = sum(c[1] for c in pairs.values())
    for sums in rest.values():
        for kind in (0, 1):
            missing = np.isnan(sums[kind])
            sums[kind][missing] = 5 * persons / returns * by_kind[kind] / sum(by_kind)
    movers = matrix.sum() + known
    arrivals = matrix.sum(0) + rest["inflow"][0] + rest["inflow"][1]
    total_stayers = stayers.sum()
    stayers = np.where(stayers == 0, arrivals * total_stayers / movers, stayers)
    full = matrix.copy()
    group = np.unique(state, return_inverse=True)[1]
    for kind in (0, 1):
        part = group if kind == 0 else np.zeros(n, int)
        both = [rest[d][kind] for d in ("outflow", "inflow")]
        sums = [np.bincount(part, x) for x in both]
        mean = np.where((sums[0] > 0) & (sums[1] > 0), (sums[0] + sums[1]) / 2, 0)
        both = [x * (mean / np.where(t > 0, t, 1))[part] for x, t in zip(both, sums)]
        pattern = (same == (kind == 0)) & (matrix == 0) & ~np.eye(n, dtype=bool)
        full += alternate(pattern.astype(float), *both)
    full[np.diag_indices(n)] = np.maximum(stayers, 1)
    return full


def main(folder):
    codes, pep = estimates(folder)
    state_codes = sorted({code[:2] for code in codes})
    with open(folder / "census/co-est2019-alldata.csv", encoding="latin-1", newline="") as file:
        names = {r["STNAME"]: r["STATE"] for r in csv.DictReader(file) if r["SUMLEV"] == "040"}
    names = dict(sorted(names.items(), key=lambda item: item[1]))
    table, flows = state_table(folder, names)
    p0, p1, births, deaths, international = (pep[name] for name in COMPONENTS)
    of = np.array([state_codes.index(code[:2]) for code in codes])
    in_state = lambda x: np.bincount(of, x)
    same_house, same_state, abroad = table.T
    emigrants = abroad - in_state(international)
    np.fill_diagonal(flows, same_house + same_state + in_state(deaths) + emigrants)

    matrix = seed(folder, codes)
    seed_total = matrix.sum()
    selector = np.eye(51)[of]
    blocks = selector.T @ matrix @ selector
    factors = np.divide(flows, blocks, out=np.ones_like(flows), where=(flows > 0) & (blocks > 0))
    matrix *= factors[of][:, of]
    columns = p1 - births + deaths - international
    columns *= p0.sum() / columns.sum()
    for iteration in range(1, 5001):
        matrix *= columns / matrix.sum(0)
        matrix *= (p0 / matrix.sum(1))[:, None]
        violation = np.abs(matrix.sum(0) / columns - 1).max()
        if violation < 1e-11:
            break
    print("iterations", iteration, "violation", violation)
    order = np.argsort(matrix, axis=None)[::-1]
    ranks = sorted({int(r) for r in np.geomspace(1, np.count_nonzero(matrix) - 1, 400)})
    pairs = [divmod(int(order[r]), len(codes)) for r in ranks]
    result = {
        "seed_total": seed_total,
        "stayers": {c: matrix[k, k] for k, c in enumerate(codes)},
        "state_flows": (selector.T @ matrix @ selector).tolist(),
        "pairs": [[codes[i], codes[j], matrix[i, j]] for i, j in pairs],
    }
    (HERE / "year_2011.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
