//! Compares the structs of this crate with the C ones: size, every field, and no field of C forgotten.

use abi::layout::{Field, HEADERS, Struct};

use crate::{
    c_types::{Leaf, Place, Type, Types},
    left_out,
    releases::Release,
};

/// A struct of this crate with its module.
pub fn ours() -> impl Iterator<Item = (&'static str, &'static Struct)> {
    HEADERS.iter().flat_map(|header| header.structs.iter().map(|item| (header.module, item)))
}

fn show((header, line): &Place) -> String {
    format!("xen/{header}:{line}")
}

/// All that is wrong with our structs for one release.
pub fn differences(release: Release, types: &Types) -> Vec<String> {
    let mut wrong = Vec::new();
    for (module, item) in ours() {
        let place = format!("abi::{module}::{}", item.name);
        let Some(c_name) = release.c_name(item.c_name) else { continue };
        if c_name.is_empty() {
            if !left_out::is_listed(left_out::STRUCTS_OUTSIDE_C, &place) {
                wrong.push(format!("{place}: has no C name; give it one, or a reason in left_out::STRUCTS_OUTSIDE_C"));
            }
        } else if let Some(c_type) = types.by_name.get(c_name) {
            compare(&place, c_name, item, c_type, &mut wrong);
            let twins: Vec<&Struct> =
                ours().map(|(_, twin)| twin).filter(|twin| release.c_name(twin.c_name) == Some(c_name)).collect();
            forgotten(&place, c_name, &twins, c_type, &mut wrong);
        } else {
            wrong.push(format!("{place}: the headers have no `{c_name}`"));
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

fn compare(place: &str, c_name: &str, item: &Struct, c_type: &Type, wrong: &mut Vec<String>) {
    if item.size as u64 != c_type.size {
        let header = show(&c_type.place);
        wrong.push(format!("{place}: {} bytes, C's {c_name} ({header}) has {}", item.size, c_type.size));
    }
    for field in item.fields {
        let place = format!("{place}.{}", field.name);
        if field.c_name.is_empty() {
            unnamed(&place, c_name, field, c_type, wrong);
            continue;
        }
        match c_type.find(field.c_name) {
            None => wrong.push(format!(
                "{place}: extra field, C's {c_name} ({}) has no member {}",
                show(&c_type.place),
                field.c_name
            )),
            Some((offset, size, _)) if (offset, size) == (field.offset as u64, field.size as u64) => (),
            Some((offset, size, header)) => wrong.push(format!(
                "{place}: at {} with {} bytes, C's {c_name}.{} ({}) is at {offset} with {size}",
                field.offset,
                field.size,
                field.c_name,
                show(&header)
            )),
        }
    }
}

/// A field without a C name may stand for padding and for views of a union only.
fn unnamed(place: &str, c_name: &str, field: &Field, c_type: &Type, wrong: &mut Vec<String>) {
    let hidden = c_type.leaves().into_iter().find(|leaf| !leaf.in_union && overlaps(field, leaf));
    if let Some(leaf) = hidden {
        let header = show(&leaf.place);
        wrong.push(format!("{place}: has no C name and hides {c_name}.{} ({header})", leaf.path));
    }
}

/// Every member that C has is a field of ours; in a union, every byte.
fn forgotten(place: &str, c_name: &str, twins: &[&Struct], c_type: &Type, wrong: &mut Vec<String>) {
    let fields: Vec<&Field> = twins.iter().flat_map(|twin| twin.fields).collect();
    // An array of no elements stands for what follows the struct.
    for leaf in c_type.leaves().into_iter().filter(|leaf| leaf.size > 0) {
        let named = fields.iter().any(|field| {
            let rest = leaf.path.strip_prefix(field.c_name);
            !field.c_name.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let in_view = leaf.in_union
            && (leaf.offset..leaf.offset + leaf.size)
                .all(|byte| fields.iter().any(|field| (field.offset as u64..end(field)).contains(&byte)));
        if !named && !in_view {
            wrong.push(format!("{place}: missing field {}, C has it in {c_name} ({})", leaf.path, show(&leaf.place)));
        }
    }
}

fn overlaps(field: &Field, leaf: &Leaf) -> bool {
    leaf.offset < end(field) && (field.offset as u64) < leaf.offset + leaf.size
}

fn end(field: &Field) -> u64 {
    (field.offset + field.size) as u64
}

/// Structs and unions of the headers that we neither state nor explain.
pub fn unstated(release: Release, types: &Types) -> Vec<String> {
    let known = |name: &str| ours().any(|(_, item)| release.c_name(item.c_name) == Some(name));
    // A typedef's struct may be known by its tag, and the other way round.
    let unstated = types.by_name.iter().filter(|(name, item)| {
        item.defines && !known(name) && !left_out::header(&item.place.0) && !left_out::type_name(&item.place.0, name)
    });
    unstated.map(|(name, item)| format!("{}: {name}", show(&item.place))).collect()
}
