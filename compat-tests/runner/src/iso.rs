//! A boot from a disc: GRUB 2 loads the hypervisor by multiboot2 and the smoke guest as its module.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::guest::{self, Pace};
use crate::hypervisor::Hypervisor;
use crate::places;
use crate::qemu::Machine;
use crate::report;
use crate::tally::Tally;

/// The guest that is booted; it says whether it came to life.
const GUEST: &str = "smoke";

/// Makes the disc. The first word after a file is its name, as GRUB's users write it.
fn make(machine: &Machine) -> Result<PathBuf> {
    let root = places::target().join("iso");
    let boot = root.join("boot");
    fs::create_dir_all(boot.join("grub")).with_context(|| format!("cannot make {}", boot.display()))?;
    fs::copy(machine.hypervisor.image()?, boot.join("xenolith.elf")).context("cannot copy the hypervisor")?;
    let mut menu = format!(
        "set timeout=0\nserial --unit=0 --speed=115200\nterminal_output serial\nmenuentry Xenolith {{\n\
         multiboot2 /boot/xenolith.elf xenolith {}\n",
        machine.options
    );
    for (index, (file, line)) in machine.modules.iter().enumerate() {
        fs::copy(file, boot.join(format!("module{index}"))).with_context(|| format!("{}", file.display()))?;
        menu.push_str(&format!("module2 /boot/module{index} module{index} {line}\n"));
    }
    menu.push_str("}\n");
    fs::write(boot.join("grub/grub.cfg"), menu)?;
    let disc = places::target().join("xenolith.iso");
    let status = Command::new(places::program("grub-mkrescue")?)
        .args(["-d", "/usr/lib/grub/i386-pc", "-o"])
        .arg(&disc)
        .arg(&root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("grub-mkrescue cannot make {}", disc.display());
    }
    Ok(disc)
}

/// Boots the smoke guest from the disc; it passes if all its own checks do.
pub fn check() -> Result<Tally> {
    let guests = guest::named(&[GUEST.into()])?;
    let guest = guests.first().context("there is no smoke guest")?;
    let mut machine = guest.machine(Hypervisor::Xenolith, guest.arguments(Pace::Quick))?;
    machine.disc = Some(make(&machine)?);
    let run = machine.run("iso", guest.limit(Pace::Quick), "VERDICT")?;
    let complaints = report::complaints(&run, &report::parse(&run.log));
    println!("{} iso ({:.1} s)", if complaints.is_empty() { "PASS" } else { "FAIL" }, run.seconds);
    if !complaints.is_empty() {
        println!("  last lines of {}:\n{}", run.log_file.display(), run.tail(20));
    }
    complaints.iter().for_each(|complaint| println!("  {complaint}"));
    let mut tally = Tally::default();
    tally.count(&complaints);
    Ok(tally)
}
