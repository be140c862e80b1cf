// Integers of 64 bits as pairs of words, low first; computed with 64-bit integers.

fn long(v: vec2<u32>) -> u64 {
    return (u64(v.y) << 32u) | u64(v.x);
}

fn words(v: u64) -> vec2<u32> {
    return vec2(u32(v), u32(v >> 32u));
}

fn add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return words(long(a) + long(b));
}

// By less than 64.
fn shift_right(v: vec2<u32>, by: u32) -> vec2<u32> {
    return words(long(v) >> by);
}

// floor(a b / 2^14), for 24 bits times 53.
fn product_24(a: u32, b: vec2<u32>) -> vec2<u32> {
    let low = u64(a) * u64(b.x);
    let high = u64(a) * u64(b.y) + (low >> 32u);
    return words((high << 18u) | u64(u32(low) >> 14u));
}

// floor(a b / 2^43), for 53 bits times 53.
fn product_53(a: vec2<u32>, b: vec2<u32>) -> Cut {
    let low = u64(a.x) * u64(b.x);
    // Below 2^55: nothing is carried out of it.
    let middle = u64(a.x) * u64(b.y) + u64(a.y) * u64(b.x) + (low >> 32u);
    let bits = words(((u64(a.y) * u64(b.y)) << 21u) + (middle >> 11u));
    return Cut(bits, (u32(middle) & 0x7ffu) == 0u && u32(low) == 0u);
}
