//! The types of the public headers as the C compiler laid them out: read from its debug information.

use std::{collections::BTreeMap, path::Path};

use gimli::{AttributeValue, DebuggingInformationEntry as Entry, EndianSlice, LittleEndian, UnitOffset};
use object::{Object as _, ObjectSection as _};

use crate::releases::header_name;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Unit<'a> = gimli::Unit<Slice<'a>>;

/// Header below `xen/` and line.
pub type Place = (String, u64);

/// A struct, a union, or a typedef of something else.
#[derive(Clone, Debug)]
pub struct Type {
    pub place: Place,
    pub size: u64,
    /// Whether a struct or union is defined under this name, as opposed to a second name for something.
    pub defines: bool,
    /// Empty for what is neither struct nor union.
    pub members: Vec<Member>,
}

/// A member with everything below it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Empty for an anonymous struct or union, whose members count as its parent's.
    pub name: String,
    pub place: Place,
    /// From the start of the struct that directly has it.
    pub offset: u64,
    pub size: u64,
    /// Whether it is, or lies in, one of several views of the same bytes.
    pub in_union: bool,
    pub members: Vec<Member>,
}

/// What one program's debug information says.
#[derive(Default)]
pub struct Types {
    /// By C name: `struct foo`, `union foo`, or the name of a typedef.
    pub by_name: BTreeMap<String, Type>,
    /// Enumerators with their places.
    pub enumerators: BTreeMap<String, Place>,
}

/// A member without members of its own, with its path from the top.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub path: String,
    pub place: Place,
    pub offset: u64,
    pub size: u64,
    pub in_union: bool,
}

impl Type {
    /// Finds `a.b.c`, looking through anonymous members: offset, size and place.
    pub fn find(&self, path: &str) -> Option<(u64, u64, Place)> {
        let (mut members, mut offset, mut found) = (&self.members, 0, None);
        for name in path.split('.') {
            let (inner, member) = find_member(members, name)?;
            offset += inner;
            found = Some((offset, member.size, member.place.clone()));
            members = &member.members;
        }
        found
    }

    /// All members that have none of their own.
    pub fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        gather(&self.members, "", 0, &mut leaves);
        leaves
    }
}

fn find_member<'a>(members: &'a [Member], name: &str) -> Option<(u64, &'a Member)> {
    members.iter().find_map(|member| {
        if member.name == name {
            return Some((member.offset, member));
        }
        let (offset, found) = find_member(&member.members, name).filter(|_| member.name.is_empty())?;
        Some((member.offset + offset, found))
    })
}

fn gather(members: &[Member], prefix: &str, base: u64, leaves: &mut Vec<Leaf>) {
    for member in members {
        let dot = if prefix.is_empty() || member.name.is_empty() { "" } else { "." };
        let path = format!("{prefix}{dot}{}", member.name);
        let offset = base + member.offset;
        if member.members.is_empty() {
            let Member { place, size, in_union, .. } = member.clone();
            leaves.push(Leaf { path, place, offset, size, in_union });
        } else {
            gather(&member.members, &path, offset, leaves);
        }
    }
}

/// Reads the debug information of a program; `include` is the directory above `xen`.
pub fn read(binary: &[u8], include: &Path) -> Types {
    let file = object::File::parse(binary).unwrap();
    let section = |id: gimli::SectionId| -> Result<Slice<'_>, gimli::Error> {
        let data = file.section_by_name(id.name()).and_then(|section| section.data().ok()).unwrap_or(&[]);
        Ok(EndianSlice::new(data, LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(section).unwrap();
    let mut types = Types::default();
    let mut units = dwarf.units();
    while let Some(header) = units.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        Reader { dwarf: &dwarf, unit: &unit, include }.read_unit(&mut types);
    }
    types
}

struct Reader<'a> {
    dwarf: &'a gimli::Dwarf<Slice<'a>>,
    unit: &'a Unit<'a>,
    include: &'a Path,
}

impl<'a> Reader<'a> {
    fn read_unit(&self, types: &mut Types) {
        let mut entries = self.unit.entries();
        while let Some((_, entry)) = entries.next_dfs().unwrap() {
            let (Some(name), Some(place)) = (self.name(entry), self.place(entry)) else { continue };
            let c_name = match entry.tag() {
                gimli::DW_TAG_structure_type => format!("struct {name}"),
                gimli::DW_TAG_union_type => format!("union {name}"),
                gimli::DW_TAG_typedef => name,
                gimli::DW_TAG_enumeration_type => {
                    self.read_enumerators(Some(entry.offset()), types);
                    continue;
                }
                _ => continue,
            };
            if entry.attr_value(gimli::DW_AT_declaration).unwrap().is_some() {
                continue;
            }
            let (offset, defines) = (entry.offset(), self.defines(entry));
            let members = self.members(offset, false);
            types.by_name.insert(c_name, Type { place, size: self.size(offset), defines, members });
        }
        self.read_enumerators(None, types);
    }

    fn defines(&self, entry: &Entry<'_, '_, Slice<'a>>) -> bool {
        let target = self.target(entry).map(|target| self.unit.entry(target).unwrap());
        let is_struct = |tag| [gimli::DW_TAG_structure_type, gimli::DW_TAG_union_type].contains(&tag);
        is_struct(entry.tag()) || target.is_some_and(|target| is_struct(target.tag()) && self.name(&target).is_none())
    }

    /// Enumerators of one enumeration, or of those without a name.
    fn read_enumerators(&self, only: Option<UnitOffset>, types: &mut Types) {
        let mut tree = self.unit.entries_tree(only).unwrap();
        let mut children = tree.root().unwrap().children();
        while let Some(child) = children.next().unwrap() {
            let entry = child.entry().clone();
            match entry.tag() {
                gimli::DW_TAG_enumerator => {
                    let owner = self.unit.entry(only.unwrap()).unwrap();
                    if let (Some(name), Some(place)) = (self.name(&entry), self.place(&owner)) {
                        types.enumerators.insert(name, place);
                    }
                }
                gimli::DW_TAG_enumeration_type if self.name(&entry).is_none() => {
                    self.read_enumerators(Some(entry.offset()), types);
                }
                _ => (),
            }
        }
    }

    /// Members of a struct or union, through typedefs and qualifiers; none for other types.
    fn members(&self, offset: UnitOffset, in_union: bool) -> Vec<Member> {
        let entry = self.unit.entry(offset).unwrap();
        let in_union = match entry.tag() {
            gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type => {
                return self.target(&entry).map_or_else(Vec::new, |target| self.members(target, in_union));
            }
            gimli::DW_TAG_structure_type => in_union,
            gimli::DW_TAG_union_type => true,
            _ => return Vec::new(),
        };
        let mut members = Vec::new();
        let mut tree = self.unit.entries_tree(Some(offset)).unwrap();
        let mut children = tree.root().unwrap().children();
        while let Some(child) = children.next().unwrap() {
            if child.entry().tag() == gimli::DW_TAG_member {
                members.push(self.member(child.entry(), in_union));
            }
        }
        members
    }

    fn member(&self, entry: &Entry<'_, '_, Slice<'a>>, in_union: bool) -> Member {
        let number = |name| entry.attr_value(name).unwrap().and_then(|value| value.udata_value());
        let target = self.target(entry).unwrap();
        let bits = number(gimli::DW_AT_data_bit_offset).unwrap_or(0);
        Member {
            name: self.name(entry).unwrap_or_default(),
            place: self.place(entry).unwrap_or_default(),
            offset: number(gimli::DW_AT_data_member_location).unwrap_or(bits / 8),
            size: number(gimli::DW_AT_bit_size).map_or_else(|| self.size(target), |bits| bits.div_ceil(8)),
            in_union,
            members: self.members(target, in_union),
        }
    }

    fn size(&self, offset: UnitOffset) -> u64 {
        let entry = self.unit.entry(offset).unwrap();
        if let Some(size) = entry.attr_value(gimli::DW_AT_byte_size).unwrap() {
            return size.udata_value().unwrap();
        }
        let inner = self.target(&entry).map_or(0, |target| self.size(target));
        if entry.tag() != gimli::DW_TAG_array_type {
            return inner;
        }
        let mut elements = 1;
        let mut tree = self.unit.entries_tree(Some(offset)).unwrap();
        let mut children = tree.root().unwrap().children();
        while let Some(child) = children.next().unwrap() {
            let bound = child.entry().attr_value(gimli::DW_AT_upper_bound).unwrap();
            elements *= bound.and_then(|value| value.udata_value()).map_or(0, |last| last.wrapping_add(1));
        }
        inner * elements
    }

    fn target(&self, entry: &Entry<'_, '_, Slice<'a>>) -> Option<UnitOffset> {
        match entry.attr_value(gimli::DW_AT_type).unwrap()? {
            AttributeValue::UnitRef(offset) => Some(offset),
            _ => None,
        }
    }

    fn name(&self, entry: &Entry<'_, '_, Slice<'a>>) -> Option<String> {
        let value = entry.attr_value(gimli::DW_AT_name).unwrap()?;
        Some(self.dwarf.attr_string(self.unit, value).unwrap().to_string_lossy().into_owned())
    }

    /// Where it is declared, if in a public header.
    fn place(&self, entry: &Entry<'_, '_, Slice<'a>>) -> Option<Place> {
        let line = entry.attr_value(gimli::DW_AT_decl_line).unwrap()?.udata_value()?;
        let AttributeValue::FileIndex(file) = entry.attr_value(gimli::DW_AT_decl_file).unwrap()? else { return None };
        let program = self.unit.line_program.as_ref()?.header();
        let file = program.file(file)?;
        let text = |value| Some(self.dwarf.attr_string(self.unit, value).ok()?.to_string_lossy().into_owned());
        let (directory, name) = (text(file.directory(program)?)?, text(file.path_name())?);
        let path = if name.starts_with('/') { name } else { format!("{directory}/{name}") };
        Some((header_name(self.include, &path)?, line))
    }
}
