#!/usr/bin/env bash
# From address histories to seeds of nine years: persons per second and core, memory, and the same bytes
# for any number of threads and memory. See benches/README.md.
#
#   benches/histories.sh RUN_FOLDER [BLOCK_GROUPS] [WORK_FOLDER]
#
# A block group has about 1,070 persons on record; 9,400, the number unless given, make 10 million, and
# take 8 GB in WORK_FOLDER, a temporary one unless given. Needs a release build.
set -euo pipefail
if [ $# -lt 1 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
flowrake=$here/target/release/flowrake
mkdir -p "$1"
report=$(realpath "$1")/histories.txt
block_groups=${2:-9400}
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
    time "$flowrake" "$@"
}

"$flowrake" --version
grep -m1 'model name' /proc/cpuinfo || true
echo "$(nproc) cores; load $(cut -d' ' -f1 /proc/loadavg)"

run synth nation nation --block-groups "$block_groups" --years 2011-2019
run synth histories nation histories
run histories histories/study.toml --years 2011-2019 --out seeds
run histories histories/study.toml --years 2011-2019 --out little --memory 512MB
export RAYON_NUM_THREADS=1
run histories histories/study.toml --years 2011-2019 --out one --memory 512MB
for name in little one; do
    for file in seeds/seed-*.npz seeds/years.csv; do
        cmp "$file" "$name/${file#seeds/}" && echo "$file: the same bytes in $name"
    done
done
