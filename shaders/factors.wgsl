// The factor of every cell, with the rules for zeros and margins of error, and what the step met:
//
//     current    = sum of unit_sums over the members of the cell
//     factors[c] = goal / current, or 1 where the cell is empty or left alone
//
// LANES lanes add up a cell: 1 where cells are single units. Moves 12 bytes per unit and 48 per
// cell. The twin is src/kernels/factors.rs.

override LANES: u32 = 1u;

const EQUAL: u32 = 1u;
const AT_MOST: u32 = 2u;
const KEPT_ZERO: u32 = 3u;

const LARGEST: f64 = 1.7976931348623157e308lf;

// Keep in sync with `CellGoal` in src/kernels/factors.rs.
struct CellGoal {
    kind: u32,
    padding: u32,
    goal: f64,
    goal_unit: f64,
    reported: f64,
    reported_unit: f64,
}

@group(0) @binding(1) var<storage, read> cell_ptr: array<u32>;
@group(0) @binding(2) var<storage, read> members: array<u32>;
@group(0) @binding(3) var<storage, read> unit_sums: array<f64>;
@group(0) @binding(4) var<storage, read> goals: array<CellGoal>;
@group(0) @binding(5) var<storage, read_write> factors: array<f64>;
@group(0) @binding(6) var<storage, read_write> measures: array<Measures>;

var<workgroup> partial: array<f64, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = number_of(group);
    let cell = number * (WORKGROUP / LANES) + local / LANES;
    let lane = local % LANES;
    var sum = 0.0lf;
    if cell < params.cells {
        for (var m = cell_ptr[cell] + lane; m < cell_ptr[cell + 1u]; m += LANES) {
            sum += unit_sums[members[m]];
        }
    }
    partial[local] = sum;
    for (var distance = LANES / 2u; distance > 0u; distance /= 2u) {
        workgroupBarrier();
        if lane < distance {
            partial[local] += partial[local + distance];
        }
    }
    var met = Measures(0.0lf, 0.0lf, 0.0lf, 0.0lf, 0.0lf);
    if cell < params.cells && lane == 0u {
        let current = partial[local];
        let goal = goals[cell];
        let factor = factor_of(goal, current);
        factors[cell] = factor;
        met = measures_of(goal, current, factor);
    }
    let all = merge_workgroup(met, local);
    if local == 0u && number < params.measures {
        measures[number] = all;
    }
}

fn factor_of(goal: CellGoal, current: f64) -> f64 {
    let scaled = (goal.kind == EQUAL && current > 0.0lf)
        || (goal.kind == AT_MOST && current > goal.goal);
    if !scaled {
        return 1.0lf;
    }
    let factor = goal.goal / current;
    return select(1.0lf, factor, factor <= LARGEST);
}

// Persons by which `current` misses `wanted`.
fn miss(kind: u32, current: f64, wanted: f64) -> f64 {
    switch kind {
        case EQUAL: { return abs(current - wanted); }
        case AT_MOST: { return select(0.0lf, current - wanted, current > wanted); }
        case KEPT_ZERO: { return current; }
        default: { return 0.0lf; }
    }
}

fn measures_of(goal: CellGoal, current: f64, factor: f64) -> Measures {
    let update = abs(factor - 1.0lf);
    let violation = miss(goal.kind, current, goal.reported);
    let mendable = (goal.kind == EQUAL && current != 0.0lf) || goal.kind == AT_MOST;
    var unsettled = 0.0lf;
    if mendable {
        unsettled = miss(goal.kind, current, goal.goal) / goal.goal_unit;
    }
    return Measures(
        update,
        update * current,
        violation / goal.reported_unit,
        violation,
        unsettled,
    );
}
