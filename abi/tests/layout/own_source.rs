//! What the sources of this crate state outside the blocks whose lists `abi::layout::HEADERS` gathers: read with a Rust
//! parser, so that nothing can be added without being compared or explained.

use std::path::Path;

use syn::{Attribute, ImplItem, Item, Visibility, spanned::Spanned as _};

/// Macros that define one type each and leave no list behind.
const TYPE_BLOCKS: &[&str] = &["id", "number"];

/// One public type or constant, or a block of a macro.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// `module::NAME`, `module::Type::NAME`, or `module::macro!`.
    pub path: String,
    /// File below `abi/` and line.
    pub place: String,
    /// Whether it is a type, a constant or a block.
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Type,
    Constant,
    Block,
}

/// Everything of interest in `abi/src`.
pub fn found() -> Vec<Found> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    scan_directory(root, "src", "", &mut found);
    found
}

fn scan_directory(root: &Path, directory: &str, prefix: &str, found: &mut Vec<Found>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(root.join(directory)).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let module = format!("{prefix}{stem}");
        if path.is_dir() {
            scan_directory(root, &format!("{directory}/{stem}"), &format!("{module}::"), found);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Scan { file: format!("{directory}/{stem}.rs"), module, found }.items(&file.items);
        }
    }
}

struct Scan<'a> {
    file: String,
    module: String,
    found: &'a mut Vec<Found>,
}

impl Scan<'_> {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Macro(block) if block.ident.is_none() => {
                    self.block(&block.mac);
                }
                Item::Const(item) if is_public(&item.vis, &item.attrs) => {
                    self.add(Kind::Constant, &item.ident.to_string(), item.span().start().line);
                }
                Item::Static(item) if is_public(&item.vis, &item.attrs) => {
                    self.add(Kind::Constant, &item.ident.to_string(), item.span().start().line);
                }
                Item::Struct(item) if is_public(&item.vis, &item.attrs) => {
                    self.add(Kind::Type, &item.ident.to_string(), item.span().start().line);
                }
                Item::Enum(item) if is_public(&item.vis, &item.attrs) => {
                    self.add(Kind::Type, &item.ident.to_string(), item.span().start().line);
                }
                Item::Union(item) if is_public(&item.vis, &item.attrs) => {
                    self.add(Kind::Type, &item.ident.to_string(), item.span().start().line);
                }
                Item::Impl(block) => self.implementation(block),
                Item::Mod(module) => self.items(module.content.as_ref().map_or(&[], |(_, items)| items)),
                _ => (),
            }
        }
    }

    fn block(&mut self, block: &syn::Macro) {
        let name = block.path.segments.last().unwrap().ident.to_string();
        let line = block.path.span().start().line;
        if !TYPE_BLOCKS.contains(&name.as_str()) {
            return self.add(Kind::Block, &format!("{name}!"), line);
        }
        let mut names = block.tokens.clone().into_iter().filter_map(|token| match token {
            proc_macro2::TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        });
        self.add(Kind::Type, &names.next().unwrap(), line);
    }

    fn implementation(&mut self, block: &syn::ItemImpl) {
        let syn::Type::Path(path) = &*block.self_ty else { return };
        let name = path.path.segments.last().unwrap().ident.to_string();
        for item in &block.items {
            if let ImplItem::Const(item) = item
                && is_public(&item.vis, &item.attrs)
            {
                self.add(Kind::Constant, &format!("{name}::{}", item.ident), item.span().start().line);
            }
        }
    }

    fn add(&mut self, kind: Kind, name: &str, line: usize) {
        let (path, place) = (format!("{}::{name}", self.module), format!("{}:{line}", self.file));
        self.found.push(Found { path, place, kind });
    }
}

fn is_public(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    let for_tests = attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    });
    matches!(visibility, Visibility::Public(_)) && !for_tests
}
