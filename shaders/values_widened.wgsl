// Seeds stored as f32 or f16, for sums in f64.

fn seed(bits: u32) -> f64 {
    // A device may take numbers below 2^-126 for 0: they come as multiples of 2^-149.
    let small = f64(bits & 0x7fffffu) * 1.401298464324817070923729583289916131280261941876515771757e-45lf;
    return select(f64(bitcast<f32>(bits)), small, bits < 0x800000u);
}
