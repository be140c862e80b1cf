"""Checks `flowrake histories` against the method written down month by month in numpy.

usage: histories.py FOLDER SEEDS

FOLDER holds units.csv, persons.csv, addresses.csv, answers.csv, zips.csv and crosswalks
ZIP_TRACT_*.csv; SEEDS what `flowrake histories` made of them: seed-YEAR.npz and years.csv. Ends
with exit code 0 only if every entry of every year is that of numpy to 1e-12.
"""

import csv
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import scipy.sparse as sp

FOLDER, SEEDS = Path(sys.argv[1]), Path(sys.argv[2])
DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
LATEST = date(2023, 12, 31)
TERRITORIES = ("60", "66", "69", "72", "78")
UNKNOWN, TERRITORY = "unknown", "territory"


def table(name):
    with open(FOLDER / name, newline="") as file:
        return list(csv.DictReader(file))


def day(text):
    """A date, None where there is none or it is not believed."""
    if not text.strip("0-"):
        return None
    parts = [int(part) for part in text.split("-")]
    found = date(*parts, *([1] if len(parts) == 2 else []))
    return found if 1900 <= found.year and found <= LATEST else None


def month(when):
    return when.year * 12 + when.month - 1


class Places:
    """G: shares of units by address and date."""

    def __init__(self, units):
        self.index = {row["geoid"]: k for k, row in enumerate(units)}
        tracts = defaultdict(list)
        for k, row in enumerate(units):
            tracts[row["geoid"][:11]].append((k, float(row["population"])))
        self.tracts = {}
        for tract, groups in tracts.items():
            total = sum(persons for _, persons in groups)
            equal = 1 / len(groups)
            self.tracts[tract] = [(k, p / total if total else equal) for k, p in groups]
        self.quarters = {}
        for path in sorted(FOLDER.glob("ZIP_TRACT_*.csv")):
            when = int(path.stem[-4:]) * 4 + (int(path.stem[-6:-4]) - 1) // 3
            ratios = defaultdict(list)
            for row in table(path.name):
                if float(row["RES_RATIO"]) > 0:
                    ratios[row["ZIP"]].append((row["TRACT"], float(row["RES_RATIO"])))
            self.quarters[when] = ratios
        self.exact, self.zips = {}, {}
        with open(FOLDER / "answers.csv", newline="") as file:
            for row in csv.reader(file):
                group = "".join(row[8:12])[:12]
                if row[2] == "Match" and group in self.index:
                    self.exact[row[0]] = self.index[group]
                elif row[2] == "Match" and group[:2] in TERRITORIES:
                    self.exact[row[0]] = TERRITORY
                else:
                    self.zips[row[0]] = row[1].rsplit(",", 1)[-1].strip()[:5]
        for row in table("zips.csv"):
            self.zips.setdefault(row["address_id"], row["zip"])

    def at(self, address, when):
        """Units and shares, or why there are none."""
        exact = self.exact.get(address)
        if exact is not None:
            return exact if exact == TERRITORY else [(exact, 1.0)]
        code = self.zips.get(address)
        having = [q for q, ratios in self.quarters.items() if code in ratios]
        if not having:
            return UNKNOWN
        # The nearest of all quarters first, then the nearest to it that has the code.
        of_date = -(10**9) if when is None else month(when) // 3
        nearest = min(self.quarters, key=lambda q: (abs(q - of_date), q))
        quarter = min(having, key=lambda q: (abs(q - nearest), q))
        ratios = self.quarters[quarter][code]
        known = [(tract, ratio) for tract, ratio in ratios if tract in self.tracts]
        if not known:
            return TERRITORY if any(t[:2] in TERRITORIES for t, _ in ratios) else UNKNOWN
        total = sum(ratio for _, ratio in known)
        return [(k, ratio / total * own) for t, ratio in known for k, own in self.tracts[t]]


def history(person, records):
    """First and last active month, and the addresses of every month: a set of (address, date)."""
    listed = [person["first_seen"], person["last_seen"]] if person else [None, None]
    if None not in listed and listed[1] < listed[0]:
        listed = [None, None]
    dates = [when for _, when, _ in records if when]
    starts = dates + [listed[0]] if listed[0] else dates
    ends = dates + [listed[1]] if listed[1] else dates
    if not starts and not ends:
        return None
    first, last = month(min(starts or ends)) - 12, month(max(ends or starts)) + 12
    if all(when is None for _, when, _ in records):
        if len({address for address, _, _ in records}) > 1:
            return None
        only = frozenset([(records[0][0], None)])
        return first, last, lambda _: only
    dated = [record for record in records if record[1]]
    streets = [when for _, when, box in dated if not box]
    kept = [
        (address, when)
        for address, when, box in dated
        if not box or all(abs((when - other).days) >= 365 for other in streets)
    ]

    def home(m):
        begun = [when for _, when in kept if month(when) <= m]
        latest = max(begun) if begun else min(when for _, when in kept)
        return frozenset(record for record in kept if record[1] == latest)

    return first, last, home


def main():
    units = table("units.csv")
    places = Places(units)
    people, records = {}, defaultdict(list)
    for row in table("persons.csv"):
        dates = {name: day(row[name]) for name in ("first_seen", "last_seen")}
        if None not in dates.values() and dates["last_seen"] < dates["first_seen"]:
            dates = {name: None for name in dates}
        known = people.setdefault(row["person_id"], dates)
        for name, choose in (("first_seen", min), ("last_seen", max)):
            both = [d for d in (known[name], dates[name]) if d]
            known[name] = choose(both) if both else None
    for row in table("addresses.csv"):
        record = (row["address_id"], day(row["effective_date"]), row["category"] == "P")
        records[row["person_id"]].append(record)

    years = [int(path.stem[-4:]) for path in sorted(SEEDS.glob("seed-*.npz"))]
    n = len(units)
    flows = {year: np.zeros((n, n)) for year in years}
    left_out = {year: {UNKNOWN: 0.0, TERRITORY: 0.0} for year in years}
    asked = {year: [0, 0.0] for year in years}

    def add(year, before, now, weight):
        spread = [places.at(*before), places.at(*now)]
        for reason in (UNKNOWN, TERRITORY):
            if reason in spread:
                left_out[year][reason] += weight
                return
        if before[0] == now[0]:
            for unit, share in spread[1]:
                flows[year][unit, unit] += weight * share
            return
        for i, own in spread[0]:
            for j, other in spread[1]:
                flows[year][i, j] += weight * own * other

    for person, own in records.items():
        found = history(people.get(person), own)
        if not found:
            continue
        first, last, home = found
        for year in years:
            active = False
            for m in range(year * 12, year * 12 + 12):
                if m - 12 < first or m > last:
                    continue
                active = True
                before, now, weight = home(m - 12), home(m), DAYS[m % 12] / 365
                asked[year][1] += weight
                if {address for address, _ in before} == {address for address, _ in now}:
                    for address in now:
                        add(year, address, address, weight / len(now))
                else:
                    for old in before:
                        for new in now:
                            add(year, old, new, weight / len(before) / len(now))
            asked[year][0] += active

    with open(SEEDS / "years.csv", newline="") as file:
        rows = {int(row["year"]): row for row in csv.DictReader(file)}
    for year in years:
        seed = sp.load_npz(SEEDS / f"seed-{year}.npz").toarray()
        expected = flows[year]
        assert expected.sum() > 10 and np.count_nonzero(expected) > n, year
        worst = np.abs(seed - expected) - 1e-12 * expected
        at = np.unravel_index(worst.argmax(), worst.shape)
        assert worst[at] <= 0, (year, at, seed[at], expected[at])
        row = rows[year]
        assert int(row["active"]) == asked[year][0], (year, row)
        off = expected.sum() - np.trace(expected)
        for name, number in [
            ("persons", asked[year][1]),
            ("unknown", left_out[year][UNKNOWN]),
            ("territory", left_out[year][TERRITORY]),
            ("stayers", np.trace(expected)),
            ("movers", off),
        ]:
            assert np.isclose(float(row[name]), number, rtol=1e-11, atol=0), (year, name, number)
        assert abs(float(row["unaccounted"])) < 1e-12, row
        assert int(row["nonzeros"]) == np.count_nonzero(expected), row
        others = (expected > 0).sum(axis=1) - (np.diag(expected) > 0)
        assert np.isclose(float(row["mean_destinations"]), others.mean()), row
        assert float(row["median_destinations"]) == np.median(others), row


main()
