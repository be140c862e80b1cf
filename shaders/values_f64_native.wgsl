// Seeds stored as f64, for sums in f64.

alias SeedBits = f64;

@group(0) @binding(3) var<storage, read> values: array<f64>;

fn seed_bits(k: u32) -> f64 {
    return values[k];
}

fn seed(value: f64) -> f64 {
    return value;
}
