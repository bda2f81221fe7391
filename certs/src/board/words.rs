//! A statement in words: what somebody reads before they sign.

use plenary_proto::ids::UnixMillis;

use crate::{
    admission::fingerprint,
    ledger::{
        Body, Capacity, EntryRule, Kind, Reason, RecoverStep, Root, Statement, Subject, Target,
        Voucher,
    },
    mls::suite::{CLASSICAL, HYBRID},
    profile::SaltedProfile,
};

/// Lines that say what a statement says. Every field that is signed appears in them.
///
/// `profiles` are looked up by the hash that the statement carries, and so are as certain as the
/// statement. `names` gives what the reader's own, verified sources call somebody, or nothing.
pub fn describe(
    statement: &Statement,
    profiles: &[SaltedProfile],
    names: &dyn Fn(Subject) -> Option<String>,
) -> String {
    let by_hash = |hash| profiles.iter().find(|profile| profile.hash() == hash);
    let name = |subject: Subject| match names(subject) {
        Some(name) => format!("{name} ({subject})"),
        None => subject.to_string(),
    };
    let target = |target: Target| name(target.into());
    let mut lines = Vec::new();
    match &statement.body {
        Body::Root(root) => {
            lines.push("Put a new Board in force:".to_owned());
            lines.extend(board(root, &name));
        }
        Body::Admit(admit) => {
            lines.push(format!(
                "Admit {} as {}.",
                name(Subject::Member(admit.member)),
                match admit.capacity {
                    Capacity::Member => "a member",
                    Capacity::Expert => "an expert",
                    Capacity::Observer => "an observer",
                }
            ));
            match by_hash(admit.profile).and_then(SaltedProfile::member) {
                Some(profile) => {
                    lines.push(format!("Name: {}", profile.name));
                    lines.push(format!("State or body: {}", profile.state));
                    lines.push(format!("Languages: {}", list(&profile.languages)));
                    lines.push(format!("Expertise: {}", list(&profile.expertise)));
                }
                None => lines.push(format!(
                    "The name is not enclosed; its hash is {}.",
                    admit.profile
                )),
            }
            lines.push(match admit.ends {
                Some(end) => format!("Until {}.", moment(end)),
                None => "Without an end.".to_owned(),
            });
        }
        Body::Device(device) => {
            lines.push(format!(
                "Accept {} of {}.",
                name(Subject::Device(device.device)),
                name(Subject::Member(device.member))
            ));
            lines.push(match device.voucher {
                Voucher::Board => "The Board vouches for it.".to_owned(),
                Voucher::Device(by) => {
                    format!("{} vouches for it.", name(Subject::Device(by)))
                }
            });
            lines.push(format!(
                "Fingerprint, to compare with the person: {}",
                fingerprint(&device.keys)
            ));
        }
        Body::Revoke(body) => lines.push(format!(
            "Revoke {}, for ever: {}.",
            target(body.target),
            reason(body.reason)
        )),
        Body::Suspend(body) => lines.push(format!(
            "Suspend {}: {}.",
            target(body.target),
            reason(body.reason)
        )),
        Body::Resume(body) => lines.push(format!("End the suspension of {}.", target(body.target))),
        Body::Channel(channel) => {
            lines.push(format!(
                "{} {}.",
                if statement.version == 1 {
                    "Open"
                } else {
                    "Change"
                },
                name(Subject::Channel(channel.channel))
            ));
            match by_hash(channel.profile).and_then(SaltedProfile::channel) {
                Some(profile) => {
                    lines.push(format!("Name: {}", profile.name));
                    lines.push(format!("Purpose: {}", profile.purpose));
                }
                None => lines.push(format!(
                    "The name is not enclosed; its hash is {}.",
                    channel.profile
                )),
            }
            lines.push(format!("Up to {}.", channel.ceiling));
            lines.push(match channel.rule {
                EntryRule::Open => "Every member may enter.".to_owned(),
                EntryRule::Granted => "Entry by grant or by the owner.".to_owned(),
            });
            lines.push(format!("Owner: {}", name(Subject::Member(channel.owner))));
        }
        Body::Grant(grant) => {
            let member = name(Subject::Member(grant.member));
            let channel = name(Subject::Channel(grant.channel));
            lines.push(if grant.granted {
                format!("Let {member} enter {channel}.")
            } else {
                format!("Let {member} no longer enter {channel}.")
            });
        }
        Body::Policy(policy) => {
            let suite = match policy.suite {
                suite if suite == u16::from(HYBRID) => "hybrid, post-quantum",
                suite if suite == u16::from(CLASSICAL) => "classical, X25519",
                _ => "unknown",
            };
            lines.push("Set the network's policy:".to_owned());
            lines.push(format!("Cipher suite {:#06x} ({suite}).", policy.suite));
            lines.push(format!(
                "Logs kept for {} days; idle devices leave channels after {} days.",
                policy.retention_days, policy.idle_days
            ));
            lines.push(format!(
                "Sending goes on for {} days without a heartbeat.",
                policy.heartbeat_grace_days
            ));
            lines.push(match policy.revalidation_days {
                0 => "Admissions are not looked at again.".to_owned(),
                days => format!("Admissions are looked at again every {days} days."),
            });
        }
        Body::Server(server) => {
            lines.push(format!("The server's key is {}.", server.key));
        }
        Body::Recover(recover) => {
            lines.push(match recover.step {
                RecoverStep::Announce => "Announce a recovery to this Board:".to_owned(),
                RecoverStep::Complete => "Complete the recovery to this Board:".to_owned(),
            });
            lines.extend(board(&recover.root, &name));
        }
    }
    lines.push(format!(
        "{} version {} under ROOT {}, network {}, drafted {}.",
        statement.kind(),
        statement.version,
        statement.root_version,
        statement.network,
        moment(statement.time)
    ));
    lines.push(format!("Statement {}", statement.id()));
    lines.join("\n")
}

fn board(root: &Root, name: &dyn Fn(Subject) -> String) -> Vec<String> {
    let mut lines: Vec<_> = root
        .board
        .iter()
        .map(|person| {
            format!(
                "- {} with key {}",
                name(Subject::Member(person.member)),
                person.key
            )
        })
        .collect();
    let thresholds: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Recover)
        .map(|kind| format!("{kind} {}", root.thresholds.of(kind)))
        .collect();
    lines.push(format!("People that must sign: {}.", thresholds.join(", ")));
    for key in &root.heartbeat {
        lines.push(format!("- heartbeat key {key}"));
    }
    match root.recovery.threshold {
        0 => lines.push("No recovery role.".to_owned()),
        threshold => {
            lines.push(format!("Recovery by {threshold} of:"));
            let keys = root.recovery.keys.iter();
            lines.extend(keys.map(|key| format!("- recovery key {key}")));
        }
    }
    lines
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Left => "left",
        Reason::Lost => "lost",
        Reason::Compromised => "in other hands",
        Reason::Replaced => "replaced",
        Reason::Misuse => "misuse",
        Reason::Unstated => "no reason given",
    }
}

fn list(values: &[String]) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    values.join(", ")
}

/// UTC, to the second; a number where the calendar ends.
fn moment(time: UnixMillis) -> String {
    i64::try_from(time.0)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map_or_else(
            || format!("{} ms after 1970", time.0),
            |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}
