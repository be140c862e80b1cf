// What a step met and did. Keep in sync with `Measures` in src/kernels/factors.rs.
struct Measures {
    max_update: f64,
    total_update: f64,
    max_violation: f64,
    total_violation: f64,
    unsettled: f64,
}

var<workgroup> merged: array<Measures, WORKGROUP>;

// The larger of the two; what is no number is larger than any.
fn larger(a: f64, b: f64) -> f64 {
    return select(b, a, a >= b || a != a);
}

fn merge(a: Measures, b: Measures) -> Measures {
    return Measures(
        larger(a.max_update, b.max_update),
        a.total_update + b.total_update,
        larger(a.max_violation, b.max_violation),
        a.total_violation + b.total_violation,
        larger(a.unsettled, b.unsettled),
    );
}

// Merges the measures of a workgroup; the first lane gets all of them.
fn merge_workgroup(own: Measures, local: u32) -> Measures {
    merged[local] = own;
    for (var distance = WORKGROUP / 2u; distance > 0u; distance /= 2u) {
        workgroupBarrier();
        if local < distance {
            merged[local] = merge(merged[local], merged[local + distance]);
        }
    }
    return merged[local];
}
