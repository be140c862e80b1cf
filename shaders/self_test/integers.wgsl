// The 32-bit integer arithmetic that sums are made of, barriers, and atomic sums with a carry.
// Keep in sync with src/gpu/self_test.rs.

@group(0) @binding(0) var<storage, read> input: array<vec2<u32>>;
// Seven words per input, a sum of two words per workgroup, a sum of two words over all.
@group(0) @binding(1) var<storage, read_write> output: array<atomic<u32>>;

var<workgroup> exchanged: array<u32, 64>;
var<workgroup> low: atomic<u32>;
var<workgroup> high: atomic<u32>;

// The upper word of a product, from halves of its factors.
fn high_product(a: u32, b: u32) -> u32 {
    let lower = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16u) * (b & 0xffffu) + (lower >> 16u);
    let cross = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (cross >> 16u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let a = input[id.x].x;
    let b = input[id.x].y;
    let sum = a + b;
    let first = 7u * id.x;
    atomicStore(&output[first], a * b);
    atomicStore(&output[first + 1u], high_product(a, b));
    atomicStore(&output[first + 2u], a << (b & 31u));
    atomicStore(&output[first + 3u], a >> (b & 31u));
    atomicStore(&output[first + 4u], sum);
    atomicStore(&output[first + 5u], select(0u, 1u, sum < a));

    exchanged[local] = a;
    workgroupBarrier();
    atomicStore(&output[first + 6u], exchanged[63u - local]);

    let before = atomicAdd(&low, a);
    if (before + a < before) {
        atomicAdd(&high, 1u);
    }
    let sums = 7u * arrayLength(&input);
    let all = sums + 2u * groups.x;
    let before_all = atomicAdd(&output[all], a);
    if (before_all + a < before_all) {
        atomicAdd(&output[all + 1u], 1u);
    }
    workgroupBarrier();
    if (local == 0u) {
        atomicStore(&output[sums + 2u * group.x], atomicLoad(&low));
        atomicStore(&output[sums + 2u * group.x + 1u], atomicLoad(&high));
    }
}
