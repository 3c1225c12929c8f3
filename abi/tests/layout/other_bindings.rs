//! Compares this crate with another project's bindings, the `xen-sys` crate, where both state the same.
//!
//! Those bindings are generated, with assertions on the size of each struct and the offset of each member; they are read
//! from the crate's source with a Rust parser, so all that it has takes part.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use syn::{Expr, Item, Lit, Macro};

/// What the bindings say.
#[derive(Default)]
pub struct Bindings {
    pub constants: BTreeMap<String, i64>,
    /// Struct to size.
    pub sizes: BTreeMap<String, u64>,
    /// Struct and member to offset.
    pub offsets: BTreeMap<(String, String), u64>,
}

/// Reads the bindings of the crate that this workspace is locked to.
pub fn read() -> Bindings {
    let text = std::fs::read_to_string(source()).unwrap();
    let mut bindings = Bindings::default();
    for item in syn::parse_file(&text).unwrap().items {
        match item {
            Item::Const(item) => {
                if let Some(value) = integer(&item.expr) {
                    bindings.constants.insert(item.ident.to_string(), value);
                }
            }
            Item::Fn(item) if item.sig.ident.to_string().starts_with("bindgen_test_layout_") => {
                for statement in &item.block.stmts {
                    if let syn::Stmt::Macro(statement) = statement {
                        bindings.assertion(&statement.mac);
                    }
                }
            }
            _ => (),
        }
    }
    bindings
}

/// Where the crate's source is: the compiler noted it when it built the crate, beside this program.
fn source() -> PathBuf {
    // Named once, so that the dependency is one and the compiler checks those bindings too.
    const { assert!(xen_sys::EVTCHNOP_send == 4) };
    let directory = std::env::current_exe().unwrap().with_file_name("");
    let notes = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_note = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("xen_sys-") && name.ends_with(".d")
    };
    let texts: Vec<String> = notes.filter(is_note).map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let source =
        texts.iter().flat_map(|text| text.split_whitespace()).find(|path| Path::new(path).ends_with("src/lib.rs"));
    let root = PathBuf::from(source.expect("the compiler's notes do not name the source of xen-sys"));
    root.with_file_name("x86_64/bindgen.rs")
}

impl Bindings {
    /// `assert_eq!(size_of::<T>(), N, ..)` or `assert_eq!(unsafe { &(*(null::<T>())).member as .. }, N, ..)`, with what the
    /// message names: `concat!("Size of: ", stringify!(T))`, `concat!("Offset of field: ", stringify!(T), "::", ..)`.
    fn assertion(&mut self, assertion: &Macro) {
        let text = assertion.tokens.to_string();
        let named: Vec<String> = text
            .split("stringify ! (")
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap().trim().to_string())
            .collect();
        let number = text.split(',').nth(1).and_then(|number| number.trim().strip_suffix("usize")?.parse().ok());
        match (named.as_slice(), number) {
            ([name], Some(size)) if text.contains("Size of") => drop(self.sizes.insert(name.clone(), size)),
            ([name, member], Some(offset)) => drop(self.offsets.insert((name.clone(), member.clone()), offset)),
            _ => (),
        }
    }
}

fn integer(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(value) => value.base10_parse::<i128>().ok().map(|value| value as i64),
            _ => None,
        },
        Expr::Unary(negative) => Some(-integer(&negative.expr)?),
        _ => None,
    }
}
