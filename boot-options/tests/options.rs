//! Every option in every form; what is not understood is named, and nothing stops the boot.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test stops there")]

use boot_options::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn parse(line: &str) -> (BootOptions<'_>, Vec<String>) {
    let mut warnings = Vec::new();
    let options = BootOptions::parse(line, |warning| warnings.push(warning.to_string()));
    (options, warnings)
}

/// Options of a line that has nothing to complain about.
fn good(line: &str) -> BootOptions<'_> {
    let (options, warnings) = parse(line);
    assert_eq!(warnings, Vec::<String>::new(), "{line}");
    options
}

/// The only complaint about a line.
fn complaint(line: &str) -> String {
    let (_, warnings) = parse(line);
    assert_eq!(warnings.len(), 1, "{line}: {warnings:?}");
    warnings[0].clone()
}

fn bad(name: &str, value: &str) -> String {
    format!("command line option \"{name}\": bad value \"{value}\" ignored")
}

#[test]
fn an_empty_line_gives_the_defaults() {
    for line in ["", " ", "   \t "] {
        assert_eq!(good(line), BootOptions::DEFAULT);
    }
    let defaults = BootOptions::DEFAULT;
    assert_eq!((defaults.grants.max_frames, defaults.grants.max_maptrack_frames), (64, 1024));
    assert!(defaults.console.devices.vga && defaults.console.devices.com1 && !defaults.console.devices.com2);
    assert_eq!(defaults.cpu.watchdog_seconds, 5);
    assert!(defaults.cpu.smt && defaults.cpu.x2apic && defaults.cpu.io_apic && !defaults.cpu.watchdog);
}

#[test]
fn loaders_differ_in_the_first_word() {
    let line = CommandLine::new("/boot/xenolith.gz loglvl=all -- quiet splash", "qemu");
    assert_eq!(line, CommandLine { options: "loglvl=all", for_dom0: "quiet splash" });
    let line = CommandLine::new("  loglvl=all smt=off", "GRUB 2.06-13+deb12u1");
    assert_eq!(line, CommandLine { options: "loglvl=all smt=off", for_dom0: "" });
    let line = CommandLine::new("/xen.gz a  --   b -- c", "GNU GRUB 0.97");
    assert_eq!(line, CommandLine { options: "a ", for_dom0: "b -- c" });
    assert_eq!(CommandLine::new("xenolith.elf", ""), CommandLine { options: "", for_dom0: "" });
    assert_eq!(CommandLine::new("", "").options, "");
    assert_eq!(CommandLine::new("x smt --", "").options, "smt --", "no space behind: not the separator");
    assert_eq!(CommandLine::without_image_name("vmlinuz root=/dev/sda1 ro", "qemu"), "root=/dev/sda1 ro");
}

#[test]
fn truth_values_in_all_spellings() {
    for (text, expected) in [
        ("smt", true),
        ("smt=1", true),
        ("smt=on", true),
        ("smt=yes", true),
        ("smt=true", true),
        ("smt=enable", true),
        ("smt=", true),
        ("no-smt", false),
        ("smt=0", false),
        ("smt=off", false),
        ("smt=no", false),
        ("smt=false", false),
        ("smt=disable", false),
        ("no-smt=off", true),
        ("no-smt=on", false),
        ("smt=off smt", true),
        ("smt smt=off", false),
    ] {
        assert_eq!(good(text).cpu.smt, expected, "{text}");
    }
    assert_eq!(complaint("smt=maybe"), bad("smt", "maybe"));
    assert_eq!(complaint("smt=ON"), bad("smt", "ON"), "case matters");
    assert!(parse("smt=maybe").0.cpu.smt, "a bad value changes nothing");
}

#[test]
fn hyphens_and_underscores_are_the_same_in_names() {
    assert!(!good("pv_linear_pt=off").pv_linear_tables);
    assert!(!good("no-pv-linear-pt").pv_linear_tables);
    assert_eq!(good("gnttab-max_frames=7").grants.max_frames, 7);
    assert!(good("dom0-vcpus-pin").dom0_vcpus_pin);
}

#[test]
fn dom0_mem_in_all_forms() {
    // 8 GiB.
    let available = 2 * 1024 * 1024;
    let pages = |line: &'static str| good(line).dom0_memory.pages(available);
    let mib = |count: u64| count * MIB / 4096;
    for (line, initial, max) in [
        ("", available - mib(128), None),
        ("dom0_mem=524288", mib(512), None),
        ("dom0_mem=512M", mib(512), None),
        ("dom0_mem=0x200m", mib(512), None),
        ("dom0_mem=1G", mib(1024), None),
        ("dom0_mem=536870912B", mib(512), None),
        ("dom0_mem=524288k", mib(512), None),
        ("dom0_mem=1T", available, None),
        ("dom0_mem=-1G", mib(7 * 1024), None),
        ("dom0_mem=-9G", available - mib(128), None),
        ("dom0_mem=25%", mib(2048), None),
        ("dom0_mem=100%", available, None),
        ("dom0_mem=1G+25%", mib(3072), None),
        ("dom0_mem=-1G+25%", mib(8192 - 3072), None),
        ("dom0_mem=-25%", mib(6144), None),
        ("dom0_mem=max:1G", mib(1024), Some(mib(1024))),
        ("dom0_mem=512M,max:1G", mib(512), Some(mib(1024))),
        ("dom0_mem=max:1G,512M", mib(512), Some(mib(1024))),
        ("dom0_mem=512M,max:512M", mib(512), Some(mib(512))),
        ("dom0_mem=2G,max:1G", mib(1024), Some(mib(1024))),
        ("dom0_mem=min:2G,1G", mib(2048), None),
        ("dom0_mem=min:1G,512M,max:4G", mib(1024), Some(mib(4096))),
        ("dom0_mem=min:3G,1G,max:2G", mib(2048), Some(mib(2048))),
        ("dom0_mem=512M,max:-1G", mib(512), Some(mib(7 * 1024))),
        ("dom0_mem=max:50%", mib(4096), Some(mib(4096))),
        ("dom0_mem=1G dom0_mem=512M", mib(512), None),
        ("dom0_mem=max:2G dom0_mem=512M", mib(512), Some(mib(2048))),
        ("dom0_mem=512M,max:2G dom0_mem=max:1G", mib(512), Some(mib(1024))),
        ("dom0_mem=min:1G dom0_mem=512M,max:3G dom0_mem=700M", mib(1024), Some(mib(3072))),
        ("dom0_mem=0", available - mib(128), None),
    ] {
        assert_eq!(pages(line), Dom0Pages { initial, max }, "{line}");
    }
    // Small machines keep a sixteenth.
    assert_eq!(Dom0Memory::default().pages(65_536).initial, 65_536 - 4096);
    assert_eq!(Dom0Memory::default().pages(0), Dom0Pages { initial: 0, max: None });
    for (line, value) in [
        ("dom0_mem=lots", "lots"),
        ("dom0_mem=", ""),
        ("dom0_mem=1G,mid:2G", "mid:2G"),
        ("dom0_mem=101%", "101%"),
        ("dom0_mem=1G+", "1G+"),
        ("dom0_mem=1G+5", "1G+5"),
        ("dom0_mem=5%+1G", "5%+1G"),
        ("dom0_mem=1GB", "1GB"),
        ("dom0_mem=--1G", "--1G"),
        ("dom0_mem=max:", "max:"),
        ("dom0_mem=99999999999T", "99999999999T"),
    ] {
        assert_eq!(complaint(line), bad("dom0_mem", value), "{line}");
    }
    assert_eq!(parse("dom0_mem=x,max:1G").0.dom0_memory.pages(available).max, Some(mib(1024)), "the good part counts");
}

#[test]
fn dom0_max_vcpus_in_all_forms() {
    let count = |line: &'static str, cpus| good(line).dom0_vcpus.count(cpus, 64);
    assert_eq!((count("", 4), count("", 100)), (4, 64));
    assert_eq!((count("dom0_max_vcpus=2", 4), count("dom0_max_vcpus=8", 4)), (2, 8));
    for (cpus, expected) in [(1, 2), (3, 3), (9, 4)] {
        assert_eq!(count("dom0_max_vcpus=2-4", cpus), expected);
    }
    assert_eq!((count("dom0_max_vcpus=-4", 9), count("dom0_max_vcpus=-4", 1)), (4, 1));
    assert_eq!((count("dom0_max_vcpus=4-", 9), count("dom0_max_vcpus=4-", 1)), (9, 4));
    assert_eq!((count("dom0_max_vcpus=0", 4), count("dom0_max_vcpus=1000", 4)), (1, 64));
    for (line, value) in [
        ("dom0_max_vcpus=", ""),
        ("dom0_max_vcpus=-", "-"),
        ("dom0_max_vcpus=two", "two"),
        ("dom0_max_vcpus=1-x", "x"),
        ("dom0_max_vcpus=1-2-3", "2-3"),
    ] {
        assert_eq!(complaint(line), bad("dom0_max_vcpus", value));
    }
}

#[test]
fn console_devices() {
    let devices = |line: &'static str| {
        let Devices { vga, com1, com2 } = good(line).console.devices;
        (vga, com1, com2)
    };
    assert_eq!(devices("console=com1"), (false, true, false));
    assert_eq!(devices("console=vga,com2"), (true, false, true));
    assert_eq!(devices("console=com1H,com2L,vga"), (true, true, true));
    assert_eq!(devices("console=none"), (false, false, false));
    assert_eq!(devices("console=vga console=com1"), (false, true, false));
    assert_eq!(complaint("console=com1,xhci"), bad("console", "xhci"));
    assert!(parse("console=xhci,com1").0.console.devices.com1);
    assert!(good("vga=text-80x25,keep").console.keeps_vga && !good("vga=current").console.keeps_vga);
    assert_eq!(complaint("vga=big"), bad("vga", "big"));
}

#[test]
fn serial_ports() {
    let port = good("com1=115200,8n1").console.com1;
    assert_eq!((port.is_given, port.baud, port.clock_hz), (true, Some(115_200), 1_843_200));
    assert_eq!((port.data_bits, port.parity, port.stop_bits), (8, Parity::None, 1));
    assert_eq!((port.io_base, port.irq), (0x3f8, 4));
    let port = good("com2=9600/230400,7e2,0xe000,17").console.com2;
    assert_eq!((port.baud, port.clock_hz, port.io_base, port.irq), (Some(9600), 230_400 * 16, 0xe000, 17));
    assert_eq!((port.data_bits, port.parity, port.stop_bits), (7, Parity::Even, 2));
    let port = good("com1=auto").console.com1;
    assert_eq!((port.is_given, port.baud), (true, None));
    let port = good("com1=38400,,0x3e8").console.com1;
    assert_eq!((port.baud, port.io_base, port.irq), (Some(38_400), 0x3e8, 4));
    let port = good("com1=baud=57600,parity=o,stop-bits=2,data-bits=5,irq=0,io-base=0x100,clock-hz=1000").console.com1;
    assert_eq!((port.baud, port.parity, port.stop_bits, port.data_bits), (Some(57_600), Parity::Odd, 2, 5));
    assert_eq!((port.irq, port.io_base, port.clock_hz), (0, 0x100, 1000));
    assert_eq!(good("com1=115200 com1=irq=3").console.com1.baud, Some(115_200), "repeated options add up");
    assert!(!good("").console.com1.is_given);
    for (line, value) in [
        ("com1=fast", "fast"),
        ("com1=0", "0"),
        ("com1=115200,9n1", "9n1"),
        ("com1=115200,8n", "8n"),
        ("com1=115200,8é", "8é"),
        ("com1=115200,8n1,pci", "pci"),
        ("com1=1,8n1,1,1,1", "1"),
        ("com1=parity=x", "parity=x"),
        ("com1=colour=red", "colour=red"),
        ("com1=1/x", "1/x"),
    ] {
        let expected = bad("com1", &value.escape_default().to_string());
        assert_eq!(complaint(line), expected);
    }
}

#[test]
fn log_levels() {
    use LogLevel::*;
    let levels = |line: &'static str| {
        let console = good(line).console;
        ((console.log.always, console.log.limited), (console.guest_log.always, console.guest_log.limited))
    };
    assert_eq!(levels(""), ((Warning, Warning), (None, Warning)));
    assert_eq!(levels("loglvl=all guest_loglvl=all"), ((Debug, Debug), (Debug, Debug)));
    assert_eq!(levels("loglvl=error/info guest_loglvl=none/error"), ((Error, Info), (None, Error)));
    assert_eq!(levels("loglvl=info/error").0, (Info, Info), "the limit is never below");
    assert_eq!(levels("loglvl=none loglvl=debug").0, (Debug, Debug));
    assert_eq!(complaint("loglvl=loud"), bad("loglvl", "loud"));
    assert_eq!(complaint("guest_loglvl=all/"), bad("guest_loglvl", "all/"));
    assert_eq!(complaint("loglvl"), bad("loglvl", ""));
}

#[test]
fn the_rest_of_the_console() {
    use Timestamps::*;
    for (line, expected) in [
        ("console_timestamps", Date),
        ("console_timestamps=date", Date),
        ("console_timestamps=datems", DateMilliseconds),
        ("console_timestamps=boot", Boot),
        ("console_timestamps=raw", Raw),
        ("console_timestamps=none", None),
        ("no-console_timestamps", None),
        ("console_timestamps=on", Date),
        ("console_timestamps=0", None),
    ] {
        assert_eq!(good(line).console.timestamps, expected, "{line}");
    }
    assert_eq!(complaint("console_timestamps=hourly"), bad("console_timestamps", "hourly"));
    assert_eq!(good("conring_size=64").console.ring_size, Some(65_536));
    assert_eq!(good("conring_size=1M").console.ring_size, Some(MIB));
    assert_eq!(complaint("conring_size=big"), bad("conring_size", "big"));
    let switch = |line: &'static str| (good(line).console.switch_letter, good(line).console.switches_to_dom0);
    assert_eq!(switch(""), (b'a', true));
    assert_eq!((switch("conswitch=b"), switch("conswitch=Cx")), ((b'b', true), (b'c', false)));
    for value in ["", "1", "ab", "abx"] {
        let line = format!("conswitch={value}");
        assert_eq!(complaint(&line), bad("conswitch", value));
    }
    assert!(good("sync_console").console.is_synchronous);
    assert!(good("console_to_ring").console.keeps_guest_output);
}

#[test]
fn restarts() {
    assert!(good("noreboot").reboot.stays_down && !good("noreboot=off").reboot.stays_down);
    for (line, method) in [
        ("reboot=t", RebootMethod::Triple),
        ("reboot=kbd", RebootMethod::Keyboard),
        ("reboot=a", RebootMethod::Acpi),
        ("reboot=pci", RebootMethod::Pci),
        ("reboot=P", RebootMethod::Power),
        ("reboot=efi", RebootMethod::Efi),
    ] {
        assert_eq!(good(line).reboot.method, Some(method), "{line}");
    }
    let reboot = good("reboot=k,warm").reboot;
    assert_eq!((reboot.method, reboot.is_warm), (Some(RebootMethod::Keyboard), true));
    assert!(!good("reboot=w,c").reboot.is_warm);
    assert!(good("reboot=n").reboot.stays_down);
    assert_eq!(complaint("reboot=z"), bad("reboot", "z"));
    assert_eq!(complaint("reboot="), bad("reboot", ""));
}

#[test]
fn cpus_and_clocks() {
    assert_eq!(good("maxcpus=4").cpu.max_cpus, Some(4));
    assert_eq!(good("nosmp").cpu.max_cpus, Some(1));
    assert_eq!(complaint("maxcpus=many"), bad("maxcpus", "many"));
    let watchdog = |line: &'static str| (good(line).cpu.watchdog, good(line).cpu.watchdog_seconds);
    assert_eq!(
        (watchdog("watchdog"), watchdog("watchdog=force"), watchdog("no-watchdog")),
        ((true, 5), (true, 5), (false, 5))
    );
    assert_eq!((watchdog("watchdog_timeout=9"), watchdog("watchdog watchdog_timeout=0")), ((true, 9), (false, 5)));
    assert!(!good("x2apic=off").cpu.x2apic);
    assert_eq!(good("x2apic_phys=1").cpu.x2apic_physical, Some(true));
    assert!(!good("noapic").cpu.io_apic && good("noapic").cpu.local_apic);
    assert!(!good("nolapic").cpu.local_apic && !good("no-lapic").cpu.local_apic);
    for (line, clock) in [
        ("clocksource=acpi", ClockSource::Acpi),
        ("clocksource=hpet", ClockSource::Hpet),
        ("clocksource=tsc", ClockSource::Tsc),
        ("clocksource=pit", ClockSource::Pit),
    ] {
        assert_eq!(good(line).cpu.clock_source, Some(clock));
    }
    assert_eq!(complaint("clocksource=sundial"), bad("clocksource", "sundial"));
    assert_eq!(good("nmi=fatal").cpu.nmi, NmiAction::Fatal);
    assert_eq!(complaint("nmi=loud"), bad("nmi", "loud"));
    assert_eq!((good("acpi=off").acpi, good("no-acpi").acpi, good("acpi=force").acpi), ("off", "off", "force"));
    assert_eq!(complaint("acpi=on"), bad("acpi", "on"));
    assert_eq!(good("mem=512M").memory_limit, Some(512 * MIB));
    assert_eq!(good("sched=credit2").scheduler, "credit2");
}

#[test]
fn the_version_to_answer_with() {
    assert_eq!((good("").minor_version, good("xen-version=4.20").minor_version), (None, Some(20)));
    for value in ["4.16", "4.23", "4.", "4", "5.17", "20", "", "4.20-rc", "4.020"] {
        assert_eq!(complaint(&format!("xen-version={value}")), bad("xen-version", value));
    }
}

#[test]
fn grant_tables() {
    let grants =
        good("gnttab_max_frames=32 gnttab_max_maptrack_frames=0x100 gnttab=max-ver:2,transitive,no-transfer").grants;
    assert_eq!((grants.max_frames, grants.max_maptrack_frames, grants.max_version), (32, 256, Some(2)));
    assert!(grants.transitive && !grants.transfer);
    let grants = good("gnttab=max-ver:1,transitive=off,transfer=yes").grants;
    assert_eq!((grants.max_version, grants.transitive, grants.transfer), (Some(1), false, true));
    for value in ["max-ver:3", "max-ver:0", "max-ver:", "transferx", "transfer=x", "on"] {
        assert_eq!(complaint(&format!("gnttab={value}")), bad("gnttab", value));
    }
    assert_eq!(complaint("gnttab_max_frames=-1"), bad("gnttab_max_frames", "-1"));
    assert_eq!(complaint("gnttab_max_frames=4294967296"), bad("gnttab_max_frames", "4294967296"));
}

#[test]
fn the_rest_is_named_once() {
    let (options, warnings) =
        parse("frobnicate=1 smt=off spec-ctrl=no xyzzy frobnicate=2 no-xyzzy spec_ctrl=yes ucode=scan");
    assert!(!options.cpu.smt);
    assert_eq!(
        warnings,
        [
            "unknown command line option \"frobnicate\" ignored",
            "command line option \"spec-ctrl\" has no effect here",
            "unknown command line option \"xyzzy\" ignored",
            "command line option \"ucode\" has no effect here",
        ]
    );
    assert_eq!(complaint("no-frobnicate"), "unknown command line option \"no-frobnicate\" ignored");
    assert_eq!(complaint("h\u{1b}[2Ji=1"), "unknown command line option \"h\\u{1b}[2Ji\" ignored");
    let qubes = "console=none dom0_mem=min:1024M dom0_mem=max:4096M ucode=scan smt=off gnttab_max_frames=2048 \
        gnttab_max_maptrack_frames=4096";
    assert_eq!(complaint(qubes), "command line option \"ucode\" has no effect here");
}

#[test]
fn dom0_gets_its_line() {
    let line = |module: &str, extra: &str, io_apic: bool, acpi: &str| {
        let mut buffer = [0xff; 1024];
        let length = dom0_line(&Dom0LineInput { module, extra, io_apic, acpi }, &mut buffer);
        assert!(buffer[length..].iter().all(|&byte| byte == 0) && length < 1024);
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(line("root=/dev/sda1 ro", "", true, ""), "root=/dev/sda1 ro");
    assert_eq!(line("ro", "quiet", false, "off"), "ro quiet noapic acpi=off");
    assert_eq!(line("ro acpi=force noapic", "quiet", false, "off"), "ro acpi=force noapic quiet");
    let long = "x".repeat(1020);
    assert_eq!(line(&long, "abcdef", false, "off"), format!("{long} ab"));
    assert_eq!(line(&"y".repeat(5000), "", true, ""), "y".repeat(1023));
}

proptest! {
    #[test]
    fn no_line_panics(line in "\\PC*", loader in "\\PC{0,12}") {
        let line = CommandLine::new(&line, &loader);
        let _ = parse(line.options);
    }

    #[test]
    fn no_value_panics(
        name in prop::sample::select(vec![
            "dom0_mem", "dom0_max_vcpus", "com1", "com2", "console", "loglvl", "gnttab", "conswitch", "reboot", "mem",
            "watchdog_timeout", "maxcpus", "conring_size", "vga", "acpi", "console_timestamps",
        ]),
        value in "[-+0-9a-zA-Z%:,/=x_é]{0,24}",
    ) {
        let line = format!("{name}={value} no-{name}={value} {name} no-{name}");
        let (options, warnings) = parse(&line);
        let _ = options.dom0_memory.pages(1 << 20);
        let _ = options.dom0_vcpus.count(4, 64);
        for warning in warnings {
            prop_assert!(!warning.contains('\n'));
        }
    }

    #[test]
    fn memory_is_never_more_than_there_is(text in "(min:|max:|)-?[1-9][0-9]{0,3}[MG](\\+[1-9][0-9]?%)?", available in 1u64..1 << 30) {
        let line = format!("dom0_mem={text}");
        prop_assert!(good(&line).dom0_memory.pages(available).initial <= available);
    }
}

#[test]
fn log_levels_change_at_run_time_as_xens_do() {
    use boot_options::LogLevel::{Debug, Info, None, Warning};
    for (text, always, limited, was_understood) in [
        ("all", Debug, Debug, true),
        ("warning/info", Warning, Info, true),
        ("none/warning", None, Warning, true),
        ("", Warning, Warning, true),
        ("bogus", Warning, Warning, false),
        ("info/bogus", Info, Info, false),
    ] {
        let expected = (LogThresholds { always, limited }, was_understood);
        assert_eq!(LogThresholds::parse_at_run_time(text), expected, "{text}");
    }
}
