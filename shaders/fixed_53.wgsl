// Seeds of 53 bits of mantissa (f64) in fixed point.

alias Seed = Number;

fn seed(bits: vec2<u32>) -> Seed {
    let exponent = bits.y >> 20u;
    let high = bits.y & 0xfffffu;
    if exponent == 0u {
        // Below 2^-1022, or 0: shifted until its leading bit is in its place.
        if high == 0u {
            let shift = countLeadingZeros(bits.x) + 21u;
            if shift >= 32u {
                return Seed(vec2(0u, bits.x << (shift - 32u)), 1 - i32(shift));
            }
            return Seed(vec2(bits.x << shift, bits.x >> (32u - shift)), 1 - i32(shift));
        }
        let shift = countLeadingZeros(high) - 11u;
        return Seed(
            vec2(bits.x << shift, (high << shift) | (bits.x >> (32u - shift))),
            1 - i32(shift),
        );
    }
    return Seed(vec2(bits.x, high | 0x100000u), i32(exponent));
}

fn product(a: Seed, b: Number) -> Product {
    return Product(product_53(a.mantissa, b.mantissa).bits, a.exponent + b.exponent);
}

fn number(a: Seed) -> Number {
    return a;
}
