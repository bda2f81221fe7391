//! Writing a bundle: the record of custody of an item, with the file or without it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use plenary_certs::{
    custody::{Act, Record},
    profile::SaltedProfile,
};
use plenary_proto::ids::{LedgerSeq, Seq, UnixMillis};

use super::{
    Client, Message,
    custody::{TOLD, blocking, handed_over},
};
use crate::{
    custody::{Carried, Evidence, Fault, ORIGINAL, Parts, finish, original_name, pack},
    engine::Engine,
    error::{Error, ErrorKind},
    files::{Manifest, copy_verified, export_sample, name, private, sealed_path, sync_folder},
    transfer::{Download, Meter, Place, Transfer},
};

/// End of a bundle's name while it is being written.
const PARTIAL: &str = "partial";

/// Where the original comes from that goes into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Original {
    /// From the server, or out of the profile where it is kept sealed.
    Fetched,
    /// From a file, whose SHA-256 must be the item's.
    File(PathBuf),
    /// Nowhere: the bundle says what was done with a file that it does not hold.
    LeftOut,
}

/// How a bundle lies on disk.
#[derive(Debug, Clone, Copy)]
enum Form {
    Folder,
    Packed,
}

impl Client {
    /// Writes a bundle (see [`crate::custody`]) about an item that a message hands over, as a new
    /// folder. With the original, that is recorded as exported first, so the bundle says so itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the message hands over none, [`ErrorKind::Input`] if the folder
    /// exists; later, from [`Transfer::finish`]: [`ErrorKind::NotAllowed`] if this device has no copy
    /// that it may export, what the server refuses.
    pub fn export_custody(
        &self,
        message: &Message,
        folder: impl Into<PathBuf>,
        original: Original,
    ) -> Result<Transfer<PathBuf>, Error> {
        self.export(message, folder.into(), original, Form::Folder)
    }

    /// [`Client::export_custody`] as one file, a tar archive of that folder: to be mailed.
    ///
    /// # Errors
    /// As there.
    pub fn export_custody_packed(
        &self,
        message: &Message,
        file: impl Into<PathBuf>,
        original: Original,
    ) -> Result<Transfer<PathBuf>, Error> {
        self.export(message, file.into(), original, Form::Packed)
    }

    fn export(
        &self,
        message: &Message,
        folder: PathBuf,
        original: Original,
        form: Form,
    ) -> Result<Transfer<PathBuf>, Error> {
        let manifest = handed_over(message)?;
        let message = message.clone();
        if folder.symlink_metadata().is_ok() {
            let what = format!("{} exists: choose another name", folder.display());
            return Err(Error::new(ErrorKind::Input, what));
        }
        let mut partial = folder.clone().into_os_string();
        partial.push(format!(".{PARTIAL}"));
        let partial = PathBuf::from(partial);
        let client = self.clone();
        let total = match original {
            Original::LeftOut => 0,
            _ => manifest.size(),
        };
        Ok(Transfer::start(
            &self.desk,
            total,
            move |meter| async move {
                let with = original != Original::LeftOut;
                // What is left of a try that was stopped may hold a good part of the file.
                fs::create_dir_all(partial.join(ORIGINAL))?;
                let put = client.put_original(&message, &manifest, &partial, original, meter);
                put.await?;
                let parts = client.parts(&message, &manifest, with).await?;
                let (made, target) = (client.clock().await?, folder.clone());
                blocking(move || {
                    write(&partial, &parts, made)?;
                    match form {
                        Form::Folder => fs::rename(&partial, &target)?,
                        Form::Packed => packed(&partial, &target)?,
                    }
                    Ok(())
                })
                .await?;
                Ok(folder)
            },
        ))
    }

    /// Puts the original in its place and records that; leaves no place where there is none.
    async fn put_original(
        &self,
        message: &Message,
        manifest: &Manifest,
        partial: &Path,
        original: Original,
        meter: Meter,
    ) -> Result<(), Error> {
        let (item, channel) = (manifest.item(), message.channel);
        let place = partial.join(ORIGINAL);
        let name = original_name(&manifest.describe());
        let done = place.join(&name);
        match original {
            Original::LeftOut => {
                fs::remove_dir_all(&place)?;
                return Ok(());
            }
            _ if done.exists() => {}
            Original::File(path) => {
                let manifest = manifest.clone();
                blocking(move || Ok(copy_verified(&path, &done, &manifest)?)).await?;
            }
            Original::Fetched if manifest.carries_malware() => {
                let sealed = sealed_path(&self.samples()?, item);
                if !sealed.exists() {
                    self.fetch(message, &place)?.finish().await?;
                }
                let manifest = manifest.clone();
                blocking(move || Ok(export_sample(&sealed, &manifest, &place)?)).await?;
            }
            Original::Fetched => {
                self.may_collect(channel, manifest).await?;
                let download = Download {
                    manifest: manifest.clone(),
                    place: Place::Folder(place),
                    channel,
                };
                download.run(self.driver.clone(), meter).await?;
            }
        }
        self.driver
            .run(move |engine, now| {
                let (own, record) = (engine.identity().device(), engine.custody(channel, item)?);
                let had = record.has(own, Act::Verified) || record.has(own, Act::Deposited);
                let acts: &[Act] = match had {
                    true => &[Act::Exported],
                    false if record.has(own, Act::Collected) => &[Act::Verified, Act::Exported],
                    false => &[Act::Collected, Act::Verified, Act::Exported],
                };
                engine.record(now, channel, item, acts)
            })
            .await?;
        // The server's word belongs in the bundle where it can be had.
        self.custody_told(TOLD).await.map(drop)
    }

    async fn parts(
        &self,
        message: &Message,
        manifest: &Manifest,
        with: bool,
    ) -> Result<Parts, Error> {
        let (channel, seq, described) = (message.channel, message.seq, manifest.describe());
        let service = self.time_stamping().await?;
        let authorities = service.and_then(|service| service.authorities);
        self.driver
            .run(move |engine, _| {
                let record = engine.custody(channel, described.item())?;
                let after = Seq(seq.0.saturating_sub(1));
                let row = engine
                    .store()
                    .messages(channel, after, 1)?
                    .into_iter()
                    .next();
                let row = row.ok_or_else(|| {
                    Error::new(ErrorKind::NotFound, "the message is no longer held here")
                })?;
                Ok(Parts {
                    ledger: engine.read_ledger_with(|ledger| {
                        let all = ledger.entries_after(LedgerSeq(0));
                        all.map(|(_, signed)| signed.to_vec()).collect()
                    }),
                    profiles: profiles(engine, &record),
                    described,
                    message: with.then_some(Carried {
                        channel: channel.0,
                        epoch: row.epoch.0,
                        client_id: row.client_id.0,
                        device: row.device.0,
                        content: row.content,
                        signature: row.signature.0,
                    }),
                    entries: record.entries().map(|(entry, _)| entry.clone()).collect(),
                    authorities,
                })
            })
            .await
    }

    async fn clock(&self) -> Result<UnixMillis, Error> {
        self.driver.run(|_, now| Ok(now)).await
    }
}

/// Names of whoever is in a record, and of its channel, as far as they are known here.
fn profiles(engine: &Engine, record: &Record) -> Vec<SaltedProfile> {
    let devices = record.entries().map(|(_, said)| said.device);
    let mut members: Vec<_> = devices
        .chain([record.facts().depositor])
        .filter_map(|device| engine.member_of(device))
        .collect();
    members.sort_unstable();
    members.dedup();
    let people = members
        .into_iter()
        .filter_map(|member| engine.member_profile(member));
    let channel = engine.channel_profile(record.facts().channel);
    people.chain(channel).cloned().collect()
}

/// Packs a whole bundle, under the file's name without its ending; the folder goes.
fn packed(partial: &Path, file: &Path) -> Result<(), Error> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true);
    let mut to = io::BufWriter::new(private(&mut options).open(&part)?);
    pack(partial, &name::clean(&name), &mut to)?;
    let to = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    to.sync_all()?;
    fs::rename(&part, file)?;
    sync_folder(file)?;
    Ok(fs::remove_dir_all(partial)?)
}

/// Writes and checks what goes beside the original.
fn write(folder: &Path, parts: &Parts, made: UnixMillis) -> Result<(), Error> {
    let fault = |fault: Fault| Error::new(ErrorKind::Integrity, format!("the bundle: {fault}"));
    // Of a try that was stopped, all but the original is written anew.
    for entry in fs::read_dir(folder)?.chain(fs::read_dir(folder.join(crate::custody::DATA))?) {
        let path = entry?.path();
        if path.is_file() {
            fs::remove_file(path)?;
        } else if path.ends_with("statements") {
            fs::remove_dir_all(path)?;
        }
    }
    finish(folder, &Evidence::of(parts), made).map_err(fault)
}
