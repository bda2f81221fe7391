//! Which operation a request is: one exhaustive match, no wildcard.

use plenary_proto::{ids::UnixMillis, reply::Reply, request::Request};

use crate::{error::OpError, network::Network, ops, session::Caller};

/// Runs one request of an authenticated caller.
pub(crate) async fn dispatch(
    network: &Network,
    caller: &Caller,
    request: Request,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    match request {
        Request::LedgerRead { after, limit } => ops::ledger_read::run(network, after, limit),
        Request::LedgerSubmit(statements) => {
            ops::ledger_submit::run(network, caller, &statements, now).await
        }
        Request::PutRequest(sealed) => {
            ops::put_request::run(network, caller.guest()?, sealed, now).await
        }
        Request::RequestState => ops::request_state::run(network, caller.guest()?).await,
        Request::PutInvitation {
            invitation,
            verifier,
            expires,
        } => {
            let terms = ops::put_invitation::Terms {
                invitation,
                verifier,
                expires,
            };
            ops::put_invitation::run(network, caller.device()?, terms, now).await
        }
        Request::ListRequests => ops::list_requests::run(network, caller.device()?).await,
        Request::AnswerRequest { invitation, answer } => {
            ops::answer_request::run(network, caller.device()?, invitation, answer).await
        }
        Request::PutLink {
            link,
            verifier,
            expires,
        } => {
            let terms = ops::put_invitation::Terms {
                invitation: link,
                verifier,
                expires,
            };
            ops::link::put(network, caller.device()?, terms, now).await
        }
        Request::ListLinks => ops::link::list(network, caller.device()?, now).await,
        Request::AnswerLink { link, answer } => {
            ops::link::answer(network, caller.device()?, link, answer, now).await
        }
        Request::ShareInvitation { invitation, shares } => {
            ops::vouch_request::share(network, caller.device()?, invitation, shares, now).await
        }
        Request::VouchRequest { invitation, sealed } => {
            ops::vouch_request::run(network, caller.device()?, invitation, sealed).await
        }
        Request::PutSealed(values) => ops::put_sealed::run(network, caller, values).await,
        Request::GetSealed(names) => {
            ops::get_sealed::run(network, caller.device()?, names, now).await
        }
        Request::PutKeyPackages {
            packages,
            last_resort,
        } => {
            ops::put_key_packages::run(network, caller.device()?, packages, last_resort, now).await
        }
        Request::ClaimKeyPackages { channel, devices } => {
            ops::claim_key_packages::run(network, caller.device()?, channel, devices, now).await
        }
        Request::FoundChannel {
            channel,
            group_info,
            tree,
        } => {
            let group = ops::found_channel::Group { group_info, tree };
            ops::found_channel::run(network, caller.device()?, channel, group, now).await
        }
        Request::RotateRoster {
            generation,
            entries,
        } => ops::rotate_roster::run(network, caller.device()?, generation, entries).await,
        Request::HeadAt { channel, seq } => {
            ops::head_at::run(network, caller.device()?, channel, seq, now).await
        }
        Request::FoundAnew {
            channel,
            client_id,
            epoch,
            record,
            group_info,
            tree,
        } => {
            let anew = ops::found_anew::Anew {
                channel,
                client_id,
                epoch,
                record,
            };
            let group = ops::found_channel::Group { group_info, tree };
            ops::found_anew::run(network, caller.device()?, anew, group, now).await
        }
        Request::Append(append) => ops::append::run(network, caller.device()?, append, now).await,
        Request::Read {
            channel,
            after,
            limit,
        } => ops::read::run(network, caller.device()?, channel, after, limit, now).await,
        Request::GroupState(channel) => {
            ops::group_state::run(network, caller.device()?, channel, now).await
        }
        Request::Watch(channels) => ops::watch::run(network, caller.chat()?, channels).await,
        Request::Welcomes => ops::welcomes::run(network, caller.device()?).await,
        Request::DropWelcome { channel, seq } => {
            ops::drop_welcome::run(network, caller.device()?, channel, seq).await
        }
        Request::ItemToken {
            item,
            channel,
            right,
        } => {
            let wanted = ops::item_token::Wanted {
                item,
                channel,
                right,
            };
            ops::item_token::run(network, caller.chat()?, wanted, now).await
        }
        Request::ItemReserve {
            token,
            size,
            chunk,
            terms,
        } => {
            let room = ops::item_reserve::Room { size, chunk, terms };
            ops::item_reserve::run(network, caller.bulk()?, &token, room, now).await
        }
        Request::ItemPut { item, index, bytes } => {
            ops::item_put::run(network, caller.bulk()?, item, index, bytes).await
        }
        Request::ItemCommit { item, root } => {
            ops::item_commit::run(network, caller.bulk()?, item, root).await
        }
        Request::ItemGet {
            token,
            offset,
            length,
        } => {
            let range = ops::item_get::Range { offset, length };
            ops::item_get::run(network, caller.bulk()?, &token, range, now).await
        }
        Request::ItemStatus { token } => {
            ops::item_status::run(network, caller.bulk()?, &token, now).await
        }
        Request::Countersign {
            item,
            channel,
            statements,
        } => {
            let asked = ops::countersign::Asked {
                item,
                channel,
                statements,
            };
            ops::countersign::run(network, caller.chat()?, asked, now).await
        }
        Request::ItemWithdraw { item, channel } => {
            ops::item_withdraw::run(network, caller.chat()?, item, channel, now).await
        }
        Request::PutHeartbeat(signed) => {
            ops::put_heartbeat::run(network, caller.device()?, signed, now).await
        }
        Request::GetHeartbeat => ops::get_heartbeat::run(network).await,
        Request::ItemKeep {
            item,
            channel,
            keep_until,
            hold,
        } => {
            let wanted = ops::item_keep::Wanted {
                item,
                channel,
                keep_until,
                hold,
            };
            ops::item_keep::run(network, caller.chat()?, wanted, now).await
        }
        Request::ItemShare { item, channel, to } => {
            ops::item_share::run(network, caller.chat()?, item, channel, to).await
        }
        Request::ItemCollected { item, channel } => {
            ops::item_collected::run(network, caller.chat()?, item, channel).await
        }
        Request::ItemLease { item, channel } => {
            ops::item_lease::run(network, caller.chat()?, item, channel).await
        }
        Request::ItemUsage => ops::item_usage::run(network, caller.chat()?).await,
    }
}

#[cfg(test)]
mod tests;
