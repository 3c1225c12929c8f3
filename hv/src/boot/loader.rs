//! What the boot loader tells us: memory map, modules, command line; multiboot 1 or 2, one result.
//!
//! Everything is copied out at once, so that nothing depends on where the loader put it. Sources: multiboot 1
//! specification §3.3, multiboot 2 specification §3.6 (by the `multiboot2` crate).

use crate::memory::window;

/// Most memory-map entries, modules and command-line bytes that are kept; more is reported and dropped.
pub const MAX_REGIONS: usize = 128;
const MAX_MODULES: usize = 16;
const MAX_COMMAND_LINE: usize = 1024;

/// A range of the memory map; `kind` is the E820 type, 1 for usable memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// E820 type.
    pub kind: u32,
}

/// A text of limited length.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; MAX_COMMAND_LINE],
    length: usize,
}

impl Text {
    const EMPTY: Text = Text { bytes: [0; MAX_COMMAND_LINE], length: 0 };

    fn copy_from(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        for (slot, &byte) in text.bytes.iter_mut().zip(bytes) {
            *slot = byte;
            text.length += 1;
        }
        text
    }

    /// The text; bytes that are not UTF-8 end it.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_else(|error| {
            core::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        })
    }
}

/// A file the loader put into memory.
#[derive(Clone, Copy)]
pub struct Module {
    /// First byte, physical.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// The module's own command line.
    pub text: Text,
}

/// All that is kept of the loader's information.
pub struct LoaderInfo {
    /// Memory map in the loader's order.
    pub regions: [Region; MAX_REGIONS],
    /// Entries of `regions` in use.
    pub region_count: usize,
    modules: [Option<Module>; MAX_MODULES],
    /// Our own command line as it was passed; some loaders put the image's name first.
    pub command_line: Text,
    /// What the loader calls itself; empty when it does not say.
    pub loader_name: Text,
    /// Which protocol the loader spoke.
    pub protocol: &'static str,
}

const MULTIBOOT1_MAGIC: u32 = 0x2BAD_B002;
const MULTIBOOT2_MAGIC: u32 = 0x36D7_6289;

impl LoaderInfo {
    /// Modules in the loader's order: dom0's kernel first, then its initrd.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().flatten()
    }

    /// The memory map.
    pub fn regions(&self) -> &[Region] {
        self.regions.get(..self.region_count).unwrap_or_default()
    }

    /// Forgets all usable memory from `limit` bytes on.
    pub fn limit_memory(&mut self, limit: u64) {
        const USABLE: u32 = 1;
        for region in self.regions.iter_mut().filter(|region| region.kind == USABLE) {
            region.length = region.length.min(limit.saturating_sub(region.start));
        }
    }

    fn empty(protocol: &'static str) -> Self {
        Self {
            regions: [Region::default(); MAX_REGIONS],
            region_count: 0,
            modules: [None; MAX_MODULES],
            command_line: Text::EMPTY,
            loader_name: Text::EMPTY,
            protocol,
        }
    }

    fn add_region(&mut self, region: Region) {
        if let Some(slot) = self.regions.get_mut(self.region_count) {
            *slot = region;
            self.region_count += 1;
        }
    }

    fn add_module(&mut self, module: Module) {
        if let Some(slot) = self.modules.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(module);
        }
    }
}

/// Reads the loader's information block. `None` when `magic` is neither protocol's.
pub fn read(magic: u32, information: u32) -> Option<LoaderInfo> {
    match magic {
        MULTIBOOT1_MAGIC => Some(read_multiboot1(u64::from(information))),
        MULTIBOOT2_MAGIC => read_multiboot2(u64::from(information)),
        _ => None,
    }
}

fn word(physical: u64) -> u32 {
    let mut bytes = [0; 4];
    window::read_physical(physical, &mut bytes);
    u32::from_le_bytes(bytes)
}

fn long(physical: u64) -> u64 {
    u64::from(word(physical)) | u64::from(word(physical + 4)) << 32
}

fn read_text(physical: u64) -> Text {
    let mut bytes = [0; MAX_COMMAND_LINE];
    if physical != 0 {
        window::read_physical(physical, &mut bytes);
    }
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(MAX_COMMAND_LINE - 1);
    Text::copy_from(bytes.get(..length).unwrap_or_default())
}

fn read_multiboot1(information: u64) -> LoaderInfo {
    const HAS_COMMAND_LINE: u32 = 1 << 2;
    const HAS_MODULES: u32 = 1 << 3;
    const HAS_MEMORY_MAP: u32 = 1 << 6;
    const HAS_LOADER_NAME: u32 = 1 << 9;
    let mut info = LoaderInfo::empty("multiboot 1");
    let flags = word(information);
    if flags & HAS_COMMAND_LINE != 0 {
        info.command_line = read_text(u64::from(word(information + 16)));
    }
    if flags & HAS_LOADER_NAME != 0 {
        info.loader_name = read_text(u64::from(word(information + 64)));
    }
    if flags & HAS_MODULES != 0 {
        let (count, table) = (word(information + 20), u64::from(word(information + 24)));
        for index in 0..u64::from(count) {
            let entry = table + 16 * index;
            let (start, end) = (u64::from(word(entry)), u64::from(word(entry + 4)));
            info.add_module(Module {
                start,
                length: end.saturating_sub(start),
                text: read_text(u64::from(word(entry + 8))),
            });
        }
    }
    if flags & HAS_MEMORY_MAP != 0 {
        let (length, table) = (u64::from(word(information + 44)), u64::from(word(information + 48)));
        let mut position = 0;
        while position + 24 <= length {
            let entry = table + position;
            info.add_region(Region { start: long(entry + 4), length: long(entry + 12), kind: word(entry + 20) });
            position += u64::from(word(entry)) + 4;
        }
    }
    info
}

fn read_multiboot2(information: u64) -> Option<LoaderInfo> {
    let length = word(information) as usize;
    let bytes = window::module_bytes(information, length);
    let tags = multiboot2_tags(bytes)?;
    let mut info = LoaderInfo::empty("multiboot 2");
    if let Some(tag) = tags.command_line_tag() {
        info.command_line = Text::copy_from(tag.cmdline().unwrap_or_default().as_bytes());
    }
    if let Some(tag) = tags.boot_loader_name_tag() {
        info.loader_name = Text::copy_from(tag.name().unwrap_or_default().as_bytes());
    }
    for tag in tags.module_tags() {
        info.add_module(Module {
            start: u64::from(tag.start_address()),
            length: u64::from(tag.module_size()),
            text: Text::copy_from(tag.cmdline().unwrap_or_default().as_bytes()),
        });
    }
    if let Some(map) = tags.memory_map_tag() {
        for area in map.memory_areas() {
            info.add_region(Region { start: area.start_address(), length: area.size(), kind: u32::from(area.typ()) });
        }
    }
    Some(info)
}

fn multiboot2_tags(bytes: &'static [u8]) -> Option<multiboot2::BootInformation<'static>> {
    window::multiboot2(bytes)
}
