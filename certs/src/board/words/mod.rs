//! A statement in words: what somebody reads before they sign, and what the ledger's log says.
//!
//! Every field that is signed appears. Keys and digests are groups of digits, so that two people
//! can compare them in any language; identifiers and labels are never translated.

mod root;
mod terms;

use plenary_proto::ids::{DeviceId, Digest};

pub use terms::moment;
use terms::{capacity, list, reason, until};

use crate::{
    admission, fingerprint,
    ledger::{Body, EntryRule, Policy, RecoverStep, Root, Statement, Subject, Target, Voucher},
    mls::suite::{CLASSICAL, HYBRID},
    profile::SaltedProfile,
};

/// What whoever describes a statement knows beside it, from sources it has verified.
pub trait Facts {
    /// What somebody or something is called.
    fn name(&self, subject: Subject) -> Option<String>;
    /// The profile of a hash.
    fn profile(&self, hash: &Digest) -> Option<SaltedProfile>;
    /// A ROOT by its version.
    fn root(&self, version: u32) -> Option<Root>;
    /// What the version before this statement said.
    fn before(&self, statement: &Statement) -> Option<Body>;
    /// More about who asked to be admitted with a device: who nominates, who countersigned.
    fn application(&self, device: DeviceId) -> Vec<String>;
}

/// Who knows the statement alone.
#[derive(Debug, Clone, Copy)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn name(&self, _: Subject) -> Option<String> {
        None
    }
    fn profile(&self, _: &Digest) -> Option<SaltedProfile> {
        None
    }
    fn root(&self, _: u32) -> Option<Root> {
        None
    }
    fn before(&self, _: &Statement) -> Option<Body> {
        None
    }
    fn application(&self, _: DeviceId) -> Vec<String> {
        Vec::new()
    }
}

/// A statement in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// One sentence: who and what.
    pub headline: String,
    /// The rest, a line each.
    pub details: Vec<String>,
    /// How it is filed: kind, version, ROOT, time, and the digits of its digest.
    pub filed: Vec<String>,
}

impl Words {
    /// All of it, one line below the other.
    pub fn text(&self) -> String {
        let lines = std::iter::once(&self.headline);
        let lines: Vec<_> = lines
            .chain(&self.details)
            .chain(&self.filed)
            .cloned()
            .collect();
        lines.join("\n")
    }
}

/// Puts a statement into words.
pub fn describe(statement: &Statement, facts: &dyn Facts) -> Words {
    let (headline, details) = said(statement, facts);
    let filed = vec![
        format!(
            "{} version {} under ROOT {}, network {}, drafted {}.",
            statement.kind(),
            statement.version,
            statement.root_version,
            statement.network,
            moment(statement.time)
        ),
        format!("Statement {}", fingerprint::of_digest(&statement.id())),
    ];
    Words {
        headline,
        details,
        filed,
    }
}

fn said(statement: &Statement, facts: &dyn Facts) -> (String, Vec<String>) {
    let name = |subject: Subject| called(facts, subject);
    let target = |target: Target| name(target.into());
    let before = facts.before(statement);
    match &statement.body {
        Body::Root(next) => root::root(statement, next, facts),
        Body::Recover(recover) => {
            let (mut headline, details) = root::root(statement, &recover.root, facts);
            headline = match recover.step {
                RecoverStep::Announce => format!(
                    "Announce a recovery: not before {}, {headline}",
                    moment(statement.time.plus(crate::ledger::RECOVERY_WAIT_MS))
                ),
                RecoverStep::Complete => format!("Complete the recovery: {headline}"),
            };
            (headline, details)
        }
        Body::Admit(admit) => {
            let profile = facts.profile(&admit.profile);
            let profile = profile.as_ref().and_then(SaltedProfile::member);
            let member = match profile {
                Some(profile) => {
                    let member = Subject::Member(admit.member);
                    format!("{}, {} ({member})", profile.name, profile.state)
                }
                None => name(Subject::Member(admit.member)),
            };
            let (verb, was) = match before {
                Some(Body::Admit(before)) => (
                    "Renew the admission of",
                    Some(format!(
                        "Before: {}, {}.",
                        capacity(before.capacity),
                        until(before.ends)
                    )),
                ),
                _ if statement.version > 1 => ("Renew the admission of", None),
                _ => ("Admit", None),
            };
            let headline = format!(
                "{verb} {member} as {}, {}.",
                capacity(admit.capacity),
                until(admit.ends)
            );
            let mut details = Vec::from_iter(was);
            match profile {
                Some(profile) => {
                    details.push(format!("Name: {}", profile.name));
                    details.push(format!("State or body: {}", profile.state));
                    details.push(format!("Languages: {}", list(&profile.languages)));
                    details.push(format!("Expertise: {}", list(&profile.expertise)));
                }
                None => details.push(hidden(&admit.profile)),
            }
            (headline, details)
        }
        Body::Device(device) => {
            let by = match device.voucher {
                Voucher::Board => "the Board vouches for it".to_owned(),
                Voucher::Device(by) => format!("{} vouches for it", name(Subject::Device(by))),
            };
            let headline = format!(
                "Accept {} of {}: {by}.",
                Subject::Device(device.device),
                name(Subject::Member(device.member))
            );
            let mut details = vec![format!(
                "Fingerprint, to compare with the person: {}",
                admission::fingerprint(&device.keys)
            )];
            details.extend(facts.application(device.device));
            (headline, details)
        }
        Body::Revoke(body) => (
            format!(
                "Revoke {}, for ever: {}.",
                target(body.target),
                reason(body.reason)
            ),
            Vec::new(),
        ),
        Body::Suspend(body) => (
            format!("Suspend {}: {}.", target(body.target), reason(body.reason)),
            Vec::new(),
        ),
        Body::Resume(body) => (
            format!("End the suspension of {}.", target(body.target)),
            Vec::new(),
        ),
        Body::Channel(channel) => {
            let id = Subject::Channel(channel.channel);
            let profile = facts.profile(&channel.profile);
            let profile = profile.as_ref().and_then(SaltedProfile::channel);
            let before = match before {
                Some(Body::Channel(before)) => Some(before),
                _ => None,
            };
            let verb = if statement.version == 1 {
                "Open"
            } else {
                "Change"
            };
            let headline = match profile {
                Some(profile) => format!("{verb} the channel {} ({id}).", profile.name),
                None => format!("{verb} {}.", name(id)),
            };
            let mut details = Vec::new();
            match profile {
                Some(profile) => {
                    details.push(format!("Name: {}", profile.name));
                    details.push(format!("Purpose: {}", profile.purpose));
                }
                None => details.push(hidden(&channel.profile)),
            }
            let was = before.as_ref().and_then(|was| facts.profile(&was.profile));
            if let Some(was) = was.as_ref().and_then(SaltedProfile::channel)
                && Some(was) != profile
            {
                details.push(format!("Before: {}; {}", was.name, was.purpose));
            }
            details.push(changed(
                format!("Up to {}.", channel.ceiling),
                before
                    .as_ref()
                    .filter(|was| was.ceiling != channel.ceiling)
                    .map(|was| was.ceiling.to_string()),
            ));
            details.push(match channel.rule {
                EntryRule::Open => "Every member may enter.".to_owned(),
                EntryRule::Granted => "Entry by grant or by the owner.".to_owned(),
            });
            details.push(changed(
                format!("Owner: {}", name(Subject::Member(channel.owner))),
                before
                    .as_ref()
                    .filter(|was| was.owner != channel.owner)
                    .map(|was| name(Subject::Member(was.owner))),
            ));
            (headline, details)
        }
        Body::Grant(grant) => {
            let member = name(Subject::Member(grant.member));
            let channel = name(Subject::Channel(grant.channel));
            let headline = if grant.granted {
                format!("Let {member} enter {channel}.")
            } else {
                format!("Let {member} no longer enter {channel}.")
            };
            (headline, Vec::new())
        }
        Body::Policy(policy) => {
            let before = match before {
                Some(Body::Policy(before)) => Some(before),
                _ => None,
            };
            (
                "Set the network's policy.".to_owned(),
                rules(policy, before),
            )
        }
        Body::Server(server) => {
            let was = match before {
                Some(Body::Server(before)) => Some(fingerprint::of_key(&before.key)),
                _ => None,
            };
            let key = format!("Its fingerprint: {}", fingerprint::of_key(&server.key));
            let mut details = vec![key];
            details.extend(was.map(|was| format!("Before: {was}")));
            (
                format!("The server is known by the key {}.", server.key),
                details,
            )
        }
    }
}

fn rules(policy: &Policy, before: Option<Policy>) -> Vec<String> {
    let rows = |policy: &Policy| {
        let suite = match policy.suite {
            suite if suite == u16::from(HYBRID) => "hybrid, post-quantum",
            suite if suite == u16::from(CLASSICAL) => "classical, X25519",
            _ => "unknown",
        };
        [
            format!("Cipher suite {:#06x} ({suite}).", policy.suite),
            format!("Logs kept for {} days.", policy.retention_days),
            format!(
                "Idle devices leave channels after {} days.",
                policy.idle_days
            ),
            format!(
                "Sending goes on for {} days without a heartbeat.",
                policy.heartbeat_grace_days
            ),
            match policy.revalidation_days {
                0 => "Admissions are not looked at again.".to_owned(),
                days => format!("Admissions are looked at again every {days} days."),
            },
        ]
    };
    let before = before.map(|before| rows(&before));
    let rows = rows(policy).into_iter().enumerate();
    rows.map(|(index, row)| {
        let was = before.as_ref().map(|before| before[index].clone());
        changed(row.clone(), was.filter(|was| *was != row))
    })
    .collect()
}

fn changed(now: String, before: Option<String>) -> String {
    match before {
        Some(before) => format!("{now} (Before: {before})"),
        None => now,
    }
}

/// A name with the identifier that is signed.
fn called(facts: &dyn Facts, subject: Subject) -> String {
    match facts.name(subject) {
        Some(name) => format!("{name} ({subject})"),
        None => subject.to_string(),
    }
}

fn hidden(hash: &Digest) -> String {
    format!(
        "The name is not enclosed; its hash is {}.",
        fingerprint::of_digest(hash)
    )
}
