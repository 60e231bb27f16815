//! Talking with whoever runs a verb: questions, passwords without echo, notes.
//!
//! All of it goes to standard error and comes from the terminal, or, where standard input is no
//! terminal, from its lines; standard output is left for what the verb was asked for. Called by
//! the verbs; tests bring a console of their own.

use std::{
    fs::File,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::Path,
};

use zeroize::Zeroizing;

/// Bytes of the longest line that is read as an answer.
pub const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Whoever runs a verb.
pub trait Console {
    /// Whether a person sits there who can be asked.
    fn is_terminal(&self) -> bool;
    /// Whether standard output is seen by a person, and goes into no file.
    fn is_output_terminal(&self) -> bool;
    /// Says something that is not the verb's result.
    fn say(&mut self, text: &str) -> io::Result<()>;
    /// Asks for a line.
    fn ask(&mut self, question: &str) -> io::Result<String>;
    /// Asks for a secret, which does not appear on the screen.
    fn ask_secret(&mut self, question: &str) -> io::Result<Zeroizing<String>>;
    /// Takes back the last lines that were said, where the screen can.
    fn take_back(&mut self, lines: usize) -> io::Result<()>;
}

/// The process's terminal or standard input.
#[derive(Debug, Default)]
pub struct Standard;

impl Console for Standard {
    fn is_terminal(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    fn is_output_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stderr().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        let mut out = io::stderr().lock();
        write!(out, "{question} ")?;
        out.flush()?;
        let line = read_line(&mut io::stdin().lock())?;
        if !self.is_terminal() {
            writeln!(out)?;
        }
        Ok(line.to_string())
    }

    fn ask_secret(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        if io::stdin().is_terminal() {
            return rpassword::prompt_password(format!("{question} ")).map(Zeroizing::new);
        }
        if !question.is_empty() {
            let mut out = io::stderr().lock();
            writeln!(out, "{question}")?;
            out.flush()?;
        }
        read_line(&mut io::stdin().lock())
    }

    fn take_back(&mut self, lines: usize) -> io::Result<()> {
        let mut out = io::stderr().lock();
        if out.is_terminal() && lines > 0 {
            // ECMA-48: the cursor up, and what follows it erased.
            write!(out, "\x1b[{lines}A\x1b[J")?;
            out.flush()?;
        }
        Ok(())
    }
}

/// One line without its end; the end of input is an error, since an answer is missing.
pub fn read_line(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    // With room from the start no copy is left behind where the text grew.
    let mut line = Zeroizing::new(String::with_capacity(4096));
    let count = input.take(LINE_BYTES_MAX).read_line(&mut line)?;
    if count == 0 {
        let reason =
            "an answer is wanted and standard input has ended: give what is asked, a line each";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
    }
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok(line)
}

/// The first line of a file, as a password.
pub fn first_line(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    File::open(path)?.take(4096).read_to_end(&mut bytes)?;
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let text = std::str::from_utf8(line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))?;
    Ok(Zeroizing::new(text.trim_end_matches('\r').to_string()))
}
