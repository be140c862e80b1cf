// How subgroups are numbered, and sums over them. Keep in sync with src/gpu/self_test.rs.

@group(0) @binding(0) var<storage, read> input: array<u32>;
// Seven words per input.
@group(0) @binding(1) var<storage, read_write> output: array<u32>;

@compute @workgroup_size(128)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(subgroup_size) size: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let value = input[id.x];
    var butterfly = value;
    for (var mask = size / 2u; mask > 0u; mask = mask / 2u) {
        butterfly += subgroupShuffleXor(butterfly, mask);
    }
    let first = 7u * id.x;
    output[first] = size;
    output[first + 1u] = subgroups;
    output[first + 2u] = subgroup;
    output[first + 3u] = lane;
    output[first + 4u] = butterfly;
    output[first + 5u] = subgroupAdd(value);
    output[first + 6u] = subgroupShuffle(value, size - 1u - lane);
}
