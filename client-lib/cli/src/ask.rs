//! Questions to whoever sits at the terminal.

use std::io::{BufRead, IsTerminal, Write};

use crate::{exit::Failure, output::Output};

/// Whether they typed yes; `None` where nobody can be asked.
pub(crate) async fn confirmed(out: &Output, question: &str) -> Result<Option<bool>, Failure> {
    if !is_there(out) {
        return Ok(None);
    }
    let line = typed(question.to_owned()).await?;
    Ok(Some(
        line.is_some_and(|line| line.eq_ignore_ascii_case("yes")),
    ))
}

/// What was given by `--option`, or else is typed. An empty line asks again.
pub(crate) async fn unless_given(
    out: &Output,
    given: Option<String>,
    option: &str,
    question: &str,
) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let missing = || Failure::usage(format!("{question}? Give --{option}, or use a terminal"));
    if !is_there(out) {
        return Err(missing());
    }
    loop {
        let line = typed(format!("{question}: ")).await?;
        let line = line.ok_or_else(missing)?;
        if !line.is_empty() {
            return Ok(line);
        }
    }
}

fn is_there(out: &Output) -> bool {
    out.is_watched() && std::io::stdin().is_terminal()
}

/// The line that they typed, without spaces around it; `None` if they ended their input.
async fn typed(question: String) -> Result<Option<String>, Failure> {
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "{question}")?;
        stderr.flush()?;
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line)?;
        Ok((read > 0).then_some(line))
    });
    let line = answer
        .await
        .map_err(|error| Failure::usage(error.to_string()))?
        .map_err(|error: std::io::Error| Failure::io("the terminal", &error))?;
    Ok(line.map(|line| line.trim().to_owned()))
}
