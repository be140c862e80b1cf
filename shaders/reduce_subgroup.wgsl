// A subgroup is a team: it sums one segment. Right for any size of subgroups, whatever the host
// took it to be: teams beyond `params.teams` rest.

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) team: u32,
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(subgroup_size) lanes: u32,
) {
    let segment = first_segment(group) + team;
    if team >= params.teams || segment >= params.end {
        return;
    }
    var sum = segment_sum(segment, lane, lanes);
    for (var distance = lanes / 2u; distance > 0u; distance /= 2u) {
        sum = add(sum, subgroupShuffleXor(sum, distance));
    }
    if lane == 0u {
        out[segment] = sum;
    }
}
