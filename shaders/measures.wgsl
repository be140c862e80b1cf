// The measures of every step of a batch, from the partial ones of its workgroups; a workgroup per
// step. The twin is `Measures::merge`.

@group(0) @binding(1) var<storage, read> partials: array<Measures>;
@group(0) @binding(2) var<storage, read_write> totals: array<Measures>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let step = number_of(group);
    if step >= params.steps {
        return;
    }
    var own = Measures(0.0lf, 0.0lf, 0.0lf, 0.0lf, 0.0lf);
    for (var k = local; k < params.measures; k += WORKGROUP) {
        own = merge(own, partials[step * params.measures + k]);
    }
    let all = merge_workgroup(own, local);
    if local == 0u {
        totals[step] = all;
    }
}
