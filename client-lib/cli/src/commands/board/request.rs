//! Drafts a request for the Board.

use std::path::PathBuf;

use plenary_client::{
    BoardPerson, ChannelChange, Client, NewBoard, NewChannel, PolicyChange, RequestFile, Requested,
    RootChange, Target,
    ids::{InvitationId, MemberId, PublicKey},
};

use super::show;
use crate::{
    args::{
        NamedKey, PolicyArgs, RecoverCommand, RequestCommand, RootArgs, SuiteArg, TargetCommand,
    },
    exit::Failure,
    paths,
    session::{Context, Need},
};

pub(super) async fn run(context: &Context, command: RequestCommand) -> Result<(), Failure> {
    let out = command.out().to_owned();
    paths::must_be_new(&out)?;
    let session = context.session(Need::Online).await?;
    let work = async {
        let asked = asked(&session.client, command).await?;
        let text = session.client.board_request(asked).await?;
        let words = session.client.describe(&text).await?;
        Ok::<_, Failure>((text, words))
    };
    let (text, words) = context.within("the request", work).await?;
    paths::write_new(&out, &text, false)?;
    let name = out.display().to_string();
    let heading = RequestFile::parse(&text)?.heading();
    show::print(&context.out, &heading, &words, Some(&name))?;
    context.out.note(&format!(
        "Wrote {name}. Next: plenary board show, plenary board sign; then\n  \
         plenary board submit {name} SIGNATURE..."
    ));
    session.finish().await
}

async fn asked(client: &Client, command: RequestCommand) -> Result<Vec<Requested>, Failure> {
    Ok(match command {
        RequestCommand::Admit {
            invitations,
            until,
            uncountersigned,
            ..
        } => {
            if !uncountersigned {
                must_be_countersigned(client, &invitations).await?;
            }
            invitations
                .into_iter()
                .map(|invitation| match until {
                    Some(end) => Requested::AdmitUntil(invitation, end),
                    None => Requested::Admit(invitation),
                })
                .collect()
        }
        RequestCommand::Renew {
            members,
            until,
            capacity,
            ..
        } => {
            let mut renewed = Vec::new();
            for member in &members {
                renewed.push(Requested::Renew {
                    member: find(client, member).await?,
                    capacity: capacity.map(Into::into),
                    ends: until,
                });
            }
            renewed
        }
        RequestCommand::Readmit {
            invitation,
            uncountersigned,
            ..
        } => {
            if !uncountersigned {
                must_be_countersigned(client, &[invitation]).await?;
            }
            vec![Requested::Readmit(invitation)]
        }
        RequestCommand::Vouch { device, .. } => vec![Requested::Vouch(device)],
        RequestCommand::Channel {
            name,
            purpose,
            rule,
            ceiling,
            ..
        } => vec![Requested::Channel(NewChannel {
            // A purpose must say something; the name does for a start.
            purpose: purpose.unwrap_or_else(|| name.clone()),
            name,
            rule: rule.into(),
            ceiling,
        })],
        RequestCommand::ChangeChannel {
            channel,
            name,
            purpose,
            ceiling,
            ..
        } => {
            let change = ChannelChange {
                name,
                purpose,
                ceiling,
            };
            vec![Requested::ChangeChannel(
                client.channel(&channel).await?.id,
                change,
            )]
        }
        RequestCommand::Grant(entry) => {
            let channel = client.channel(&entry.channel).await?.id;
            let mut grants = Vec::new();
            for member in &entry.members {
                let member = find(client, member).await?;
                grants.push(Requested::Grant { channel, member });
            }
            grants
        }
        RequestCommand::Withdraw(entry) => {
            let channel = client.channel(&entry.channel).await?.id;
            let mut withdrawn = Vec::new();
            for member in &entry.members {
                let member = find(client, member).await?;
                withdrawn.push(Requested::Withdraw { channel, member });
            }
            withdrawn
        }
        RequestCommand::Reassign { channel, owner, .. } => vec![Requested::Reassign {
            channel: client.channel(&channel).await?.id,
            owner: find(client, &owner).await?,
        }],
        RequestCommand::Suspend { target } => {
            let reason = target.more().reason.into();
            vec![Requested::Suspend(whom(client, &target).await?, reason)]
        }
        RequestCommand::Resume { target } => {
            vec![Requested::Resume(whom(client, &target).await?)]
        }
        RequestCommand::Revoke { target } => {
            let reason = target.more().reason.into();
            vec![match whom(client, &target).await? {
                Target::Member(member) => Requested::RevokeMember(member, reason),
                Target::Device(device) => Requested::RevokeDevice(device, reason),
            }]
        }
        RequestCommand::Root(args) => vec![Requested::Root(root(client, &args).await?)],
        RequestCommand::Recover(RecoverCommand::Announce {
            board,
            thresholds,
            heartbeat,
            ..
        }) => vec![Requested::AnnounceRecovery(NewBoard {
            people: people(&board)?,
            thresholds: thresholds.thresholds,
            heartbeat: Some(heartbeat_keys(&heartbeat)?).filter(|keys| !keys.is_empty()),
        })],
        RequestCommand::Recover(RecoverCommand::Complete { .. }) => {
            vec![Requested::CompleteRecovery]
        }
        RequestCommand::Policy { change, .. } => vec![Requested::Policy(policy(&change))],
        RequestCommand::Server { key, .. } => vec![Requested::Server(key)],
    })
}

/// A contact point says that it knows who asks, before the Board is asked.
async fn must_be_countersigned(
    client: &Client,
    invitations: &[InvitationId],
) -> Result<(), Failure> {
    let open = client.admission_requests().await?;
    let lacking = open
        .iter()
        .filter(|one| invitations.contains(&one.invitation))
        .find(|one| one.countersigned.is_empty());
    match lacking {
        None => Ok(()),
        Some(one) => Err(Failure::not_allowed(format!(
            "no contact point has countersigned the request by invitation {}\n\
             plenary requests countersign {}    (a contact point, having compared the fingerprint)\n\
             plenary board request admit --uncountersigned ...    (if there can be none)",
            one.invitation, one.invitation
        ))),
    }
}

async fn find(client: &Client, member: &str) -> Result<MemberId, Failure> {
    Ok(client.find_member(member).await?.id)
}

async fn whom<A: clap::Args>(
    client: &Client,
    target: &TargetCommand<A>,
) -> Result<Target, Failure> {
    Ok(match target {
        TargetCommand::Member { member, .. } => Target::Member(find(client, member).await?),
        TargetCommand::Device { device, .. } => Target::Device(*device),
    })
}

fn people(files: &[PathBuf]) -> Result<Vec<BoardPerson>, Failure> {
    files.iter().map(|path| paths::board_person(path)).collect()
}

fn heartbeat_keys(files: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    files
        .iter()
        .map(|path| paths::heartbeat_key(path))
        .collect()
}

async fn root(client: &Client, args: &RootArgs) -> Result<RootChange, Failure> {
    let mut change = RootChange::default();
    change.add = people(&args.add)?;
    change.replace = people(&args.replace)?;
    for member in &args.remove {
        change.remove.push(find(client, member).await?);
    }
    change.thresholds.clone_from(&args.thresholds.thresholds);
    change.default_thresholds = args.default_thresholds;
    change.add_heartbeat = heartbeat_keys(&args.add_heartbeat)?;
    for key in &args.remove_heartbeat {
        change.remove_heartbeat.push(match key {
            NamedKey::File(file) => paths::heartbeat_key(file)?,
            NamedKey::Key(key) => *key,
        });
    }
    Ok(change)
}

fn policy(args: &PolicyArgs) -> PolicyChange {
    PolicyChange {
        post_quantum: args.suite.map(|suite| suite == SuiteArg::Hybrid),
        retention_days: args.retention_days,
        idle_days: args.idle_days,
        heartbeat_grace_days: args.heartbeat_grace_days,
        revalidation_days: args.revalidation_days,
    }
}
