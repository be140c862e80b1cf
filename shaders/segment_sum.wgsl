// The part of a segment's sum that one lane of its team adds up. The kernel says what an entry
// loads and which term it becomes.

@group(0) @binding(8) var<storage, read_write> out: array<Sum>;

struct Line {
    number: u32,
    unit: i32,
}

fn segment_sum(segment: u32, lane: u32, lanes: u32) -> Sum {
    let end = segments[segment + 1u].start;
    let number = segments[segment].line;
    let line = Line(number, bitcast<i32>(cells[number]));
    var sum = ZERO;
    var k = segments[segment].start + lane;
    // Four entries at a time, all their loads before the first use: the loads of one wait for its
    // index, those of four wait together. Several blocks make this a program of many thousand
    // instructions, which some drivers take seconds to compile.
    for (; BLOCKS < 2u && k + 3u * lanes < end; k += 4u * lanes) {
        let a = load(k, line);
        let b = load(k + lanes, line);
        let c = load(k + 2u * lanes, line);
        let d = load(k + 3u * lanes, line);
        let first = add(term(a, line), term(b, line));
        sum = add(sum, add(first, add(term(c, line), term(d, line))));
    }
    for (; k < end; k += lanes) {
        sum = add(sum, term(load(k, line), line));
    }
    return sum;
}
