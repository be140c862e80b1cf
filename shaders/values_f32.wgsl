// Seeds stored as f32, without their sign: it may be that of -0.

alias SeedBits = u32;

@group(0) @binding(3) var<storage, read> values: array<u32>;

fn seed_bits(k: u32) -> u32 {
    return values[k] & 0x7fffffffu;
}
