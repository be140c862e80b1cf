"""Times `flowrake harmonize --solver direct` against AequilibraE's `ipf_core`.

Both fit the same dense positive n x n seed (float64, lognormal) to the same origin and destination
totals with the same number of iterations: origins first, then destinations, as `ipf_core` does. One
sample is one whole fit; the programs take turns, and who goes first changes from repetition to
repetition, so that a slow moment of the machine hits both. What is compared is the time in the
solver alone: the call of `ipf_core` on an array in memory, and `elapsed_s.solve` of flowrake.
Reading and writing files is left out on both sides.

Before a number is printed, the script checks that both did all iterations and that their matrices
agree. It wants a machine with nothing else to do, and says so if there is something: OpenMP,
which `ipf_core` uses, loses far more than its share of the time when its threads have to wait for
a core.

Needs Python 3.10 or newer with `aequilibrae`, `numpy` and `scipy`; see README.md.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from aequilibrae.distribution.cython.ipf_core import ipf_core
from machine import describe_machine, summary, warn_if_busy

PLAN = """\
[seed]
matrix = "seed.npz"
units = "units.csv"
stayer_floor = 0.0
[[repeat]]
max_iterations = {iterations}
tolerance = 1e-300
[[repeat.step]]
margin = "origin"
level = "geoid"
targets = "origins.csv"
[[repeat.step]]
margin = "destination"
level = "geoid"
targets = "destinations.csv"
"""

# Both add up n numbers of one sign per margin, in different orders, and repeat it; 1e-9 is far
# above what rounding can do and far below what a wrong step would.
AGREEMENT = 1e-9


def make_problem(cells: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seed matrix (cells x cells), origin and destination totals (cells each, equal sums)."""
    rng = np.random.default_rng(seed)
    matrix = rng.lognormal(0.0, 2.0, (cells, cells))
    origins = rng.lognormal(9.0, 1.5, cells)
    destinations = rng.lognormal(9.0, 1.5, cells)
    destinations *= origins.sum() / destinations.sum()
    return matrix, origins, destinations


def write_problem(folder: Path, matrix, origins, destinations, iterations: int) -> Path:
    """Writes the problem as flowrake reads it; returns the path of the plan."""
    geoids = [f"{k:05d}" for k in range(1, len(origins) + 1)]
    scipy.sparse.save_npz(
        folder / "seed.npz", scipy.sparse.csr_matrix(matrix), compressed=False
    )
    tables = {
        "units": [("geoid",), *((g,) for g in geoids)],
        "origins": [("geoid", "target"), *zip(geoids, map(repr, origins.tolist()))],
        "destinations": [("geoid", "target"), *zip(geoids, map(repr, destinations.tolist()))],
    }
    for name, rows in tables.items():
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)
    plan = folder / "plan.toml"
    plan.write_text(PLAN.format(iterations=iterations))
    return plan


def run_aequilibrae(matrix, origins, destinations, iterations: int, threads: int):
    """One fit by AequilibraE: seconds, and the fitted matrix."""
    fitted = matrix.copy()  # ipf_core works in place
    start = time.perf_counter()
    # It stops when its error is below the tolerance, which is never below 0.
    last, _error = ipf_core(
        fitted,
        origins,
        destinations,
        max_iterations=iterations,
        tolerance=0.0,
        cores=threads,
        warn=False,
    )
    elapsed = time.perf_counter() - start
    if last + 1 != iterations:  # it counts from 0
        sys.exit(f"ipf_core stopped after {last + 1} of {iterations} iterations")
    return elapsed, fitted


def run_flowrake(binary: Path, plan: Path, iterations: int, threads: int):
    """One fit by flowrake: its JSON result, and the fitted matrix."""
    output = plan.parent / "harmonized.npz"
    command = [binary, "harmonize", plan, "--out", output, "--solver", "direct"]
    command += ["--threads", str(threads), "--json", "--quiet"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    # Exit code 1 is right: nothing meets a tolerance of 1e-300.
    if done.returncode not in (0, 1):
        sys.exit(f"{shlex.join(map(str, command))} failed:\n{done.stderr}")
    result = json.loads(done.stdout)
    asked = {"iterations": iterations, "solver": "direct", "threads": threads}
    found = {key: result[key] for key in asked}
    if found != asked:
        sys.exit(f"flowrake did {found}, not {asked}")
    return result, scipy.sparse.load_npz(output).toarray()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flowrake", type=Path, default=Path("target/release/flowrake"))
    parser.add_argument("--cells", type=int, default=3142, help="origins and destinations")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=sorted({os.cpu_count() or 1, 1}, reverse=True),
        help="thread counts to run at (default: all cores, and 1)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random matrix")
    parser.add_argument("--out", type=Path, help="folder for the raw samples")
    args = parser.parse_args()
    if not args.flowrake.is_file():
        parser.error(f"{args.flowrake}: no such program; build it with cargo build --release")
    if args.cells > 99_999:
        parser.error("--cells: a dense matrix of that size does not fit here")
    too_many = [t for t in args.threads if not 1 <= t <= (os.cpu_count() or 1)]
    if too_many:
        # ipf_core would silently run with fewer.
        parser.error(f"--threads {too_many[0]}: this machine has {os.cpu_count()} cores")

    started = datetime.datetime.now(datetime.timezone.utc)
    machine = describe_machine(args.flowrake, ("aequilibrae", "numpy", "scipy"))
    busy = warn_if_busy(machine)
    matrix, origins, destinations = make_problem(args.cells, args.seed)
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        plan = write_problem(Path(folder), matrix, origins, destinations, args.iterations)
        for repeat in range(args.repeats):
            for threads in args.threads:
                sample = {"repeat": repeat, "threads": threads}
                fitted = {}
                programs = ["aequilibrae", "flowrake"]
                for program in programs if repeat % 2 == 0 else reversed(programs):
                    if program == "aequilibrae":
                        sample["aequilibrae_s"], fitted[program] = run_aequilibrae(
                            matrix, origins, destinations, args.iterations, threads
                        )
                    else:
                        result, fitted[program] = run_flowrake(
                            args.flowrake, plan, args.iterations, threads
                        )
                        sample["flowrake_s"] = result["elapsed_s"]["solve"]
                        sample["flowrake_elapsed_s"] = result["elapsed_s"]
                difference = np.max(
                    np.abs(fitted["flowrake"] - fitted["aequilibrae"]) / fitted["aequilibrae"]
                )
                sample["largest_relative_difference"] = float(difference)
                # Written so that a NaN fails too.
                if not difference <= AGREEMENT:
                    sys.exit(f"the two matrices differ by {difference:.2e}, relative to an entry")
                samples.append(sample)

    print(f"{args.cells} x {args.cells}, {args.iterations} iterations, {args.repeats} repetitions")
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}")
    if busy:
        print("the machine was busy: these are no figures to quote")
    print(f"{'ms per iteration':28} {'median':>9} {'min':>9} {'max':>9}")
    for threads in args.threads:
        mine = [s for s in samples if s["threads"] == threads]
        label = f"{threads} thread{'s' if threads > 1 else ''}"
        for program in ("aequilibrae", "flowrake"):
            per_iteration = [s[f"{program}_s"] * 1e3 / args.iterations for s in mine]
            print(f"{program + ', ' + label:28} {summary(per_iteration)}")
        ratios = [s["aequilibrae_s"] / s["flowrake_s"] for s in mine]
        print(f"{'times faster, pair by pair':28} {summary(ratios)}")
    worst = max(s["largest_relative_difference"] for s in samples)
    print(f"largest relative difference between the matrices: {worst:.1e}")

    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        record = {
            "command": shlex.join(["python", "benches/against_aequilibrae.py", *sys.argv[1:]]),
            "started_utc": started.isoformat(timespec="seconds"),
            "machine": machine,
            "cells": args.cells,
            "iterations": args.iterations,
            "matrix_seed": args.seed,
            "samples": samples,
        }
        path = args.out / "against_aequilibrae.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"raw samples: {path}")


if __name__ == "__main__":
    main()
