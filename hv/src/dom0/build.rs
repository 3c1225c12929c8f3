//! The construction of dom0, step by step.
//!
//! Context: boot CPU, on its own stack, all CPUs up, no guest runs yet. A failure leaves a half-built domain that never
//! runs: the caller stops the machine.

use core::sync::atomic::Ordering::Relaxed;

use abi::{DomainId, vm_assist};
use guest_image::PaeMode;

use super::{
    Dom0Error, amount,
    image::{self, Loaded},
    placement::{Placement, Run},
    report, rights, start_info, tables, vcpus,
};
use crate::{
    boot::loader::LoaderInfo,
    domain::{Domain, NewId},
    memory::window,
    platform::pci,
    serve::hypercall_page,
};

/// Builds dom0 from the modules of the boot loader: the kernel first, then its initrd. Its vCPU 0 is ready and down.
pub fn build(info: &LoaderInfo) -> Result<&'static Domain, Dom0Error> {
    let mut modules = info.modules();
    let kernel = modules.next().ok_or(Dom0Error::NoKernel)?;
    let initrd = modules.next().filter(|module| module.length != 0);
    let domain = make_record(info)?;
    let frames = amount::frames(info);
    domain.memory.set_maximum(frames.maximum);

    let mut placement = Placement::new(domain)?;
    let loaded = image::load(kernel, initrd, frames.initial, &mut placement)?;
    report::print(&loaded, &placement, initrd);
    amount::release_modules(info);
    give_memory(&loaded, &mut placement)?;

    let root = tables::fill(&loaded.layout, &placement)?;
    let page = placement.mfn(loaded.layout.start_info_pfn)?;
    start_info::write(page, domain, &loaded, info, (kernel, initrd));
    if let Some(address) = loaded.hypercall_page {
        write_hypercall_page(&loaded, &placement, address)?;
    }
    if matches!(loaded.pae, PaeMode::ExtendedCr3 | PaeMode::Bimodal) {
        // Nothing depends on it for a 64-bit guest, but it shows in the features that the guest is told of.
        domain.enable_assist(vm_assist::Assist::PAE_EXTENDED_CR3.0);
    }
    tables::adopt(root, domain.id)?;
    vcpus::start_first(domain, &loaded, root)?;
    log::info!("Dom0 has maximum {} VCPUs", domain.vcpus().len());
    Ok(domain)
}

/// The domain as everybody knows it, before it has a frame: frames are typed with the help of its record.
fn make_record(info: &LoaderInfo) -> Result<&'static Domain, Dom0Error> {
    let wanted = amount::new_domain();
    log::info!("d0 has maximum {} PIRQs", wanted.pirqs);
    log::info!("*** Building a PV Dom0 ***");
    let id = NewId::chosen(DomainId(0)).map_err(Dom0Error::Record)?;
    let record = Domain::create(id, wanted).map_err(Dom0Error::Record)?;
    let domain = record.domain();
    domain.make_vcpus().map_err(Dom0Error::Record)?;
    rights::restrict(&domain.rights, info);
    domain.interrupts.permit_all_lines();
    if pci::protect_windows(&domain.rights).is_err() {
        log::warn!("No room to remember all configuration windows; dom0 can write to some of them.");
    }
    vcpus::place(domain);
    Ok(record.publish())
}

/// The frames behind the layout, and the p2m list of all.
fn give_memory(loaded: &Loaded, placement: &mut Placement) -> Result<(), Dom0Error> {
    let list = loaded.layout.p2m.pages.first;
    for run in placement.runs() {
        set_list(placement, list, *run)?;
    }
    let rest = loaded.layout.rest;
    placement.add_rest(rest.first, rest.count, |placement, run| set_list(placement, list, run))?;
    placement.free_spare();
    Ok(())
}

/// Writes a run's entries into the p2m list, whose first frame is `list`.
fn set_list(placement: &Placement, list: u64, run: Run) -> Result<(), Dom0Error> {
    const ENTRIES: u64 = 512;
    let end = run.pfn + run.count;
    let mut pfn = run.pfn;
    while pfn < end {
        let words = window::words(placement.mfn(list + pfn / ENTRIES)?);
        let page_end = end.min((pfn / ENTRIES + 1) * ENTRIES);
        for (word, pfn) in words.iter().skip((pfn % ENTRIES) as usize).zip(pfn..page_end) {
            word.store(run.mfn + (pfn - run.pfn), Relaxed);
        }
        pfn = page_end;
    }
    Ok(())
}

fn write_hypercall_page(loaded: &Loaded, placement: &Placement, address: u64) -> Result<(), Dom0Error> {
    if !address.is_multiple_of(4096) {
        return Err(Dom0Error::HypercallPage(address));
    }
    hypercall_page::fill(placement.mfn((address - loaded.layout.virt_start) >> 12)?);
    Ok(())
}
