//! The commands about backups.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::arguments::{BackupArgs, BackupKeyArgs, RestoreArgs, VerifyArgs};
use super::{one_worker, print, there_is_data};
use crate::admin::{Remote, size, socket_path};
use crate::backup::{self, BackupKey, Checked, Local, Made, Plan, Restored, Source};
use crate::clock::now;
use crate::config::Config;
use crate::folder::{Folder, FolderError};
use crate::items::{FolderItems, ObjectBlobs};
use crate::rebuild::{rebuild as rebuild_store, store_path};
use crate::store::{EmbeddedStore, StoreOptions};

#[derive(Serialize)]
struct KeyMade {
    id: String,
    secret: PathBuf,
    public: PathBuf,
}

/// `backup-key`
pub fn key(args: &BackupKeyArgs) -> anyhow::Result<()> {
    let (key, public) = backup::make_key(&args.out)?;
    let made = KeyMade {
        id: key.id(),
        secret: args.out.clone(),
        public,
    };
    print(args.json, &made, |made| {
        format!(
            "backup key {}\n  secret  {}  (keep it offline, in two places)\n  public  {}  (for the server)",
            made.id,
            made.secret.display(),
            made.public.display()
        )
    });
    Ok(())
}

/// `backup`
pub fn make(config: &Config, args: &BackupArgs) -> anyhow::Result<()> {
    let wanted = &config.backup;
    let folder = args.to.as_ref().or(wanted.folder.as_ref());
    let folder = folder.context("name the folder for backups: --to, or backup.folder")?;
    let key = args.key.as_ref().or(wanted.public_key.as_ref());
    let key = key.context(
        "name the public half of the backup key: --key, or backup.public_key (`plenary-server backup-key` makes one)",
    )?;
    let key = BackupKey::read(key)?;
    let keep = args.keep.unwrap_or(wanted.keep_snapshots);
    let plan = Plan {
        folder,
        key: &key,
        with_items: wanted.with_items && !args.without_items,
        keep: (keep > 0).then_some(keep),
        now: now(),
    };
    let made = match open_unused(config)? {
        // Nobody serves: the folder is ours meanwhile.
        Some((_folder, runtime, mut local)) => {
            let made = backup::make(&mut local, &plan);
            local.store.close()?;
            drop((local, runtime));
            made?
        }
        None => backup::make(
            &mut Remote::new(socket_path(config)) as &mut dyn Source,
            &plan,
        )?,
    };
    print(args.json, &made, |made: &Made| {
        let out = match made.without_bytes {
            0 => String::new(),
            out => format!(", {out} without their bytes"),
        };
        format!(
            "snapshot {}: {} written, {} items ({} were there already{out}); {} older snapshots removed",
            made.name,
            size(made.written),
            made.items,
            made.reused,
            made.removed
        )
    });
    Ok(())
}

/// The data folder, if no server has it.
fn open_unused(config: &Config) -> anyhow::Result<Option<(Folder, Runtime, Local)>> {
    there_is_data(config)?;
    let folder = match Folder::open(&config.data, now()) {
        Ok(folder) => folder,
        Err(FolderError::Locked(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let runtime = one_worker()?;
    let inside = runtime.enter();
    let store = EmbeddedStore::open(&store_path(&folder)?, StoreOptions::default())?;
    let items = match ObjectBlobs::open(&config.items.s3)? {
        Some(blobs) => FolderItems::open_with(&folder.join("items"), blobs)?,
        None => FolderItems::open(&folder.join("items"))?,
    };
    drop(inside);
    let local = Local {
        path: config.data.clone(),
        store: Arc::new(store),
        items: Arc::new(items),
        runtime: runtime.handle().clone(),
    };
    Ok(Some((folder, runtime, local)))
}

#[derive(Serialize)]
struct Rebuilt {
    before_bytes: u64,
    after_bytes: u64,
}

/// `rebuild`
pub fn rebuild(config: &Config, json: bool) -> anyhow::Result<()> {
    there_is_data(config)?;
    let folder = Folder::open(&config.data, now())?;
    let runtime = one_worker()?;
    let (before_bytes, after_bytes) = {
        let _inside = runtime.enter();
        rebuild_store(&folder)?
    };
    let rebuilt = Rebuilt {
        before_bytes,
        after_bytes,
    };
    print(json, &rebuilt, |rebuilt| {
        format!(
            "the store was written anew: {} before, {} now",
            size(rebuilt.before_bytes),
            size(rebuilt.after_bytes)
        )
    });
    Ok(())
}

/// `verify-backup`
pub fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let key = args.key.as_deref().map(backup::read_secret).transpose()?;
    let checked = backup::check(&args.folder, args.snapshot.as_deref(), key.as_ref())?;
    print(args.json, &checked, |checked: &Checked| {
        let opened = match checked.opened {
            true => "every file opens with the key and is what was sealed",
            false => "every file is as it was written (give --key to open them, too)",
        };
        format!(
            "snapshot {}: {} files, {}; {opened}",
            checked.name,
            checked.files,
            size(checked.bytes)
        )
    });
    Ok(())
}

/// `restore`
pub fn restore(config: &Config, args: &RestoreArgs) -> anyhow::Result<()> {
    let key = backup::read_secret(&args.key)?;
    let runtime = one_worker()?;
    let restored = {
        let _inside = runtime.enter();
        backup::restore(
            &args.folder,
            args.snapshot.as_deref(),
            &key,
            &config.data,
            &config.items.s3,
            runtime.handle(),
        )?
    };
    print(args.json, &restored, |restored: &Restored| {
        let without = match restored.without_bytes {
            0 => String::new(),
            items => format!(
                "; {items} items have their bytes elsewhere, or lost them: `plenary-server admin trim` lists what is missing"
            ),
        };
        format!(
            "restored snapshot {} to {}: {} items{without}",
            restored.name,
            config.data.display(),
            restored.items
        )
    });
    Ok(())
}
