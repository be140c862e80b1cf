// Fixed-point arithmetic: the twin of src/kernels/fixed.rs, bit for bit, with integers alone.

// A `Factor` of the twin: 11 bits of exponent above 53 bits of mantissa, low word first.
alias Word = vec2<u32>;
alias Weight = Number;
// A count of 2^unit persons.
alias Sum = vec2<u32>;

const ZERO: Sum = vec2(0u, 0u);

// mantissa x 2^(exponent - 1075); the mantissa has 53 bits or is 0.
struct Number {
    mantissa: vec2<u32>,
    exponent: i32,
}

// bits x 2^(exponent - 2107); the bits are 62 or 63, or all 0.
struct Product {
    bits: vec2<u32>,
    exponent: i32,
}

// A product cut to its leading bits, and whether only zeros were cut.
struct Cut {
    bits: vec2<u32>,
    exact: bool,
}

fn weight_of(word: Word) -> Number {
    return Number(vec2(word.x, word.y & 0x1fffffu), i32(word.y >> 21u));
}

// The product, cut to 53 bits.
fn times(a: Number, b: Number) -> Number {
    let bits = product_53(a.mantissa, b.mantissa).bits;
    let long = bits.y >> 30u;
    let exponent = a.exponent + b.exponent - 1023 + i32(long);
    return Number(shift_right(bits, 9u + long), exponent);
}

// As a multiple of 2^unit, rounded down, but not to 0.
fn in_units(flow: Product, unit: i32) -> Sum {
    // A product of 0 may come with any exponent; its shift has any value and no effect.
    let count = shift_right(flow.bits, min(u32(unit + 2107 - flow.exponent), 63u));
    return at_least_one(count, flow.bits);
}

// A count of bits that are not all 0 is 1 at least; those of a product have one in the high word.
fn at_least_one(count: Sum, bits: vec2<u32>) -> Sum {
    return vec2(select(count.x, 1u, (count.x | count.y) == 0u && bits.y != 0u), count.y);
}

fn weighted(seed_bits: SeedBits, weight: Number, unit: i32) -> Sum {
    return in_units(product(seed(seed_bits), weight), unit);
}
