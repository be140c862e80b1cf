// Persons of each unit that a margin counts:
//
//     unit_sums[u] = f_u sum of u's segments + g_u stayers_u
//
// f the factor of u's movers, g that of its stayers. Moves up to 48 bytes per unit and 8 per
// segment. The twin is `FlowMatrix` on the CPU: ipf's sums by unit.

@group(0) @binding(1) var<storage, read> segment_ptr: array<u32>;
@group(0) @binding(2) var<storage, read> segment_sums: array<f64>;
@group(0) @binding(3) var<storage, read> own_factors: array<f64>;
@group(0) @binding(4) var<storage, read> stayers: array<f64>;
@group(0) @binding(5) var<storage, read> stayer_factors: array<f64>;
@group(0) @binding(6) var<storage, read_write> unit_sums: array<f64>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let u = number_of(group) * WORKGROUP + local;
    if u >= params.units {
        return;
    }
    var sum = 0.0lf;
    if params.movers != 0u {
        for (var s = segment_ptr[u]; s < segment_ptr[u + 1u]; s++) {
            sum += segment_sums[s];
        }
        sum *= own_factors[u];
    }
    if params.stayers != 0u {
        sum += stayer_factors[u] * stayers[u];
    }
    unit_sums[u] = sum;
}
