//! Frames that carry a chunk: what comes before its bytes, so that these are cut into parts where they
//! lie and not copied into a frame first; and the parts. The bytes are the last field of the innermost
//! message.

use bytes::Bytes;
use prost::{Message, encoding::encode_varint};

use super::field;
use crate::{
    append::append,
    ids::{ItemId, RequestId},
    reply::Part,
    wire,
};

/// Tags of the schema, from the bytes outwards.
const PUT: [u32; 3] = [3, 22, 3];
const RANGE: [u32; 3] = [2, 18, 4];

/// Of `ClientFrame { Request { id, ItemPut { item, index, bytes } } }`.
pub(super) fn put(id: RequestId, item: ItemId, index: u32, bytes: usize) -> Vec<u8> {
    let put = wire::ItemPut {
        item: field::bytes(&item),
        index,
        ..Default::default()
    };
    let request = wire::Request {
        id: id.0,
        body: None,
    };
    before(PUT, &put.encode_to_vec(), &request.encode_to_vec(), bytes)
}

/// Of `ServerFrame { Reply { id, ItemRange { offset, bytes } } }`.
pub(super) fn range(id: RequestId, offset: u64, bytes: usize) -> Vec<u8> {
    let range = wire::ItemRange {
        offset,
        ..Default::default()
    };
    let reply = wire::Reply {
        id: id.0,
        body: None,
    };
    before(RANGE, &range.encode_to_vec(), &reply.encode_to_vec(), bytes)
}

/// One message, in two pieces: what is large is sent from where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// First.
    pub head: Bytes,
    /// Then, nearly all of it or nothing.
    pub body: Bytes,
}

impl From<Bytes> for Payload {
    fn from(head: Bytes) -> Self {
        let body = Bytes::new();
        Self { head, body }
    }
}

/// Copies, where there are two pieces.
impl From<Payload> for Bytes {
    fn from(Payload { head, body }: Payload) -> Self {
        if body.is_empty() {
            return head;
        }
        let mut whole = Vec::with_capacity(head.len() + body.len());
        whole.extend_from_slice(&head);
        append(&mut whole, &body);
        whole.into()
    }
}

/// `ClientFrame { Part }`.
pub(super) fn client_part(part: Part) -> Payload {
    whole_part(4, part)
}

/// `ServerFrame { Part }`.
pub(super) fn server_part(part: Part) -> Payload {
    whole_part(6, part)
}

fn whole_part(tag: u32, part: Part) -> Payload {
    let fields = wire::Part {
        index: part.index,
        last: part.last,
        ..Default::default()
    };
    let head = field_of(&fields.encode_to_vec(), 3, &[], part.bytes.len());
    Payload {
        head: field_of(&[], tag, &head, part.bytes.len()).into(),
        body: part.bytes,
    }
}

/// `inner` and `middle`: the fields before, of the innermost message and of the one around it.
fn before(
    [bytes_tag, inner_tag, tag]: [u32; 3],
    inner: &[u8],
    middle: &[u8],
    bytes: usize,
) -> Vec<u8> {
    let head = field_of(inner, bytes_tag, &[], bytes);
    let head = field_of(middle, inner_tag, &head, bytes);
    field_of(&[], tag, &head, bytes)
}

/// `fields`, then a field whose content is `head` and so many bytes to come.
fn field_of(fields: &[u8], tag: u32, head: &[u8], bytes: usize) -> Vec<u8> {
    /// Wire type of what has a length.
    const DELIMITED: u32 = 2;
    let mut whole = fields.to_vec();
    encode_varint(u64::from((tag << 3) | DELIMITED), &mut whole);
    encode_varint((head.len() + bytes) as u64, &mut whole);
    whole.extend_from_slice(head);
    whole
}
