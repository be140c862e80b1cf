// Multiplies the factor of every unit by that of its cell:
//
//     own_factors[u]    *= factors[cell of u]    where the margin counts movers
//     stayer_factors[u] *= factors[cell of u]    where it counts stayers
//
// Moves up to 44 bytes per unit. The twin is `Scaling::apply`.

@group(0) @binding(1) var<storage, read> cell_of: array<u32>;
@group(0) @binding(2) var<storage, read> factors: array<f64>;
@group(0) @binding(3) var<storage, read_write> own_factors: array<f64>;
@group(0) @binding(4) var<storage, read_write> stayer_factors: array<f64>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let u = number_of(group) * WORKGROUP + local;
    if u >= params.units {
        return;
    }
    let factor = factors[cell_of[u]];
    if params.movers != 0u {
        own_factors[u] *= factor;
    }
    if params.stayers != 0u {
        stayer_factors[u] *= factor;
    }
}
