//! The tests of a checkout: each has an `info.json` that names its category, its environments and its variations, and
//! for each of them a file for xl, where a variation's command line stands.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// `tests/NAME/info.json`.
#[derive(Clone, Debug, Deserialize)]
struct Info {
    name: String,
    category: String,
    environments: Vec<String>,
    variations: Vec<String>,
}

/// One run: a test in one environment, in one of its variations if it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The test's name, with `~VARIATION` where there is one, as XTF's own runner writes it.
    pub name: String,
    /// `functional`, `xsa`, `special`, `utility` or `in-development`.
    pub category: String,
    /// The kernel to boot.
    pub kernel: PathBuf,
    /// Its command line.
    pub arguments: String,
}

/// All tests of a checkout that exist in an environment (`pv64`), by name. A checkout that is none, or that was not
/// built, is an error of one sentence.
pub fn read(checkout: &Path, environment: &str) -> Result<Vec<Instance>> {
    let tests = checkout.join("tests");
    if !checkout.join("xtf-runner").exists() || !tests.is_dir() {
        bail!("{} is no checkout of XTF: it has no `xtf-runner` and `tests`", checkout.display());
    }
    // QEMU takes a module and its command line as one word and parts them at the first blank.
    let checkout = std::path::absolute(checkout)?;
    if checkout.to_string_lossy().contains(char::is_whitespace) {
        bail!("the path of the checkout, {}, has a blank in it, which QEMU cannot take", checkout.display());
    }
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(checkout.join("tests"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    folders.sort();
    let sources = folders.iter().filter(|folder| folder.join("Makefile").exists()).count();
    let mut found = Vec::new();
    let mut built = 0;
    for folder in folders {
        let file = folder.join("info.json");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        built += 1;
        let info: Info =
            serde_json::from_str(&text).with_context(|| format!("{} is not as XTF writes it", file.display()))?;
        if info.environments.iter().any(|own| own == environment) {
            found.extend(instances(&folder, &info, environment)?);
        }
    }
    if built < sources {
        bail!("{} of {sources} tests in {} are not built; run `make` there", sources - built, checkout.display());
    }
    if found.is_empty() {
        bail!("{} has no test for {environment}", checkout.display());
    }
    Ok(found)
}

/// The runs of one test: one, or one for each variation.
fn instances(folder: &Path, info: &Info, environment: &str) -> Result<Vec<Instance>> {
    let stem = format!("test-{environment}-{}", info.name);
    let kernel = folder.join(&stem);
    if !kernel.exists() {
        bail!("{} is not built; run `make` in the checkout", kernel.display());
    }
    let one = |name: String, config: &str| {
        let config = folder.join(format!("{config}.cfg"));
        let text = std::fs::read_to_string(&config)
            .with_context(|| format!("{} is not there; run `make` in the checkout", config.display()))?;
        let arguments = command_line(&text);
        Ok(Instance { name, category: info.category.clone(), kernel: kernel.clone(), arguments })
    };
    if info.variations.is_empty() {
        return Ok(vec![one(info.name.clone(), &stem)?]);
    }
    let vary = |variation: &String| one(format!("{}~{variation}", info.name), &format!("{stem}~{variation}"));
    info.variations.iter().map(vary).collect()
}

/// The value of the last `cmdline="..."` in a file for xl.
fn command_line(config: &str) -> String {
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "cmdline").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    config.lines().filter_map(value).next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{command_line, read};

    /// A checkout with one test in two variations; gone when dropped.
    struct Checkout(PathBuf);

    impl Checkout {
        fn new(name: &str) -> Checkout {
            let root = std::env::temp_dir().join(format!("xtf-{name}-{}", std::process::id()));
            let checkout = Checkout(root);
            checkout.write("xtf-runner", "");
            checkout.write("tests/pv-iopl/Makefile", "");
            checkout
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn refusal(&self) -> String {
            read(&self.0, "pv64").unwrap_err().to_string()
        }
    }

    impl Drop for Checkout {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const INFO: &str = r#"{"name": "pv-iopl", "category": "functional", "environments": ["pv64"],
        "variations": ["hypercall", "vmassist"]}"#;

    #[test]
    fn a_variation_brings_its_command_line() {
        let checkout = Checkout::new("whole");
        checkout.write("tests/pv-iopl/info.json", INFO);
        checkout.write("tests/pv-iopl/test-pv64-pv-iopl", "");
        for variation in ["hypercall", "vmassist"] {
            let config = format!("name=\"x\"\ncmdline=\"{variation}\"\n");
            checkout.write(&format!("tests/pv-iopl/test-pv64-pv-iopl~{variation}.cfg"), &config);
        }
        let found = read(&checkout.0, "pv64").unwrap();
        let all: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.arguments.as_str())).collect();
        assert_eq!(all, [("pv-iopl~hypercall", "hypercall"), ("pv-iopl~vmassist", "vmassist")]);
        assert!(read(&checkout.0, "hvm64").unwrap_err().to_string().contains("no test for hvm64"));
    }

    #[test]
    fn what_is_not_there_or_not_built_is_one_sentence() {
        let checkout = Checkout::new("bare");
        assert!(checkout.refusal().contains("1 of 1 tests"), "{}", checkout.refusal());
        checkout.write("tests/pv-iopl/info.json", INFO);
        assert!(checkout.refusal().contains("test-pv64-pv-iopl is not built"), "{}", checkout.refusal());
        std::fs::remove_file(checkout.0.join("xtf-runner")).unwrap();
        assert!(checkout.refusal().contains("is no checkout of XTF"), "{}", checkout.refusal());
    }

    #[test]
    fn the_last_command_line_counts() {
        assert_eq!(command_line("cmdline=\"a\"\nmemory=128\ncmdline = 'b c'\n"), "b c");
        assert_eq!(command_line("memory=128\n"), "");
    }
}
