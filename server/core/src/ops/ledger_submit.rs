//! Appends signed statements. Whoever submits need not be trusted: the signatures decide.
//!
//! One at a time, each durable before the ledger in memory has it, so that nobody acts on a
//! statement that a power loss takes back. What follows at once: everybody hears of the new head,
//! and the sessions of devices that are no longer live are cut.

use bytes::Bytes;
use plenary_certs::ledger::{Body, LedgerError, RecoverStep, Voucher};
use plenary_proto::{
    ids::UnixMillis,
    limits,
    reply::{Push, Reply},
};

use super::{not_allowed, within};
use crate::{
    error::OpError,
    hub::{To, push_frame},
    network::Network,
    session::Caller,
};

/// How far the clock of who drafts may be ahead of ours.
const CLOCK_MS: u64 = 60 * 60 * 1000;

/// From the draft of a recovery's announcement to its submission: four days at least are left for
/// the Board to object.
const ANNOUNCED_MS: u64 = 3 * 24 * 3600 * 1000;

/// Statements of one request: the founding of a network with many members.
const STATEMENTS: usize = 1_024;

pub(crate) async fn run(
    network: &Network,
    caller: &Caller,
    statements: &[Bytes],
    now: UnixMillis,
) -> Result<Reply, OpError> {
    match caller {
        Caller::Chat(_) | Caller::Bulk(_) => {}
        Caller::Guest(guest) if guest.is_founder() => {}
        Caller::Guest(_) => return not_allowed("only for devices of the network"),
    }
    within("statements in one request", STATEMENTS, statements.len())?;
    let _writer = network.ledger_writer().await;
    let before = network.ledger_head();
    network
        .ledger
        .catch_up(&*network.store)
        .await
        .map_err(|error| OpError::Internal(error.to_string()))?;
    let mut result = Ok(());
    for (number, statement) in (1..).zip(statements) {
        result = append(network, statement, now)
            .await
            .map_err(|error| match error {
                OpError::Invalid(why) => OpError::Invalid(format!("statement {number}: {why}")),
                other => other,
            });
        if result.is_err() {
            break;
        }
    }
    let head = network.ledger_head();
    if head != before {
        network
            .hub
            .push(To::Everyone, push_frame(Push::Ledger(head)));
        let gone = network.not_live(&network.hub.devices(), now);
        if !gone.is_empty() {
            network.hub.cut(&gone);
        }
    }
    result.map(|()| Reply::LedgerHead(head))
}

/// A recovery waits seven days by its statements' own times: an honest server takes none that is
/// dated so as to wait less. Somewhat old is well, for signing takes people days.
fn dated(step: RecoverStep, time: UnixMillis, now: UnixMillis) -> Result<(), OpError> {
    let early = time > now.plus(CLOCK_MS);
    let late = step == RecoverStep::Announce && now > time.plus(ANNOUNCED_MS);
    if early || late {
        return Err(OpError::Invalid(
            "a recovery is announced within three days of its draft, and never ahead of time: \
             draft it again"
                .to_owned(),
        ));
    }
    Ok(())
}

async fn append(network: &Network, signed: &Bytes, now: UnixMillis) -> Result<(), OpError> {
    within("bytes of a statement", limits::STATEMENT, signed.len())?;
    let statement = match network.ledger.check(signed) {
        Ok(statement) => statement,
        Err(LedgerError::Known { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if let Body::Server(server) = &statement.body
        && server.key != network.public
    {
        return Err(OpError::Invalid(format!(
            "it names the server key {}, but this server's is {}: a key is replaced while the server \
             is down, by its operator (`plenary-server key replace`)",
            server.key, network.public
        )));
    }
    if let Body::Recover(recover) = &statement.body {
        dated(recover.step, statement.time, now)?;
    }
    if let Body::Device(device) = &statement.body
        && matches!(device.voucher, Voucher::Device(_))
    {
        let taken = network.vouches.take(device.member, 1, now);
        taken.map_err(|retry_after_ms| OpError::RateLimited {
            what: "devices linked or vouched for by this member's own",
            retry_after_ms,
        })?;
    }
    Ok(network.ledger.append(&*network.store, signed).await?)
}
