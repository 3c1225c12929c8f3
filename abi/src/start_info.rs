//! What a PV guest finds at its start. Source: Xen public header `xen.h`.

use crate::{
    MachineAddress, Mfn, Pfn,
    layout::{constants, numbers, wire},
};

numbers! {
    /// Flags of [`StartInfo`]; bits 15:8 are power-management options ([`StartFlags::PM_MASK`]).
    pub struct StartFlags(u32) {
        PRIVILEGED = 1 << 0, "SIF_PRIVILEGED";
        INITDOMAIN = 1 << 1, "SIF_INITDOMAIN";
        MULTIBOOT_MOD = 1 << 2, "SIF_MULTIBOOT_MOD";
        MOD_START_PFN = 1 << 3, "SIF_MOD_START_PFN";
        VIRT_P2M_4TOOLS = 1 << 4, "SIF_VIRT_P2M_4TOOLS";
        PM_MASK = 0xFF00, "SIF_PM_MASK";
    }

    /// Kind of console Xen left on the screen.
    pub struct VideoType(u8) {
        TEXT_MODE_3 = 0x03, "XEN_VGATYPE_TEXT_MODE_3";
        VESA_LFB = 0x23, "XEN_VGATYPE_VESA_LFB";
        EFI_LFB = 0x70, "XEN_VGATYPE_EFI_LFB";
    }
}

constants! {
    /// Bytes of a PV guest's command line, NUL included.
    pub const MAX_GUEST_CMDLINE: usize = 1024, "MAX_GUEST_CMDLINE";
}

wire! {
    /// The start info page, whose address is in rsi at entry.
    pub struct StartInfo = "struct start_info", 1168 {
        /// "xen-3.0-x86_64", NUL-padded.
        pub magic: [u8; 32] = "magic",
        /// Pages of the domain.
        pub pages: u64 = "nr_pages",
        /// The shared page.
        pub shared_info: MachineAddress = "shared_info",
        /// What the domain is.
        pub flags: StartFlags = "flags",
        /// Padding.
        pub reserved0: u32 = "",
        /// Xenstore ring; 0 for dom0.
        pub store_mfn: Mfn = "store_mfn",
        /// Xenstore port; 0 for dom0.
        pub store_port: u32 = "store_evtchn",
        /// Padding.
        pub reserved1: u32 = "",
        /// domU: MFN of the console ring. dom0: offset of [`Dom0ConsoleInfo`] in the low, its size in the high half.
        pub console: u64 = "console.domU.mfn",
        /// domU: port of the console.
        pub console_port: u32 = "console.domU.evtchn",
        /// Padding.
        pub reserved2: u32 = "",
        /// Virtual address of the L4.
        pub pt_base: u64 = "pt_base",
        /// Frames of the initial page tables.
        pub pt_frames: u64 = "nr_pt_frames",
        /// Virtual address of the P2M.
        pub mfn_list: u64 = "mfn_list",
        /// Virtual address (or PFN, see the flags) of the initial ramdisk.
        pub module_start: u64 = "mod_start",
        /// Its bytes.
        pub module_len: u64 = "mod_len",
        /// NUL-terminated text.
        pub command_line: [u8; 1024] = "cmd_line",
        /// First PFN that holds the P2M, if it lies outside the initial mapping.
        pub first_p2m_pfn: Pfn = "first_p2m_pfn",
        /// Frames of it.
        pub p2m_frames: u64 = "nr_p2m_frames",
    }

    /// Entry of a list of modules packed as one.
    pub struct MultibootModule = "struct xen_multiboot_mod_list", 16 {
        /// First byte.
        pub start: u32 = "mod_start",
        /// Last byte.
        pub end: u32 = "mod_end",
        /// Its command line.
        pub command_line: u32 = "cmdline",
        /// Must be 0.
        pub reserved: u32 = "pad",
    }

    /// The screen as dom0 inherits it, in the linear-framebuffer form.
    pub struct Dom0ConsoleInfo = "struct dom0_vga_console_info", 40 {
        /// Which form.
        pub video_type: VideoType = "video_type",
        /// Padding.
        pub reserved0: [u8; 3] = "",
        /// Pixels.
        pub width: u16 = "u.vesa_lfb.width",
        /// Pixels.
        pub height: u16 = "u.vesa_lfb.height",
        /// Bytes from line to line.
        pub bytes_per_line: u16 = "u.vesa_lfb.bytes_per_line",
        /// Bits of a pixel.
        pub bits_per_pixel: u16 = "u.vesa_lfb.bits_per_pixel",
        /// Address, low half.
        pub base: u32 = "u.vesa_lfb.lfb_base",
        /// Units of 64 KiB.
        pub size: u32 = "u.vesa_lfb.lfb_size",
        /// Bit position.
        pub red_position: u8 = "u.vesa_lfb.red_pos",
        /// Bits.
        pub red_size: u8 = "u.vesa_lfb.red_size",
        /// Bit position.
        pub green_position: u8 = "u.vesa_lfb.green_pos",
        /// Bits.
        pub green_size: u8 = "u.vesa_lfb.green_size",
        /// Bit position.
        pub blue_position: u8 = "u.vesa_lfb.blue_pos",
        /// Bits.
        pub blue_size: u8 = "u.vesa_lfb.blue_size",
        /// Bit position.
        pub reserved_position: u8 = "u.vesa_lfb.rsvd_pos",
        /// Bits.
        pub reserved_size: u8 = "u.vesa_lfb.rsvd_size",
        /// VESA capabilities.
        pub capabilities: u32 = "u.vesa_lfb.gbl_caps",
        /// VESA mode attributes.
        pub mode_attributes: u16 = "u.vesa_lfb.mode_attrs",
        /// Padding.
        pub reserved1: u16 = "u.vesa_lfb.pad",
        /// Address, high half.
        pub base_high: u32 = "u.vesa_lfb.ext_lfb_base",
    }

    /// The screen as dom0 inherits it, in the text-mode form.
    pub struct Dom0TextConsoleInfo = "struct dom0_vga_console_info", 40 {
        /// [`VideoType::TEXT_MODE_3`].
        pub video_type: VideoType = "video_type",
        /// Padding.
        pub reserved0: [u8; 3] = "",
        /// Pixels.
        pub font_height: u16 = "u.text_mode_3.font_height",
        /// Column.
        pub cursor_x: u16 = "u.text_mode_3.cursor_x",
        /// Row.
        pub cursor_y: u16 = "u.text_mode_3.cursor_y",
        /// Rows.
        pub rows: u16 = "u.text_mode_3.rows",
        /// Columns.
        pub columns: u16 = "u.text_mode_3.columns",
        /// Padding.
        pub reserved1: [u8; 26] = "",
    }
}

impl StartInfo {
    /// The dom0 form of [`StartInfo::console`].
    pub const fn dom0_console(offset: u32, size: u32) -> u64 {
        offset as u64 | (size as u64) << 32
    }
}
