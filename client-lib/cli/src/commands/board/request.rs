//! Drafts a request for the Board.

use plenary_client::{Client, NewChannel, Requested};

use super::print_words;
use crate::{
    args::{RequestCommand, RevokeTarget},
    exit::Failure,
    paths,
    session::{Context, Need},
};

pub(super) async fn run(context: &Context, command: RequestCommand) -> Result<(), Failure> {
    let out = match &command {
        RequestCommand::Admit { out, .. }
        | RequestCommand::Channel { out, .. }
        | RequestCommand::Grant { out, .. }
        | RequestCommand::Reassign { out, .. } => out,
        RequestCommand::Revoke { target } => match target {
            RevokeTarget::Member { why, .. } | RevokeTarget::Device { why, .. } => &why.out,
        },
    }
    .out
    .clone();
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
    print_words(&context.out, &words, Some(&name))?;
    context.out.note(&format!(
        "Wrote {name}. Next: plenary board show, plenary board sign; then\n  \
         plenary board submit {name} SIGNATURE..."
    ));
    session.finish().await
}

async fn asked(client: &Client, command: RequestCommand) -> Result<Vec<Requested>, Failure> {
    Ok(match command {
        RequestCommand::Admit { invitations, .. } => {
            invitations.into_iter().map(Requested::Admit).collect()
        }
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
        RequestCommand::Grant {
            channel, members, ..
        } => {
            let channel = client.channel(&channel).await?.id;
            let mut grants = Vec::new();
            for member in members {
                let member = client.find_member(&member).await?.id;
                grants.push(Requested::Grant { channel, member });
            }
            grants
        }
        RequestCommand::Reassign { channel, owner, .. } => vec![Requested::Reassign {
            channel: client.channel(&channel).await?.id,
            owner: client.find_member(&owner).await?.id,
        }],
        RequestCommand::Revoke { target } => vec![match target {
            RevokeTarget::Member { member, why } => {
                Requested::RevokeMember(client.find_member(&member).await?.id, why.reason.into())
            }
            RevokeTarget::Device { device, why } => {
                Requested::RevokeDevice(device, why.reason.into())
            }
        }],
    })
}
