// Sums in f64.

alias Word = f64;
alias Weight = f64;
alias Sum = f64;

const ZERO: Sum = 0.0lf;

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
    return seed(bits) * weight;
}
