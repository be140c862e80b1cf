#!/usr/bin/env bash
# National years from places to matrices held against their truth: everything that README.md says of
# block groups, in one run. See benches/README.md.
#
#   benches/national.sh CenPop2010_Mean_BG.txt RUN_FOLDER [WORK_FOLDER]
#
# WORK_FOLDER, a temporary one unless given, takes 8 GB. Needs a release build, and the Python of
# target/bench-venv with numpy.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
flowrake=$here/target/release/flowrake
python=$here/target/bench-venv/bin/python
places=$(realpath "$1")
mkdir -p "$2"
report=$(realpath "$2")/national.txt
work=${3:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
cd "$work"
exec > >(tee "$report") 2>&1

TIMEFORMAT='%R s elapsed, %U s user, %S s system'
run() {
    printf '\n$ flowrake %s\n' "$*"
    time "$flowrake" "$@" || echo "exit code $?"
}
same() {
    if cmp -s "$1" "$2"; then echo "$1 and $2: the same bytes"; else echo "$1 and $2 DIFFER"; fi
}

"$flowrake" --version
grep -m1 'model name' /proc/cpuinfo || true
echo "$(nproc) cores; load $(cut -d' ' -f1 /proc/loadavg)"

run synth nation nation --places "$places" --years 2011-2013
for year in 2011 2012 2013; do
    run targets --year $year --counties nation/co-est2013-alldata.csv \
        --state-flows nation/state_to_state_migrations_table_$year.xlsx \
        --census nation/CenPop2010_Mean_BG.txt \
        --acs5 2011=nation/acs5_2007-2011_bg_total_population.csv \
        --seed ../nation/seed-$year.npz --out plan-$year --quiet
done

printf '\n== The published plan of a year, file to file\n'
for solver in newton collapsed; do
    for _ in 1 2 3; do
        run harmonize plan-2011/plan.toml --out $solver.npz --backend cpu --solver $solver
    done
done

printf '\n== In little memory\n'
for memory in 1GB 300MB; do
    run harmonize plan-2011/plan.toml --out little.npz --backend cpu --memory $memory
    same little.npz collapsed.npz
done

printf '\n== Direct and collapsed after the same iterations\n'
sed 's/^max_iterations = .*/max_iterations = 20/' plan-2011/plan.toml > plan-2011/twenty.toml
for solver in collapsed direct; do
    run harmonize plan-2011/twenty.toml --out twenty-$solver.npz --backend cpu --solver $solver
done
"$python" - <<'EOF'
import numpy as np

a, b = (np.load(f"twenty-{solver}.npz") for solver in ("collapsed", "direct"))
assert all((a[name] == b[name]).all() for name in ("indptr", "indices"))
a, b = a["data"], b["data"]
worst = np.max(np.abs(a - b) / np.maximum(np.maximum(a, b), 1e-300))
print(f"{len(a)} entries, largest relative difference {worst:.2e}")
EOF

printf '\n== Parquet\n'
run convert nation/seed-2011.npz seed.parquet --units nation/units.csv
sed 's|matrix = .*|matrix = "../seed.parquet"|' plan-2011/plan.toml > plan-2011/parquet.toml
for memory in 8GB 300MB; do
    run harmonize plan-2011/parquet.toml --out from-parquet.npz --backend cpu --memory $memory
    same from-parquet.npz collapsed.npz
done
run harmonize plan-2011/parquet.toml --out flows.parquet --backend cpu --solver newton

printf '\n== Three years, one after the other and in one call\n'
time for year in 2011 2012 2013; do
    "$flowrake" harmonize plan-$year/plan.toml --out one-$year.npz --backend cpu --quiet
done
run harmonize plan-201{1,2,3}/plan.toml --out 'all-{year}.npz' --backend cpu --quiet
for year in 2011 2012 2013; do same all-$year.npz one-$year.npz; done

printf '\n== Populations of block groups on both sides: nothing to collapse\n'
for side in 2010 2011; do
    awk -F, -v year=$side 'NR == 1 { for (k = 1; k <= NF; k++) if ($k == year) column = k
                                     print "geoid,target"; next }
                           { print $1 "," $column }' nation/populations.csv > population-$side.csv
done
cat > both.toml <<'EOF'
[seed]
matrix = "nation/seed-2011.npz"
units = "nation/units.csv"
year = 2011
stayer_floor = 0
[[repeat]]
max_iterations = 200
[[repeat.step]]
margin = "destination"
level = "block_group"
zero_targets = "enforce"
targets = "population-2011.csv"
[[repeat.step]]
margin = "origin"
level = "block_group"
zero_targets = "enforce"
targets = "population-2010.csv"
EOF
for memory in 8GB 600MB; do
    run harmonize both.toml --out both-$memory.npz --backend cpu --solver direct --memory $memory
done
same both-8GB.npz both-600MB.npz
run harmonize both.toml --out both.npz --backend cpu --solver newton

printf '\n== Held against the truth\n'
run validate collapsed.npz --raw nation/seed-2011.npz --truth nation/truth-2011.npz \
    --units nation/units.csv
