//! This member's devices: list, name, revoke, vouch anew.

use plenary_certs::{
    admission::fingerprint,
    ledger::{Body, DeviceBody, Reason, Revoke, Standing, Target, Voucher},
};
use plenary_proto::{
    ids::{DeviceId, LedgerSeq, UnixMillis},
    reply::Reply,
    request::Request,
};

use super::Client;
use crate::{
    engine::{DeviceNews, Engine},
    error::{Error, ErrorKind},
};

/// How long to wait for the server to shut this device out after it has put itself out.
const SHUT_OUT: std::time::Duration = std::time::Duration::from_secs(30);

/// A device of this member, past or present.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Which.
    pub id: DeviceId,
    /// As the owner called it on this device, or when it was linked.
    pub name: Option<String>,
    /// This one.
    pub own: bool,
    /// How it stands.
    pub standing: Standing,
    /// When it was stated first.
    pub added: UnixMillis,
    /// The device that linked it; `None`: the Board.
    pub added_by: Option<DeviceId>,
    /// The newest message of it that is stored here, by the server's clock.
    pub last_message: Option<UnixMillis>,
    /// Of its keys.
    pub fingerprint: String,
    /// The devices that fall with it.
    pub hanging_on: Vec<DeviceId>,
    /// Whether this device may revoke it by itself; otherwise the Board does.
    pub revocable: bool,
}

impl Client {
    /// The devices of this member, the first one first.
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, Error> {
        self.driver.run(|engine, now| list(engine, now)).await
    }

    /// A device of this member by name, or by the beginning of its id.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::Input`] if several fit.
    pub async fn find_device(&self, name: &str) -> Result<DeviceInfo, Error> {
        let mut fit = self.devices().await?;
        fit.retain(|device| {
            device.name.as_deref() == Some(name)
                || (name.len() >= 4 && device.id.to_string().starts_with(name))
        });
        match fit.len() {
            1 => Ok(fit.remove(0)),
            0 => Err(Error::new(
                ErrorKind::NotFound,
                format!("you have no device {name:?}: `devices` lists them"),
            )),
            _ => Err(Error::new(
                ErrorKind::Input,
                format!("several devices fit {name:?}: give the id"),
            )),
        }
    }

    /// Calls a device of this member so, on this device only.
    pub async fn name_device(&self, device: DeviceId, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.driver
            .run(move |engine, now| {
                if !list(engine, now)?.iter().any(|one| one.id == device) {
                    return Err(not_yours(device));
                }
                engine.name_device(device, &name)
            })
            .await
    }

    /// Revokes a device of this member, for ever, with all that hang on it: itself, one that hangs on
    /// it, or one that it hangs on. In the last case this device is out, too, until the Board vouches
    /// for it. Returns those that fell.
    ///
    /// Errors: [`ErrorKind::NotAllowed`] where only the Board can.
    pub async fn revoke_device(
        &self,
        device: DeviceId,
        reason: Reason,
    ) -> Result<Vec<DeviceId>, Error> {
        let revoke = Revoke {
            target: Target::Device(device),
            reason,
        };
        let (statement, falls) = self
            .driver
            .run(move |engine, now| {
                if !list(engine, now)?.iter().any(|one| one.id == device) {
                    return Err(not_yours(device));
                }
                engine.put_out(revoke, now)
            })
            .await?;
        let own = self.device();
        if device != own && !falls.contains(&own) {
            self.submit_statement(statement).await?;
            return Ok(falls);
        }
        // The server cuts this device before it can read the answer, or the ledger.
        let submitted = Request::LedgerSubmit(vec![statement.into()]);
        match self.driver.call(submitted).await {
            Ok(_) => Ok(falls),
            Err(error) if error.is_retryable() => match self.online(SHUT_OUT).await {
                Err(shut) if shut.kind() == ErrorKind::Unauthenticated => Ok(falls),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// This device vouches for one of its member's that has fallen with another, and seals the roster
    /// keys to it. Where it vouches already, the keys only.
    ///
    /// Errors: [`ErrorKind::NotAllowed`] for one that was itself revoked, which is for ever.
    pub async fn vouch_device(&self, device: DeviceId) -> Result<(), Error> {
        let statement = self
            .driver
            .run(move |engine, now| {
                let (own, member) = (engine.identity().device(), engine.identity().member());
                let found = engine.read_ledger_with(|ledger| {
                    let found = ledger.device(device).filter(|one| one.member == member)?;
                    let mut vouchers = found.vouchers.iter();
                    let vouched = vouchers.any(|(_, by)| *by == Voucher::Device(own));
                    let revoked = ledger.revoked_at(Target::Device(device)).is_some();
                    Some((found.keys.clone(), vouched && !revoked))
                });
                let (keys, vouched) = found.ok_or_else(|| not_yours(device))?;
                if vouched {
                    return Ok(None);
                }
                let body = DeviceBody {
                    device,
                    member,
                    voucher: Voucher::Device(own),
                    keys,
                };
                engine.say_as_device(Body::Device(body), now).map(Some)
            })
            .await?;
        if let Some(statement) = statement {
            self.submit_statement(statement).await?;
        }
        self.hand_roster_keys(device).await
    }

    /// Seals the roster keys to a device that this one vouches for: what the fallen one had sealed
    /// opens no more.
    pub(super) async fn hand_roster_keys(&self, device: DeviceId) -> Result<(), Error> {
        let shelf = self
            .driver
            .run(move |engine, _| engine.shelf(&[device], &[]))
            .await?;
        for entry in shelf {
            match self.driver.call(Request::PutSealed(vec![entry])).await {
                // It has one by the Board.
                Err(error) if error.kind() == ErrorKind::Refused => {}
                other => other.map(drop)?,
            }
        }
        Ok(())
    }

    /// What was said of this member's devices, by others than this one, since the owner last looked:
    /// to be shown once. [`Client::device_news_seen`] puts it away.
    pub async fn device_news(&self) -> Result<Vec<DeviceNews>, Error> {
        self.driver
            .run(|engine, _| engine.unseen_device_news())
            .await
    }

    /// The owner has seen what was said up to there.
    pub async fn device_news_seen(&self, through: LedgerSeq) -> Result<(), Error> {
        self.driver
            .run(move |engine, _| engine.device_news_seen(through))
            .await
    }

    /// Submits what this device has signed, and waits until its own ledger says so.
    pub(super) async fn submit_statement(&self, signed: Vec<u8>) -> Result<(), Error> {
        let submitted = Request::LedgerSubmit(vec![signed.into()]);
        match self.driver.call(submitted).await? {
            Reply::LedgerHead(head) => self.follow(head).await,
            _ => Err(Error::new(
                ErrorKind::Integrity,
                "the server answered something else",
            )),
        }
    }
}

fn list(engine: &Engine, now: UnixMillis) -> Result<Vec<DeviceInfo>, Error> {
    let names = engine.store().device_names()?;
    let seen = engine.store().last_messages()?;
    let (own, member) = (engine.identity().device(), engine.identity().member());
    Ok(engine.read_ledger_with(|ledger| {
        let info = |device: &plenary_certs::ledger::Device| {
            let first = device.vouchers.iter().next().copied();
            let (seq, voucher) = first.unwrap_or((LedgerSeq(0), Voucher::Board));
            let name = names.iter().find(|(id, _)| *id == device.id);
            DeviceInfo {
                id: device.id,
                name: name.map(|(_, name)| name.clone()),
                own: device.id == own,
                standing: ledger.standing(device.id, ledger.head().seq, now),
                added: ledger
                    .statement(seq)
                    .map_or(UnixMillis(0), |statement| statement.time),
                added_by: match voucher {
                    Voucher::Board => None,
                    Voucher::Device(by) => Some(by),
                },
                last_message: seen.get(&device.id).copied(),
                fingerprint: fingerprint(&device.keys),
                hanging_on: ledger.hanging_on(device.id),
                revocable: ledger.may_put_out(own, device.id),
            }
        };
        ledger.devices_of(member).map(info).collect()
    }))
}

fn not_yours(device: DeviceId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("{device} is no device of yours: `devices` lists them"),
    )
}
