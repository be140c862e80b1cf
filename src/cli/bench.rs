//! `flowrake bench`: how fast this machine harmonizes.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use flowrake::bench::{self, Options, Report, Size};
use flowrake::gpu::Device;
use flowrake::gpu::device::Feature;
use flowrake::ipf;

use super::engine::{Backend, EngineArgs};
use super::progress::{Progress, Stage};

/// Measure passes and solves on the CPU and a graphics device, and compare their results
///
/// Generates a matrix, times every pass over it and whole solves, beside the speed at which the
/// machine and the device copy memory, and checks that all results agree. Needs no files and no
/// network. Let nothing else run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  flowrake bench --size national --json > bench.json      # minutes; 4 GiB, 2 GiB on the device
  flowrake bench passes --backend cpu --threads 1

The device is measured in exact and f64, where it has that; --precision names one instead. auto
takes a device at any size, but none that is software.

Exit code: 0 all results agree, 1 some do not, 2 usage, 3 the graphics device.")]
pub struct Args {
    /// What to measure; all of it unless given
    #[arg(value_enum)]
    part: Option<Part>,
    /// Size of the matrix
    #[arg(long, value_enum, default_value_t = SizeArg::Small)]
    size: SizeArg,
    /// Units of a matrix of another size
    #[arg(long, value_name = "N", requires = "movers")]
    units: Option<usize>,
    /// Movers of a matrix of another size
    #[arg(long, value_name = "N", requires = "units")]
    movers: Option<usize>,
    /// Samples of every time
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeats: u16,
    /// Direct iterations, for 40 s at most [default: 100, 3000 if national]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iterations: Option<u32>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Threads of the CPU; all cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print one JSON object, with every sample, on standard output
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Single passes over the matrix
    Passes,
    /// Direct iterations, and the plan of a year
    Solve,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SizeArg {
    /// 20,000 units, 1 million movers
    Small,
    /// 217,740 units, 60 million movers
    National,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    let size = match (args.units, args.movers, args.size) {
        (Some(units), Some(movers), _) => Size::custom(units, movers),
        (_, _, SizeArg::Small) => Size::SMALL,
        (_, _, SizeArg::National) => Size::NATIONAL,
    };
    size.check()?;
    // Under auto a device is what this command is about, whatever the size.
    let opened = args.engine.open(usize::MAX)?;
    if let (Some(note), false) = (&opened.note, args.quiet) {
        eprintln!("flowrake: {note}");
    }
    let (device, precisions) = match &opened.engine {
        ipf::Engine::Gpu(device, precision) => {
            let one = args.engine.precision.map(|_| *precision);
            (Some(device.clone()), precisions(device, one))
        }
        _ => (None, Vec::new()),
    };
    let options = Options {
        size,
        storage: args.engine.storage.map(Into::into),
        repeats: args.repeats.into(),
        iterations: args.iterations,
        passes: args.part != Some(Part::Solve),
        solve: args.part != Some(Part::Passes),
        device,
        precisions,
    };
    let progress = Progress::new(1, args.quiet);
    let report = bench::run(&options, &|what| progress.say(Stage::Solving, what));
    progress.clear();
    let report =
        Report { note: opened.note.filter(|_| args.engine.backend != Backend::Cpu), ..report? };
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        super::print(&report.text())?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The arithmetic asked for, or all that is worth measuring.
fn precisions(device: &Arc<Device>, asked: Option<ipf::Precision>) -> Vec<ipf::Precision> {
    let float = device.has(Feature::F64).then_some(ipf::Precision::F64);
    match asked {
        Some(precision) => vec![precision],
        None => std::iter::once(ipf::Precision::Exact).chain(float).collect(),
    }
}
