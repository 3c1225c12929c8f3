//! Tells the code of a Rust file from its comments and strings, so that rules do not stumble over words in them.

/// A Rust file as lines of code and lines of comment; both have the file's line numbers.
#[derive(Clone, Debug)]
pub struct Source {
    /// Code, with comments and the contents of strings blanked out.
    pub code: Vec<String>,
    /// Text of comments only.
    pub comments: Vec<String>,
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    /// With the depth of nesting.
    BlockComment(usize),
    String,
    /// With the number of `#` that close it.
    RawString(usize),
}

impl Source {
    /// Splits a file.
    pub fn parse(text: &str) -> Self {
        let mut scanner = Scanner { text: text.chars().collect(), at: 0, inside: Inside::Code };
        let (mut code, mut comments) = (String::new(), String::new());
        while let Some(character) = scanner.peek(0) {
            if character == '\n' {
                if scanner.inside == Inside::LineComment {
                    scanner.inside = Inside::Code;
                }
                code.push('\n');
                comments.push('\n');
                scanner.at += 1;
                continue;
            }
            let before = scanner.at;
            let shown = scanner.step();
            let taken = scanner.text.get(before..scanner.at).unwrap_or_default();
            match shown {
                Shown::Code => code.extend(taken),
                Shown::Comment => comments.extend(taken),
                Shown::Nothing => code.push(' '),
            }
        }
        let lines = |text: &str| text.split('\n').map(str::to_string).collect();
        Self { code: lines(&code), comments: lines(&comments) }
    }

    /// Whether line `index` of the code has `word` as a word of its own.
    pub fn has_word(&self, index: usize, word: &str) -> bool {
        self.code.get(index).is_some_and(|line| words(line).any(|found| found == word))
    }
}

/// The words of a line: letters, digits and underscores.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric() && character != '_').filter(|word| !word.is_empty())
}

enum Shown {
    Code,
    Comment,
    Nothing,
}

struct Scanner {
    text: Vec<char>,
    at: usize,
    inside: Inside,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    /// Takes one or more characters of a line and says what they are.
    fn step(&mut self) -> Shown {
        match self.inside {
            Inside::Code => self.step_code(),
            Inside::LineComment => self.take(1, Shown::Comment),
            Inside::BlockComment(depth) => self.step_block_comment(depth),
            Inside::String => match self.peek(0) {
                // A backslash before a line's end is followed by the newline, which the caller handles.
                Some('\\') if self.peek(1) != Some('\n') => self.take(2, Shown::Nothing),
                Some('"') => self.enter(Inside::Code, 1, Shown::Code),
                _ => self.take(1, Shown::Nothing),
            },
            Inside::RawString(hashes) => {
                let closes = self.peek(0) == Some('"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
                if closes { self.enter(Inside::Code, 1 + hashes, Shown::Code) } else { self.take(1, Shown::Nothing) }
            }
        }
    }

    fn step_code(&mut self) -> Shown {
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => self.enter(Inside::LineComment, 2, Shown::Comment),
            (Some('/'), Some('*')) => self.enter(Inside::BlockComment(1), 2, Shown::Comment),
            (Some('"'), _) => self.enter(Inside::String, 1, Shown::Code),
            (Some('r'), Some('"' | '#')) if !self.follows_word() => {
                let hashes = (1..).take_while(|ahead| self.peek(*ahead) == Some('#')).count();
                if self.peek(1 + hashes) == Some('"') {
                    self.enter(Inside::RawString(hashes), 2 + hashes, Shown::Code)
                } else {
                    self.take(1, Shown::Code)
                }
            }
            (Some('\''), Some('\\')) => {
                let length = (2..).find(|ahead| matches!(self.peek(*ahead + 1), Some('\'') | None)).unwrap_or(2);
                self.take(length + 2, Shown::Nothing)
            }
            (Some('\''), Some(_)) if self.peek(2) == Some('\'') => self.take(3, Shown::Nothing),
            _ => self.take(1, Shown::Code),
        }
    }

    fn step_block_comment(&mut self, depth: usize) -> Shown {
        match (self.peek(0), self.peek(1)) {
            (Some('*'), Some('/')) if depth == 1 => self.enter(Inside::Code, 2, Shown::Comment),
            (Some('*'), Some('/')) => self.enter(Inside::BlockComment(depth - 1), 2, Shown::Comment),
            (Some('/'), Some('*')) => self.enter(Inside::BlockComment(depth + 1), 2, Shown::Comment),
            _ => self.take(1, Shown::Comment),
        }
    }

    /// Whether the character before belongs to a word that ends here; `b` of a byte string does not count.
    fn follows_word(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).and_then(|at| self.text.get(at)).copied();
        let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if before(1) == Some('b') { is_word(before(2)) } else { is_word(before(1)) }
    }

    fn take(&mut self, count: usize, shown: Shown) -> Shown {
        self.at = (self.at + count).min(self.text.len());
        shown
    }

    fn enter(&mut self, inside: Inside, count: usize, shown: Shown) -> Shown {
        self.inside = inside;
        self.take(count, shown)
    }
}
