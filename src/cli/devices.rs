//! `flowrake devices`: the graphics adapters of this machine.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::Result;
use flowrake::gpu::device::{ADAPTER_VARIABLE, Device, Options};
use flowrake::gpu::self_test::Refusal;
use flowrake::gpu::{self, Adapter};
use serde::Serialize;

use super::engine::AUTO_ENTRIES;

/// List graphics adapters, what they can do, and which one is used
///
/// Every adapter is opened and its arithmetic tested: 32-bit and 64-bit integers, 64-bit floating
/// point, subgroups. What it gets wrong is not used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  flowrake devices
  flowrake harmonize plan.toml --backend gpu --adapter 1

Environment:
  FLOWRAKE_ADAPTER      the adapter to use unless --adapter names one: index or part of the name
  FLOWRAKE_GPU_WITHOUT  features not to use, to test drivers: f64, int64, subgroups

Exit code: 0, also if there is no adapter.")]
pub struct Args {
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// What there is.
#[derive(Serialize)]
struct Report {
    adapters: Vec<Tested>,
    /// Index of the adapter that `auto` takes.
    auto: Option<usize>,
    /// Why, or why none.
    why: String,
    /// Entries from which on `auto` uses it.
    auto_entries: usize,
}

/// An adapter and how its test went.
#[derive(Serialize)]
struct Tested {
    #[serde(flatten)]
    adapter: Adapter,
    /// `passed`, or what went wrong.
    self_test: String,
    /// Seconds from the request to the tested device.
    open_s: f64,
    /// Seconds of the test itself.
    self_test_s: Option<f64>,
    /// Features that are there but not used, and why.
    refused: Vec<Refusal>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let report = report(&Options::from_env()?)?;
    if args.json {
        super::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        super::print(&text(&report))?;
    }
    Ok(())
}

fn report(options: &Options) -> Result<Report> {
    let (adapters, problem) = match gpu::adapters(options) {
        Ok(adapters) => (adapters, None),
        // The list is what helps to find the right name.
        Err(problem) => {
            let unnamed = Options { adapter: None, ..options.clone() };
            (gpu::adapters(&unnamed)?, Some(format!("{ADAPTER_VARIABLE}: {problem}")))
        }
    };
    let chosen = adapters.iter().find(|a| a.auto.chosen && problem.is_none());
    let why = match (chosen, &problem) {
        (_, Some(problem)) => problem.clone(),
        (Some(adapter), None) => adapter.auto.reason.clone(),
        (None, None) if adapters.is_empty() => {
            "no graphics adapter: install a Vulkan loader and driver (on Debian libvulkan1 and the \
             vendor's driver or mesa-vulkan-drivers); the CPU is used"
                .to_owned()
        }
        (None, None) => "no adapter that auto would choose; the CPU is used".to_owned(),
    };
    let auto = chosen.map(|a| a.index);
    let adapters = adapters.into_iter().map(|adapter| test(adapter, options)).collect();
    Ok(Report { adapters, auto, why, auto_entries: AUTO_ENTRIES })
}

fn test(adapter: Adapter, options: &Options) -> Tested {
    let options = Options { adapter: Some(adapter.index.to_string()), ..options.clone() };
    let start = Instant::now();
    let opened = Device::open(&options);
    let open_s = start.elapsed().as_secs_f64();
    let (self_test, self_test_s, refused) = match opened {
        Ok(device) => {
            let refused = device.refusals().to_vec();
            let failed: Vec<String> = refused
                .iter()
                .map(|refusal| format!("{} is not used: {}", refusal.feature, refusal.reason))
                .collect();
            let verdict = if failed.is_empty() { "passed".to_owned() } else { failed.join("; ") };
            (verdict, Some(device.self_test_s()), refused)
        }
        Err(problem) => (problem.to_string(), None, Vec::new()),
    };
    Tested { adapter, self_test, open_s, self_test_s, refused }
}

/// A paragraph per adapter, and the choice.
fn text(report: &Report) -> String {
    let mut text = String::new();
    for tested in &report.adapters {
        describe(&mut text, tested).expect("text can be written");
    }
    let choice = match report.auto {
        Some(index) => format!(
            "auto uses adapter {index} for matrices of {} million entries or more: {}",
            AUTO_ENTRIES / 1_000_000,
            report.why
        ),
        None => report.why.clone(),
    };
    text + &choice + "\n"
}

fn describe(text: &mut String, tested: &Tested) -> std::fmt::Result {
    let Adapter { abilities, limits, .. } = tested.adapter;
    let adapter = &tested.adapter;
    let yes = |has: bool| if has { "yes" } else { "no" };
    writeln!(text, "{}: {}", adapter.index, adapter.name)?;
    let software = if adapter.software { ", software" } else { "" };
    writeln!(text, "   type       {}{software}", adapter.kind)?;
    writeln!(
        text,
        "   driver     {}: {} {}",
        adapter.backend, adapter.driver, adapter.driver_info
    )?;
    let subgroups = match abilities.subgroups {
        Some(sizes) if sizes.min == sizes.max => format!("of {}", sizes.max),
        Some(sizes) => format!("of {} to {}", sizes.min, sizes.max),
        None => "no".to_owned(),
    };
    writeln!(
        text,
        "   abilities  f64 {}, int64 {}, f16 {}, subgroups {subgroups}",
        yes(abilities.f64),
        yes(abilities.int64),
        yes(abilities.f16),
    )?;
    if let Some(bytes) = adapter.memory_bytes {
        writeln!(text, "   memory     {}", mebibytes(bytes))?;
    }
    writeln!(
        text,
        "   limits     {} a binding, {} a buffer, {} workgroups a dimension,\n              \
         {} buffers a shader, {} invocations a workgroup",
        mebibytes(limits.storage_binding_bytes),
        mebibytes(limits.buffer_bytes),
        limits.workgroups_per_dimension,
        limits.storage_buffers_per_stage,
        limits.workgroup_invocations,
    )?;
    let time = tested
        .self_test_s
        .map_or(String::new(), |s| format!(" in {s:.2} s, open in {:.2} s", tested.open_s));
    writeln!(text, "   self-test  {}{time}", tested.self_test)?;
    let choice = if adapter.auto.chosen { "chosen" } else { "not chosen" };
    writeln!(text, "   auto       {choice}: {}\n", adapter.auto.reason)
}

/// `128 MiB`; nobody has more than 16 TiB.
fn mebibytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebi @ 0..0x2800 => format!("{mebi} MiB"),
        mebi @ 0x2800..0x100_0000 => format!("{} GiB", mebi >> 10),
        _ => "any size".to_owned(),
    }
}
