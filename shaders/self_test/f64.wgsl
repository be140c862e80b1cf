// 64-bit floating point. Keep in sync with src/gpu/self_test.rs.

// Pairs.
@group(0) @binding(0) var<storage, read> input: array<f64>;
// Product, sum and quotient of every pair.
@group(0) @binding(1) var<storage, read_write> output: array<f64>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = input[2u * id.x];
    let y = input[2u * id.x + 1u];
    output[3u * id.x] = x * y;
    output[3u * id.x + 1u] = x + y;
    output[3u * id.x + 2u] = x / y;
}
