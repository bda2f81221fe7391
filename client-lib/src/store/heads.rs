//! What convicts a lying server: each channel's log as read here, 32 bytes a record, and the heads
//! that the server signed.
//!
//! Entries lie in blocks, each with the chain hash before and after it: any hash of the log is found
//! again by one look-up and at most [`BLOCK`] hashes.

use plenary_certs::{
    chain::link,
    proof::{ChannelView, Piece},
};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, Digest, Seq, UnixMillis},
    reply::SignedHead,
};
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, column};
use crate::error::Error;

/// Entries in a block: two blocks fill a page of the database, where 64 would leave half of it empty.
const BLOCK: usize = 56;

/// Of the signed heads that agree with the log, one is kept for so many records: the last of them.
/// Each vouches for everything before it.
const PAGE: u64 = 256;

/// A stored block.
struct Block {
    id: i64,
    first: Seq,
    before: Digest,
    after: Digest,
    entries: Vec<u8>,
}

const COLUMNS: &str = "id, first, before, after, entries";

impl Block {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            first: Seq(row.get::<_, i64>(1)? as u64),
            before: column(row, 2)?,
            after: column(row, 3)?,
            entries: row.get(4)?,
        })
    }

    fn len(&self) -> u64 {
        (self.entries.len() / Digest::LEN) as u64
    }

    fn end(&self) -> Seq {
        Seq((self.first.0 + self.len()).saturating_sub(1))
    }

    /// The chain hash at one of its positions, or right before.
    fn hash_at(&self, channel: ChannelId, seq: Seq) -> Digest {
        if seq == self.end() {
            return self.after;
        }
        (self.first.0..=seq.0)
            .zip(self.digests())
            .fold(self.before, |hash, (seq, entry)| {
                link(&hash, channel, Seq(seq), &entry)
            })
    }

    fn digests(&self) -> impl Iterator<Item = Digest> {
        self.entries
            .chunks_exact(Digest::LEN)
            .filter_map(|bytes| Digest::try_from(bytes).ok())
    }
}

impl Store {
    /// Reading begins right after this place.
    pub(crate) fn begin_chain(&self, channel: ChannelId, at: ChannelHead) -> Result<(), Error> {
        let block = Block {
            id: 0,
            first: at.seq.next(),
            before: at.hash,
            after: at.hash,
            entries: Vec::new(),
        };
        self.put_block(channel, &block)
    }

    /// Adds records to a channel's chain: those right after `before`.
    pub(crate) fn add_entries(
        &self,
        channel: ChannelId,
        before: ChannelHead,
        entries: &[Digest],
    ) -> Result<(), Error> {
        let mut head = before;
        let mut rest = entries;
        let mut last = self.last_block(channel)?.filter(|block| {
            block.end() == before.seq && block.after == before.hash && block.len() < BLOCK as u64
        });
        while !rest.is_empty() {
            let mut block = last.take().unwrap_or(Block {
                id: 0,
                first: head.seq.next(),
                before: head.hash,
                after: head.hash,
                entries: Vec::new(),
            });
            let room = BLOCK - block.len() as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            for entry in now {
                let seq = head.seq.next();
                head = ChannelHead {
                    seq,
                    hash: link(&head.hash, channel, seq, entry),
                };
                block.entries.extend_from_slice(entry.as_bytes());
            }
            block.after = head.hash;
            self.put_block(channel, &block)?;
            rest = later;
        }
        Ok(())
    }

    fn put_block(&self, channel: ChannelId, block: &Block) -> Result<(), Error> {
        let id = (block.id != 0).then_some(block.id);
        self.lock()
            .prepare_cached(
                "INSERT OR REPLACE INTO chain(id, channel, first, before, after, entries)
                 VALUES(?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                id,
                channel.0,
                block.first.0 as i64,
                block.before.0,
                block.after.0,
                block.entries,
            ])?;
        Ok(())
    }

    fn last_block(&self, channel: ChannelId) -> Result<Option<Block>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM chain
             WHERE channel = ? AND NOT aside ORDER BY first DESC, id DESC LIMIT 1"
        ))?;
        Ok(query.query_row([channel.0], Block::from_row).optional()?)
    }

    /// The chain hash at a position, if this device has read there.
    pub(crate) fn hash_at(&self, channel: ChannelId, seq: Seq) -> Result<Option<Digest>, Error> {
        let block = self.block_at(channel, seq)?;
        Ok(block.map(|block| block.hash_at(channel, seq)))
    }

    /// The block that a position lies in, or begins after.
    fn block_at(&self, channel: ChannelId, seq: Seq) -> Result<Option<Block>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM chain
             WHERE channel = ? AND first <= ? AND NOT aside
             ORDER BY first DESC, id DESC LIMIT 1"
        ))?;
        let block = query
            .query_row(
                params![channel.0, seq.0.saturating_add(1) as i64],
                Block::from_row,
            )
            .optional()?;
        Ok(block.filter(|block| seq <= block.end()))
    }

    /// Lets a block end at a position, and the next one begin there.
    pub(crate) fn split_chain(&self, channel: ChannelId, at: Seq) -> Result<(), Error> {
        let block = self.block_at(channel, at)?;
        let Some(mut block) = block.filter(|block| at < block.end()) else {
            return Ok(());
        };
        let hash = block.hash_at(channel, at);
        let kept = (at.0 + 1 - block.first.0) as usize * Digest::LEN;
        let rest = Block {
            id: 0,
            first: at.next(),
            before: hash,
            after: block.after,
            entries: block.entries.split_off(kept),
        };
        block.after = hash;
        self.put_block(channel, &block)?;
        self.put_block(channel, &rest)
    }

    /// A place of the log as read here, so far before another one, or further where this device did not
    /// read; `None` if that is the first it has.
    pub(crate) fn read_before(
        &self,
        channel: ChannelId,
        seq: Seq,
        back: u64,
    ) -> Result<Option<ChannelHead>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT min(first), max(CASE WHEN first <= ?2 THEN first END) FROM chain
             WHERE channel = ?1 AND NOT aside",
        )?;
        let at = seq.0.saturating_sub(back);
        let (first, block): (Option<i64>, Option<i64>) = query
            .query_row(params![channel.0, at as i64], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        drop(query);
        drop(connection);
        // In a hole the block before it ends earlier; then its beginning is far enough back.
        for at in [
            Some(at),
            block
                .or(first)
                .map(|first| (first as u64).saturating_sub(1)),
        ] {
            let Some(at) = at.map(Seq).filter(|at| *at < seq) else {
                continue;
            };
            if let Some(hash) = self.hash_at(channel, at)? {
                return Ok(Some(ChannelHead { seq: at, hash }));
            }
        }
        Ok(None)
    }

    /// Keeps a head that the server signed. `agrees`: with the log as read here. Whether it is new.
    pub(crate) fn put_head(&self, signed: &SignedHead, agrees: bool) -> Result<bool, Error> {
        let path: Vec<u8> = signed.path.iter().flat_map(|digest| digest.0).collect();
        let connection = self.lock();
        let new = connection
            .prepare_cached(
                "INSERT OR IGNORE INTO signed_head(channel, seq, hash, agrees, time, signature, idx,
                                                   path)
                 VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                signed.channel.0,
                signed.head.seq.0 as i64,
                signed.head.hash.0,
                agrees,
                signed.time.0 as i64,
                signed.signature.0,
                signed.index,
                path,
            ])?;
        drop(connection);
        if agrees {
            self.thin(signed.channel, signed.head.seq)?;
        }
        Ok(new > 0)
    }

    /// The log as read has come to a head, and agrees with it.
    pub(crate) fn head_agrees(&self, channel: ChannelId, head: ChannelHead) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "UPDATE signed_head SET agrees = 1 WHERE channel = ? AND seq = ? AND hash = ?",
            )?
            .execute(params![channel.0, head.seq.0 as i64, head.hash.0])?;
        self.thin(channel, head.seq)
    }

    /// A later head vouches for what an earlier one did.
    fn thin(&self, channel: ChannelId, seq: Seq) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "DELETE FROM signed_head WHERE channel = ? AND seq >= ? AND seq < ? AND agrees",
            )?
            .execute(params![
                channel.0,
                (seq.0 / PAGE * PAGE) as i64,
                seq.0 as i64
            ])?;
        Ok(())
    }

    /// Signed heads that the log as read has not come to: what must be there.
    pub(crate) fn heads_after(
        &self,
        channel: ChannelId,
        after: Seq,
    ) -> Result<Vec<ChannelHead>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT seq, hash FROM signed_head
             WHERE channel = ? AND seq > ? AND NOT aside ORDER BY seq",
        )?;
        let rows = query.query_map(params![channel.0, after.0 as i64], |row| {
            Ok(ChannelHead {
                seq: Seq(row.get::<_, i64>(0)? as u64),
                hash: column(row, 1)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The last position of a channel that a signed head vouches for, as read here.
    pub(crate) fn vouched(&self, channel: ChannelId) -> Result<Seq, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT coalesce(max(seq), 0) FROM signed_head WHERE channel = ? AND agrees",
        )?;
        let seq: i64 = query.query_row([channel.0], |row| row.get(0))?;
        Ok(Seq(seq as u64))
    }

    /// Every signed head of a channel.
    pub(crate) fn signed_heads(&self, channel: ChannelId) -> Result<Vec<SignedHead>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT seq, hash, time, signature, idx, path FROM signed_head
             WHERE channel = ? ORDER BY seq",
        )?;
        let rows = query.query_map([channel.0], |row| {
            let path: Vec<u8> = row.get(5)?;
            Ok(SignedHead {
                channel,
                head: ChannelHead {
                    seq: Seq(row.get::<_, i64>(0)? as u64),
                    hash: column(row, 1)?,
                },
                time: UnixMillis(row.get::<_, i64>(2)? as u64),
                signature: column(row, 3)?,
                index: row.get(4)?,
                path: path
                    .chunks_exact(Digest::LEN)
                    .filter_map(|bytes| Digest::try_from(bytes).ok())
                    .collect(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The whole log as read here, in stretches without a hole. `Err(seq)` inside: the stored chain
    /// does not hold together there.
    pub(crate) fn pieces(&self, channel: ChannelId) -> Result<Result<Vec<Piece>, Seq>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM chain WHERE channel = ? ORDER BY id"
        ))?;
        let mut rows = query.query([channel.0])?;
        let mut pieces: Vec<Piece> = Vec::new();
        let mut end = ChannelHead::EMPTY;
        while let Some(row) = rows.next()? {
            let block = Block::from_row(row)?;
            let before = ChannelHead {
                seq: Seq(block.first.0.saturating_sub(1)),
                hash: block.before,
            };
            let mut piece = Piece {
                before,
                entries: block.digests().collect(),
            };
            let after = piece.hashes(channel).last().copied().unwrap_or(before);
            if after.hash != block.after || block.entries.len() % Digest::LEN != 0 {
                return Ok(Err(block.first));
            }
            match pieces.last_mut() {
                Some(last) if end == before => last.entries.append(&mut piece.entries),
                _ => pieces.push(piece),
            }
            end = after;
        }
        Ok(Ok(pieces))
    }

    /// A channel as seen here, for comparing with another member.
    pub(crate) fn channel_view(
        &self,
        channel: ChannelId,
    ) -> Result<Result<ChannelView, Seq>, Error> {
        let heads = self.signed_heads(channel)?;
        Ok(self.pieces(channel)?.map(|pieces| ChannelView {
            channel,
            pieces,
            heads,
        }))
    }
}

#[cfg(test)]
mod tests {
    use plenary_proto::ids::Signature;
    use secrecy::SecretString;

    use super::*;

    const CHANNEL: ChannelId = ChannelId([1; 16]);

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = SecretString::from("a".to_owned());
        let store = Store::create(&folder.path().join("p"), &passphrase).unwrap();
        (folder, store)
    }

    fn entry(n: u64) -> Digest {
        Digest([n as u8; 32])
    }

    fn hashes(before: ChannelHead, through: u64) -> Vec<ChannelHead> {
        let entries = (before.seq.0 + 1..=through).map(entry).collect();
        Piece { before, entries }.hashes(CHANNEL)
    }

    fn signed(head: ChannelHead) -> SignedHead {
        SignedHead {
            channel: CHANNEL,
            head,
            time: UnixMillis(5),
            signature: Signature([7; 64]),
            index: 1,
            path: vec![Digest([8; 32]), Digest([9; 32])],
        }
    }

    #[test]
    fn every_hash_is_found_again_however_the_records_came() {
        let (_folder, store) = store();
        let all = hashes(ChannelHead::EMPTY, 300);
        let mut at = 0;
        for step in [1, 1, 62, 1, 64, 128, 3, 40].into_iter().cycle() {
            let to = (at + step).min(300);
            let entries: Vec<_> = (at as u64 + 1..=to as u64).map(entry).collect();
            store.add_entries(CHANNEL, all[at], &entries).unwrap();
            at = to;
            if at == 300 {
                break;
            }
        }
        for head in &all {
            assert_eq!(
                store.hash_at(CHANNEL, head.seq).unwrap(),
                Some(head.hash),
                "{:?}",
                head.seq
            );
        }
        assert_eq!(store.hash_at(CHANNEL, Seq(301)).unwrap(), None);
        assert_eq!(store.hash_at(ChannelId([2; 16]), Seq(1)).unwrap(), None);
        let pieces = store.pieces(CHANNEL).unwrap().unwrap();
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].hashes(CHANNEL), all);
    }

    #[test]
    fn a_return_begins_another_piece_and_damage_is_named() {
        let (_folder, store) = store();
        store
            .add_entries(CHANNEL, ChannelHead::EMPTY, &[entry(1), entry(2)])
            .unwrap();
        let back = ChannelHead {
            seq: Seq(10),
            hash: Digest([50; 32]),
        };
        store.add_entries(CHANNEL, back, &[entry(11)]).unwrap();
        assert_eq!(store.hash_at(CHANNEL, Seq(5)).unwrap(), None);
        assert_eq!(store.hash_at(CHANNEL, Seq(10)).unwrap(), Some(back.hash));
        assert_eq!(store.pieces(CHANNEL).unwrap().unwrap().len(), 2);
        let connection = store.lock();
        connection
            .execute(
                "UPDATE chain SET entries = zeroblob(32) WHERE first = 11",
                [],
            )
            .unwrap();
        drop(connection);
        assert_eq!(store.pieces(CHANNEL).unwrap(), Err(Seq(11)));
    }

    #[test]
    fn of_the_heads_that_agree_one_a_page_is_kept_and_all_others_always() {
        let (_folder, store) = store();
        let head = |seq: u64, fill: u8| ChannelHead {
            seq: Seq(seq),
            hash: Digest([fill; 32]),
        };
        for seq in 1..=600 {
            store.put_head(&signed(head(seq, 1)), true).unwrap();
        }
        store.put_head(&signed(head(601, 2)), false).unwrap();
        store.put_head(&signed(head(602, 1)), true).unwrap();
        let kept: Vec<_> = store.signed_heads(CHANNEL).unwrap();
        let seqs: Vec<_> = kept.iter().map(|signed| signed.head.seq.0).collect();
        assert_eq!(seqs, [255, 511, 601, 602]);
        assert_eq!(kept[0], signed(head(255, 1)));
        assert_eq!(store.vouched(CHANNEL).unwrap(), Seq(602));
        assert_eq!(
            store.heads_after(CHANNEL, Seq(600)).unwrap(),
            [head(601, 2), head(602, 1)]
        );
        // Two for one position are both kept.
        store.put_head(&signed(head(602, 9)), false).unwrap();
        assert_eq!(store.signed_heads(CHANNEL).unwrap().len(), 5);
        store.head_agrees(CHANNEL, head(601, 2)).unwrap();
        assert_eq!(store.signed_heads(CHANNEL).unwrap().len(), 5);
    }
}
