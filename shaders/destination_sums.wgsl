// Movers arriving at each destination, before its own factor; lines are destinations:
//
//     out[segment] = sum over its entries (i, j) of s_ij o_i B(i, j)
//
// Moves 4 + size(value) bytes per entry, 8 (4 in f32) from the cache for o_i, and 4 + 8 for each
// block.

struct Entry {
    seed: SeedBits,
    weight: Weight,
}

fn load(k: u32, line: Line) -> Entry {
    let i = others[k];
    let o = weight_of(other_factors[i]);
    return Entry(seed_bits(k), with_blocks(o, 0u, BLOCKS, line.number, i));
}

fn term(entry: Entry, line: Line) -> Sum {
    return weighted(entry.seed, entry.weight, line.unit);
}
