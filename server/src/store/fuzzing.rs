//! What the fuzz targets reach of the store's formats. Built only for them.
#![allow(missing_docs, reason = "for the fuzz targets of this repository alone")]

use super::{
    journal::frame::{FrameHeader, SegmentHeader, read_changes, write_change},
    pages::{Page, build},
    rows::{
        ChannelRow, NumberedRow, RecordRow, WelcomeRow, decode_applied, decode_entry, decode_mark,
        decode_pair, decode_shared,
    },
};

/// Reads `data` as everything that the store keeps: what can be read is written again the same.
pub fn read(data: &[u8]) {
    if let Ok(row) = ChannelRow::decode(data) {
        assert_eq!(row.encode(), data);
    }
    if let Ok(row) = RecordRow::decode(data) {
        assert_eq!(row.encode(), data);
    }
    if let Ok(row) = NumberedRow::decode(data) {
        assert_eq!(row.encode(), data);
    }
    if let Ok(row) = WelcomeRow::decode(data) {
        assert_eq!(row.encode(), data);
    }
    let _ = (decode_entry(data), decode_pair(data), decode_mark(data));
    let _ = (decode_shared(data), decode_applied(data));
    if let Some(header) = data.first_chunk().and_then(SegmentHeader::decode) {
        assert_eq!(header.encode(), data[..header.encode().len()]);
    }
    let _ = data.first_chunk().map(FrameHeader::decode);
    if let Ok(changes) = read_changes(data) {
        let mut again = Vec::new();
        changes
            .into_iter()
            .for_each(|change| write_change(&mut again, change));
        assert_eq!(again, data);
    }
    if let Some((key, body)) = data.split_at_checked(25) {
        let page = Page {
            key: key.to_vec(),
            body: body.to_vec(),
        };
        if let Ok(rows) = page.rows() {
            let rows = rows.iter().map(|(key, row)| (&key[..], *row));
            let built = build(rows);
            assert!(built.iter().all(|page| page.rows().is_ok()));
        }
        let _ = (page.get(key), page.reaches(key));
    }
}
