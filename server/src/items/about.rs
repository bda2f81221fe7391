//! What an item's folder says about it: the reservation, with a checksum.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use plenary_core::items::{ItemsError, Reservation};
use plenary_proto::ids::{ChannelId, DeviceId, ItemId, UnixMillis};

const MAGIC: &[u8; 16] = b"plenary item 1\r\n";
const CONTEXT: &str = "plenary 2026-11 item reservation v1";
/// Magic, item, channel, device, size, chunk, time.
const FIELDS: usize = 16 + 16 + 16 + 16 + 8 + 4 + 8;
/// Bytes of a reservation, with its checksum.
pub const LEN: usize = FIELDS + 32;

/// The reservation's bytes.
pub fn encode(reservation: &Reservation) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(reservation.item.as_bytes());
    bytes.extend_from_slice(reservation.channel.as_bytes());
    bytes.extend_from_slice(reservation.device.as_bytes());
    bytes.extend_from_slice(&reservation.size.to_be_bytes());
    bytes.extend_from_slice(&reservation.chunk.to_be_bytes());
    bytes.extend_from_slice(&reservation.time.0.to_be_bytes());
    let sum = blake3::derive_key(CONTEXT, &bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

/// Writes the reservation, whole or not at all; durable but for the folder's own entry above.
pub fn write(path: &Path, reservation: &Reservation) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&encode(reservation))?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads it; `None` where there is none.
pub fn read(path: &Path) -> Result<Option<Reservation>, ItemsError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ItemsError::Unavailable(error.to_string())),
    };
    parse(&bytes).map(Some).ok_or_else(|| damaged(path))
}

/// What an operator is told of a file that is not as it was written.
pub fn damaged(path: &Path) -> ItemsError {
    ItemsError::Unavailable(format!(
        "{} is damaged: restore it from a backup, or remove it",
        path.display()
    ))
}

/// Reads the bytes of [`encode`].
pub fn parse(bytes: &[u8]) -> Option<Reservation> {
    let (fields, sum) = bytes.split_at_checked(FIELDS)?;
    if sum != blake3::derive_key(CONTEXT, fields) {
        return None;
    }
    let rest = &mut fields.strip_prefix(MAGIC)?;
    Some(Reservation {
        item: ItemId(take(rest)?),
        channel: ChannelId(take(rest)?),
        device: DeviceId(take(rest)?),
        size: u64::from_be_bytes(take(rest)?),
        chunk: u32::from_be_bytes(take(rest)?),
        time: UnixMillis(u64::from_be_bytes(take(rest)?)),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}
