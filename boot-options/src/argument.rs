//! One option of the line: its name, and what was said of it.

use crate::number;

/// A value that means nothing to its option; the part that does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadValue<'a>(pub(crate) &'a str);

pub(crate) type Parsed<'a, T = ()> = Result<T, BadValue<'a>>;

/// One option as given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Argument<'a> {
    /// The whole word, for messages.
    pub(crate) word: &'a str,
    /// The name without a leading "no-".
    pub(crate) name: &'a str,
    /// Whether "no-" stood in front.
    pub(crate) is_negated: bool,
    /// What follows "=".
    pub(crate) value: Option<&'a str>,
}

impl<'a> Argument<'a> {
    /// Takes one word apart.
    pub(crate) fn new(word: &'a str) -> Self {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        match key.strip_prefix("no-") {
            Some(name) => Self { word, name, is_negated: true, value },
            None => Self { word, name: key, is_negated: false, value },
        }
    }

    /// Whether this is the option called `name`; hyphens and underscores are the same.
    pub(crate) fn is(&self, name: &str) -> bool {
        let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
        self.name.len() == name.len() && self.name.bytes().map(fold).eq(name.bytes().map(fold))
    }

    /// The option as a truth value: set by being there.
    pub(crate) fn truth(&self) -> Parsed<'a, bool> {
        let value = match self.value {
            None | Some("") => true,
            Some(value) => number::truth(value).ok_or(BadValue(value))?,
        };
        Ok(value != self.is_negated)
    }

    /// The option's text; "no" for a negated option without a value, as Xen gives it to options of their own kind.
    pub(crate) fn text(&self) -> Parsed<'a, &'a str> {
        match (self.is_negated, self.value) {
            (false, value) => Ok(value.unwrap_or("")),
            (true, None) => Ok("no"),
            (true, Some(value)) => Err(BadValue(value)),
        }
    }

    /// The option as a number of 32 bits.
    pub(crate) fn number(&self) -> Parsed<'a, u32> {
        let text = self.text()?;
        number::number32(text).ok_or(BadValue(text))
    }

    /// The option as a version of Xen whose toolstack is served: `4.17` to `4.22`; the number behind the dot.
    pub(crate) fn minor_version(&self) -> Parsed<'a, u32> {
        let text = self.text()?;
        let minor = text.strip_prefix("4.").and_then(number::number32).ok_or(BadValue(text))?;
        if (17..=22).contains(&minor) { Ok(minor) } else { Err(BadValue(text)) }
    }

    /// The option as a size in bytes.
    pub(crate) fn size(&self) -> Parsed<'a, u64> {
        let text = self.text()?;
        number::size(text).ok_or(BadValue(text))
    }

    /// Gives every item of a comma-separated list to `each`; all are tried, and the first bad one is reported.
    pub(crate) fn items(&self, mut each: impl FnMut(&'a str) -> Option<()>) -> Parsed<'a> {
        let text = self.text()?;
        let mut result = Ok(());
        for item in text.split(',') {
            if each(item).is_none() && result.is_ok() {
                result = Err(BadValue(item));
            }
        }
        result
    }
}
