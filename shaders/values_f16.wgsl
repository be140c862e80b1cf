// Seeds stored as f16, two to a word, as the bits of an f32: every one of them is a normal f32 or
// 0. The sign goes: it may be that of -0.

alias SeedBits = u32;

@group(0) @binding(3) var<storage, read> values: array<u32>;

fn seed_bits(k: u32) -> u32 {
    let bits = (values[k >> 1u] >> ((k & 1u) * 16u)) & 0x7fffu;
    let exponent = bits >> 10u;
    let fraction = bits & 0x3ffu;
    // Below 2^-14 its leading bit is shifted into its place first.
    let shift = countLeadingZeros(fraction) - 21u;
    let small = ((113u - shift) << 23u) | (((fraction << shift) & 0x3ffu) << 13u);
    let normal = ((exponent + 112u) << 23u) | (fraction << 13u);
    return select(select(small, 0u, fraction == 0u), normal, exponent != 0u);
}
