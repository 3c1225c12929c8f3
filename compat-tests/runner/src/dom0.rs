//! The machine that boots Debian's kernel as dom0: initial RAM disk, disks, network cards, command lines.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use crate::hypervisor::{Hypervisor, hex};
use crate::kernel_images;
use crate::places;
use crate::qemu::{Icount, Machine, linux_model};
use crate::server;

/// Bytes of the test disk and of the file that is fetched.
const DISK: usize = 8 << 20;
const FILE: usize = 1 << 20;
/// MiB of the disk that the stress scenario copies.
pub const COPIED: usize = 256;

/// What the initial RAM disk carries beyond busybox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tools {
    /// Nothing.
    Busybox,
    /// stress-ng, the C compiler proper, and the work whose instructions are counted.
    Stress,
}

/// Which dom0 on which machine.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// Kernel series, as set-up unpacked it.
    #[arg(long, default_value = "6.1")]
    pub kernel: String,
    /// What packs its payload instead of Debian's packer (gzip, bzip2, lzma, xz, lzo, lz4, zstd), or `vmlinux`.
    #[arg(long, default_value = "")]
    pub payload: String,
    /// CPUs of the machine.
    #[arg(long, default_value_t = 2)]
    pub cpus: u32,
    /// MiB of memory of the machine.
    #[arg(long, default_value_t = 2048)]
    pub memory: u32,
    /// QEMU's CPU model.
    #[arg(long, default_value = "EPYC-Milan")]
    pub cpu: String,
    /// q35 or pc.
    #[arg(long, default_value = "q35")]
    pub machine: String,
    /// Further options of the hypervisor.
    #[arg(long, default_value = "")]
    pub options: String,
    /// Further words of the kernel's command line.
    #[arg(long, default_value = "")]
    pub arguments: String,
}

impl Choice {
    /// A name for logs.
    pub fn name(&self) -> String {
        let payload = if self.payload.is_empty() { String::new() } else { format!("-{}", self.payload) };
        let Self { kernel, machine, cpu, cpus, memory, .. } = self;
        format!("linux-{kernel}{payload}-{machine}-{cpu}-{cpus}cpu-{memory}M")
    }

    /// The machine; `scenario` goes to /init through the kernel's command line.
    pub fn machine(&self, hypervisor: Hypervisor, scenario: &str, tools: Tools) -> Result<Machine> {
        let kernel = match self.payload.as_str() {
            "" => places::cached(&format!("linux-{}/vmlinuz", self.kernel))?,
            format => kernel_images::repacked(&self.kernel, format)?,
        };
        let console = if hypervisor == Hypervisor::Bare { "console=ttyS0" } else { "console=hvc0 earlyprintk=xen" };
        let line = format!("{console} {scenario} cpus={} {}", self.cpus, self.arguments);
        Ok(Machine {
            hypervisor,
            options: format!("com1=115200,8n1 console=com1 loglvl=all guest_loglvl=all {}", self.options),
            modules: vec![(kernel, line.trim_end().into()), (initrd(&self.kernel, tools)?, String::new())],
            machine: self.machine.clone(),
            cpu: linux_model(&self.cpu, self.cpus),
            cpus: self.cpus,
            memory: self.memory,
            icount: Icount::Off,
            disc: None,
            extra: Vec::new(),
        })
    }
}

/// The initial RAM disk for a kernel, made when anything that goes into it changed.
fn initrd(kernel: &str, tools: Tools) -> Result<PathBuf> {
    let recipe = places::tree().join("qubes-integration");
    let mut all = Sha256::new();
    all.update(std::fs::read(places::cached(&format!("linux-{kernel}/.package"))?)?);
    for name in ["make-initrd.sh", "initrd.sh"] {
        all.update(std::fs::read(recipe.join(name))?);
    }
    for name in ["init", "checks", "stress-checks", "modules"] {
        all.update(std::fs::read(recipe.join("dom0").join(name))?);
    }
    let mut command = Command::new(places::program("bash")?);
    command.arg(recipe.join("make-initrd.sh")).arg(places::cached(&format!("linux-{kernel}"))?);
    let packages = places::cache()?.join("stress");
    let name = match tools {
        Tools::Busybox => "dom0",
        Tools::Stress => {
            all.update(std::fs::read(places::cached("stress/stress-ng/.package")?)?);
            all.update(std::fs::read(recipe.join("workload.c"))?);
            "stress"
        }
    };
    let hash = hex(&all.finalize());
    let short = hash.get(..16).unwrap_or(&hash);
    let output = places::cache()?.join(format!("images/{name}-{kernel}-{short}.gz"));
    if !output.exists() {
        command.arg(&output);
        if tools == Tools::Stress {
            command.arg(packages);
        }
        if !command.status()?.success() {
            bail!("cannot make the initial RAM disk for kernel {kernel}");
        }
    }
    Ok(output)
}

/// Adds a SATA disk of noise and an empty virtio disk as large; gives back the kernel words that tell the noise's hash.
pub fn add_copied_disks(machine: &mut Machine) -> Result<String> {
    let length = COPIED << 20;
    let images = places::cache()?.join("images");
    let (full, empty, known) = (images.join("noise.raw"), images.join("empty.raw"), images.join("noise.hash"));
    std::fs::create_dir_all(&images)?;
    if !known.exists() {
        let data = server::noise(length);
        std::fs::write(&full, &data)?;
        std::fs::File::create(&empty)?.set_len(length as u64)?;
        // Last, so that it stands for both.
        std::fs::write(&known, hex(&Sha256::digest(&data)))?;
    }
    let bus = sata_bus(machine);
    for (id, file, device) in [
        ("disk0", &full, format!("ide-hd,drive=disk0,bus={bus}")),
        ("disk1", &empty, "virtio-blk-pci,drive=disk1".into()),
    ] {
        let drive = format!("file={},if=none,id={id},format=raw,snapshot=on", file.display());
        machine.extra.extend(["-drive".into(), drive, "-device".into(), device]);
    }
    Ok(format!("disk_hash={}", std::fs::read_to_string(&known)?))
}

/// The bus for SATA disks; the older machine type gets its controller here.
fn sata_bus(machine: &mut Machine) -> &'static str {
    if machine.machine.starts_with("pc") {
        machine.extra.extend(["-device".into(), "ahci,id=ahci".into()]);
        "ahci.0"
    } else {
        "ide.0"
    }
}

/// Adds one SATA disk of noise.
pub fn add_disk(machine: &mut Machine) -> Result<()> {
    let (file, _) = noise_disk()?;
    let drive = format!("file={},if=none,id=disk0,format=raw,snapshot=on", file.display());
    let device = format!("ide-hd,drive=disk0,bus={}", sata_bus(machine));
    machine.extra.extend(["-drive".into(), drive, "-device".into(), device]);
    Ok(())
}

/// A file of noise for disks, and the hash of what is in it.
fn noise_disk() -> Result<(PathBuf, String)> {
    let data = server::noise(DISK);
    let file = places::cache()?.join("images/disk.raw");
    if std::fs::metadata(&file).map(|found| found.len()).ok() != Some(DISK as u64) {
        std::fs::create_dir_all(places::cache()?.join("images"))?;
        std::fs::write(&file, &data)?;
    }
    Ok((file, hex(&Sha256::digest(&data))))
}

/// Adds one disk on each of three controllers; gives back the kernel words that tell the expected hash.
pub fn add_disks(machine: &mut Machine) -> Result<String> {
    let (file, hash) = noise_disk()?;
    let drive = |id: &str| format!("file={},if=none,id={id},format=raw,snapshot=on", file.display());
    let bus = sata_bus(machine);
    for (id, device) in [
        ("disk0", format!("ide-hd,drive=disk0,bus={bus}")),
        ("disk1", "nvme,drive=disk1,serial=xenolith".into()),
        ("disk2", "virtio-blk-pci,drive=disk2".into()),
    ] {
        machine.extra.extend(["-drive".into(), drive(id), "-device".into(), device]);
    }
    Ok(format!("disk_hash={hash}"))
}

/// Adds two network cards and a server behind them; gives back the kernel words that tell port and hash.
pub fn add_network(machine: &mut Machine) -> Result<String> {
    let data = Arc::new(server::noise(FILE));
    let hash = hex(&Sha256::digest(data.as_slice()));
    let port = server::serve(data)?;
    for (id, subnet, device) in [("net0", "10.0.2.0/24", "e1000e"), ("net1", "10.0.3.0/24", "virtio-net-pci")] {
        machine.extra.extend([
            "-netdev".into(),
            format!("user,id={id},net={subnet}"),
            "-device".into(),
            format!("{device},netdev={id},romfile="),
        ]);
    }
    Ok(format!("net_port={port} net_hash={hash}"))
}
