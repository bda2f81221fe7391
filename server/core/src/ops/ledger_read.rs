//! Statements after a position. Anybody who got in may read the ledger: it holds no names.

use bytes::Bytes;
use plenary_proto::{ids::LedgerSeq, limits, reply::Reply};

use crate::{error::OpError, network::Network};

pub(crate) fn run(network: &Network, after: LedgerSeq, limit: u32) -> Result<Reply, OpError> {
    let limit = limit.clamp(1, limits::LEDGER_PAGE) as usize;
    let page = network.read_ledger(|ledger| {
        let mut bytes = 0;
        let statements = ledger
            .entries_after(after)
            .take(limit)
            // The first one goes in any case.
            .take_while(|(_, signed)| {
                let first = bytes == 0;
                bytes += signed.len();
                first || bytes <= limits::PAGE_BYTES
            })
            .map(|(_, signed)| Bytes::copy_from_slice(signed))
            .collect();
        (statements, ledger.head())
    });
    let (statements, head) = page.unwrap_or_else(|| (Vec::new(), network.ledger_head()));
    Ok(Reply::LedgerPage { statements, head })
}
