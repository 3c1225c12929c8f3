//! The loader's string: an image name that some loaders put in front, options between spaces, and dom0's part behind
//! " -- ".

/// Separates Xen's options from text for dom0.
const SEPARATOR: &str = " -- ";

/// A command line, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandLine<'a> {
    /// The hypervisor's own options.
    pub options: &'a str,
    /// Text to be appended to dom0's command line; empty if there is none.
    pub for_dom0: &'a str,
}

impl<'a> CommandLine<'a> {
    /// Takes `line` apart as the loader called `loader` passed it.
    pub fn new(line: &'a str, loader: &str) -> Self {
        let line = Self::without_image_name(line, loader);
        match line.split_once(SEPARATOR) {
            Some((options, for_dom0)) => Self { options, for_dom0: for_dom0.trim_start_matches(' ') },
            None => Self { options: line, for_dom0: "" },
        }
    }

    /// `line` without the image's name as its first word: every loader but GRUB 2 puts it there. Also for modules.
    pub fn without_image_name(line: &'a str, loader: &str) -> &'a str {
        let line = line.trim_start_matches(' ');
        if is_grub2(loader) {
            return line;
        }
        let (_, rest) = line.split_once(' ').unwrap_or((line, ""));
        rest.trim_start_matches(' ')
    }
}

/// GRUB 2 calls itself "GRUB 2.06" or the like, GRUB 1 "GNU GRUB 0.97".
fn is_grub2(loader: &str) -> bool {
    loader.split_once("GRUB ").is_some_and(|(_, version)| !version.starts_with('0'))
}
