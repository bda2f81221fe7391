//! A question to whoever sits at the terminal.

use std::io::{BufRead, IsTerminal, Write};

use crate::{exit::Failure, output::Output};

/// Whether they typed yes; `None` where nobody can be asked.
pub(crate) async fn confirmed(out: &Output, question: &str) -> Result<Option<bool>, Failure> {
    if !out.is_watched() || !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let question = question.to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "{question}")?;
        stderr.flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(line)
    });
    let line = answer
        .await
        .map_err(|error| Failure::usage(error.to_string()))?
        .map_err(|error: std::io::Error| Failure::io("the terminal", &error))?;
    Ok(Some(line.trim().eq_ignore_ascii_case("yes")))
}
