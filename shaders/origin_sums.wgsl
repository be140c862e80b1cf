// Movers leaving each origin, before its own factor; lines are origins:
//
//     out[segment] = sum over its entries (i, j) of s_ij d_j B(i, j)
//
// Moves 4 + size(value) bytes per entry, 8 (4 in f32) from the cache for d_j, and 4 + 8 for each
// block.

struct Entry {
    seed: SeedBits,
    weight: Weight,
}

fn load(k: u32, line: Line) -> Entry {
    let j = others[k];
    let d = weight_of(other_factors[j]);
    return Entry(seed_bits(k), with_blocks(d, 0u, BLOCKS, line.number, j));
}

fn term(entry: Entry, line: Line) -> Sum {
    return weighted(entry.seed, entry.weight, line.unit);
}
