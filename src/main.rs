//! The `flowrake` command.

fn main() {}
