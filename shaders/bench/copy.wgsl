// Copies 16 bytes a lane, neighbors by neighbors: what the memory gives a kernel at best.

@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4<u32>>;

const WORKGROUP: u32 = 256u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let k = (group.y * groups.x + group.x) * WORKGROUP + local;
    if k < arrayLength(&copied) {
        copied[k] = source[k];
    }
}
