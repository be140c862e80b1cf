"""Times `flowrake harmonize` against scipy and against reading the same bytes.

PLAN is a folder with a plan.toml that `flowrake targets --seed` wrote, its seed an .npz. On it,
in one run on one machine:

1. floors: a streaming read of the seed's indices and values in memory, on one thread and on as many
   as flowrake has; reading the bytes of the seed file, and writing and syncing as many as the
   output has;
2. flowrake, file to file, with --solver newton, collapsed, and direct at two numbers of iterations,
   whose difference is the time of a direct iteration;
3. the published method in scipy, every step a product with a diagonal matrix; some of its
   iterations are done, and the time of all of them is extrapolated;
4. the same with factor vectors, extrapolated likewise;
5. the same on the class table, all iterations to the plan's tolerance, in sparse scipy or dense
   numpy, whichever is faster here.

Floors and flowrake are measured in repetitions before and after scipy, in turned order. Before a
number is printed, the script checks that the methods come to the same matrix. File reads are warm:
everything is in the page cache, on both sides. scipy's sparse products run on one thread.

Needs Python 3.11 or newer with `numpy` and `scipy`, and disk space for three outputs in $TMPDIR;
see README.md.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import ctypes
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import scipy_methods as methods
from machine import describe_machine, warn_if_busy

# Largest relative difference of two entries. After the same iterations only the order of additions
# differs, and 1e-9 is far above what rounding can do.
AGREEMENT = 1e-9

# Repetitions of a streaming read, of which the best counts.
READS = 9

# Reads and writes of the bytes of files, of which the best counts.
FILES = 3
# What Linux calls the wish that some bytes of a file be written soon.
SYNC_FILE_RANGE_WRITE = 2
SOLVERS = ("newton", "collapsed", "direct")

# Iterations timed on the class table, sparse and dense, before the faster does all of them.
TRIAL = 10


def in_child(function, *arguments):
    """Runs a function in a process of its own: its result, and the peak of its memory in bytes.

    The parent never holds a large array: the peak of a child, flowrake's too, begins with what the
    parent has at that time.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "w") as pipe:
                json.dump(function(*arguments), pipe)
            status = 0
        except BaseException as error:
            print(f"{function.__name__}: {error!r}", file=sys.stderr)
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{function.__name__} failed")
    return json.loads(text), usage.ru_maxrss * 1024


def timed(function, *arguments):
    """Seconds, and the result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def streaming_read(seed: Path, threads: int) -> dict:
    """Seconds to read indices and values once, best of several."""
    with np.load(seed) as members:
        arrays = [members["indices"], members["data"]]
    # As integers, which add up as fast as they can be read. An odd last 32 bits are left out.
    words = [a[: len(a) // 2 * 2].view(np.uint64) for a in arrays]

    def read(pool, parts):
        slices = [s for w in words for s in np.array_split(w, parts)]
        return sum(int(part) for part in pool.map(np.sum, slices))

    samples = {}
    for count in sorted({1, threads}):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            samples[str(count)] = [timed(read, pool, count)[0] for _ in range(READS)]
    return {"size_bytes": sum(a.nbytes for a in arrays), "samples_s": samples}


def bytes_of_files(seed: Path, scratch: Path, size_bytes: int) -> dict:
    """Seconds to read the seed file, and to write and sync `size_bytes`; the best of several.

    As in flowrake, bytes set out for the disk while more are written, where the system allows it.
    """
    buffer = bytearray(1 << 24)

    def read():
        with open(seed, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    block = memoryview(os.urandom(1 << 24))
    start_writeback = getattr(ctypes.CDLL(None), "sync_file_range", None)

    def write():
        with open(scratch / "bytes", "wb", buffering=0) as file:
            done = 0
            while done < size_bytes:
                some = file.write(block[: size_bytes - done])
                if start_writeback:
                    start, length = ctypes.c_int64(done), ctypes.c_int64(some)
                    start_writeback(file.fileno(), start, length, SYNC_FILE_RANGE_WRITE)
                done += some
            os.fsync(file.fileno())
        (scratch / "bytes").unlink()

    samples = [(timed(read)[0], timed(write)[0]) for _ in range(FILES)]
    return {
        "read_s": min(read for read, _ in samples),
        "write_s": min(write for _, write in samples),
        "samples_s": samples,
        "written_bytes": size_bytes,
    }


def plan_text(folder: Path, plan: dict, iterations: int | None) -> str:
    """The plan with absolute paths; with a number of iterations, one that does exactly these."""

    def table(name: str, entries: dict) -> str:
        lines = [f"{name}"]
        for key, value in entries.items():
            if key in ("matrix", "units", "targets"):
                value = str((folder / value).resolve())
            if key != "step":
                lines.append(f"{key} = {json.dumps(value)}")
        return "\n".join(lines) + "\n"

    text = table("[seed]", plan["seed"])
    for step in plan.get("step", []):
        text += table("[[step]]", step)
    for group in plan["repeat"]:
        changes = {} if iterations is None else {"max_iterations": iterations, "tolerance": 1e-300}
        text += table("[[repeat]]", group | changes)
        for step in group["step"]:
            text += table("[[repeat.step]]", step)
    return text


def harmonize(binary: Path, plan: Path, out: Path, solver: str, threads: int) -> dict:
    """One run of flowrake, file to file: wall-clock seconds, peak memory, and its report."""
    command = [str(binary), "harmonize", str(plan), "--out", str(out), "--solver", solver]
    command += ["--backend", "cpu", "--threads", str(threads), "--json", "--quiet"]
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        # Exit code 1 is right where a margin cannot be met, or only some iterations are asked for.
        if process.returncode not in (0, 1):
            sys.exit(f"{shlex.join(command)} failed:\n{stderr.read().decode()}")
        report = json.load(stdout)
    numbers = {key: value for key, value in report.items() if not isinstance(value, list)}
    return {"wall_s": wall, "peak_bytes": usage.ru_maxrss * 1024, "report": numbers}


def difference(matrix, factors, path: Path) -> float:
    """Largest relative difference between entries of a matrix times factors and those of a file."""
    found = sp.load_npz(path).tocsr()
    matrix.sort_indices()
    found.sort_indices()
    parts = [(matrix.indptr, found.indptr), (matrix.indices, found.indices)]
    if not all(np.array_equal(ours, theirs) for ours, theirs in parts):
        sys.exit(f"{path.name}: other entries than scipy's matrix")
    worst = 0.0
    # By runs of rows: the factors of all entries at once would take more memory than the matrix.
    for rows in np.array_split(np.arange(matrix.shape[0]), 64):
        if len(rows) == 0:
            continue
        entries = slice(matrix.indptr[rows[0]], matrix.indptr[rows[-1] + 1])
        ours = matrix.data[entries]
        if factors is not None:
            lengths = np.diff(matrix.indptr[rows[0] : rows[-1] + 2])
            ours = ours * np.repeat(factors.origin[rows], lengths)
            ours *= factors.destination[matrix.indices[entries]]
        theirs = found.data[entries]
        scale = np.maximum(np.abs(ours), np.abs(theirs))
        gap = np.abs(ours - theirs)
        relative = np.divide(gap, scale, out=np.zeros_like(gap), where=gap > 0)
        worst = max(worst, relative.max(initial=0.0))
    return float(worst)


def solve_class_table(table, steps, group: dict, at_least: int):
    """All iterations on the class table, sparse or dense, whichever is faster.

    Also the factors after `at_least` iterations, should it end before or after that: flowrake's
    number of them.
    """
    trials = {}
    for name, form in (("sparse", table), ("dense", table.toarray())):
        factors = methods.Factors.ones(table)
        trials[name] = [timed(factors.iterate, form, steps)[0] for _ in range(TRIAL)]
    faster = min(trials, key=lambda name: statistics.median(trials[name]))
    form = table if faster == "sparse" else table.toarray()
    factors, snapshot = methods.Factors.ones(table), None
    most, tolerance = group.get("max_iterations", 3000), group.get("tolerance", 1e-9)
    iterations, elapsed, result = 0, 0.0, None
    while result is None or snapshot is None:
        seconds, worst = timed(factors.iterate, form, steps)
        iterations += 1
        elapsed += seconds
        if result is None and (worst <= tolerance or iterations == most):
            kept = methods.Factors(factors.origin.copy(), factors.destination.copy())
            result = {"form": faster, "iterations": iterations, "worst_violation": float(worst)}
            result |= {"iterate_s": elapsed, "trial_samples_s": trials}
        if iterations == at_least:
            snapshot = methods.Factors(factors.origin.copy(), factors.destination.copy())
    return kept, snapshot, result


def measure_scipy(folder: Path, plan: dict, iterations: int, scratch: Path, collapsed: int) -> dict:
    """The three ways in scipy; `collapsed` iterations were done by flowrake's collapsed solver."""
    times = {}
    path = folder / plan["seed"]["matrix"]
    times["load_s"], seed = timed(lambda: sp.load_npz(path).tocsr().astype(float))
    once, repeat = methods.read_steps(folder, plan)
    floor = plan["seed"].get("stayer_floor", 1.0)
    times["floor_s"], matrix = timed(methods.raise_stayers, seed, floor)
    del seed
    times["once"] = []
    for step in once:
        seconds, matrix = timed(methods.rewrite, matrix, step)
        times["once"].append({"step": step.name, "s": seconds})
    repeat = methods.balance(matrix, repeat)
    differences = {}

    factors, samples = methods.Factors.ones(matrix), []
    for k in range(iterations):
        samples.append(timed(factors.iterate, matrix, repeat)[0])
    times["factor_iteration_samples_s"] = samples
    differences["factor vectors"] = difference(matrix, factors, scratch / "direct.npz")

    def published(matrix):
        for step in repeat:
            matrix = methods.rewrite(matrix, step)
        return matrix

    rewritten, samples = matrix, []
    for k in range(iterations):
        seconds, rewritten = timed(published, rewritten)
        samples.append(seconds)
    times["published_iteration_samples_s"] = samples
    differences["published"] = difference(rewritten, None, scratch / "direct.npz")
    del rewritten

    times["collapse_s"], (table, steps) = timed(methods.class_table, matrix, repeat)
    small, at_collapsed, result = solve_class_table(table, steps, plan["repeat"][0], collapsed)
    times |= result
    by_margin = {step.margin: step for step in repeat}
    cells = by_margin["origin"].origin, by_margin["destination"].destination

    def lift(factors):
        return methods.Factors(factors.origin[cells[0]], factors.destination[cells[1]])

    def apply(factors):
        return (sp.diags(factors.origin) @ matrix @ sp.diags(factors.destination)).tocsr()

    differences["class table"] = difference(matrix, lift(at_collapsed), scratch / "collapsed.npz")
    times["apply_s"], harmonized = timed(apply, lift(small))

    def save():
        with open(scratch / "scipy.npz", "wb") as file:
            sp.save_npz(file, harmonized, compressed=False)
            file.flush()
            os.fsync(file.fileno())

    times["save_s"], _ = timed(save)
    (scratch / "scipy.npz").unlink()
    times["class_table_shape"] = table.shape
    times["class_table_nnz"] = int(table.nnz)
    times["differences"] = differences
    return times


def seconds(number: float) -> str:
    if number >= 600.0:
        return f"{number / 3600.0:.2f} h"
    return f"{number:.2f} s" if number >= 10.0 else f"{number * 1e3:.1f} ms"


def print_group(title: str, floor: float, flowrake: float, rows: list[tuple[str, float]]) -> None:
    print(f"\n{title:58} {'time':>10} {'x floor':>10} {'x flowrake':>10}")
    for name, time_s in rows:
        print(f"  {name:56} {seconds(time_s):>10} {time_s / floor:10.2f} {time_s / flowrake:10.2f}")


def print_tables(record: dict) -> None:
    """Medians of every sample, best of the streaming reads."""
    scipy, threads, k = record["scipy"], str(record["threads"]), record["iterations"]
    # The published method does all iterations of the plan, the others stop at its tolerance.
    many, needed = record["max_iterations"], scipy["iterations"]
    rounds = record["rounds"]
    floor = min(min(r["streaming_read"]["samples_s"][threads]) for r in rounds)
    floor_one = min(min(r["streaming_read"]["samples_s"]["1"]) for r in rounds)

    def solve(solver: str) -> float:
        return statistics.median(r[solver]["report"]["elapsed_s"]["solve"] for r in rounds)

    def wall(solver: str) -> float:
        return statistics.median(r[solver]["wall_s"] for r in rounds)

    direct = statistics.median(r["direct_iteration_s"] for r in rounds)
    once = sum(step["s"] for step in scipy["once"])
    published = statistics.median(scipy["published_iteration_samples_s"])
    factor = statistics.median(scipy["factor_iteration_samples_s"])
    in_all = once + many * published
    class_table = once + scipy["collapse_s"] + scipy["iterate_s"] + scipy["apply_s"]
    size = rounds[0]["streaming_read"]["size_bytes"]
    gibibytes = f"{size / 2**30:.3f} GiB"
    print(f"streaming read of {gibibytes}: {seconds(floor)}, one thread {seconds(floor_one)}")
    print_group(
        f"an iteration over every entry ({threads} threads)",
        2 * floor,
        direct,
        [
            ("floor: two streaming reads", 2 * floor),
            ("flowrake direct", direct),
            ("scipy, factor vectors", factor),
            ("scipy, as published", published),
        ],
    )
    print_group(
        "the plan in memory, seed to result",
        floor,
        solve("collapsed"),
        [
            ("floor: one streaming read", floor),
            ("flowrake newton", solve("newton")),
            ("flowrake collapsed", solve("collapsed")),
            (f"scipy, class table ({scipy['form']}, {needed} iterations)", class_table),
            (f"scipy, factor vectors ({needed} iterations, extrapolated)", once + needed * factor),
            (f"scipy, as published ({many} iterations, extrapolated)", in_all),
        ],
    )
    files = statistics.median(r["bytes"]["read_s"] + r["bytes"]["write_s"] for r in rounds)
    around = scipy["load_s"] + scipy["floor_s"] + scipy["save_s"]
    print_group(
        "file to file",
        files,
        wall("collapsed"),
        [
            ("floor: the bytes read, written and synced", files),
            ("flowrake newton", wall("newton")),
            ("flowrake collapsed", wall("collapsed")),
            ("scipy, class table", around + class_table),
            (f"scipy, as published ({many} iterations, extrapolated)", around + in_all),
        ],
    )
    print(f"\n{'peak memory':58} {'MiB':>10} {'x seed':>10}")
    peaks = {f"flowrake {s}": max(r[s]["peak_bytes"] for r in rounds) for s in SOLVERS}
    peaks["scipy, all ways together"] = record["scipy_peak_bytes"]
    for name, peak in peaks.items():
        print(f"  {name:56} {peak / 2**20:10.0f} {peak / size:10.2f}")
    print("\nsteps applied once, in scipy")
    for step in scipy["once"]:
        print(f"  {step['step']:56} {seconds(step['s']):>10}")
    print("\nflowrake's own reports (last repetition)")
    for solver in SOLVERS:
        report = rounds[-1][solver]["report"]
        # Versions of flowrake differ in what they tell of their time.
        times = {n: s for n, s in report["elapsed_s"].items() if isinstance(s, (int, float))}
        parts = ", ".join(f"{name} {s:.2f} s" for name, s in times.items())
        print(f"  {solver}: {report['stop']} after {report['iterations']} iterations; {parts}")
    print("\nlargest relative difference of an entry from flowrake's, after as many iterations")
    for name, gap in scipy["differences"].items():
        print(f"  {name + (' (all)' if name == 'class table' else f' ({k})'):56} {gap:10.1e}")


def measure_round(args, folder: Path, plan: dict, scratch: Path, turned: bool) -> dict:
    """Every floor and every solver once; outputs stay in `scratch`."""
    few, more = args.iterations, 4 * args.iterations
    seed = folder / plan["seed"]["matrix"]
    plans = {name: scratch / f"{name}.toml" for name in (*SOLVERS, "direct_more")}
    result = {}

    def run(name: str, solver: str, iterations: int | None) -> None:
        plans[name].write_text(plan_text(folder, plan, iterations))
        out = scratch / f"{name}.npz"
        result[name] = harmonize(args.flowrake, plans[name], out, solver, args.threads)
        done = result[name]["report"]["iterations"]
        if iterations is not None and done != iterations:
            sys.exit(f"flowrake did {done} iterations, not {iterations}")

    def streaming() -> None:
        result["streaming_read"] = in_child(streaming_read, seed, args.threads)[0]

    work = [
        streaming,
        lambda: run("newton", "newton", None),
        lambda: run("collapsed", "collapsed", None),
        lambda: run("direct", "direct", few),
        lambda: run("direct_more", "direct", more),
    ]
    for measure in reversed(work) if turned else work:
        measure()
        for name in ("newton", "direct_more"):
            (scratch / f"{name}.npz").unlink(missing_ok=True)
    solve = {n: result[n]["report"]["elapsed_s"]["solve"] for n in ("direct", "direct_more")}
    result["direct_iteration_s"] = (solve["direct_more"] - solve["direct"]) / (more - few)
    size = (scratch / "collapsed.npz").stat().st_size
    result["bytes"] = in_child(bytes_of_files, seed, scratch, size)[0]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path, metavar="PLAN", help="folder with a plan.toml")
    parser.add_argument("--flowrake", type=Path, default=Path("target/release/flowrake"))
    parser.add_argument("--iterations", type=int, default=5, help="iterations not extrapolated")
    parser.add_argument("--repeats", type=int, default=4, help="of floors and flowrake, at least 2")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of flowrake")
    parser.add_argument("--out", type=Path, help="folder for the raw samples")
    args = parser.parse_args()
    if not args.flowrake.is_file():
        parser.error(f"{args.flowrake}: no such program; build it with cargo build --release")
    if args.iterations < 1 or args.repeats < 2:
        parser.error("expected at least 1 iteration and 2 repeats")
    plan = tomllib.loads((args.plan / "plan.toml").read_text())
    if not plan["seed"]["matrix"].endswith(".npz"):
        parser.error(f"{args.plan / 'plan.toml'}: expected a seed in .npz")

    started = datetime.datetime.now(datetime.timezone.utc)
    machine = describe_machine(args.flowrake, ("numpy", "scipy"))
    busy = warn_if_busy(machine)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)

        def measure(count: int) -> None:
            for _ in range(count):
                rounds.append(measure_round(args, args.plan, plan, scratch, len(rounds) % 2 == 1))

        measure(args.repeats // 2)
        collapsed = rounds[-1]["collapsed"]["report"]["iterations"]
        scipy, peak = in_child(measure_scipy, args.plan, plan, args.iterations, scratch, collapsed)
        measure(args.repeats - args.repeats // 2)
    for name, gap in scipy["differences"].items():
        # Written so that a NaN fails too.
        if not gap <= AGREEMENT:
            sys.exit(f"{name}: entries differ from flowrake's by {gap:.2e}, relative to an entry")

    record = {
        "command": shlex.join(["python", "benches/against_scipy.py", *sys.argv[1:]]),
        "started_utc": started.isoformat(timespec="seconds"),
        "machine": machine,
        "threads": args.threads,
        "iterations": args.iterations,
        "max_iterations": plan["repeat"][0].get("max_iterations", 3000),
        "rounds": rounds,
        "scipy": scipy,
        "scipy_peak_bytes": peak,
    }
    report = rounds[0]["collapsed"]["report"]
    print(f"{report['units']} units, {report['entries']} entries, {args.repeats} repetitions")
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}")
    if busy:
        print("the machine was busy: these are no figures to quote")
    print_tables(record)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / "against_scipy.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"raw samples: {path}")


if __name__ == "__main__":
    main()
