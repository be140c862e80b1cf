// Seeds stored as f64, rounded to f32 without the help of f64: ties away from 0.

alias SeedBits = u32;

@group(0) @binding(3) var<storage, read> values: array<vec2<u32>>;

fn seed_bits(k: u32) -> u32 {
    let word = values[k];
    let exponent = i32((word.y >> 20u) & 0x7ffu) - 896;
    let cut = ((word.y & 0xfffffu) << 3u) | (word.x >> 29u);
    // A fraction that overflows carries into the exponent, as it should.
    let rounded = ((u32(exponent) << 23u) | cut) + ((word.x >> 28u) & 1u);
    return select(0u, min(rounded, 0x7f800000u), exponent > 0);
}
