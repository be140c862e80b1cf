// How far apart two scalings, f and g, put the movers of each origin; lines are origins:
//
//     out[segment] = sum over its entries (i, j) of |floor(s_ij f_ij) - floor(s_ij g_ij)|
//
// rounded down to units of the origin. The factors of g follow those of f in their buffers. Moves
// 4 + size(value) bytes per entry and 16 from the cache, and 4 + 8 for each block.

struct Entry {
    seed: SeedBits,
    before: Weight,
    after: Weight,
}

fn load(k: u32, line: Line) -> Entry {
    let i = line.number;
    let j = others[k];
    let before = times(weight_of(own_factors[i]), weight_of(other_factors[j]));
    let after = times(
        weight_of(own_factors[params.lines + i]),
        weight_of(other_factors[params.others + j]),
    );
    return Entry(
        seed_bits(k),
        with_blocks(before, 0u, BLOCKS_BEFORE, i, j),
        with_blocks(after, BLOCKS_BEFORE, BLOCKS, i, j),
    );
}

fn term(entry: Entry, line: Line) -> Sum {
    let a = weighted(entry.seed, entry.before, line.unit);
    let b = weighted(entry.seed, entry.after, line.unit);
    let rises = a.y < b.y || (a.y == b.y && a.x < b.x);
    let high = select(a, b, rises);
    let low = select(b, a, rises);
    return vec2(high.x - low.x, high.y - low.y - u32(high.x < low.x));
}
