// Integers of 64 bits as pairs of words, low first; computed with 32-bit integers alone.

fn add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2(low, a.y + b.y + u32(low < a.x));
}

// By less than 64.
fn shift_right(v: vec2<u32>, by: u32) -> vec2<u32> {
    let bits = by & 31u;
    // In two steps, for a shift by 32 is none.
    let low = (v.x >> bits) | ((v.y << 1u) << (31u - bits));
    let high = v.y >> bits;
    return select(vec2(low, high), vec2(high, 0u), by >= 32u);
}

// a b, through products of 16 bits.
fn wide(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low = a_low * b_low;
    let cross = a_high * b_low + (low >> 16u);
    let other = a_low * b_high + (cross & 0xffffu);
    return vec2(
        (other << 16u) | (low & 0xffffu),
        a_high * b_high + (cross >> 16u) + (other >> 16u),
    );
}

// floor(a b / 2^14), for 24 bits times 53.
fn product_24(a: u32, b: vec2<u32>) -> vec2<u32> {
    let low = wide(a, b.x);
    let high = add(wide(a, b.y), vec2(low.y, 0u));
    return vec2((high.x << 18u) | (low.x >> 14u), (high.y << 18u) | (high.x >> 14u));
}

// floor(a b / 2^43), for 53 bits times 53.
fn product_53(a: vec2<u32>, b: vec2<u32>) -> Cut {
    let low = wide(a.x, b.x);
    // Below 2^55: nothing is carried out of it.
    let middle = add(add(wide(a.x, b.y), wide(a.y, b.x)), vec2(low.y, 0u));
    let high = wide(a.y, b.y);
    let bits = add(
        vec2(high.x << 21u, (high.y << 21u) | (high.x >> 11u)),
        shift_right(middle, 11u),
    );
    return Cut(bits, (middle.x & 0x7ffu) == 0u && low.x == 0u);
}
