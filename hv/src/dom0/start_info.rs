//! The page that dom0's kernel finds at its start: `start_info` and the state of the screen.
//!
//! Source: Xen public header `xen.h`; reference inventory §3.3; the BIOS data area for the screen.

use abi::{
    Mfn, Pfn,
    start_info::{Dom0TextConsoleInfo, StartFlags, StartInfo, VideoType},
};
use boot_options::{Dom0LineInput, dom0_line};
use guest_image::Initrd;
use zerocopy::IntoBytes;

use super::image::Loaded;
use crate::{
    boot::{
        loader::{LoaderInfo, Module},
        options,
    },
    domain::Domain,
    memory::window,
};

const MAGIC: &[u8] = b"xen-3.0-x86_64";
/// The console's description follows the structure.
const CONSOLE_OFFSET: usize = size_of::<StartInfo>();

/// Writes the page into `frame`.
pub fn write(
    frame: Mfn,
    domain: &Domain,
    loaded: &Loaded,
    info: &LoaderInfo,
    (kernel, initrd): (&Module, Option<&Module>),
) {
    let layout = &loaded.layout;
    let mut page = StartInfo::default();
    let suffix: &[u8] = if loaded.pae.is_present() { b"p" } else { b"" };
    for (to, from) in page.magic.iter_mut().zip(MAGIC.iter().chain(suffix)) {
        *to = *from;
    }
    page.pages = loaded.frames;
    page.shared_info = domain.shared_page.frame().address();
    page.flags = StartFlags::PRIVILEGED.with(StartFlags::INITDOMAIN);
    if matches!(layout.initrd, Initrd::Unmapped { .. }) {
        page.flags = page.flags.with(StartFlags::MOD_START_PFN);
    }
    page.pt_base = layout.address_of(layout.tables.first_pfn);
    page.pt_frames = layout.tables.count;
    page.mfn_list = layout.p2m.address;
    page.module_start = layout.mod_start();
    page.module_len = initrd.map_or(0, |module| module.length);
    page.first_p2m_pfn = Pfn(layout.p2m_frames().first);
    page.p2m_frames = layout.p2m_frames().count;
    let line = Dom0LineInput {
        module: options::module_line(info, kernel),
        extra: options::for_dom0(),
        io_apic: true,
        acpi: options::get().acpi,
    };
    dom0_line(&line, &mut page.command_line);
    if let Some(console) = text_screen() {
        page.console = StartInfo::dom0_console(CONSOLE_OFFSET as u32, size_of::<Dom0TextConsoleInfo>() as u32);
        window::write_bytes(frame, CONSOLE_OFFSET, console.as_bytes());
    }
    window::write_bytes(frame, 0, page.as_bytes());
}

/// The VGA text screen, if the BIOS has set one up. Machines without BIOS or VGA have no text mode in the data area.
fn text_screen() -> Option<Dom0TextConsoleInfo> {
    const DATA_AREA: u64 = 0x400;
    const MODE: usize = 0x49;
    const COLUMNS: usize = 0x4A;
    const LAST_ROW: usize = 0x84;
    const FONT_HEIGHT: usize = 0x85;
    const COLOUR_TEXT: u8 = 3;
    const USUAL_ROWS: u8 = 25;
    const USUAL_FONT: u8 = 16;
    let mut area = [0_u8; 0x100];
    window::read_physical(DATA_AREA, &mut area);
    let byte = |offset: usize| area.get(offset).copied().unwrap_or(0);
    if byte(MODE) != COLOUR_TEXT || byte(COLUMNS) == 0 {
        return None;
    }
    let or = |value: u8, usual: u8| u16::from(if value == 0 { usual } else { value });
    let rows = or(byte(LAST_ROW).saturating_add(u8::from(byte(LAST_ROW) != 0)), USUAL_ROWS);
    Some(Dom0TextConsoleInfo {
        video_type: VideoType::TEXT_MODE_3,
        font_height: or(byte(FONT_HEIGHT), USUAL_FONT),
        // Below our own messages, which scroll up.
        cursor_x: 0,
        cursor_y: rows - 1,
        rows,
        columns: u16::from(byte(COLUMNS)),
        ..Dom0TextConsoleInfo::default()
    })
}
