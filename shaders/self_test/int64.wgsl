// 64-bit integers. Keep in sync with src/gpu/self_test.rs.

// Two numbers, each low word first.
@group(0) @binding(0) var<storage, read> input: array<vec4<u32>>;
// Five numbers per input, each low word first.
@group(0) @binding(1) var<storage, read_write> output: array<vec2<u32>>;

fn words(x: u64) -> vec2<u32> {
    return vec2<u32>(u32(x & 0xfffffffflu), u32(x >> 32u));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let given = input[id.x];
    let x = u64(given.x) | (u64(given.y) << 32u);
    let y = u64(given.z) | (u64(given.w) << 32u);
    let shift = given.z & 63u;
    let first = 5u * id.x;
    output[first] = words(x * y);
    output[first + 1u] = words(u64(given.x) * u64(given.z));
    output[first + 2u] = words(x << shift);
    output[first + 3u] = words(x >> shift);
    output[first + 4u] = words(x + y);
}
