// The harmonized movers, entry by entry; lines are origins:
//
//     out[k - base] = o_i s_ij d_j B(i, j)
//
// multiplied in this order and rounded to nearest after each factor: the bits of an f64, low word
// first, computed with integers. Results below 2^-1022 become 0, and so do such factors. Moves
// 12 + size(value) bytes per entry and 8 from the cache, and 4 + 8 for each block.

@group(0) @binding(8) var<storage, read_write> out: array<vec2<u32>>;

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
    let end = segments[segment + 1u].start;
    let o = weight_of(own_factors[i]);
    for (var k = segments[segment].start + local % LANES; k < end; k += LANES) {
        let j = others[k];
        var flow = rounded(o, number(seed(seed_bits(k))));
        flow = rounded(flow, weight_of(other_factors[j]));
        for (var b = 0u; b < BLOCKS; b++) {
            let first = cells[(1u + b) * params.lines + i];
            let cell = cells[(1u + BLOCKS) * params.lines + b * params.others + j];
            flow = rounded(flow, weight_of(table[first + cell]));
        }
        out[k - params.base] = as_f64(flow);
    }
}

// The product, rounded to the nearest number of 53 bits, to the even one of two.
fn rounded(a: Number, b: Number) -> Number {
    let full = product_53(a.mantissa, b.mantissa);
    let long = full.bits.y >> 30u;
    let cut = 9u + long;
    let rest = full.bits.x & ((1u << cut) - 1u);
    let half = 1u << (cut - 1u);
    let mantissa = shift_right(full.bits, cut);
    let up = rest > half || (rest == half && (!full.exact || (mantissa.x & 1u) == 1u));
    let sum = add(mantissa, vec2(u32(up), 0u));
    // 2^53 after rounding up is 2^52 twice.
    let over = sum.y >> 21u;
    return Number(
        shift_right(sum, over),
        a.exponent + b.exponent - 1023 + i32(long + over),
    );
}

fn as_f64(a: Number) -> vec2<u32> {
    if a.mantissa.y == 0u || a.exponent < 1 {
        return vec2(0u);
    }
    if a.exponent > 2046 {
        return vec2(0u, 0x7ff00000u);
    }
    return vec2(a.mantissa.x, (a.mantissa.y & 0xfffffu) | (u32(a.exponent) << 20u));
}
