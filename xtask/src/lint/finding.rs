//! One broken rule at one place.

use core::fmt;

/// Where and what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Path from the root of the project.
    pub path: String,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    /// About a file as a whole.
    pub fn file(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_string(), line: 0, message: message.into() }
    }

    /// About the line with this index, counted from 0.
    pub fn line(path: &str, index: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_string(), line: index + 1, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.message),
            line => write!(formatter, "{}:{line}: {}", self.path, self.message),
        }
    }
}
