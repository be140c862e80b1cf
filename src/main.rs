//! The `flowrake` command: parse, run, exit code.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Reconciles sparse origin-destination matrices with Census totals by iterative proportional
/// fitting.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Harmonize(cli::harmonize::Args),
    Convert(cli::convert::Args),
    Demo(cli::demo::Args),
    Synth(cli::synth::Args),
}

/// Exit codes: 0 done, 1 ran but did not converge, 2 bad input or usage.
fn main() -> ExitCode {
    report_file_size_limits();
    let result = match Command::parse().action {
        Action::Harmonize(args) => cli::harmonize::run(&args),
        Action::Convert(args) => cli::convert::run(&args).map(|()| ExitCode::SUCCESS),
        Action::Demo(args) => cli::demo::run(&args),
        Action::Synth(args) => cli::synth::run(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("flowrake: error: {error}");
        ExitCode::from(2)
    })
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
