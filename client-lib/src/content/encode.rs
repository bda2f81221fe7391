//! Content to bytes: deterministic, refused where it could not be read back.

use minicbor::Encoder;
use plenary_proto::limits;

use super::{Body, Content, ContentError, Expiration, MAX_DEPTH, MAX_PARTS, MAX_TOPIC, Part};

impl Content {
    /// The bytes of this content.
    ///
    /// # Errors
    /// When it is too large or breaks a bound of the draft.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        if self.topic.len() > MAX_TOPIC {
            return Err(ContentError::Field {
                field: "topic",
                expected: "at most 4,096 bytes",
            });
        }
        let mut out = Encoder::new(Vec::new());
        // Writing to memory cannot fail, here and below.
        let _ = out.array(7);
        let _ = out.bytes(&self.salt.0);
        let _ = out.encode(self.replaces.as_ref().map(|id| Raw(&id.0)));
        let _ = out.bytes(&self.topic);
        match self.expires {
            None => drop(out.null()),
            Some(expires) => {
                let (relative, time) = match expires {
                    Expiration::AfterReading(seconds) => (true, seconds),
                    Expiration::At(seconds) => (false, seconds),
                };
                let _ = out.array(2);
                let _ = out.bool(relative);
                let _ = out.u32(time);
            }
        }
        let _ = out.encode(self.in_reply_to.as_ref().map(|id| Raw(&id.0)));
        self.extensions.encode(&mut out);
        let mut parts = 0;
        part(&self.body, 0, &mut parts, &mut out)?;
        let bytes = out.into_writer();
        if bytes.len() > limits::CONTENT {
            return Err(ContentError::TooLarge {
                bytes: bytes.len(),
                limit: limits::CONTENT,
            });
        }
        Ok(bytes)
    }
}

/// Bytes as a byte string: minicbor would write a plain slice as an array.
struct Raw<'a>(&'a [u8]);

impl<C> minicbor::Encode<C> for Raw<'_> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        out: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        out.bytes(self.0)?.ok()
    }
}

fn part(
    part_: &Part,
    depth: usize,
    count: &mut usize,
    out: &mut Encoder<Vec<u8>>,
) -> Result<(), ContentError> {
    if depth > MAX_DEPTH {
        return Err(ContentError::PartDepth);
    }
    *count += 1;
    if *count > MAX_PARTS {
        return Err(ContentError::PartCount);
    }
    let (fields, cardinality) = match &part_.body {
        Body::Null => (3, 0),
        Body::Single { .. } => (5, 1),
        Body::External(_) => (15, 2),
        Body::Multi { .. } => (5, 3),
    };
    let _ = out.array(fields);
    let _ = out.u8(part_.disposition.0);
    let _ = out.str(&part_.language);
    let _ = out.u8(cardinality);
    match &part_.body {
        Body::Null => {}
        Body::Single {
            content_type,
            content,
        } => {
            let _ = out.str(content_type);
            let _ = out.bytes(content);
        }
        Body::External(external) => {
            let _ = out.str(&external.content_type);
            let _ = out.str(&external.url);
            let _ = out.u32(external.expires);
            let _ = out.u64(external.size);
            let _ = out.u16(external.enc_alg);
            let _ = out.bytes(&external.key);
            let _ = out.bytes(&external.nonce);
            let _ = out.bytes(&external.aad);
            let _ = out.u8(external.hash_alg);
            let _ = out.bytes(&external.content_hash);
            let _ = out.str(&external.description);
            let _ = out.str(&external.filename);
        }
        Body::Multi { semantics, parts } => {
            if parts.len() < 2 {
                return Err(ContentError::Field {
                    field: "parts",
                    expected: "at least two",
                });
            }
            let _ = out.u8(*semantics as u8);
            let _ = out.array(parts.len() as u64);
            for inner in parts {
                part(inner, depth + 1, count, out)?;
            }
        }
    }
    Ok(())
}
