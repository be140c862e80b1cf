//! The `flowrake` command.

mod cli;

use clap::{Parser, Subcommand};

/// Reconcile origin-destination migration matrices with Census totals
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Synth(cli::synth::Args),
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Synth(args) => cli::synth::run(&args),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::from(2)
        }
    }
}
