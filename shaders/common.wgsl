// What every kernel reads: the movers by lines (rows, or columns of the transposed copy), cut into
// segments that never span two lines. A line's own unit is its origin (or destination), the unit
// at the other end of an entry is its `other`.

// Keep in sync with `Params` in src/gpu/pass.rs.
struct Params {
    // Segments of this dispatch: first, and one past the last.
    first: u32,
    end: u32,
    // Segments per workgroup, and workgroups in x.
    teams: u32,
    across: u32,
    lines: u32,
    others: u32,
    // Where `out` begins: an entry (harmonized_row) or a class (class_sums), and its length.
    base: u32,
    length: u32,
    // Unit of the sums of class_sums: they count 2^unit persons.
    unit: i32,
    // Uniform buffers come in multiples of 16 bytes.
    pad_0: u32,
    pad_1: u32,
    pad_2: u32,
}

// Entries `start ..` up to the start of the next segment. Keep in sync with `Segment` in
// src/gpu/lines.rs.
struct Segment {
    start: u32,
    line: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> segments: array<Segment>;
@group(0) @binding(2) var<storage, read> others: array<u32>;
// Factors of the lines' own units and of the others.
@group(0) @binding(4) var<storage, read> own_factors: array<Word>;
@group(0) @binding(5) var<storage, read> other_factors: array<Word>;
// For every line its unit (or, in class_sums, where its classes begin); for every block and line
// where the line's factors begin in `table`; for every block and other its cell; and in class_sums
// for every other its class.
@group(0) @binding(6) var<storage, read> cells: array<u32>;
// The factors of all blocks.
@group(0) @binding(7) var<storage, read> table: array<Word>;

// Blocks, and how many of them belong to the first of two scalings (l1_change).
override BLOCKS: u32 = 0u;
override BLOCKS_BEFORE: u32 = 0u;

const WORKGROUP: u32 = 128u;

// First segment of a workgroup. Workgroups are numbered along x, then y.
fn first_segment(group: vec3<u32>) -> u32 {
    return params.first + (group.y * params.across + group.x) * params.teams;
}

// `weight` times the factors of the blocks `first .. end` that an entry is in, in their order.
fn with_blocks(weight: Weight, first: u32, end: u32, line: u32, other: u32) -> Weight {
    var product = weight;
    for (var b = first; b < end; b++) {
        let row = cells[(1u + b) * params.lines + line];
        let cell = cells[(1u + BLOCKS) * params.lines + b * params.others + other];
        product = times(product, weight_of(table[row + cell]));
    }
    return product;
}
