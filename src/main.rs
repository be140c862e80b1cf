//! The `flowrake` command: parse, run, exit code.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Reconciles sparse origin-destination matrices with Census totals by iterative proportional
/// fitting.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "\
Exit codes:
  0  done
  1  ran, but did not converge or a check failed
  2  bad input or usage; nothing was written
  3  the graphics device: none, not the named one, unfit, lost or out of memory")]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Bench(cli::bench::Args),
    Harmonize(cli::harmonize::Args),
    Histories(cli::histories::Args),
    Convert(cli::convert::Args),
    Demo(cli::demo::Args),
    Devices(cli::devices::Args),
    Geocode(cli::geocode::Args),
    Run(cli::run::Args),
    Seed(cli::seed::Args),
    Synth(cli::synth::Args),
    Targets(cli::targets::Args),
    Validate(cli::validate::Args),
}

/// Exit codes: 0 done, 1 ran but did not converge, 2 bad input or usage, 3 graphics device.
fn main() -> ExitCode {
    report_file_size_limits();
    silence_graphics();
    let result = match Command::parse().action {
        Action::Bench(args) => cli::bench::run(&args),
        Action::Harmonize(args) => cli::harmonize::run(&args),
        Action::Histories(args) => cli::histories::run(&args).map(|()| ExitCode::SUCCESS),
        Action::Convert(args) => cli::convert::run(&args).map(|()| ExitCode::SUCCESS),
        Action::Demo(args) => cli::demo::run(&args),
        Action::Devices(args) => cli::devices::run(&args).map(|()| ExitCode::SUCCESS),
        Action::Geocode(args) => cli::geocode::run(&args),
        Action::Run(args) => cli::run::run(&args),
        Action::Seed(args) => cli::seed::run(&args).map(|()| ExitCode::SUCCESS),
        Action::Synth(args) => cli::synth::run(&args).map(|()| ExitCode::SUCCESS),
        Action::Targets(args) => cli::targets::run(&args).map(|()| ExitCode::SUCCESS),
        Action::Validate(args) => cli::validate::run(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("flowrake: error: {error}");
        let device = error.downcast_ref().is_some_and(flowrake::Error::is_device);
        ExitCode::from(if device { 3 } else { 2 })
    })
}

/// What goes wrong with a graphics device is told once, as an error.
fn silence_graphics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !flowrake::gpu::catches_panics() {
            report(panic);
        }
    }));
    // Where nobody is logged in to a desktop, a layer of Mesa that sorts adapters complains on
    // stderr that it finds no display. We choose by ourselves.
    #[cfg(target_os = "linux")]
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: called before any thread is started.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// A file-size limit of the shell should be a write error like a full disk, not a signal that ends
/// the program and leaves temporary files.
fn report_file_size_limits() {
    #[cfg(unix)]
    // SAFETY: called before any thread is started; ignoring a signal runs no code of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
