// A team is 32 lanes of a workgroup, whose parts meet in workgroup memory: needs no subgroups.

const LANES: u32 = 32u;

var<workgroup> parts: array<Sum, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let segment = first_segment(group) + local / LANES;
    let lane = local % LANES;
    var sum = ZERO;
    if segment < params.end {
        sum = segment_sum(segment, lane, LANES);
    }
    parts[local] = sum;
    for (var distance = LANES / 2u; distance > 0u; distance /= 2u) {
        workgroupBarrier();
        if lane < distance {
            parts[local] = add(parts[local], parts[local + distance]);
        }
    }
    if lane == 0u && segment < params.end {
        out[segment] = parts[local];
    }
}
