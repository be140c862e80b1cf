// Seeds of 24 bits of mantissa (f32, f16) in fixed point, from the bits of an f32.

// mantissa x 2^(exponent - 1046); the mantissa has 24 bits or is 0.
struct Seed {
    mantissa: u32,
    exponent: i32,
}

fn seed(bits: u32) -> Seed {
    let exponent = bits >> 23u;
    let fraction = bits & 0x7fffffu;
    if exponent == 0u {
        // Below 2^-126, or 0: shifted until its leading bit is in its place.
        let shift = countLeadingZeros(fraction) - 8u;
        return Seed(fraction << shift, 897 - i32(shift));
    }
    return Seed(fraction | 0x800000u, i32(exponent) + 896);
}

// Cut to 63 bits: the seed's mantissa has 29 zeros more in the twin.
fn product(a: Seed, b: Number) -> Product {
    return Product(product_24(a.mantissa, b.mantissa), a.exponent + b.exponent);
}

fn number(a: Seed) -> Number {
    return Number(vec2(a.mantissa << 29u, a.mantissa >> 3u), a.exponent);
}
