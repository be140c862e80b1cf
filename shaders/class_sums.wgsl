// Movers between classes of units, those of the window `base .. base + length`; lines are origins:
//
//     out[class of (i, j)] += floor(o_i s_ij d_j B(i, j))
//
// rounded down to units of 2^unit persons, in counts of 128 bits as four words, lowest first.
// Moves 4 + size(value) bytes per entry and 12 from the cache, 4 + 8 for each block, and up to 32
// per run of entries of one class.

@group(0) @binding(8) var<storage, read_write> out: array<atomic<u32>>;

const LANES: u32 = 32u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let segment = first_segment(group) + local / LANES;
    if segment >= params.end {
        return;
    }
    let i = segments[segment].line;
    let start = segments[segment].start;
    let end = segments[segment + 1u].start;
    let first_class = cells[i];
    let class_of = (1u + BLOCKS) * params.lines + BLOCKS * params.others;
    let o = weight_of(own_factors[i]);
    // A lane takes neighbors, which mostly share a class: fewer additions to memory.
    let each = (end - start + LANES - 1u) / LANES;
    var k = min(start + (local % LANES) * each, end);
    let stop = min(k + each, end);
    var current = 0u;
    var sum = vec4(0u);
    for (; k < stop; k++) {
        let j = others[k];
        let next = first_class + cells[class_of + j];
        if next != current {
            add_to_class(current, sum);
            current = next;
            sum = vec4(0u);
        }
        let weight = times(o, weight_of(other_factors[j]));
        let flow = product(seed(seed_bits(k)), with_blocks(weight, 0u, BLOCKS, i, j));
        sum = add_wide(sum, in_wide_units(flow, params.unit));
    }
    add_to_class(current, sum);
}

// A product for sums of 128 bits, rounded down to a multiple of 2^unit, but not to 0.
fn in_wide_units(flow: Product, unit: i32) -> vec4<u32> {
    let left = flow.exponent - 2107 - unit;
    if all(flow.bits == vec2(0u)) {
        return vec4(0u);
    }
    if left < 0 {
        let count = shift_right(flow.bits, min(u32(-left), 63u));
        return vec4(at_least_one(count, flow.bits), 0u, 0u);
    }
    let bits = u32(left) & 31u;
    let low = flow.bits.x << bits;
    // In two steps, for a shift by 32 is none.
    let middle = (flow.bits.y << bits) | ((flow.bits.x >> 1u) >> (31u - bits));
    let high = (flow.bits.y >> 1u) >> (31u - bits);
    switch u32(left) / 32u {
        case 0u: { return vec4(low, middle, high, 0u); }
        case 1u: { return vec4(0u, low, middle, high); }
        default: { return vec4(0u, 0u, low, middle); }
    }
}

fn add_wide(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    let low = add(a.xy, b.xy);
    let carry = low.y < a.y || (low.y == a.y && low.x < a.x);
    return vec4(low, add(add(a.zw, b.zw), vec2(u32(carry), 0u)));
}

// Every carry out of a word is seen by the one addition that caused it, so that the words of a
// class come out right in any order of additions.
fn add_to_class(number: u32, sum: vec4<u32>) {
    let slot = number - params.base;
    if slot >= params.length {
        return;
    }
    var carry = 0u;
    for (var w = 0u; w < 4u; w++) {
        let more = sum[w] + carry;
        // 2^32 - 1 and a carry: nothing to add here, the carry goes on.
        carry = u32(more < carry);
        if more != 0u {
            let before = atomicAdd(&out[4u * slot + w], more);
            carry = u32(before + more < more);
        }
    }
}
