//! The command line of `compat-runner toolstack`.

use anyhow::Result;

use super::boot::{self, Choice};
use super::journey;
use super::scenario;
use super::session::{self, Wish};
use crate::guest::Pace;
use crate::hypervisor::Hypervisor;
use crate::suite::{Recorded, Show};
use crate::tally::Tally;

/// Where to run.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum On {
    Xen,
    Xenolith,
    Both,
}

/// `compat-runner toolstack`.
#[derive(clap::Args)]
pub struct Command {
    /// Scenarios; none means all.
    names: Vec<String>,
    /// Names the scenarios and what each is about.
    #[arg(long)]
    list: bool,
    /// The names are those of journeys, which need several machines; none means all of them.
    #[arg(long, conflicts_with_all = ["shell", "on"])]
    journeys: bool,
    /// A root shell in that dom0 on this terminal instead of scenarios.
    #[arg(long)]
    shell: bool,
    /// Where to run.
    #[arg(long, value_enum, default_value = "both")]
    on: On,
    #[command(flatten)]
    choice: Choice,
    /// Print the whole serial log.
    #[arg(short, long)]
    verbose: bool,
    /// Run Xen even if its answers are recorded.
    #[arg(long)]
    fresh: bool,
}

impl Command {
    /// Does what the command line says; gives back what was counted, if anything was.
    pub fn run(self) -> Result<Option<Tally>> {
        let Command { names, list, journeys, shell, on, choice, verbose, fresh } = self;
        if list {
            for scenario in scenario::all()? {
                println!("{:<16} {}", scenario.name, scenario.recipe.about);
            }
            for journey in journey::named(&[])? {
                println!("{:<16} (--journeys) {}", journey.name, journey.recipe.about);
            }
            return Ok(None);
        }
        if journeys {
            return journey::run(&journey::named(&names)?, &choice).map(Some);
        }
        let mark = choice.reference()?;
        if shell {
            boot::shell(&choice, if on == On::Xen { mark } else { Hypervisor::Xenolith })?;
            return Ok(None);
        }
        let scenarios = scenario::named(&names)?;
        let show = if verbose { Show::Everything } else { Show::Failures };
        let recorded = if fresh || on == On::Xen { Recorded::Ignore } else { Recorded::Use };
        let wish = Wish { choice, recorded, show };
        match on {
            On::Xen => session::run_on(&scenarios, mark, &wish),
            On::Xenolith => session::run_on(&scenarios, Hypervisor::Xenolith, &wish),
            On::Both => session::compare(&scenarios, &wish),
        }
        .map(Some)
    }
}

/// How often `make test-full` creates and destroys a guest.
const ROUNDS: u32 = 500;

/// The next Debian's tools, and the scenarios that `make test-full` runs with them too: what xl does with one guest, and
/// what it says of mistakes.
const LATER_TOOLS: &str = "4.20";
const WITH_LATER_TOOLS: [&str; 9] =
    ["smoke", "xl-info", "xl-list", "create-destroy", "save-restore", "scheduler", "disk", "network", "bad-configs"];

/// The same on both hypervisors with the later tools, and the Xen that they belong to.
fn with_later_tools() -> Result<Tally> {
    let choice = Choice { tools: LATER_TOOLS.into(), ..Choice::default() };
    let wish = Wish { choice, recorded: Recorded::Use, show: Show::Failures };
    session::compare(&scenario::named(&WITH_LATER_TOOLS.map(str::to_owned))?, &wish)
}

/// The scenarios of `make test` or `make test-full`.
pub fn suite(pace: Pace) -> Result<Tally> {
    let choice = Choice { rounds: (pace == Pace::Full).then_some(ROUNDS), ..Choice::default() };
    let wish = Wish { choice, recorded: Recorded::Use, show: Show::Failures };
    let mut tally = session::compare(&scenario::of_pace(pace)?, &wish)?;
    if pace == Pace::Full {
        tally.add(with_later_tools()?);
        tally.add(journey::run(&journey::named(&[])?, &wish.choice)?);
    }
    Ok(tally)
}
