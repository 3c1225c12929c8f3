//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

use crate::budgets;
use crate::dom0::Choice;
use crate::fail_points;
use crate::guest::{self, Pace};
use crate::hypervisor::{Hypervisor, Reference};
use crate::iso;
use crate::linux::{self, Ending, Scenario};
use crate::quick;
use crate::session;
use crate::side_by_side::command::{self, Options};
use crate::suite::{self, Recorded, Show, Wish};
use crate::tally::Tally;
use crate::terminal;
use crate::toolstack;
use crate::xtf;

/// Boots guests on Debian's Xen and on Xenolith and compares what they saw.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum On {
    Xen,
    Xenolith,
    Both,
}

#[derive(Subcommand)]
enum Command {
    /// Names the test guests.
    List,
    /// Runs test guests; on both hypervisors the answers are compared.
    RunGuest {
        /// Test guests; none means all.
        names: Vec<String>,
        /// Where to run.
        #[arg(long, value_enum, default_value = "both")]
        on: On,
        /// Another command line for the guest.
        #[arg(long)]
        arguments: Option<String>,
        /// Another time limit for one run, in seconds.
        #[arg(long)]
        limit: Option<u64>,
        /// Print the whole serial log.
        #[arg(short, long)]
        verbose: bool,
        /// Run Xen even if its answer is recorded.
        #[arg(long)]
        fresh: bool,
        /// The Xen to compare with.
        #[arg(long, value_enum, default_value = "4.17")]
        reference: Reference,
    },
    /// Compares everything in one run: target/compare/report.html and report.json.
    Compare(Options),
    /// Breaks the hypervisor at every fail point and sees that only the domain it served dies.
    FailPoints,
    /// What operations cost and may cost.
    Budgets {
        #[command(subcommand)]
        command: Budgets,
    },
    /// Debian's kernels as dom0.
    Linux {
        #[command(subcommand)]
        command: Linux,
    },
    /// Debian's own toolstack in a Debian dom0: scenarios of what a user does with it.
    Toolstack(toolstack::Command),
    /// Boots the smoke guest from a disc, by GRUB 2 and multiboot2.
    Iso,
    /// Runs the tests of a built checkout of XTF on both hypervisors.
    Xtf {
        /// The checkout (andyhhp/xtf), built with `make` there.
        checkout: PathBuf,
        /// Tests by name; none means all.
        names: Vec<String>,
        /// Which kind of tests.
        #[arg(long, value_enum, default_value = "pv64-dom0")]
        kind: xtf::Kind,
        /// CPUs of the machine.
        #[arg(long, default_value_t = 1)]
        cpus: u32,
        /// Further options of both hypervisors.
        #[arg(long, default_value = "")]
        options: String,
        /// Run Xen even if its verdicts are recorded.
        #[arg(long)]
        fresh: bool,
    },
    /// `make run` on a terminal: to the root shell, a command, power-off.
    Terminal,
    /// Boots with somebody at the serial line, and boots that must be refused (compat-tests/sessions).
    Session {
        /// Which; none means all.
        names: Vec<String>,
    },
    /// Everything of `make test` (quick) or `make test-full` (full).
    Suite {
        /// Which.
        #[arg(value_enum)]
        pace: SuitePace,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SuitePace {
    Quick,
    Full,
}

impl From<SuitePace> for Pace {
    fn from(pace: SuitePace) -> Pace {
        match pace {
            SuitePace::Quick => Pace::Quick,
            SuitePace::Full => Pace::Full,
        }
    }
}

#[derive(Subcommand)]
enum Budgets {
    /// Prints the checked-in figures, dearest first.
    Show,
    /// Measures on both Xens and on Xenolith, and writes the figures anew.
    Update,
}

#[derive(Subcommand)]
enum Linux {
    /// A root shell on this terminal.
    Shell {
        #[command(flatten)]
        choice: Choice,
        /// Where to run.
        #[arg(long, value_enum, default_value = "xenolith")]
        on: Hypervisor,
    },
    /// One boot that checks itself.
    Check {
        #[command(flatten)]
        choice: Choice,
        /// Where to run.
        #[arg(long, value_enum, default_value = "xenolith")]
        on: Hypervisor,
        /// Which checks, separated by commas.
        #[arg(long, default_value = linux::CHECKS)]
        checks: String,
        /// How dom0 ends the machine.
        #[arg(long, value_enum, default_value = "poweroff")]
        end: Ending,
        /// Time limit in seconds.
        #[arg(long, default_value_t = 300)]
        limit: u64,
    },
    /// One boot under load: stress-ng on everything at once, compilers, a large copy; meant for four CPUs.
    Stress {
        #[command(flatten)]
        choice: Choice,
        /// Where to run.
        #[arg(long, value_enum, default_value = "xenolith")]
        on: Hypervisor,
        /// How long stress-ng runs.
        #[arg(long, default_value_t = linux::STRESS_SECONDS)]
        seconds: u32,
    },
    /// Boots on both in turn and compares the time to the first user process.
    Race {
        #[command(flatten)]
        choice: Choice,
        /// Boots on each.
        #[arg(long, default_value_t = 2)]
        rounds: u32,
    },
    /// All boots of a pace.
    Matrix {
        /// Which.
        #[arg(value_enum)]
        pace: SuitePace,
        /// Where to run.
        #[arg(long, value_enum, default_value = "xenolith")]
        on: Hypervisor,
    },
}

/// Does what the command line says; gives back what was counted, if the command counts anything.
pub fn run() -> Result<Option<Tally>> {
    match Arguments::parse().command {
        Command::List => {
            for guest in guest::all()? {
                println!("{:<16} {}", guest.name, guest.recipe.about);
            }
            Ok(None)
        }
        Command::RunGuest { names, on, arguments, limit, verbose, fresh, reference } => {
            guest::build()?;
            let guests = guest::named(&names)?;
            let show = if verbose { Show::Everything } else { Show::Failures };
            let recorded = if fresh || on == On::Xen { Recorded::Ignore } else { Recorded::Use };
            let limit = limit.map(Duration::from_secs);
            let wish = Wish { arguments, limit, recorded, show, reference: reference.into(), ..Wish::of(Pace::Quick) };
            match on {
                On::Xen => suite::run_on(&guests, wish.reference, &wish),
                On::Xenolith => suite::run_on(&guests, Hypervisor::Xenolith, &wish),
                On::Both => suite::compare(&guests, &wish),
            }
            .map(Some)
        }
        Command::Compare(options) => command::run(&options).map(Some),
        Command::FailPoints => fail_points::run().map(Some),
        Command::Budgets { command } => {
            match command {
                Budgets::Show => budgets::show()?,
                Budgets::Update => budgets::update()?,
            }
            Ok(None)
        }
        Command::Linux { command } => run_linux(command),
        Command::Toolstack(command) => command.run(),
        Command::Terminal => terminal::check().map(Some),
        Command::Session { names } => {
            guest::build()?;
            session::run_all(&session::named(&names, Pace::Full)?).map(Some)
        }
        Command::Iso => {
            guest::build()?;
            iso::check().map(Some)
        }
        Command::Xtf { checkout, names, kind, cpus, options, fresh } => {
            let recorded = if fresh { Recorded::Ignore } else { Recorded::Use };
            xtf::run(&xtf::Wish { checkout, kind, names, cpus, options, recorded }).map(Some)
        }
        Command::Suite { pace } => run_suite(pace.into()).map(Some),
    }
}

fn run_linux(command: Linux) -> Result<Option<Tally>> {
    let tally = match command {
        Linux::Shell { choice, on } => {
            linux::shell(&choice, on)?;
            return Ok(None);
        }
        Linux::Check { choice, on, checks, end, limit } => {
            let scenario = Scenario { choice, checks, ending: end, limit: Duration::from_secs(limit) };
            linux::run_all(&[scenario], on)?
        }
        Linux::Stress { choice, on, seconds } => linux::run_all(&[linux::stress(choice, seconds)], on)?,
        Linux::Race { choice, rounds } => linux::race(&choice, rounds)?,
        Linux::Matrix { pace, on } => linux::run_all(&linux::matrix(pace.into()), on)?,
    };
    Ok(Some(tally))
}

fn run_suite(pace: Pace) -> Result<Tally> {
    guest::build()?;
    let wish = Wish::of(pace);
    let mut tally = suite::compare(&suite::guests_of(pace)?, &wish)?;
    tally.add(fail_points::run()?);
    tally.add(iso::check()?);
    tally.add(session::run_all(&session::named(&[], pace)?)?);
    tally.add(linux::run_all(&linux::suite_boots(pace)?, Hypervisor::Xenolith)?);
    tally.add(toolstack::suite(pace)?);
    // Wall time on a machine that is busy with something else proves nothing: the race is the full suite's.
    match pace {
        Pace::Quick => quick::announce()?,
        Pace::Full => {
            tally.add(terminal::check()?);
            let (choice, rounds) = linux::racer();
            tally.add(linux::race(&choice, rounds)?);
        }
    }
    Ok(tally)
}
