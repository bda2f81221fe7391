//! Bytes to content: one spelling, within bounds, every refusal names its culprit.

use minicbor::{Decoder, data::Type};
use plenary_proto::limits;

use super::{
    Body, Content, ContentError, Disposition, Expiration, Extensions, External, MAX_DEPTH,
    MAX_PARTS, MAX_TOPIC, MessageId, Part, Salt, Semantics, canonical,
};

/// Levels of CBOR in all: the content, two for each level of parts, and two more so that parts
/// nested too deeply are named as such. Extensions reach four.
const DEPTH: usize = 4 + 2 * MAX_DEPTH;

impl Content {
    /// Reads a content.
    ///
    /// # Errors
    /// When the bytes are too many, not deterministic CBOR, or not what the draft describes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        if bytes.len() > limits::CONTENT {
            return Err(ContentError::TooLarge {
                bytes: bytes.len(),
                limit: limits::CONTENT,
            });
        }
        canonical::check(bytes, DEPTH)?;
        let mut input = Decoder::new(bytes);
        array(&mut input, 7, "content", "an array of 7")?;
        Ok(Self {
            salt: Salt(fixed(&mut input, "salt", "16 bytes")?),
            replaces: message_id(&mut input, "replaces")?,
            topic: topic(&mut input)?,
            expires: expires(&mut input)?,
            in_reply_to: message_id(&mut input, "inReplyTo")?,
            extensions: Extensions::decode(&mut input)?,
            body: part(&mut input, 0, &mut 0)?,
        })
    }
}

type Read<T> = Result<T, minicbor::decode::Error>;

fn field<T>(read: Read<T>, field: &'static str, expected: &'static str) -> Result<T, ContentError> {
    read.map_err(|_| ContentError::Field { field, expected })
}

fn text(input: &mut Decoder<'_>, name: &'static str) -> Result<String, ContentError> {
    field(input.str(), name, "a text").map(str::to_owned)
}

fn bytes(input: &mut Decoder<'_>, name: &'static str) -> Result<Vec<u8>, ContentError> {
    field(input.bytes(), name, "bytes").map(<[u8]>::to_vec)
}

fn fixed<const N: usize>(
    input: &mut Decoder<'_>,
    name: &'static str,
    expected: &'static str,
) -> Result<[u8; N], ContentError> {
    let bytes = field(input.bytes(), name, expected)?;
    bytes.try_into().map_err(|_| ContentError::Field {
        field: name,
        expected,
    })
}

fn array(
    input: &mut Decoder<'_>,
    len: u64,
    name: &'static str,
    expected: &'static str,
) -> Result<(), ContentError> {
    match input.array() {
        Ok(Some(found)) if found == len => Ok(()),
        _ => Err(ContentError::Field {
            field: name,
            expected,
        }),
    }
}

/// Whether the next value is null; takes it if so.
fn null(input: &mut Decoder<'_>) -> bool {
    let null = matches!(input.datatype(), Ok(Type::Null));
    null && input.null().is_ok()
}

fn message_id(
    input: &mut Decoder<'_>,
    name: &'static str,
) -> Result<Option<MessageId>, ContentError> {
    if null(input) {
        return Ok(None);
    }
    fixed(input, name, "null or 32 bytes").map(|id| Some(MessageId(id)))
}

fn topic(input: &mut Decoder<'_>) -> Result<Vec<u8>, ContentError> {
    let topic = bytes(input, "topicId")?;
    if topic.len() > MAX_TOPIC {
        return Err(ContentError::Field {
            field: "topicId",
            expected: "at most 4,096 bytes",
        });
    }
    Ok(topic)
}

fn expires(input: &mut Decoder<'_>) -> Result<Option<Expiration>, ContentError> {
    if null(input) {
        return Ok(None);
    }
    let expected = "null or [bool, 32-bit number]";
    array(input, 2, "expires", expected)?;
    let relative = field(input.bool(), "expires", expected)?;
    let time = field(input.u32(), "expires", expected)?;
    Ok(Some(match relative {
        true => Expiration::AfterReading(time),
        false => Expiration::At(time),
    }))
}

fn part(input: &mut Decoder<'_>, depth: usize, count: &mut usize) -> Result<Part, ContentError> {
    if depth > MAX_DEPTH {
        return Err(ContentError::PartDepth);
    }
    *count += 1;
    if *count > MAX_PARTS {
        return Err(ContentError::PartCount);
    }
    let fields = field(input.array(), "part", "an array")?;
    let disposition = Disposition(field(input.u8(), "disposition", "a number up to 255")?);
    let language = text(input, "language")?;
    let cardinality = field(input.u8(), "cardinality", "a number from 0 to 3")?;
    let body = match (cardinality, fields) {
        (0, Some(3)) => Body::Null,
        (1, Some(5)) => Body::Single {
            content_type: text(input, "contentType")?,
            content: bytes(input, "content")?,
        },
        (2, Some(15)) => Body::External(Box::new(external(input)?)),
        (3, Some(5)) => multi(input, depth, count)?,
        _ => {
            return Err(ContentError::Field {
                field: "part",
                expected: "cardinality 0 to 3 with as many fields as it has",
            });
        }
    };
    Ok(Part {
        disposition,
        language,
        body,
    })
}

fn multi(input: &mut Decoder<'_>, depth: usize, count: &mut usize) -> Result<Body, ContentError> {
    let semantics = match input.u8() {
        Ok(0) => Semantics::ChooseOne,
        Ok(1) => Semantics::SingleUnit,
        Ok(2) => Semantics::ProcessAll,
        _ => {
            return Err(ContentError::Field {
                field: "partSemantics",
                expected: "a number from 0 to 2",
            });
        }
    };
    let len = match input.array() {
        Ok(Some(len)) if len >= 2 => len,
        _ => {
            return Err(ContentError::Field {
                field: "parts",
                expected: "an array of at least two",
            });
        }
    };
    let parts = (0..len)
        .map(|_| part(input, depth + 1, count))
        .collect::<Result<_, _>>()?;
    Ok(Body::Multi { semantics, parts })
}

fn external(input: &mut Decoder<'_>) -> Result<External, ContentError> {
    Ok(External {
        content_type: text(input, "contentType")?,
        url: text(input, "url")?,
        expires: field(input.u32(), "external expires", "a 32-bit number")?,
        size: field(input.u64(), "size", "a 64-bit number")?,
        enc_alg: field(input.u16(), "encAlg", "a 16-bit number")?,
        key: bytes(input, "key")?,
        nonce: bytes(input, "nonce")?,
        aad: bytes(input, "aad")?,
        hash_alg: field(input.u8(), "hashAlg", "an 8-bit number")?,
        content_hash: bytes(input, "contentHash")?,
        description: text(input, "description")?,
        filename: text(input, "filename")?,
    })
}
