//! Where the passes over a matrix run, and in which arithmetic: the options of every command that
//! makes such passes.

use clap::ValueEnum;
use flowrake::gpu::device::{ADAPTER_VARIABLE, Device, Feature, Limits, Options};
use flowrake::ipf::{self, Engine, Iterated, Problem, Solution, Solver};
use flowrake::matrix::{AnyFlowMatrix, ValueType};
use flowrake::report::Place;
use flowrake::{Error, Result, with_matrix};

/// Entries from which on `auto` uses a graphics device; opening one takes longer than smaller
/// matrices take on the CPU.
pub const AUTO_ENTRIES: usize = 4_000_000;

/// Options of commands that make passes over a matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Where it runs")]
pub struct EngineArgs {
    /// Where the passes over the matrix run
    ///
    /// auto uses a graphics device for matrices of 4 million entries or more, never one that is
    /// software unless named, and the CPU otherwise. gpu takes any, software last, and ends with
    /// exit code 3 if there is none.
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,

    /// Graphics adapter: index or part of the name, as `flowrake devices` lists them
    ///
    /// With --backend auto it is used for matrices of any size. Without this option, the
    /// environment variable `FLOWRAKE_ADAPTER` names the adapter.
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,

    /// Arithmetic of sums [default: exact on a graphics device, f64 on the CPU]
    ///
    /// exact: fixed-point sums with the same bits on every device and on the CPU. f64: 64-bit
    /// floating point, where the device has it. f32: the fastest and worst, on graphics devices
    /// only; where auto uses the CPU it becomes f64.
    #[arg(long, value_enum, hide_default_value = true)]
    pub precision: Option<Precision>,

    /// Number type the flows of the seed are kept in [default: as in the file]
    ///
    /// A narrower one takes less memory and rounds the seed; what comes out is the harmonized rounded
    /// seed, whose margins are met all the same. f16 holds flows up to 65504 persons.
    #[arg(long, value_enum)]
    pub storage: Option<Storage>,

    /// Device memory for the matrix; what exceeds it is sent anew in every pass
    /// [default: nine tenths of the device's]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub device_memory: Option<u64>,
}

/// Where passes run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// A graphics device for large matrices, if there is one; else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A graphics device.
    Gpu,
}

/// Arithmetic of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Fixed-point sums, the same bits everywhere.
    Exact,
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point, graphics devices only.
    F32,
}

/// Number type of flows in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
}

impl From<Storage> for ValueType {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::F64 => Self::F64,
            Storage::F32 => Self::F32,
            Storage::F16 => Self::F16,
        }
    }
}

/// What a run uses.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where passes run.
    pub engine: Engine,
    /// What to tell on stderr, in one line, unless told to be quiet.
    pub note: Option<String>,
    /// Whether the CPU takes over where the device fails.
    pub falls_back: bool,
}

impl Opened {
    /// Applies a plan to a seed; under `auto` on the CPU, if the device fails. `watch` is told of
    /// every iteration.
    ///
    /// # Errors
    /// As [`ipf::solve_on`].
    pub fn solve(
        &mut self,
        seed: &AnyFlowMatrix,
        problem: &Problem,
        solver: Solver,
        watch: &dyn Fn(&Iterated),
    ) -> Result<Solution> {
        let solve = |engine: &Engine| {
            with_matrix!(seed, seed => {
                ipf::solve_watched(engine, seed, problem, solver, watch)
            })
        };
        match solve(&self.engine) {
            Err(failure) if failure.is_device() && self.falls_back => {
                self.engine = match self.engine {
                    Engine::Gpu(_, ipf::Precision::Exact) => Engine::CpuExact,
                    _ => Engine::Cpu,
                };
                self.note = Some(format!("{failure}; the CPU is used instead"));
                solve(&self.engine)
            }
            other => other,
        }
    }

    /// For reports.
    pub fn place(&self, seed: &AnyFlowMatrix, solution: &Solution) -> Place {
        Place::new(&self.engine, seed.value_type(), solution.scaling.blocks.len())
    }
}

impl EngineArgs {
    /// Opens what a matrix of so many entries is to be harmonized on.
    ///
    /// # Errors
    /// [`Error::Request`] if the options contradict each other or the environment is wrong; under
    /// `gpu`, or with a named adapter, [`Error::Device`] if there is no such device or it cannot
    /// do what is asked.
    pub fn open(&self, entries: usize) -> Result<Opened> {
        self.check()?;
        let named = self.adapter.is_some();
        match self.backend {
            Backend::Cpu => Ok(self.on_cpu(None)),
            Backend::Auto if entries < AUTO_ENTRIES && !named => Ok(self.on_cpu(None)),
            Backend::Gpu => self.on_gpu(),
            Backend::Auto => {
                let options = self.options()?;
                match self.on_gpu() {
                    Err(problem) if options.adapter.is_none() => {
                        Ok(self.on_cpu(Some(problem.to_string())))
                    }
                    other => other,
                }
            }
        }
    }

    /// Refuses options that contradict each other, before anything is read.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn check(&self) -> Result<()> {
        if self.backend != Backend::Cpu {
            return Ok(());
        }
        let options = [
            ("--adapter", self.adapter.is_some()),
            ("--precision f32", self.precision == Some(Precision::F32)),
            ("--device-memory", self.device_memory.is_some()),
        ];
        match options.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Error::request(format!(
                "{option} is for graphics devices, expected --backend gpu or auto, found cpu"
            ))),
            None => Ok(()),
        }
    }

    /// What the device is asked for, by the options and the environment.
    fn options(&self) -> Result<Options> {
        let env = Options::from_env()?;
        let memory_bytes = self.device_memory.map_or(u64::MAX, |mebi| mebi.saturating_mul(1 << 20));
        Ok(Options {
            adapter: self.adapter.clone().or(env.adapter),
            allow_software: self.backend == Backend::Gpu,
            limits: Limits { memory_bytes, ..Limits::default() },
            ..env
        })
    }

    fn on_gpu(&self) -> Result<Opened> {
        let options = self.options()?;
        let device = Device::open(&options).map_err(|problem| match problem {
            Error::Device(text) if self.adapter.is_none() && options.adapter.is_some() => {
                Error::Device(format!("{ADAPTER_VARIABLE}: {text}"))
            }
            other => other,
        })?;
        let name = &device.adapter().name;
        let precision = self.precision.unwrap_or(Precision::Exact);
        if precision == Precision::F64 && !device.has(Feature::F64) {
            return Err(Error::device(format!(
                "{name}: has no 64-bit floating point; --precision exact needs none"
            )));
        }
        let unnamed = options.adapter.is_none() && device.adapter().software;
        let note = unnamed.then(|| {
            format!("{name} is a software adapter, slower than --backend cpu; there is no other")
        });
        let precision = match precision {
            Precision::Exact => ipf::Precision::Exact,
            Precision::F64 => ipf::Precision::F64,
            Precision::F32 => ipf::Precision::F32,
        };
        let falls_back = self.backend == Backend::Auto && options.adapter.is_none();
        Ok(Opened { engine: Engine::Gpu(device, precision), note, falls_back })
    }

    /// The CPU, where it is used instead of a device for a reason.
    fn on_cpu(&self, reason: Option<String>) -> Opened {
        let (engine, name) = match self.precision {
            Some(Precision::Exact) => (Engine::CpuExact, "exact sums"),
            Some(Precision::F64 | Precision::F32) | None => (Engine::Cpu, "f64"),
        };
        let single = (self.precision == Some(Precision::F32))
            .then(|| "--precision f32 needs --backend gpu".to_owned());
        let note = reason.or(single).map(|reason| format!("{reason}; the CPU is used, in {name}"));
        Opened { engine, note, falls_back: false }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::{CommandFactory as _, Parser as _};
    use flowrake::geography::{Geography, Partition};
    use flowrake::ipf::{Constraint, Entries, Groups, Margin, Plan, ZeroTargets};
    use flowrake::matrix::FlowMatrix;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        engine: EngineArgs,
    }

    #[test]
    fn options_are_read_and_have_defaults() {
        Command::command().debug_assert();
        let given = "x --backend gpu --adapter 1 --precision f64 --storage f16 --device-memory 9";
        let read = Command::parse_from(given.split(' ')).engine;
        let expected = EngineArgs {
            backend: Backend::Gpu,
            adapter: Some("1".into()),
            precision: Some(Precision::F64),
            storage: Some(Storage::F16),
            device_memory: Some(9),
        };
        assert_eq!(read, expected);
        assert_eq!(Command::parse_from(["x"]).engine, EngineArgs::default());
        assert!(Command::try_parse_from(["x", "--device-memory", "0"]).is_err());
    }

    fn args(backend: Backend) -> EngineArgs {
        EngineArgs { backend, ..EngineArgs::default() }
    }

    #[track_caller]
    fn cpu(opened: Result<Opened>) -> (Precision, Option<String>) {
        match opened.unwrap() {
            Opened { engine: Engine::Cpu, note, falls_back: false } => (Precision::F64, note),
            Opened { engine: Engine::CpuExact, note, falls_back: false } => {
                (Precision::Exact, note)
            }
            opened => panic!("{opened:?}"),
        }
    }

    #[test]
    fn small_matrices_stay_on_the_cpu() {
        assert_eq!(cpu(args(Backend::Auto).open(AUTO_ENTRIES - 1)), (Precision::F64, None));
        assert_eq!(cpu(args(Backend::Cpu).open(usize::MAX)), (Precision::F64, None));
        let exact = EngineArgs { precision: Some(Precision::Exact), ..args(Backend::Auto) };
        assert_eq!(cpu(exact.open(10)), (Precision::Exact, None));
        let single = EngineArgs { precision: Some(Precision::F32), ..args(Backend::Auto) };
        let (precision, note) = cpu(single.open(10));
        assert_eq!(precision, Precision::F64);
        assert!(note.unwrap().ends_with("; the CPU is used, in f64"));
    }

    #[test]
    fn options_for_devices_contradict_the_cpu() {
        let base = args(Backend::Cpu);
        for args in [
            EngineArgs { adapter: Some("0".into()), ..base.clone() },
            EngineArgs { precision: Some(Precision::F32), ..base.clone() },
            EngineArgs { device_memory: Some(1), ..base.clone() },
        ] {
            assert!(matches!(args.open(10), Err(Error::Request(_))), "{args:?}");
        }
        let exact = EngineArgs { precision: Some(Precision::Exact), ..base };
        assert_eq!(cpu(exact.open(10)), (Precision::Exact, None));
    }

    #[test]
    fn a_named_adapter_is_used_at_any_size_or_an_error() {
        let named = EngineArgs { adapter: Some("no such".into()), ..args(Backend::Auto) };
        assert!(matches!(named.open(1), Err(Error::Device(_))));
        let first = EngineArgs { adapter: Some("0".into()), ..args(Backend::Auto) };
        let opened =
            first.open(1).unwrap_or_else(|e| panic!("{e}; ./test installs a software one"));
        let Engine::Gpu(_, precision) = opened.engine else { panic!("{opened:?}") };
        assert_eq!((precision, opened.note), (ipf::Precision::Exact, None));
        assert!(!opened.falls_back);
    }

    #[test]
    fn gpu_takes_what_there_is_and_memory_is_limited() {
        let args = EngineArgs { device_memory: Some(3), ..args(Backend::Gpu) };
        let Engine::Gpu(device, _) = args.open(1).unwrap().engine else { panic!() };
        assert_eq!(device.limits().memory_bytes, 3 << 20);
    }

    #[test]
    fn the_cpu_takes_over_where_the_device_fails_under_auto() {
        // A device that takes 64 bytes at once cannot hold the factors of 20 units.
        let limits = Limits { binding_bytes: 64, ..Limits::default() };
        let options = Options { allow_software: true, limits, ..Options::default() };
        let device = Device::open(&options)
            .unwrap_or_else(|e| panic!("{e}; ./test installs a software one"));
        let flows: Vec<(u32, u32, f64)> = (0..20).map(|i| (i, (i + 1) % 20, 1.0)).collect();
        let seed = FlowMatrix::from_triplets(20, &flows);
        let units = Geography::numbered(20);
        let codes = (0..20).map(|i| i.to_string()).collect();
        let each = Arc::new(Partition::from_parts("each", (0..20).collect(), codes));
        let margin = Margin { groups: Groups::Origin(each), entries: Entries::All };
        let double = Constraint::new("double", margin, vec![2.0; 20], None, ZeroTargets::Keep);
        let plan = Plan { once: vec![double.unwrap()], repeat: vec![] };
        let problem = Problem::new(&units, plan).unwrap();
        let seed = AnyFlowMatrix::F64(seed);
        for (precision, falls_back) in [
            (ipf::Precision::Exact, true),
            (ipf::Precision::F64, true),
            (ipf::Precision::Exact, false),
        ] {
            let engine = Engine::Gpu(device.clone(), precision);
            let mut opened = Opened { engine, note: None, falls_back };
            let solution = opened.solve(&seed, &problem, Solver::Direct, &|_| ());
            if falls_back {
                assert_eq!(solution.unwrap().scaling.origin, [2.0; 20]);
                assert!(opened.note.unwrap().ends_with("; the CPU is used instead"));
                let exact = matches!(opened.engine, Engine::CpuExact);
                assert_eq!(exact, precision == ipf::Precision::Exact);
            } else {
                assert!(solution.unwrap_err().is_device());
            }
        }
    }
}
