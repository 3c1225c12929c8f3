//! Numbers, sizes and truth values as Xen writes them.

/// Splits a C-style number off the front of `text`: `0x` hexadecimal, leading `0` octal, otherwise decimal.
pub(crate) fn split_number(text: &str) -> Option<(u64, &str)> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let end = digits.find(|character: char| !character.is_digit(radix)).unwrap_or(digits.len());
    let (number, rest) = digits.split_at_checked(end)?;
    Some((u64::from_str_radix(number, radix).ok()?, rest))
}

/// All of `text` as a number.
pub(crate) fn number(text: &str) -> Option<u64> {
    split_number(text).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// All of `text` as a number of 32 bits.
pub(crate) fn number32(text: &str) -> Option<u32> {
    u32::try_from(number(text)?).ok()
}

/// Splits a size in bytes off the front of `text`. Without a unit it counts KiB.
pub(crate) fn split_size(text: &str) -> Option<(u64, &str)> {
    let (value, rest) = split_number(text)?;
    let (shift, unit_length) = match rest.as_bytes().first() {
        Some(b'T' | b't') => (40, 1),
        Some(b'G' | b'g') => (30, 1),
        Some(b'M' | b'm') => (20, 1),
        Some(b'K' | b'k') => (10, 1),
        Some(b'B' | b'b') => (0, 1),
        _ => (10, 0),
    };
    Some((value.checked_mul(1 << shift)?, rest.get(unit_length..)?))
}

/// All of `text` as a size in bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    split_size(text).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// A truth value.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "yes" | "on" | "true" | "enable" | "1" => Some(true),
        "no" | "off" | "false" | "disable" | "0" => Some(false),
        _ => None,
    }
}

/// `name`, `no-name` or `name=truth` as an item of a list; `None` if it is something else.
pub(crate) fn item_truth(item: &str, name: &str) -> Option<Option<bool>> {
    match item.strip_prefix("no-") {
        Some(rest) if rest == name => return Some(Some(false)),
        _ => {}
    }
    let rest = item.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(Some(true));
    }
    rest.strip_prefix('=').map(truth)
}
