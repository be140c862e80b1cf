// Sums in f32: a fast and rough picture, never the default.

alias Word = f32;
alias Weight = f32;
alias Sum = f32;

const ZERO: Sum = 0.0;

fn weight_of(word: Word) -> Weight {
    return word;
}

fn times(a: Weight, b: Weight) -> Weight {
    return a * b;
}

fn add(a: Sum, b: Sum) -> Sum {
    return a + b;
}

fn weighted(bits: SeedBits, weight: Weight, unit: i32) -> Sum {
    return bitcast<f32>(bits) * weight;
}
