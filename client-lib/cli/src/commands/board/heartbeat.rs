//! The heartbeat's machine.

use std::path::Path;

use plenary_client::HeartbeatKeyFile;
use serde_json::json;

use super::public_file;
use crate::{exit::Failure, paths, session::Context};

pub(super) fn keygen(context: &Context, out: &Path) -> Result<(), Failure> {
    let public_file = public_file(out);
    paths::must_be_new(out)?;
    paths::must_be_new(&public_file)?;
    let passphrase = context.new_board_passphrase()?;
    let (file, key) = HeartbeatKeyFile::generate(&passphrase)?;
    let line = paths::heartbeat_line(&key);
    paths::write_new(out, &file, true)?;
    paths::write_new(&public_file, &format!("{line}\n"), false)?;
    context.out.emit(
        || {
            json!({
                "key": out.display().to_string(),
                "public": public_file.display().to_string(),
                "member": null,
                "public_key": key.to_string(),
            })
        },
        |text| text.plain(&line),
    )?;
    context.out.note(&format!(
        "It counts once ROOT names it: hand over {}.\nKeep one copy, on the machine that vouches.",
        public_file.display()
    ));
    Ok(())
}
