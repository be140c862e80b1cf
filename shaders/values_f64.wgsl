// Seeds stored as f64, as two words, low first, without their sign: it may be that of -0.

alias SeedBits = vec2<u32>;

@group(0) @binding(3) var<storage, read> values: array<vec2<u32>>;

fn seed_bits(k: u32) -> vec2<u32> {
    return values[k] & vec2(0xffffffffu, 0x7fffffffu);
}
