//! Finding the message that somebody means.

use plenary_client::{
    Client, Message,
    ids::{ChannelId, Seq},
};

use super::show::short;
use crate::exit::Failure;

/// Messages read at a time.
const PAGE: u32 = 256;

/// Digits of a message id that tell nothing apart: the hash function's number.
const HASH_NUMBER: usize = 2;

/// Digits of a message id that are asked for; numbers in a channel have fewer for long to come.
const DIGITS: usize = 8;

/// A message by its number in the channel, or by the beginning of its id.
pub(super) async fn find(
    client: &Client,
    channel: ChannelId,
    which: &str,
) -> Result<Message, Failure> {
    let digits = which.strip_prefix('#').unwrap_or(which);
    if digits.len() < DIGITS
        && let Ok(number) = digits.parse::<u64>()
    {
        let after = Seq(number.saturating_sub(1));
        let next = client.messages(channel, after, 1).await?;
        let found = next.into_iter().find(|one| one.seq.0 == number);
        return found.ok_or_else(|| {
            Failure::not_found(format!("no message has number {number} in this channel"))
        });
    }
    if digits.len() < DIGITS {
        return Err(Failure::usage(
            "give the message's number in the channel, or at least 8 digits of its id",
        ));
    }
    let mut fits = Vec::new();
    let mut after = Seq(0);
    loop {
        let page = client.messages(channel, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        fits.extend(page.into_iter().filter(|one| {
            let id = one.message_id.to_string();
            id.starts_with(digits) || id[HASH_NUMBER..].starts_with(digits)
        }));
    }
    match fits.len() {
        1 => Ok(fits.remove(0)),
        0 => Err(Failure::not_found(format!(
            "no message in this channel has an id that begins with {digits}"
        ))),
        _ => Err(Failure::usage(format!(
            "several messages fit: {}",
            fits.iter()
                .map(|one| format!("#{} ({})", one.seq.0, short(&one.member)))
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}
