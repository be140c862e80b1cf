// What the kernels of a whole step on the device share: unit_sums, factors, scaling, measures. All
// in f64, one after the other in the same submission; src/gpu/iterations.rs says how.

const WORKGROUP: u32 = 128u;

// Keep in sync with `StepParams` in src/gpu/step.rs.
struct StepParams {
    // Units of the matrix, and cells of the margin.
    units: u32,
    cells: u32,
    // Whether the margin counts movers, stayers: 0 or 1.
    movers: u32,
    stayers: u32,
    // Workgroups in x.
    across: u32,
    // Partial measures of a step, and steps (kernel measures).
    measures: u32,
    steps: u32,
    // Uniform buffers come in multiples of 16 bytes.
    pad: u32,
}

@group(0) @binding(0) var<uniform> params: StepParams;

// Workgroups are numbered along x, then y.
fn number_of(group: vec3<u32>) -> u32 {
    return group.y * params.across + group.x;
}
