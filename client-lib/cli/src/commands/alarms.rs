//! Alarms that this profile has kept: shown, and put away.

use plenary_client::Alarm;
use serde_json::{Value, json};

use crate::{
    args::AlarmsArgs,
    exit::Failure,
    output::{Line, Style},
    session::{Context, Need},
    time,
};

pub(super) async fn run(context: &Context, args: &AlarmsArgs) -> Result<(), Failure> {
    let session = context.session(Need::Stored).await?;
    let alarms = session.client.alarms().await?;
    for alarm in &alarms {
        context
            .out
            .emit(|| value(alarm), |line| show(line, alarm))?;
    }
    if args.clear {
        session.client.clear_alarms().await?;
        context
            .out
            .note(&format!("{} put away.", counted(alarms.len())));
    } else if alarms.is_empty() {
        context.out.note("No alarms.");
    } else {
        context.out.note(
            "Tell your contact point before you put them away: plenary alarms --clear\n\
             What each code means: plenary alarms --help",
        );
    }
    session.finish().await
}

/// As a row of `status`.
pub(super) fn counted(count: usize) -> String {
    match count {
        0 => "none".to_owned(),
        1 => "1 alarm".to_owned(),
        more => format!("{more} alarms"),
    }
}

pub(super) fn value(alarm: &Alarm) -> Value {
    json!({
        "code": alarm.kind.code(),
        "what": alarm.what,
        "channel": alarm.channel.map(|channel| channel.to_string()),
        "first": time::rfc3339(alarm.first),
        "last": time::rfc3339(alarm.last),
        "count": alarm.count,
    })
}

pub(super) fn show(line: Line, alarm: &Alarm) -> Line {
    let mut line = line
        .plain(&time::local(alarm.last))
        .plain("  ")
        .add(Style::Bad, alarm.kind.code());
    if let Some(channel) = alarm.channel {
        line = line.plain(" in ").plain(&channel.to_string());
    }
    line = line.plain(": ").plain(&alarm.what);
    match alarm.count {
        1 => line,
        count => line.add(Style::Dim, &format!(" ({count} times)")),
    }
}
