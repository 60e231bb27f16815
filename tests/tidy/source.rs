//! A small scanner for Rust source: enough to tell code from comments and literals, to find where
//! functions end, and to split a file into its body and its unit tests. It never parses types.

/// The longest file, in lines, its unit tests at the end not counted.
pub const FILE_LINES_MAX: usize = 500;
/// The longest function, from the line of its `fn` to that of its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// The same text with every comment, string and character literal replaced by spaces, so that what
/// is left is code. Lines keep their numbers.
pub fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let Some(end) = literal_end(&chars, at) else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        out.extend(
            chars[at..end]
                .iter()
                .map(|&c| if c == '\n' { '\n' } else { ' ' }),
        );
        at = end;
    }
    out
}

/// Where the comment or literal that begins at `at` ends; nothing if none begins there.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => Some(find(chars, at, |c| c == '\n')),
        '/' if next == Some('*') => Some(block_comment_end(chars, at)),
        '"' => Some(string_end(chars, at)),
        'r' if at == 0 || !is_word(chars[at - 1]) || is_raw_prefix(chars, at) => {
            raw_string_end(chars, at)
        }
        '\'' => character_end(chars, at),
        _ => None,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len())
        .find(|&i| wanted(chars[i]))
        .unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at + 1 < chars.len() {
        let step = match (chars[at], chars[at + 1]) {
            ('/', '*') => {
                depth += 1;
                2
            }
            ('*', '/') => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Whether the `r` at `at` follows the `b` or `c` of `br"…"` or `cr"…"`.
fn is_raw_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && (at == 1 || !is_word(chars[at - 2]))
}

fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let quote = find(chars, start + 1, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return None; // an identifier such as `ready`, or a raw one such as `r#type`
    }
    let hashes = quote - start - 1;
    let closes = |i: usize| {
        chars[i] == '"'
            && chars[i + 1..]
                .iter()
                .take(hashes)
                .filter(|&&c| c == '#')
                .count()
                == hashes
    };
    Some(
        (quote + 1..chars.len())
            .find(|&i| closes(i))
            .map_or(chars.len(), |i| i + 1 + hashes),
    )
}

/// Tells a character literal from a lifetime.
fn character_end(chars: &[char], start: usize) -> Option<usize> {
    match (chars.get(start + 1)?, chars.get(start + 2)) {
        ('\\', _) => Some((find(chars, start + 3, |c| c == '\'') + 1).min(chars.len())),
        (_, Some('\'')) => Some(start + 3),
        _ => None,
    }
}

/// Whether a character may be part of an identifier.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Byte offsets at which `word` stands alone, not as a part of a longer identifier.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word)
        })
}

/// The line number, from 1, of a byte offset.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Splits a file before the `#[cfg(test)] mod tests { … }` at its end. What follows such a module
/// is not a tail, so unit tests in the middle of a file belong to the body.
pub fn split_tests(text: &str) -> (&str, &str) {
    let code = code(text);
    let mut offset = 0;
    let mut marker = None;
    for line in code.split_inclusive('\n') {
        if line.starts_with("#[cfg(test)]") {
            marker = Some(offset);
        }
        offset += line.len();
    }
    // Blanking keeps characters, not bytes: map the offset back by lines.
    let Some(line) = marker.map(|at| line_of(&code, at)) else {
        return (text, "");
    };
    let at: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let (body, tail) = text.split_at(at);
    if is_test_module(tail) {
        (body, tail)
    } else {
        (text, "")
    }
}

fn is_test_module(tail: &str) -> bool {
    let code = code(tail);
    let mut lines = code
        .lines()
        .map(str::trim)
        .skip_while(|line| line.starts_with("#["));
    if !lines
        .next()
        .is_some_and(|line| line.starts_with("mod tests {"))
    {
        return false;
    }
    let Some(open) = code.find('{') else {
        return false;
    };
    closing(&code, open).is_some_and(|end| code[end + 1..].trim().is_empty())
}

/// The byte offset of the brace that closes the one at `open`. Takes code without literals.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + at);
        }
    }
    None
}

/// Every function with a body: its name, first line and number of lines.
pub fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let code = code(text);
    let mut found = Vec::new();
    for at in words(&code, "fn") {
        let name: String = code[at + 2..]
            .trim_start()
            .chars()
            .take_while(|&c| is_word(c))
            .collect();
        if name.is_empty() {
            continue; // a function pointer type
        }
        let Some(end) = body_open(&code, at).and_then(|open| closing(&code, open)) else {
            continue;
        };
        let first = line_of(&code, at);
        found.push((name, first, line_of(&code, end) - first + 1));
    }
    found
}

/// Where the body of the function at `start` opens; nothing for a declaration without a body.
fn body_open(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            '{' if depth == 0 => return Some(start + at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Files over the limit, functions over the limit, files that do not say what they are.
pub fn check_file(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") {
        problems.push(format!("{path}: does not begin with `//!`"));
    }
    let lines = split_tests(text).0.lines().count();
    if lines > FILE_LINES_MAX {
        problems.push(format!(
            "{path}: {lines} lines without its tests, limit {FILE_LINES_MAX}"
        ));
    }
    for (name, line, lines) in functions(text) {
        if lines > FUNCTION_LINES_MAX {
            problems.push(format!(
                "{path}:{line}: `{name}` has {lines} lines, limit {FUNCTION_LINES_MAX}"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_not_code() {
        let text =
            r##"a /* { /* { */ } */ b "}\"}" c '{' d '\'' e '\u{7b}' f r#"}"}"# g br"\" h // }"##;
        assert_eq!(
            code(text).split_whitespace().collect::<String>(),
            "abcdefgbh"
        );
        assert_eq!(code(text).chars().count(), text.chars().count());
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        let text = "fn f<'a>(r#type: &'a str, ready: bool) {}";
        assert_eq!(code(text), text);
    }

    #[test]
    fn a_function_ends_at_its_own_brace() {
        let text = "fn a(x: [u8; 2]) -> u8 {\n  let _ = \"}\";\n  if x { 1 } else { 2 }\n}\ntrait T { fn b(); }\nfn c() {}\ntype F = fn(u8);\n";
        let found = functions(text);
        assert_eq!(found, [("a".into(), 1, 4), ("c".into(), 6, 1)]);
    }

    #[test]
    fn the_test_module_at_the_end_does_not_count() {
        let body = "//! É x\nfn a() {}\n";
        let tail = "#[cfg(test)]\nmod tests {\n    fn b() { \"}\"; }\n}\n";
        assert_eq!(split_tests(&format!("{body}{tail}")), (body, tail));
        let middle = format!("{body}{tail}fn late() {{}}\n");
        assert_eq!(split_tests(&middle).1, "");
        let in_string = "//! x\nconst A: &str = \"\n#[cfg(test)]\nmod tests {}\n\";\n";
        assert_eq!(split_tests(in_string).1, "");
    }

    #[test]
    fn a_long_file_is_caught() {
        let fits = format!("//! x\n{}", "\n".repeat(FILE_LINES_MAX - 1));
        assert_eq!(check_file("a.rs", &fits), Vec::<String>::new());
        assert_eq!(check_file("a.rs", &format!("{fits}\n")).len(), 1);
        let tested = format!("{fits}#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(99));
        assert_eq!(check_file("a.rs", &tested), Vec::<String>::new());
    }

    #[test]
    fn a_long_function_is_caught() {
        let function = |lines: usize| format!("//! x\nfn a() {{\n{}}}\n", "\n".repeat(lines - 2));
        assert_eq!(
            check_file("a.rs", &function(FUNCTION_LINES_MAX)),
            Vec::<String>::new()
        );
        assert_eq!(
            check_file("a.rs", &function(FUNCTION_LINES_MAX + 1)).len(),
            1
        );
    }

    #[test]
    fn a_file_without_a_header_is_caught() {
        assert_eq!(check_file("a.rs", "//! What it is.\n").len(), 0);
        assert_eq!(check_file("a.rs", "// What it is.\n").len(), 1);
        assert_eq!(check_file("a.rs", "use std::fmt;\n//! late\n").len(), 1);
    }
}
